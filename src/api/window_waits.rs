//! Requests that wait for room in the send window, in turns of their tenants.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::publisher::{ApiPublisher, NotTaken, PublisherState};
use crate::broker_client::uplink::Uplink;
use crate::broker_client::window_turns::{TurnOutcome, TurnRound, WindowTurns};
use crate::types::Tenant;
use crate::types::limits::UNIT_WORK;

/// The requests that wait. The requests that are served at the same time bound them.
#[derive(Debug, Default)]
pub(super) struct WindowWaits {
    turns: WindowTurns<VecDeque<Rc<RequestWaiter>>>,
}

#[derive(Debug)]
struct RequestWaiter {
    /// Bytes that it publishes.
    bytes: usize,
    /// Signals that it may be its turn.
    wake: Notify,
}

/// Whether a request with several publications has had its turn. The rest of them then comes before other
/// requests of its tenant, so that it wakes up once and not for each publication.
#[derive(Debug, Default)]
pub(super) struct BatchTurn(Cell<bool>);

/// Room that a request needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowRequest<'a> {
    pub(super) publisher: &'a ApiPublisher,
    pub(super) tenant: &'a Tenant,
    pub(super) bytes: usize,
    /// The turn of its batch; none for a single publication or a command.
    pub(super) turn: Option<&'a BatchTurn>,
}

/// A place among those that wait. It is left when it is dropped.
#[derive(Debug)]
struct WindowPlace<'a> {
    request: WindowRequest<'a>,
    waiter: Rc<RequestWaiter>,
}

/// Wakes the request whose turn it is, if the window has room for it.
pub(super) fn offer(state: &mut PublisherState) {
    let PublisherState { window_waits, client, .. } = state;
    if let Some(waiter) = window_waits.next_ready(&mut TurnRound::default(), &client.uplink) {
        waiter.wake.notify_one();
    }
}

impl WindowWaits {
    /// Returns the request whose turn it is; `None` if all have to wait.
    fn next_ready(&mut self, round: &mut TurnRound, uplink: &Uplink) -> Option<Rc<RequestWaiter>> {
        loop {
            let (tenant, queue) = self.turns.select(round)?;
            let (tenant, waiter) = (tenant.clone(), queue.front().cloned()?);
            let others_wait = || self.turns.others_wait(&tenant);
            match uplink.lack_of_room(&tenant, waiter.bytes, others_wait) {
                Some(lack) => self.turns.settle(round, lack),
                None => return Some(waiter),
            }
        }
    }

    /// Removes a request if it is its turn. Otherwise the one whose turn it is is woken.
    fn take(&mut self, waiter: &Rc<RequestWaiter>, uplink: &Uplink) -> bool {
        let mut round = TurnRound::default();
        let Some(next) = self.next_ready(&mut round, uplink) else { return false };
        if !Rc::ptr_eq(&next, waiter) {
            next.wake.notify_one();
            return false;
        }
        if let Some((_, queue)) = self.turns.select(&mut round) {
            queue.pop_front();
        }
        let work = u64::try_from(waiter.bytes + UNIT_WORK).unwrap_or(u64::MAX);
        self.turns.settle(&mut round, TurnOutcome::Served(work));
        true
    }
}

impl<'a> WindowRequest<'a> {
    /// Waits until the window has room for the request and it is its turn. The caller must publish before it waits
    /// for anything else.
    ///
    /// # Errors
    ///
    /// If that is not so by the deadline.
    pub(super) async fn wait(self, until: Instant) -> Result<(), NotTaken> {
        {
            let state = self.publisher.state.borrow();
            let turns = &state.window_waits.turns;
            let is_next = turns.is_empty() || (self.is_begun() && !turns.others_wait(self.tenant));
            let lack = || state.client.uplink.lack_of_room(self.tenant, self.bytes, || false);
            if is_next && lack().is_none() {
                self.note_turn();
                return Ok(());
            }
        }
        let place = self.enter();
        timeout_at(until, place.turn()).await.map_err(|_| NotTaken::NoRoom)?;
        self.note_turn();
        Ok(())
    }

    /// Whether a part of its batch is published.
    fn is_begun(self) -> bool {
        self.turn.is_some_and(|turn| turn.0.get())
    }

    fn note_turn(self) {
        self.turn.iter().for_each(|turn| turn.0.set(true));
    }

    fn enter(self) -> WindowPlace<'a> {
        let waiter = Rc::new(RequestWaiter { bytes: self.bytes, wake: Notify::new() });
        let mut state = self.publisher.state.borrow_mut();
        let entered = Rc::clone(&waiter);
        state.window_waits.turns.push_with(self.tenant, |queue| match self.is_begun() {
            true => queue.push_front(entered),
            false => queue.push_back(entered),
        });
        offer(&mut state);
        WindowPlace { request: self, waiter }
    }
}

impl WindowPlace<'_> {
    async fn turn(&self) {
        loop {
            self.waiter.wake.notified().await;
            let mut state = self.request.publisher.state.borrow_mut();
            let PublisherState { window_waits, client, .. } = &mut *state;
            if window_waits.take(&self.waiter, &client.uplink) {
                return;
            }
        }
    }
}

impl Drop for WindowPlace<'_> {
    fn drop(&mut self) {
        let mut state = self.request.publisher.state.borrow_mut();
        let waiter = &self.waiter;
        state.window_waits.turns.remove_with(self.request.tenant, |queue| {
            queue.retain(|it| !Rc::ptr_eq(it, waiter));
        });
        // The next one looks at the window when it runs, and this request has published by then.
        offer(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use tokio::task::{LocalSet, yield_now};

    use super::*;
    use crate::link::message::{NewPublication, ToWorker};
    use crate::types::limits::WINDOW_BYTES;
    use crate::types::{
        Address, Generation, Number, PayloadForm, Tags, WorkerId, WorkerIncarnation,
    };

    /// A publisher without a link, so that nothing is acknowledged by itself.
    struct Tested {
        publisher: ApiPublisher,
        published: RefCell<Vec<&'static str>>,
    }

    impl Tested {
        fn new() -> Rc<Self> {
            let source = WorkerIncarnation { worker: WorkerId::API, generation: Generation(0) };
            let (publisher, published) = (ApiPublisher::new(source), RefCell::default());
            Rc::new(Self { publisher, published })
        }

        async fn publish(
            self: Rc<Self>,
            of: &'static str,
            bytes: usize,
            within: Duration,
        ) -> Result<(), NotTaken> {
            let until = Instant::now() + within;
            let (tenant, publisher, turn) = (&tenant_of(of), &self.publisher, None);
            WindowRequest { publisher, tenant, bytes, turn }.wait(until).await?;
            self.push(tenant, of, bytes);
            Ok(())
        }

        /// Publishes four in one request.
        async fn publish_batch(self: Rc<Self>, of: &'static str, bytes: usize) {
            let (tenant, publisher) = (&tenant_of(of), &self.publisher);
            let (until, turn) = (Instant::now() + LONG, BatchTurn::default());
            for _ in 0..4 {
                let turn = Some(&turn);
                let request = WindowRequest { publisher, tenant, bytes, turn };
                request.wait(until).await.unwrap();
                self.push(tenant, of, bytes);
            }
        }

        fn push(&self, tenant: &Tenant, of: &'static str, bytes: usize) {
            let payload = &vec![b'x'; bytes];
            let address = &Address::matching(Tags::default());
            let form = PayloadForm::Text;
            let publication = NewPublication { tenant, address, form, payload };
            self.publisher.state.borrow_mut().client.uplink.publish(publication);
            self.published.borrow_mut().push(of);
        }

        /// The broker acknowledges publications up to a number.
        fn acknowledge(&self, up_to: u64) {
            let mut state = self.publisher.state.borrow_mut();
            drop(state.client.uplink.take_output());
            state.client.uplink.on_message(ToWorker::Acknowledged { up_to: Number(up_to) });
            offer(&mut state);
        }

        fn published(&self) -> String {
            self.published.borrow().concat()
        }
    }

    /// The first letter names the tenant.
    fn tenant_of(of: &str) -> Tenant {
        Tenant(of.get(..1).unwrap_or_default().to_ascii_lowercase().into())
    }

    async fn settle() {
        for _ in 0..100 {
            yield_now().await;
        }
    }

    const LONG: Duration = Duration::from_secs(60);
    /// One of eight that fill the window.
    const EIGHTH: usize = WINDOW_BYTES / 8 - 100;

    #[tokio::test]
    async fn requests_of_two_tenants_take_turns_for_the_window() {
        let set = LocalSet::new();
        let tested = Tested::new();
        set.run_until(async {
            for _ in 0..16 {
                drop(tokio::task::spawn_local(Rc::clone(&tested).publish("a", EIGHTH, LONG)));
            }
            settle().await;
            assert_eq!(tested.published(), "aaaaaaaa", "one tenant may use the whole window");
            for _ in 0..4 {
                drop(tokio::task::spawn_local(Rc::clone(&tested).publish("b", EIGHTH, LONG)));
            }
            settle().await;
            for up_to in 1..=4 {
                tested.acknowledge(up_to);
                settle().await;
            }
            assert_eq!(tested.published(), "aaaaaaaabbbb", "the other one has more than half");
            for up_to in 5..=12 {
                tested.acknowledge(up_to);
                settle().await;
            }
            assert_eq!(tested.published(), "aaaaaaaabbbbaaaaaaaa");
        })
        .await;
    }

    #[tokio::test]
    async fn a_batch_goes_on_once_it_has_had_its_turn() {
        let set = LocalSet::new();
        let tested = Tested::new();
        set.run_until(async {
            for of in ["a1", "a2", "a3"] {
                drop(tokio::task::spawn_local(Rc::clone(&tested).publish_batch(of, EIGHTH)));
            }
            settle().await;
            assert_eq!(tested.published(), "a1a1a1a1a2a2a2a2");
            drop(tokio::task::spawn_local(Rc::clone(&tested).publish("a4", EIGHTH, LONG)));
            settle().await;
            for up_to in [2, 4] {
                tested.acknowledge(up_to);
                settle().await;
            }
            assert_eq!(tested.published(), "a1a1a1a1a2a2a2a2a3a3a3a3", "the rest is not last");
            tested.acknowledge(8);
            settle().await;
            assert_eq!(tested.published(), "a1a1a1a1a2a2a2a2a3a3a3a3a4");
        })
        .await;
    }

    #[tokio::test]
    async fn a_batch_waits_while_other_tenants_do() {
        let set = LocalSet::new();
        let tested = Tested::new();
        set.run_until(async {
            for _ in 0..6 {
                drop(tokio::task::spawn_local(Rc::clone(&tested).publish("a", EIGHTH, LONG)));
            }
            settle().await;
            drop(tokio::task::spawn_local(Rc::clone(&tested).publish_batch("A", EIGHTH)));
            settle().await;
            assert_eq!(tested.published(), "aaaaaaAA");
            for _ in 0..6 {
                drop(tokio::task::spawn_local(Rc::clone(&tested).publish("b", EIGHTH, LONG)));
            }
            settle().await;
            tested.acknowledge(4);
            settle().await;
            assert_eq!(tested.published(), "aaaaaaAAbbbb", "the batch has its part of the window");
            tested.acknowledge(10);
            settle().await;
            let published = tested.published();
            let rest = published.get(12..).unwrap_or_default();
            assert!(["AbAb", "bAbA"].contains(&rest), "they take turns: {published}");
        })
        .await;
    }

    #[tokio::test]
    async fn a_request_that_stops_waiting_lets_the_next_one_in() {
        let set = LocalSet::new();
        let tested = Tested::new();
        set.run_until(async {
            let fill = Rc::clone(&tested).publish("a", WINDOW_BYTES - 1000, LONG).await;
            assert_eq!(fill, Ok(()));
            let first = tokio::task::spawn_local(Rc::clone(&tested).publish("b", 2000, LONG));
            let late = Rc::clone(&tested).publish("c", 3000, Duration::ZERO);
            let late = tokio::task::spawn_local(late);
            settle().await;
            let small = tokio::task::spawn_local(Rc::clone(&tested).publish("b", 100, LONG));
            assert_eq!(late.await.unwrap(), Err(NotTaken::NoRoom));
            settle().await;
            assert_eq!(tested.published(), "a");
            first.abort();
            assert_eq!(small.await.unwrap(), Ok(()));
            assert_eq!(tested.published(), "ab");
            assert!(tested.publisher.state.borrow().window_waits.turns.is_empty());
        })
        .await;
    }
}

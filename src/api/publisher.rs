//! Publications and questions of the API on their way to the broker, and what the broker answers.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tracing::info;

pub(super) use super::publication::{
    ApiPublication, NotTaken, PublicationReceipt, Reached, ReachedHosts,
};
pub(super) use super::publisher_state::PublisherState;
use super::tracked::{AskPlace, AskReceipt, ReportedReceipt, TooManyOpen};
use super::window_waits::{self, WindowRequest};
use crate::broker_client::LinkBytes;
use crate::link::fairness::ApplicationCharge;
use crate::link::transport::Transport;
use crate::reactor::async_waiter::AsyncWaiter;
use crate::types::{AskToken, ClientUuid, Generation, TrackedSubject, Tracking, WorkerIncarnation};

/// The link to the broker, for all requests of this process.
#[derive(Debug)]
pub(super) struct ApiPublisher {
    source: WorkerIncarnation,
    pub(super) state: RefCell<PublisherState>,
    /// Signals that the link has output to write.
    pub(super) wake: Notify,
    /// Signals that a throttle may have ended, or that an id may be free.
    pub(super) changed: Notify,
    /// Signals that the records of earlier API processes are known.
    pub(super) told: Notify,
    /// The broker at the other end of the last link.
    broker: Cell<Option<Generation>>,
    /// Publications that were refused because their tenant stayed throttled.
    throttled: Cell<u64>,
}

/// A link that has ended.
#[derive(Debug)]
pub(super) struct BrokerLinkLost {
    /// The broker at its other end.
    pub(super) broker: Generation,
}

/// How many requests are remembered (rule L11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RememberedCounts {
    /// Nonces of signed requests.
    pub(super) nonces: usize,
    /// Ids of publications.
    pub(super) ids: usize,
}

impl ApiPublisher {
    /// A member of the link that has no link yet.
    pub(super) fn new(source: WorkerIncarnation) -> Self {
        let (state, broker) = (RefCell::new(PublisherState::new(source)), Cell::new(None));
        let [wake, changed, told] = [Notify::new(), Notify::new(), Notify::new()];
        Self { source, state, wake, changed, told, broker, throttled: Cell::new(0) }
    }

    /// The broker that answers at present, or the last one.
    pub(super) fn broker(&self) -> Option<Generation> {
        self.broker.get()
    }

    /// The identity of this process for the broker.
    pub(super) fn source(&self) -> WorkerIncarnation {
        self.source
    }

    /// Accepts a publication without waiting for the broker.
    ///
    /// # Errors
    ///
    /// If the window has no room for it by the deadline, or its tenant stays throttled.
    pub(super) async fn publish(
        &self,
        publication: ApiPublication<'_>,
        until: Instant,
    ) -> Result<(), NotTaken> {
        self.wait_for_turn(&publication, until).await?;
        let mut state = self.state.borrow_mut();
        match publication.trace {
            None => state.client.uplink.publish(publication.into()),
            Some(_) => drop(state.publish_tracked(publication, None, None)),
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Accepts a publication and asks the broker for a count. With more recipients than
    /// `clients_max` it is delivered to none.
    ///
    /// # Errors
    ///
    /// If the window has no room for it by the deadline, or its tenant stays throttled.
    pub(super) async fn publish_counted(
        &self,
        publication: ApiPublication<'_>,
        clients_max: Option<u64>,
        until: Instant,
    ) -> Result<PublicationReceipt, NotTaken> {
        self.wait_for_turn(&publication, until).await?;
        let taken = self.state.borrow_mut().publish_tracked(publication, clients_max, None);
        self.wake.notify_one();
        Ok(taken.receipt)
    }

    /// The same, and asks the workers how many sockets have taken it within a time.
    ///
    /// # Errors
    ///
    /// When the window has no room for it by `until`, or too many reports are open.
    pub(super) async fn publish_reported(
        &self,
        publication: ApiPublication<'_>,
        clients_max: Option<u64>,
        within: Duration,
        until: Instant,
    ) -> Result<ReportedReceipt, NotTaken> {
        self.wait_for_turn(&publication, until).await?;
        let mut state = self.state.borrow_mut();
        if !state.tracked.has_room_for_report() {
            return Err(NotTaken::TooManyReports);
        }
        let tracking = Tracking { subject: TrackedSubject::Writes, within };
        let taken = state.publish_tracked(publication, clients_max, Some(tracking));
        let progress = state.progress(&taken, clients_max);
        self.wake.notify_one();
        Ok(ReportedReceipt { number: taken.number, receipt: taken.receipt, progress })
    }

    /// Takes a place for a question to this client.
    ///
    /// # Errors
    ///
    /// When there are as many as there may be.
    pub(super) fn reserve_ask(&self, client: ClientUuid) -> Result<AskPlace, TooManyOpen> {
        self.state.borrow().tracked.reserve_ask(client)
    }

    /// Takes a question to one client over.
    ///
    /// # Errors
    ///
    /// When the window has no room for it by `until`.
    pub(super) async fn ask(
        &self,
        publication: ApiPublication<'_>,
        mut place: AskPlace,
        within: Duration,
        until: Instant,
    ) -> Result<AskReceipt, NotTaken> {
        self.wait_for_turn(&publication, until).await?;
        let token = AskToken(uuid::Uuid::new_v4().into_bytes());
        let tracking = Tracking { subject: TrackedSubject::Answer(token), within };
        let mut state = self.state.borrow_mut();
        let taken = state.publish_tracked(publication, None, Some(tracking));
        let outcome = place.open(taken.number);
        self.wake.notify_one();
        Ok(AskReceipt::new(taken.receipt, outcome, place))
    }

    /// Waits until the tenant is not throttled and the window has room.
    async fn wait_for_turn(
        &self,
        publication: &ApiPublication<'_>,
        until: Instant,
    ) -> Result<(), NotTaken> {
        let is_free = || !self.state.borrow().client.uplink.is_throttled(publication.tenant);
        if !self.wait_until(is_free, until).await {
            self.throttled.set(self.throttled.get() + 1);
            return Err(NotTaken::Throttled);
        }
        let ApiPublication { tenant, payload, turn, .. } = *publication;
        WindowRequest { publisher: self, tenant, bytes: payload.len(), turn }.wait(until).await
    }

    /// Waits for something that a message of the broker changes. Returns false at the deadline.
    async fn wait_until(&self, is_so: impl Fn() -> bool, until: Instant) -> bool {
        if is_so() {
            return true;
        }
        let change = async {
            loop {
                let change = self.changed.notified();
                if is_so() {
                    return;
                }
                change.await;
            }
        };
        timeout_at(until, change).await.is_ok()
    }

    /// Returns how many publications were refused because their tenant stayed throttled.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled.get()
    }

    /// Publications that were taken over, ever.
    pub(super) fn published(&self) -> u64 {
        self.state.borrow().client.uplink.published()
    }

    /// Returns the bytes on the links to brokers.
    pub(super) fn link_bytes(&self) -> LinkBytes {
        self.state.borrow().client.link_bytes()
    }

    /// Returns how many requests are remembered (rule L11).
    pub(super) fn remembered(&self) -> RememberedCounts {
        let state = self.state.borrow();
        let replays = &state.client.uplink.replays;
        let nonces = replays.nonces() + replays.other_nonces();
        RememberedCounts { nonces, ids: replays.ids() }
    }

    /// Returns the number of publications that the broker has not acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.state.borrow().client.uplink.unacknowledged()
    }

    /// Adds the link to a new broker, which gets all publications that the old broker has not
    /// acknowledged (rule L6). Returns the descriptor to wait on.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub(super) fn connect(
        &self,
        broker: Generation,
        transport: Box<dyn Transport>,
    ) -> io::Result<AsyncWaiter> {
        let mut state = self.state.borrow_mut();
        state.client.mark_unread();
        let mut scratch = std::mem::take(&mut state.scratch);
        while let Some(event) = state.client.next_until_end(&mut scratch) {
            let _known = state.on_event(event);
        }
        state.scratch = scratch;
        let waiter = AsyncWaiter::new(transport.ready())?;
        if state.client.link_ready().is_some() {
            state.tracked.on_broker_lost();
        }
        self.broker.set(Some(broker));
        state.client.connect(broker, transport);
        state.client.write();
        // The last acknowledgements of the old link may have made room.
        window_waits::offer(&mut state);
        self.changed.notify_waiters();
        info!(event = "broker_linked", broker = broker.0, "linked to the broker");
        Ok(waiter)
    }

    /// Waits until there is something to write.
    pub(super) async fn wants_to_write(&self) {
        self.wake.notified().await;
    }

    /// Reads the messages of the link and writes pending output.
    pub(super) fn read(&self) -> Option<BrokerLinkLost> {
        let mut lost = None;
        let mut state = self.state.borrow_mut();
        // A tokio readiness event does not say that the broker has closed the link.
        state.client.mark_ended();
        let mut scratch = std::mem::take(&mut state.scratch);
        while state.client.is_unread() {
            state.client.read(&mut scratch);
            while let Some(event) = state.client.next(&mut || false) {
                if let Some(link) = state.on_event(event) {
                    lost = Some(link);
                }
            }
        }
        state.scratch = scratch;
        state.client.write();
        window_waits::offer(&mut state);
        self.changed.notify_waiters();
        lost
    }

    /// Returns how many hosts are live, this one included.
    pub(super) fn live_hosts(&self) -> u32 {
        self.state.borrow().live_hosts
    }

    /// Returns what other processes have accepted of applications with limits, once.
    pub(super) fn take_charges(&self) -> Vec<ApplicationCharge> {
        std::mem::take(&mut self.state.borrow_mut().charges)
    }

    /// Queues what this process has accepted of applications with limits, for the other members of the link.
    pub(super) fn report_charges(&self, charges: Vec<ApplicationCharge>) {
        let mut state = self.state.borrow_mut();
        charges.into_iter().for_each(|charge| state.client.uplink.report_charge(charge));
    }

    /// Writes pending output to the broker.
    pub(super) fn write(&self) {
        let mut state = self.state.borrow_mut();
        state.has_unsent_nonces = false;
        state.client.write();
    }
}

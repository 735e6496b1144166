//! Requests that wait for reports of the workers: what sockets have taken, and answers of clients.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::publisher::PublicationReceipt;
use crate::types::limits::{ASKS_MAX, ASKS_PER_CLIENT_MAX, WRITE_REPORTS_MAX};
use crate::types::{ClientUuid, Number, SpanTimes, TimedWrites, TrackedOutcome, WriteCounts};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct TrackedRequests {
    reports: BTreeMap<Number, OpenReport>,
    asks: Rc<RefCell<OpenAsks>>,
}

#[derive(Debug)]
struct OpenReport {
    /// With more clients the publication was delivered to none.
    clients_max: Option<u64>,
    progress: Rc<ReportProgress>,
}

/// The reports on one publication so far.
#[derive(Debug, Default)]
pub(super) struct ReportProgress {
    counts: Cell<WriteCounts>,
    /// Clients and workers that the address matched, once that is known.
    reached: Cell<Option<(u64, u32)>>,
    /// When the broker has resolved it, if it is traced.
    resolved: Cell<Option<SpanTimes>>,
    /// The parts of the workers that have reported, if it is traced.
    timed_parts: RefCell<Vec<TimedWrites>>,
    /// The broker is gone, so no more reports come.
    is_lost: Cell<bool>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct OpenAsks {
    /// Questions, by the number of their publication.
    open: BTreeMap<Number, oneshot::Sender<TrackedOutcome>>,
    /// How many questions each client has, including those that are about to be sent.
    of_client: HashMap<ClientUuid, usize>,
    count: usize,
}

/// A place among the open questions. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct AskPlace {
    asks: Rc<RefCell<OpenAsks>>,
    client: ClientUuid,
    number: Option<Number>,
}

/// There are as many open reports or questions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyOpen;

impl TrackedRequests {
    /// Whether one more report can be opened.
    pub(super) fn has_room_for_report(&self) -> bool {
        self.reports.len() < WRITE_REPORTS_MAX
    }

    /// Opens the report on a publication.
    pub(super) fn open_report(
        &mut self,
        number: Number,
        clients_max: Option<u64>,
    ) -> Rc<ReportProgress> {
        let progress = Rc::<ReportProgress>::default();
        let report = OpenReport { clients_max, progress: Rc::clone(&progress) };
        self.reports.insert(number, report);
        progress
    }

    /// Takes a place for a question to this client.
    ///
    /// # Errors
    ///
    /// When the client, or all clients together, have too many.
    pub(super) fn reserve_ask(&self, client: ClientUuid) -> Result<AskPlace, TooManyOpen> {
        let mut asks = self.asks.borrow_mut();
        let own = asks.of_client.get(&client).copied().unwrap_or_default();
        if asks.count >= ASKS_MAX || own >= ASKS_PER_CLIENT_MAX {
            return Err(TooManyOpen);
        }
        asks.count += 1;
        asks.of_client.insert(client, own + 1);
        Ok(AskPlace { asks: Rc::clone(&self.asks), client, number: None })
    }

    /// The broker has counted the clients that a publication reached.
    pub(super) fn on_reached(&mut self, number: Number, clients: u64, workers: u32) {
        let Some(report) = self.reports.get(&number) else { return };
        report.progress.reached.set(Some((clients, workers)));
        report.progress.changed.notify_waiters();
        self.end_report(number);
    }

    /// A worker has reported.
    pub(super) fn on_report(&mut self, number: Number, outcome: TrackedOutcome) {
        let report = self.reports.get(&number).map(|report| &report.progress);
        let counts = match (outcome, report) {
            (TrackedOutcome::Writes(counts), _) => counts,
            (TrackedOutcome::TimedWrites(timed), Some(progress)) => {
                progress.timed_parts.borrow_mut().push(*timed);
                timed.counts
            }
            (TrackedOutcome::Resolved(times), Some(progress)) => {
                return progress.resolved.set(Some(times));
            }
            (TrackedOutcome::TimedWrites(_) | TrackedOutcome::Resolved(_), None) => return,
            (outcome, _) => {
                let asked = self.asks.borrow_mut().open.remove(&number);
                // Its request may have stopped waiting.
                return drop(asked.map(|asked| asked.send(outcome)));
            }
        };
        let Some(progress) = report else { return };
        progress.counts.set(progress.counts.get().and(counts));
        progress.changed.notify_waiters();
        self.end_report(number);
    }

    /// Forgets a report that is complete. One whose request has stopped waiting stays until then, because
    /// its workers still count.
    fn end_report(&mut self, number: Number) {
        let Some(report) = self.reports.get(&number) else { return };
        let Some((matched, _)) = report.progress.reached.get() else { return };
        if report.clients_max.is_some_and(|max| matched > max) {
            // No worker reports on it.
            report.progress.is_lost.set(true);
        }
        if report.progress.is_lost.get() || report.progress.counts.get().total() >= matched {
            self.reports.remove(&number);
        }
    }

    /// The link to the broker is lost. It is not known which of its reports were under way. Answers to
    /// questions come through the next broker.
    pub(super) fn on_broker_lost(&mut self) {
        for (_, report) in std::mem::take(&mut self.reports) {
            report.progress.is_lost.set(true);
            report.progress.changed.notify_waiters();
        }
    }
}

impl ReportProgress {
    /// Waits until every delivery is accounted for, no more reports come, or this time has come.
    pub(super) async fn settled(&self, until: Instant) {
        let complete = async {
            loop {
                let changed = self.changed.notified();
                let total = self.counts.get().total();
                let is_complete = self.reached.get().is_some_and(|(matched, _)| total >= matched);
                if self.is_lost.get() || is_complete {
                    return;
                }
                changed.await;
            }
        };
        let _late = timeout_at(until, complete).await;
    }

    /// Returns the clients and workers that the address matched, once that is known.
    pub(super) fn reached(&self) -> Option<(u64, u32)> {
        self.reached.get()
    }

    /// Returns when the broker has resolved a traced publication.
    pub(super) fn resolved(&self) -> Option<SpanTimes> {
        self.resolved.get()
    }

    /// Takes the parts of the workers that have reported on a traced publication.
    pub(super) fn take_timed_parts(&self) -> Vec<TimedWrites> {
        self.timed_parts.take()
    }

    /// Waits until so many deliveries are accounted for, or until this time. What is missing then counts
    /// as waiting. None if the broker was lost before.
    pub(super) async fn sums(&self, matched: u64, until: Instant) -> Option<WriteCounts> {
        let complete = async {
            loop {
                let changed = self.changed.notified();
                if self.is_lost.get() || self.counts.get().total() >= matched {
                    return;
                }
                changed.await;
            }
        };
        let _late = timeout_at(until, complete).await;
        let counts = self.counts.get();
        let missing = matched.saturating_sub(counts.total());
        if missing > 0 && self.is_lost.get() {
            return None;
        }
        Some(WriteCounts { waiting: counts.waiting + missing, ..counts })
    }
}

/// A publication that was taken over, and on which the workers report.
#[derive(Debug)]
pub(super) struct ReportedReceipt {
    /// Its number in the window.
    pub(super) number: Number,
    pub(super) receipt: PublicationReceipt,
    pub(super) progress: Rc<ReportProgress>,
}

/// A question that was taken over.
#[derive(Debug)]
pub(super) struct AskReceipt {
    /// Its number in the window.
    pub(super) number: Number,
    pub(super) receipt: PublicationReceipt,
    pub(super) outcome: oneshot::Receiver<TrackedOutcome>,
    _place: AskPlace,
}

impl AskReceipt {
    /// The receipt of a question, with its place among all questions.
    pub(super) fn new(
        receipt: PublicationReceipt,
        outcome: oneshot::Receiver<TrackedOutcome>,
        place: AskPlace,
    ) -> Self {
        Self { number: place.number.unwrap_or(Number(0)), receipt, outcome, _place: place }
    }
}

impl AskPlace {
    /// The question is sent with the publication of this number.
    pub(super) fn open(&mut self, number: Number) -> oneshot::Receiver<TrackedOutcome> {
        let (sender, receiver) = oneshot::channel();
        self.number = Some(number);
        self.asks.borrow_mut().open.insert(number, sender);
        receiver
    }
}

impl Drop for AskPlace {
    fn drop(&mut self) {
        let mut asks = self.asks.borrow_mut();
        asks.count -= 1;
        if let Some(number) = self.number {
            asks.open.remove(&number);
        }
        if let Some(own) = asks.of_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                asks.of_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn writes(written: u64, waiting: u64) -> TrackedOutcome {
        TrackedOutcome::Writes(WriteCounts { written, waiting, ..WriteCounts::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn the_sums_of_a_report_always_agree() {
        let mut tracked = TrackedRequests::default();
        let until = Instant::now() + Duration::from_secs(1);
        let progress = tracked.open_report(Number(1), None);
        tracked.on_report(Number(1), writes(2, 1));
        tracked.on_reached(Number(1), 5, 2);
        let early = progress.sums(3, until).await.unwrap();
        assert_eq!((early.written, early.waiting), (2, 1));
        let late = progress.sums(5, until).await.unwrap();
        assert_eq!((Instant::now(), late.waiting, late.total()), (until, 3, 5));
        tracked.on_report(Number(1), writes(2, 0));
        assert!(tracked.reports.is_empty(), "it is complete");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_known_of_a_report_whose_broker_is_lost() {
        let mut tracked = TrackedRequests::default();
        let until = Instant::now() + Duration::from_secs(1);
        let [open, complete] = [1, 2].map(|number| tracked.open_report(Number(number), None));
        tracked.on_report(Number(2), writes(4, 0));
        tracked.on_broker_lost();
        assert_eq!(open.sums(1, until).await, None);
        assert_eq!(complete.sums(4, until).await.map(WriteCounts::total), Some(4));
        assert!(Instant::now() < until && tracked.reports.is_empty());
    }

    #[test]
    fn a_publication_that_reached_too_many_has_no_report() {
        let mut tracked = TrackedRequests::default();
        tracked.open_report(Number(1), Some(2));
        tracked.on_reached(Number(1), 3, 1);
        assert!(tracked.reports.is_empty());
    }

    #[test]
    fn questions_are_bounded_for_a_client_and_in_all() {
        let tracked = TrackedRequests::default();
        let client = |n: usize| {
            let mut uuid = [0; 16];
            uuid[..8].copy_from_slice(&(n as u64).to_le_bytes());
            ClientUuid(uuid)
        };
        let mut places: Vec<AskPlace> =
            (0..ASKS_PER_CLIENT_MAX).map(|_| tracked.reserve_ask(client(0)).unwrap()).collect();
        assert_eq!(tracked.reserve_ask(client(0)).unwrap_err(), TooManyOpen);
        places.extend((1..).map(|n| tracked.reserve_ask(client(n))).map_while(Result::ok));
        assert_eq!(places.len(), ASKS_MAX);
        drop(places.pop());
        assert!(tracked.reserve_ask(client(1)).is_ok());
        drop(places);
        assert!(tracked.asks.borrow().of_client.is_empty());
    }

    #[tokio::test]
    async fn one_answer_counts() {
        let mut tracked = TrackedRequests::default();
        let mut place = tracked.reserve_ask(ClientUuid([1; 16])).unwrap();
        let receiver = place.open(Number(3));
        for answer in [&b"1"[..], b"2"] {
            tracked.on_report(Number(3), TrackedOutcome::Answer(answer.into()));
        }
        assert_eq!(receiver.await, Ok(TrackedOutcome::Answer(b"1"[..].into())));
    }
}

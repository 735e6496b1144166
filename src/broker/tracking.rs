//! Tracked publications: which workers have not reported on their part of the deliveries.

use std::collections::BTreeMap;
use std::time::Duration;

use smallvec::SmallVec;

use crate::types::{
    Number, SpanTimes, TrackedOutcome, TrackedSubject, Tracking, WorkerId, WorkerIncarnation,
    WriteCounts,
};

/// Clients of a publication by worker.
pub(super) type ClientsByWorker = SmallVec<[(WorkerId, u64); 4]>;

/// The publications that workers have to report on. Their publishers bound them, and every worker reports
/// within a time, or dies.
#[derive(Debug)]
pub(super) struct TrackedPublications {
    open: BTreeMap<(WorkerIncarnation, Number), OpenTracking>,
    /// Returns the time since 1970, for traces.
    clock: fn() -> Duration,
}

impl Default for TrackedPublications {
    fn default() -> Self {
        Self { open: BTreeMap::new(), clock: || Duration::ZERO }
    }
}

#[derive(Debug)]
struct OpenTracking {
    subject: TrackedSubject,
    /// Workers that have not reported, with their number of clients.
    parts: SmallVec<[(WorkerIncarnation, u64); 4]>,
}

/// A tracked publication that is being resolved.
#[derive(Clone, Copy, Debug)]
pub(super) struct BegunTracking {
    pub(super) tracking: Tracking,
    /// The time since 1970 at which this began, if it is traced.
    began: Option<Duration>,
}

/// A report for the publisher of a tracked publication.
#[derive(Debug, PartialEq)]
pub(super) struct TrackedReport {
    pub(super) publisher: WorkerIncarnation,
    pub(super) number: Number,
    pub(super) outcome: TrackedOutcome,
}

impl TrackedPublications {
    /// Sets the clock for traces, which returns the time since 1970.
    pub(super) fn trace_with(&mut self, clock: fn() -> Duration) {
        self.clock = clock;
    }

    /// Returns the time since 1970.
    pub(super) fn unix_now(&self) -> Duration {
        (self.clock)()
    }

    /// Begins to resolve a tracked publication.
    pub(super) fn begin(&self, tracking: Tracking) -> BegunTracking {
        let is_traced = tracking.subject == TrackedSubject::TimedWrites;
        BegunTracking { tracking, began: is_traced.then(self.clock) }
    }

    /// Returns the report that a publication is resolved, if it is traced.
    pub(super) fn resolved(&self, begun: BegunTracking) -> Option<TrackedOutcome> {
        let times = |began| SpanTimes { began, ended: (self.clock)() };
        begun.began.map(|began| TrackedOutcome::Resolved(times(began)))
    }

    /// Tracks a publication until each of these workers has reported.
    pub(super) fn open(
        &mut self,
        publisher: WorkerIncarnation,
        number: Number,
        subject: TrackedSubject,
        parts: impl Iterator<Item = (WorkerIncarnation, u64)>,
    ) {
        let parts: SmallVec<_> = parts.filter(|(_, clients)| *clients > 0).collect();
        if !parts.is_empty() {
            self.open.insert((publisher, number), OpenTracking { subject, parts });
        }
    }

    /// Records that a worker has reported its part.
    pub(super) fn reported(
        &mut self,
        worker: WorkerIncarnation,
        publisher: WorkerIncarnation,
        number: Number,
    ) {
        let key = (publisher, number);
        if let Some(open) = self.open.get_mut(&key) {
            open.parts.retain(|(waited_for, _)| *waited_for != worker);
            if open.parts.is_empty() {
                self.open.remove(&key);
            }
        }
    }

    /// Returns the reports in place of those that a lost worker will not send, and forgets the publications
    /// that it published itself.
    pub(super) fn on_worker_lost(&mut self, worker: WorkerIncarnation) -> Vec<TrackedReport> {
        let mut reports = Vec::new();
        self.open.retain(|(publisher, number), open| {
            let lost = open.parts.iter().find(|(waited_for, _)| *waited_for == worker);
            if let Some((_, clients)) = lost {
                let outcome = open.subject.lost(*clients);
                reports.push(TrackedReport { publisher: *publisher, number: *number, outcome });
                open.parts.retain(|(waited_for, _)| *waited_for != worker);
            }
            *publisher != worker && !open.parts.is_empty()
        });
        reports.retain(|report| report.publisher != worker);
        reports
    }
}

impl TrackedSubject {
    /// Returns the report in place of that of a dead worker with so many recipients.
    fn lost(self, clients: u64) -> TrackedOutcome {
        match self {
            Self::Writes | Self::TimedWrites => {
                TrackedOutcome::Writes(WriteCounts { closed: clients, ..WriteCounts::default() })
            }
            Self::Answer(_) => TrackedOutcome::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AskToken, Generation};

    fn source(worker: u16, generation: u32) -> WorkerIncarnation {
        WorkerIncarnation { worker: WorkerId(worker), generation: Generation(generation) }
    }

    #[test]
    fn a_worker_that_dies_before_its_report_counts_as_closed_once() {
        let (mut tracked, api) = (TrackedPublications::default(), source(9, 1));
        let parts = [(source(0, 1), 3), (source(1, 1), 4), (source(2, 1), 0)];
        tracked.open(api, Number(5), TrackedSubject::Writes, parts.into_iter());
        let question = TrackedSubject::Answer(AskToken([1; 16]));
        tracked.open(api, Number(6), question, [(source(1, 1), 1)].into_iter());
        tracked.reported(source(0, 1), api, Number(5));
        assert_eq!(tracked.on_worker_lost(source(0, 1)), []);
        assert_eq!(tracked.on_worker_lost(source(1, 2)), [], "another process of that number");
        let closed = WriteCounts { closed: 4, ..WriteCounts::default() };
        let report = |number, outcome| TrackedReport { publisher: api, number, outcome };
        assert_eq!(
            tracked.on_worker_lost(source(1, 1)),
            [
                report(Number(5), TrackedOutcome::Writes(closed)),
                report(Number(6), TrackedOutcome::Lost),
            ]
        );
        assert!(tracked.open.is_empty());
    }

    #[test]
    fn what_a_dead_publisher_tracked_is_forgotten() {
        let mut tracked = TrackedPublications::default();
        let parts = [(source(0, 1), 1), (source(1, 1), 1)];
        tracked.open(source(1, 1), Number(1), TrackedSubject::Writes, parts.into_iter());
        assert_eq!(tracked.on_worker_lost(source(1, 1)), []);
        assert!(tracked.open.is_empty());
    }
}

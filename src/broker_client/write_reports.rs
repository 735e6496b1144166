//! Reports on what the sockets of this worker have taken of single publications (`ack: written`).
//!
//! A delivery of such a publication carries a [`WriteTicket`], which counts once what has become of it,
//! wherever it is dropped. So the counts always sum up to the number of recipients.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::types::{Number, SpanTimes, WorkerIncarnation, WriteCounts};

/// The open reports of a worker, in the order in which their publications arrived.
#[derive(Debug)]
pub(crate) struct WriteReports {
    open: Vec<OpenWriteReport>,
    /// Returns the time since 1970, for traces.
    clock: fn() -> Duration,
}

impl Default for WriteReports {
    fn default() -> Self {
        Self { open: Vec::new(), clock: || Duration::ZERO }
    }
}

#[derive(Debug)]
struct OpenWriteReport {
    publisher: WorkerIncarnation,
    number: Number,
    within: Duration,
    /// The time at which the report is sent in any case. It is known once the caller has told its time.
    due: Option<Duration>,
    /// The time since 1970 at which the publication arrived, if it is traced.
    began: Option<Duration>,
    tally: Rc<WriteTally>,
}

/// A report that is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WriteReport {
    pub(crate) publisher: WorkerIncarnation,
    pub(crate) number: Number,
    pub(crate) counts: WriteCounts,
    /// Its time, if the publication is traced.
    pub(crate) times: Option<SpanTimes>,
}

/// What has become of the deliveries of one publication in this worker so far.
#[derive(Debug)]
pub struct WriteTally {
    recipients: u64,
    /// Deliveries that are done. None is `waiting`: those are the rest.
    done: Cell<WriteCounts>,
}

/// One delivery that a report counts, or one that no report counts (the default). It counts as closed if
/// it is dropped before something else has become of it.
#[derive(Debug, Default)]
pub struct WriteTicket(Option<Rc<WriteTally>>);

impl WriteReports {
    /// Opens a report on a publication to this number of recipients.
    pub(crate) fn open(
        &mut self,
        publisher: WorkerIncarnation,
        number: Number,
        within: Duration,
        recipients: u64,
    ) -> Rc<WriteTally> {
        let tally = Rc::new(WriteTally { recipients, done: Cell::default() });
        let (due, began, kept) = (None, None, Rc::clone(&tally));
        self.open.push(OpenWriteReport { publisher, number, within, due, began, tally: kept });
        tally
    }

    /// Sets the clock for traces, which returns the time since 1970.
    pub(crate) fn trace_with(&mut self, clock: fn() -> Duration) {
        self.clock = clock;
    }

    /// The last report has the time that it took.
    pub(crate) fn time_last(&mut self) {
        if let Some(last) = self.open.last_mut() {
            last.began = Some((self.clock)());
        }
    }

    /// Returns whether no report is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Removes and returns the reports that are complete, and those whose time is over.
    pub(crate) fn take_finished(&mut self, now: Duration) -> Vec<WriteReport> {
        let is_finished = |report: &mut OpenWriteReport| {
            let due = *report.due.get_or_insert_with(|| now.saturating_add(report.within));
            due <= now || report.tally.is_complete()
        };
        let finished = self.open.extract_if(.., is_finished);
        let clock = self.clock;
        let report = |OpenWriteReport { publisher, number, tally, began, .. }| WriteReport {
            publisher,
            number,
            counts: tally.counts(),
            times: began.map(|began| SpanTimes { began, ended: clock() }),
        };
        finished.map(report).collect()
    }

    /// Returns the time at which the next report is due, for reports that [`Self::take_finished`] has seen.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.open.iter().filter_map(|report| report.due).min()
    }

    /// Forgets all reports: the broker that wanted them is gone.
    pub(crate) fn forget(&mut self) {
        self.open.clear();
    }
}

impl WriteTally {
    fn is_complete(&self) -> bool {
        self.done.get().total() >= self.recipients
    }

    fn counts(&self) -> WriteCounts {
        let done = self.done.get();
        WriteCounts { waiting: self.recipients.saturating_sub(done.total()), ..done }
    }

    fn add(&self, one: WriteCounts) {
        self.done.set(self.done.get().and(one));
    }
}

impl WriteTicket {
    /// Creates the ticket of one recipient.
    #[must_use]
    pub fn of(tally: &Rc<WriteTally>) -> Self {
        Self(Some(Rc::clone(tally)))
    }

    /// The kernel has taken the whole frame.
    pub fn count_written(&mut self) {
        self.count(WriteCounts { written: 1, ..WriteCounts::default() });
    }

    /// The client is closed because it does not read.
    pub fn count_slow(&mut self) {
        self.count(WriteCounts { slow: 1, ..WriteCounts::default() });
    }

    #[inline]
    fn count(&mut self, one: WriteCounts) {
        if let Some(tally) = self.0.take() {
            tally.add(one);
        }
    }
}

impl Drop for WriteTicket {
    fn drop(&mut self) {
        self.count(WriteCounts { closed: 1, ..WriteCounts::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Generation, WorkerId};

    fn open(reports: &mut WriteReports, recipients: u64) -> Rc<WriteTally> {
        let publisher = WorkerIncarnation { worker: WorkerId::API, generation: Generation(1) };
        reports.open(publisher, Number(7), Duration::from_secs(2), recipients)
    }

    fn counts(reports: &mut WriteReports, now: u64) -> Option<WriteCounts> {
        let mut finished = reports.take_finished(Duration::from_secs(now));
        assert!(finished.len() <= 1);
        finished.pop().map(|report| report.counts)
    }

    #[test]
    fn a_report_is_complete_when_every_delivery_is_accounted_for_once() {
        let mut reports = WriteReports::default();
        let tally = open(&mut reports, 4);
        let [mut a, mut b, mut c, d] = [(); 4].map(|()| WriteTicket::of(&tally));
        a.count_written();
        a.count_slow();
        drop(a);
        b.count_slow();
        c.count_written();
        assert_eq!(counts(&mut reports, 1), None);
        drop((b, c, d));
        let all = WriteCounts { written: 2, slow: 1, closed: 1, waiting: 0 };
        assert_eq!(counts(&mut reports, 1), Some(all));
        assert!(reports.is_empty());
    }

    #[test]
    fn what_waits_when_the_time_is_over_is_reported_as_waiting() {
        let mut reports = WriteReports::default();
        let tally = open(&mut reports, 3);
        let (mut written, late) = (WriteTicket::of(&tally), WriteTicket::of(&tally));
        assert_eq!(
            (counts(&mut reports, 5), reports.next_due()),
            (None, Some(Duration::from_secs(7)))
        );
        written.count_written();
        let at_the_end = WriteCounts { written: 1, waiting: 2, ..WriteCounts::default() };
        assert_eq!(counts(&mut reports, 7), Some(at_the_end));
        drop(late);
        assert_eq!((counts(&mut reports, 9), reports.next_due()), (None, None));
    }

    #[test]
    fn a_delivery_without_a_report_counts_nowhere() {
        let mut ticket = WriteTicket::default();
        ticket.count_written();
        assert_eq!(size_of::<WriteTicket>(), size_of::<usize>());
    }
}

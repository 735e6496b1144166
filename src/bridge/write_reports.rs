//! Reports on publications of other hosts: what the sockets of this host have taken of each (`ack: written`).
//!
//! The broker counts the clients of such a publication, and each worker reports its part within the time of the
//! publisher. The host of the publisher gets the sums once. It waits for a bounded time, so nothing is repeated: a report
//! that is lost with a process is not made up for.

use std::collections::BTreeMap;

use super::queries::AskingHost;
use crate::cluster::ClusterEffect;
use crate::link::message::CountedPublication;
use crate::link::query::WrittenByHost;
use crate::types::WriteCounts;
use crate::types::limits::CLUSTER_REPORTS_MAX;

/// Publications of other hosts whose reports are not complete.
#[derive(Debug, Default)]
pub(super) struct ReportsForHosts {
    /// By their numbers among the arrivals.
    open: BTreeMap<u64, OpenReport>,
    /// Hosts that will not get a report.
    lost: Vec<AskingHost>,
}

#[derive(Debug)]
struct OpenReport {
    asking: AskingHost,
    /// The clients and workers that the address has matched, once that is known.
    reached: Option<(u64, u32)>,
    counts: WriteCounts,
}

/// A report that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompleteReport {
    pub(super) asking: AskingHost,
    pub(super) written: WrittenByHost,
}

impl ReportsForHosts {
    /// Notes a publication of another host, on its way to the broker.
    pub(super) fn note_arrival(&mut self, effect: &ClusterEffect) {
        let ClusterEffect::Arrive(arrival) = effect else { return };
        let (Some(id), Some(_)) = (arrival.publication.directive, arrival.publication.report_ms)
        else {
            return;
        };
        let asking = AskingHost { host: arrival.taken.host, id };
        let report = OpenReport { asking, reached: None, counts: WriteCounts::default() };
        self.open.insert(arrival.number, report);
        while self.open.len() > CLUSTER_REPORTS_MAX
            && let Some((_, oldest)) = self.open.pop_first()
        {
            self.lost.push(oldest.asking);
        }
    }

    /// The broker has counted the clients of a publication.
    pub(super) fn reached(&mut self, counted: &CountedPublication) -> Option<CompleteReport> {
        let number = counted.number.0;
        self.open.get_mut(&number)?.reached = Some((counted.clients, counted.workers));
        self.take_complete(number)
    }

    /// A worker has reported its part.
    pub(super) fn reported(&mut self, number: u64, part: WriteCounts) -> Option<CompleteReport> {
        let report = self.open.get_mut(&number)?;
        report.counts = report.counts.and(part);
        self.take_complete(number)
    }

    fn take_complete(&mut self, number: u64) -> Option<CompleteReport> {
        let OpenReport { asking, reached, counts } = *self.open.get(&number)?;
        let (clients, workers) = reached.filter(|(clients, _)| counts.total() >= *clients)?;
        self.open.remove(&number);
        Some(CompleteReport { asking, written: WrittenByHost { clients, workers, counts } })
    }

    /// The broker was replaced. Workers report to the broker alone that has delivered a publication.
    pub(super) fn broker_restarted(&mut self) {
        self.lost.extend(std::mem::take(&mut self.open).into_values().map(|it| it.asking));
    }

    /// Takes the hosts that will not get a report.
    pub(super) fn take_lost(&mut self) -> Vec<AskingHost> {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cluster::{
        Arrival, BridgeEpoch, CarriedPublication, CarriedReplay, LaneKey, LanePoint,
        PassedPublication,
    };
    use crate::types::{
        Generation, HostId, Number, PayloadForm, Sequence, WorkerId, WorkerIncarnation,
    };

    fn arrival(number: u64, report_ms: Option<u32>) -> ClusterEffect {
        let source = WorkerIncarnation { worker: WorkerId::API, generation: Generation(0) };
        let point = LanePoint { lane: LaneKey::COMMON, number };
        let (host, epoch) = (HostId(7), BridgeEpoch(1));
        let taken = PassedPublication { host, epoch, point, source, number: Number(number) };
        let publication = CarriedPublication {
            source,
            number: Number(number),
            generation: Generation(0),
            sequence: Sequence(number),
            route: Bytes::new(),
            form: PayloadForm::Message,
            payload: Bytes::new(),
            is_repeated: false,
            directive: Some(number + 100),
            question: None,
            report_ms,
            replay: CarriedReplay::None,
        };
        ClusterEffect::Arrive(Arrival { number, taken, publication })
    }

    fn counted(number: u64, clients: u64) -> CountedPublication {
        CountedPublication {
            number: Number(number),
            clients,
            workers: 2,
            scan_values: 0,
            away: None,
            is_forwarded: false,
        }
    }

    fn asking(number: u64) -> AskingHost {
        AskingHost { host: HostId(7), id: number + 100 }
    }

    #[test]
    fn a_report_is_complete_with_the_count_and_all_parts() {
        let mut reports = ReportsForHosts::default();
        (1..=3).for_each(|number| reports.note_arrival(&arrival(number, Some(500))));
        reports.note_arrival(&arrival(4, None));
        let part = |written, slow| WriteCounts { written, slow, ..WriteCounts::default() };
        assert_eq!(reports.reported(1, part(2, 0)), None, "the clients are not counted");
        assert_eq!(reports.reached(&counted(1, 3)), None, "another worker has not reported");
        let written = WrittenByHost { clients: 3, workers: 2, counts: part(2, 1) };
        let complete = CompleteReport { asking: asking(1), written };
        assert_eq!(reports.reported(1, part(0, 1)), Some(complete));
        let none = WrittenByHost { clients: 0, workers: 2, counts: part(0, 0) };
        assert_eq!(reports.reached(&counted(2, 0)).map(|it| it.written), Some(none));
        assert_eq!(reports.reached(&counted(4, 0)), None, "it is a command");
        reports.broker_restarted();
        assert_eq!(reports.take_lost(), [asking(3)]);
        assert_eq!(reports.reported(3, part(1, 0)), None);
    }

    #[test]
    fn open_reports_are_bounded_and_the_oldest_is_given_up() {
        let mut reports = ReportsForHosts::default();
        let most = CLUSTER_REPORTS_MAX as u64;
        (1..=most + 2).for_each(|number| reports.note_arrival(&arrival(number, Some(500))));
        assert_eq!(reports.open.len(), CLUSTER_REPORTS_MAX);
        assert_eq!(reports.take_lost(), [asking(1), asking(2)]);
    }
}

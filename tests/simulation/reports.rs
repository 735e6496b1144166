//! Reports on what clients have taken (`ack: written`), as a publisher gets them: the counts of the workers
//! sum up to the clients that the broker has counted.

use std::collections::BTreeMap;
use std::time::Duration;

use tagcast::broker_client::fanout::{Batch, DeliveryTracking};
use tagcast::broker_client::report_requests::{RecipientForm, ReportRequester};
use tagcast::broker_client::write_reports::WriteTicket;
use tagcast::types::{
    Number, Slot, TrackedOutcome, TrackedSubject, Tracking, WorkerIncarnation, WriteCounts,
};

use super::model::{Model, PublicationNo};

/// Requests of a publisher for reports.
pub const REQUESTER: ReportRequester =
    ReportRequester { slot: Slot::NONE, naming: RecipientForm::Usual };

/// The open reports of a publisher. Those of a lost broker are given up, as in the API process.
#[derive(Debug, Default)]
pub struct Reports(BTreeMap<Number, Report>);

#[derive(Debug)]
struct Report {
    no: PublicationNo,
    /// Clients that the broker has counted.
    matched: Option<u64>,
    counts: WriteCounts,
}

/// Returns the request that comes with every third publication.
pub fn tracking(no: PublicationNo) -> Option<Tracking> {
    let within = Duration::from_millis(1 + no as u64 % 50);
    no.is_multiple_of(3).then_some(Tracking { subject: TrackedSubject::Writes, within })
}

/// Returns the ticket of a delivery to this client, if it gets the publication.
pub fn ticket(batch: &Batch, frames: usize) -> WriteTicket {
    match batch.tracking() {
        Some(DeliveryTracking::Writes(tally)) if frames > 0 => WriteTicket::of(tally),
        _ => WriteTicket::default(),
    }
}

impl Reports {
    pub fn open(&mut self, number: Number, no: PublicationNo) {
        let counts = WriteCounts::default();
        self.0.insert(number, Report { no, matched: None, counts });
    }

    pub fn reached(&mut self, number: Number, clients: u64) -> Result<(), String> {
        if let Some(report) = self.0.get_mut(&number) {
            report.matched = Some(clients);
        }
        self.end(number)
    }

    pub fn reported(
        &mut self,
        number: Number,
        outcome: &TrackedOutcome,
        model: &Model,
    ) -> Result<(), String> {
        let (Some(report), TrackedOutcome::Writes(counts)) = (self.0.get_mut(&number), outcome)
        else {
            return Ok(());
        };
        report.counts = report.counts.and(*counts);
        let (no, written) = (report.no, report.counts.written);
        let heard = model.published[no].received_by.len() as u64;
        if written > heard {
            return Err(format!("{no} is written to {written} clients, and {heard} have heard it"));
        }
        self.end(number)
    }

    /// Removes a report that is complete.
    fn end(&mut self, number: Number) -> Result<(), String> {
        let Some(Report { no, matched: Some(matched), counts }) = self.0.get(&number) else {
            return Ok(());
        };
        if counts.total() > *matched {
            return Err(format!("{no}: {counts:?} are more than {matched} clients"));
        }
        if counts.total() == *matched {
            self.0.remove(&number);
        }
        Ok(())
    }

    pub fn on_broker_lost(&mut self) {
        self.0.clear();
    }

    /// Checks an idle server: every report has come.
    pub fn are_complete(&self, source: WorkerIncarnation) -> Result<(), String> {
        match self.0.values().next() {
            None => Ok(()),
            Some(report) => Err(format!("{source:?} waits for {report:?}")),
        }
    }
}

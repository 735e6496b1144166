//! The state of a worker in the broker: its link, its pending output and its publications.

use std::collections::VecDeque;

use arcstr::ArcStr;

use super::router::ProtocolError;
use crate::broker::tracking::TrackedReport;
use crate::link::codec::{WireMessage, encode_deliver, encode_set};
use crate::link::command::CommandOutcome;
use crate::link::message::{CountedPublication, Deliver, SetName, ToBroker, ToWorker, VERSION};
use crate::link::resume::ClientRequest;
use crate::types::limits::ANSWERS_PENDING_BYTES_MAX;
use crate::types::{
    Number, PublicationId, SlotSet, Tenant, TrackedOutcome, Tracking, WorkerIncarnation,
};

/// A worker with a link to this broker.
#[derive(Debug)]
pub struct WorkerState {
    /// The worker's number and generation.
    pub source: WorkerIncarnation,
    /// Pending output for the worker's link.
    pub out: LinkOutbox,
    pub(super) link_state: LinkState,
    /// Messages that the worker sent while other workers were still awaited. The worker's window limits them
    /// (rule L4).
    pub(super) held: VecDeque<ToBroker>,
    pub(super) last_publication: Option<Number>,
    pub(super) turn_ended_at: Option<Number>,
    pub(super) set_names: u32,
    /// It was here before this broker, and may repeat what an earlier one has forwarded to other hosts.
    pub(super) may_repeat: bool,
    /// The tenant whose publications were sent last.
    tenant: Tenant,
    counts: PublishCounts,
    /// Which request of a client the next publication or command is.
    next_request: Option<ClientRequest>,
    /// Outcomes of commands, to send with the acknowledgement. The worker's window limits them (rule L4).
    outcomes: VecDeque<(Number, Box<CommandOutcome>)>,
}

/// Recipient counts that the worker requested for single publications. Usually there are none.
#[derive(Debug, Default)]
struct PublishCounts {
    /// The request about the next publication.
    next: Option<CountRequest>,
    /// The id of the next publication that is counted.
    next_id: Option<PublicationId>,
    /// Counts to send with the acknowledgement. The worker's window limits them (rule L4).
    found: VecDeque<CountedPublication>,
}

/// A request to count the recipients of a publication.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountRequest {
    /// With more recipients than this, the publication is not delivered.
    pub(super) clients_max: Option<u64>,
    /// What the workers of its recipients report about its deliveries.
    pub(super) tracking: Option<Tracking>,
    /// Its id.
    pub(super) id: Option<PublicationId>,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// No message has arrived.
    Linked,
    /// The worker is announcing its clients.
    Announcing,
    /// The worker has finished its announcements.
    Announced,
    /// A held message broke a rule.
    Broken(ProtocolError),
}

impl WorkerState {
    /// Sends a report on a publication. An answer that would have to wait behind too many bytes is dropped.
    pub(super) fn report(&mut self, report: TrackedReport) {
        let is_dropped =
            self.out.pending().len() > ANSWERS_PENDING_BYTES_MAX && report.outcome.held() > 0;
        let outcome = if is_dropped { TrackedOutcome::Expired } else { report.outcome };
        self.out.send(&ToWorker::Tracked { number: report.number, outcome });
    }

    pub(super) fn new(source: WorkerIncarnation) -> Self {
        Self {
            source,
            out: LinkOutbox::default(),
            link_state: LinkState::Linked,
            held: VecDeque::new(),
            last_publication: None,
            turn_ended_at: None,
            set_names: 0,
            may_repeat: false,
            tenant: Tenant::shared(),
            counts: PublishCounts::default(),
            next_request: None,
            outcomes: VecDeque::new(),
        }
    }

    /// Ends a turn. Returns the number of the last publication, if the turn had one.
    pub(super) fn end_turn(&mut self) -> Option<Number> {
        let last = self.last_publication?;
        let is_new = self.turn_ended_at.is_none_or(|before| before < last);
        self.turn_ended_at = Some(last);
        is_new.then_some(last)
    }

    /// Gives the next publication that is counted an id.
    pub(super) fn identify_next(&mut self, id: PublicationId) {
        self.counts.next_id = Some(id);
    }

    /// Requests a count for the next publication.
    pub(super) fn count_next(&mut self, clients_max: Option<u64>, tracking: Option<Tracking>) {
        let id = self.counts.next_id.take();
        self.counts.next = Some(CountRequest { clients_max, tracking, id });
    }

    /// Says which request of a client the next publication or command is.
    pub(super) fn request_next(&mut self, request: ClientRequest) {
        self.next_request = Some(request);
    }

    /// Takes the request of a client that this publication or command is. Must be called once for each.
    pub(super) fn take_request(&mut self) -> Option<ClientRequest> {
        self.next_request.take()
    }

    /// Takes the request about this publication. Must be called once per publication.
    pub(super) fn take_count_request(&mut self) -> Option<CountRequest> {
        self.counts.next.take()
    }

    /// Stores the number of recipients of a publication.
    pub(super) fn counted(&mut self, counted: CountedPublication) {
        self.counts.found.push_back(counted);
    }

    /// The last publication goes to other hosts, too.
    #[inline]
    pub(super) fn note_forwarded(&mut self, number: Number) {
        if let Some(counted) = self.counts.found.back_mut().filter(|it| it.number == number) {
            counted.is_forwarded = true;
        }
    }

    /// Records the number of the next publication or command.
    ///
    /// # Errors
    ///
    /// If it is not greater than the previous one.
    pub(super) fn take_number(&mut self, number: Number) -> Result<(), ProtocolError> {
        self.check_number(number)?;
        self.last_publication = Some(number);
        Ok(())
    }

    /// Checks a number, which is recorded later: until then it is not acknowledged.
    ///
    /// # Errors
    ///
    /// If it is not greater than the previous one.
    pub(super) fn check_number(&self, number: Number) -> Result<(), ProtocolError> {
        match self.last_publication {
            Some(last) if number <= last => Err(ProtocolError::Disorder(number)),
            _ => Ok(()),
        }
    }

    /// Stores the outcome of a command.
    pub(super) fn has_outcome(&mut self, number: Number, outcome: CommandOutcome) {
        self.outcomes.push_back((number, Box::new(outcome)));
    }

    /// Acknowledges publications up to this number, because every link has taken them. Their counts, and the
    /// outcomes of commands, are sent first.
    pub(super) fn acknowledge(&mut self, up_to: Number) {
        while let Some(counted) = self.counts.found.pop_front_if(|counted| counted.number <= up_to)
        {
            self.out.send(&ToWorker::Reached(counted));
        }
        while let Some((number, outcome)) = self.outcomes.pop_front_if(|(it, _)| *it <= up_to) {
            self.out.send(&ToWorker::Outcome { number, outcome });
        }
        self.out.send(&ToWorker::Acknowledged { up_to });
    }

    pub(super) fn on_hello(
        &mut self,
        version: u16,
        claimed: WorkerIncarnation,
    ) -> Result<(), ProtocolError> {
        if version != VERSION {
            return Err(ProtocolError::Version(version));
        }
        if claimed != self.source {
            return Err(ProtocolError::OtherWorker(claimed));
        }
        self.link_state = LinkState::Announcing;
        Ok(())
    }

    /// Returns the rule that one of the worker's held messages broke, if any.
    #[must_use]
    pub fn protocol_error(&self) -> Option<ProtocolError> {
        match self.link_state {
            LinkState::Broken(error) => Some(error),
            _ => None,
        }
    }

    /// Says whose sets and publications follow on the link, unless they are of the same tenant as those
    /// before.
    #[inline]
    pub(super) fn switch_to(&mut self, tenant: &Tenant) {
        if !ArcStr::ptr_eq(&self.tenant.0, &tenant.0) && self.tenant != *tenant {
            self.tenant = tenant.clone();
            self.out.send(&ToWorker::Tenant(tenant.clone()));
        }
    }

    /// Gives a set a name that is valid until the end of the turn. The first name starts a new batch, so
    /// names of an earlier turn cannot be used by mistake.
    pub(super) fn name_set(&mut self, tenant: &Tenant, slots: &SlotSet) -> SetName {
        self.switch_to(tenant);
        if self.set_names == 0 {
            self.out.send(&ToWorker::Batch);
        }
        let name = SetName(self.set_names);
        self.set_names += 1;
        self.out.append(|buffer| encode_set(buffer, name, slots));
        name
    }
}

/// Bytes for one link. They are counted, so that the broker knows when a publication has been written (rule
/// L5).
#[derive(Debug, Default)]
pub struct LinkOutbox {
    buffer: Vec<u8>,
    /// Number of bytes at the start of `buffer` that the link has taken.
    taken: usize,
    appended: u64,
}

/// Capacity that an empty [`LinkOutbox`] keeps.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

impl LinkOutbox {
    pub(super) fn send(&mut self, message: &ToWorker) {
        self.append(|buffer| message.encode(buffer));
    }

    /// Sends a message in its encoding.
    pub(super) fn send_encoded(&mut self, message: &[u8]) {
        self.append(|buffer| buffer.extend_from_slice(message));
    }

    #[inline]
    pub(super) fn deliver(&mut self, deliver: &Deliver<&[u8]>) {
        self.append(|buffer| encode_deliver(buffer, deliver));
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        write(&mut self.buffer);
        self.appended += (self.buffer.len() - before) as u64;
    }

    /// Returns the total number of bytes that were ever queued.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// Returns the total number of bytes that the link has taken.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.appended - self.pending().len() as u64
    }

    /// Returns the bytes that the link has not taken yet.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    /// Removes this number of bytes from the front, after the link has taken them.
    pub fn advance(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken == self.buffer.len() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        } else if self.taken >= self.buffer.len() / 2 {
            // The rest is not longer than the bytes that were taken, so each byte is moved at most once.
            self.buffer.drain(..self.taken);
        } else {
            return;
        }
        self.taken = 0;
    }
}

//! The worker's side of the link rules: joined clients, unacknowledged publications, and publications already
//! received.
//!
//! No I/O and no clock: the output is bytes for the broker, the input is messages of the broker.

mod commands;
mod reports;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::BrokerEvent;
use super::alias_requests::AliasRequests;
use super::answers::AnswersInFlight;
use super::bulk_changes::BulkChanges;
use super::dedup::Deduplicator;
use super::joins::JoinTracker;
use super::queries::OpenQueries;
use super::report_requests::ReportRequests;
use super::resumable::ResumableClients;
use super::send_window::SendWindow;
use super::sent_requests::SentRequests;
use super::sync::Syncs;
use super::tags_in_flight::TagsInFlight;
use super::tenant_throttles::TenantThrottles;
use super::watches::ClientWatches;
use crate::link::codec::{WireMessage, encode_publish, encode_publish_head};
pub use crate::link::message::NewPublication;
use crate::link::message::{Deliver, ToBroker, ToWorker, VERSION};
use crate::link::resume::Recovery;
use crate::replay::{IdClaims, ReplayMemory};
use crate::types::{
    Client, Content, FramedPayload, Number, PublicationId, ReplayRecords, Sequence, Slot, SlotSet,
    WorkerIncarnation,
};

/// The state of a worker's link that outlives a single broker.
#[derive(Debug)]
pub struct Uplink {
    source: WorkerIncarnation,
    is_linked: bool,
    joins: JoinTracker,
    resumable: ResumableClients,
    /// Recoveries that a dead broker has not completed.
    unrecovered: BTreeMap<Slot, Recovery>,
    sent_requests: SentRequests,
    /// Watched queries of clients.
    pub watches: ClientWatches,
    window: SendWindow,
    deduplicator: Deduplicator,
    queries: OpenQueries,
    aliases: AliasRequests,
    syncs: Syncs,
    report_requests: ReportRequests,
    answers: AnswersInFlight,
    /// Requests that must not take effect twice. Only the API process has any (rule L11).
    pub replays: ReplayMemory,
    /// Publications with an id that are under way.
    pub claims: IdClaims,
    /// The id of the next publication that is counted.
    next_id: Option<PublicationId>,
    tags_in_flight: TagsInFlight,
    bulk_changes: BulkChanges,
    throttles: TenantThrottles,
    /// Clients whose changes of tags are reported.
    watched_tags: SlotSet,
    /// Those of them that a change of many has changed.
    tags_changed: VecDeque<Slot>,
    /// Number of commands ever accepted. They are numbered with the publications.
    commands: u64,
    last_sequence: Sequence,
    /// Bytes at the end of `out` that belong to the next publication or command: which request of a client it is.
    prefix_bytes: usize,
    out: Vec<u8>,
    /// Output of this turn before `out`: a large payload is sent from memory of its own.
    parts: VecDeque<Bytes>,
}

/// Error: the broker delivered a publication of this worker that it does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPublication(pub Number);

/// Most bytes that are kept or allocated for the output of the next turn.
const OUTPUT_BYTES_RESERVED: usize = 64 * 1024;

impl Uplink {
    /// Creates the state of a worker that has no link yet.
    #[must_use]
    pub fn new(source: WorkerIncarnation) -> Self {
        Self {
            source,
            is_linked: false,
            joins: JoinTracker::default(),
            resumable: ResumableClients::default(),
            unrecovered: BTreeMap::new(),
            sent_requests: SentRequests::default(),
            watches: ClientWatches::default(),
            window: SendWindow::default(),
            deduplicator: Deduplicator::default(),
            queries: OpenQueries::default(),
            aliases: AliasRequests::default(),
            syncs: Syncs::default(),
            report_requests: ReportRequests::default(),
            answers: AnswersInFlight::default(),
            replays: ReplayMemory::default(),
            claims: IdClaims::default(),
            next_id: None,
            tags_in_flight: TagsInFlight::default(),
            bulk_changes: BulkChanges::default(),
            throttles: TenantThrottles::default(),
            watched_tags: SlotSet::default(),
            tags_changed: VecDeque::new(),
            commands: 0,
            last_sequence: Sequence(0),
            prefix_bytes: 0,
            out: Vec::new(),
            parts: VecDeque::new(),
        }
    }

    /// Returns the worker and its generation.
    #[must_use]
    pub fn source(&self) -> WorkerIncarnation {
        self.source
    }

    /// Asks the broker to count a client by its address; answered by [`BrokerEvent::Reserved`]. The
    /// reservation lasts until [`Uplink::join`] or [`Uplink::leave`].
    pub fn reserve(&mut self, slot: Slot, client: Client) {
        if self.is_linked {
            ToBroker::Reserve { slot, ip: client.ip }.encode(&mut self.out);
        }
        self.joins.reserve(slot, client);
    }

    /// Asks the broker to add a client; answered by [`BrokerEvent::Joined`], from this broker or a later one.
    pub fn join(&mut self, slot: Slot, client: Client) {
        if self.is_linked {
            ToBroker::Join { slot, client: client.clone() }.encode(&mut self.out);
        }
        self.joins.join(slot, client);
    }

    /// Reports that a client is gone. Its slot stays taken until [`ToWorker::Left`] arrives (rule L3). Without a link it is
    /// free at once: the dead broker's deliveries were read to the end, and the next one gets only connected clients.
    pub fn leave(&mut self, slot: Slot) {
        if !self.joins.holds(slot) || self.joins.is_leaving(slot) {
            return;
        }
        self.forget(slot);
        if self.is_linked {
            self.joins.leave(slot);
            ToBroker::Leave { slot }.encode(&mut self.out);
        } else {
            self.joins.free(slot);
        }
    }

    fn forget(&mut self, slot: Slot) {
        self.queries.forget(slot);
        self.aliases.forget(slot);
        self.tags_in_flight.forget(slot);
        self.report_requests.forget(slot);
        self.resumable.forget(slot);
        self.unrecovered.remove(&slot);
        self.sent_requests.forget(slot);
        self.watches.forget(slot);
        self.watched_tags.0.remove(slot.0);
    }

    /// Returns the client in a slot, until it leaves.
    #[must_use]
    pub fn client(&self, slot: Slot) -> Option<&Client> {
        self.joins.client(slot)
    }

    /// Returns whether a slot belongs to a connected client, or may still occur in a delivery.
    #[must_use]
    pub fn holds(&self, slot: Slot) -> bool {
        self.joins.holds(slot)
    }

    /// Returns whether the window has room for a publication of this many bytes (rule L4), or for an answer.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.window.has_room(bytes) && self.answers.has_room(bytes)
    }

    /// Accepts a publication. From now on it survives a crash of the broker (rule L4). The caller must have
    /// checked [`Uplink::has_room`].
    pub fn publish(&mut self, publication: NewPublication<'_>) {
        let start = self.start_entry();
        let number = self.window.next_number();
        encode_publish(&mut self.out, number, publication);
        self.window.push(publication.tenant, start..self.out.len());
    }

    /// Accepts a publication with a large payload like [`Uplink::publish`], without a copy of the payload.
    /// `publication` has the same payload.
    pub fn publish_large(&mut self, publication: NewPublication<'_>, payload: FramedPayload) {
        let start = self.start_entry();
        encode_publish_head(&mut self.out, self.window.next_number(), publication);
        self.window.push(publication.tenant, start..self.out.len());
        let said = Bytes::from(std::mem::take(&mut self.out));
        if self.is_linked {
            self.parts.extend([said.clone(), payload.shared_payload()]);
        }
        self.window.keep_large(&said, Content { form: publication.form, payload });
    }

    /// Returns the next part of this turn's output for the broker; `None` if there is no more, or no link.
    pub fn take_output(&mut self) -> Option<Bytes> {
        if let Some(part) = self.parts.pop_front() {
            return Some(part);
        }
        if self.is_linked
            && let Some(number) = self.syncs.ask()
        {
            ToBroker::Sync { number }.encode(&mut self.out);
        }
        if self.out.is_empty() {
            return None;
        }
        let said = Bytes::from(std::mem::take(&mut self.out));
        self.window.keep(&said);
        self.is_linked.then_some(said)
    }

    /// Takes back output that was written. Its memory is for the next turn.
    pub(crate) fn reuse(&mut self, written: Bytes) {
        if self.out.capacity() > 0 {
            return;
        }
        self.out = match written.try_into_mut() {
            Ok(memory) if memory.capacity() <= OUTPUT_BYTES_RESERVED => memory.into(),
            Ok(_) => Vec::new(),
            Err(kept) => Vec::with_capacity(kept.len().min(OUTPUT_BYTES_RESERVED)),
        };
        self.out.clear();
    }

    /// Records that the link is closed. The caller has processed every message that arrived on it.
    pub fn on_unlinked(&mut self) {
        self.is_linked = false;
        self.throttles = TenantThrottles::default();
        self.sent_requests.on_broker_lost();
        self.watches.on_broker_lost();
        let has_joined = |slot| self.joins.number(slot).is_some();
        self.unrecovered.extend(self.resumable.lose_recoveries(has_joined));
        self.parts.clear();
    }

    /// Queues the announcement for a new broker, and all publications that none has acknowledged (rule L6). Returns the
    /// slots that are free now.
    pub fn on_linked(&mut self) -> Vec<Slot> {
        // Unsent publications are in the window. Other unsent messages follow from the announced state.
        self.parts.clear();
        drop(self.take_output());
        self.is_linked = true;
        let free = self.joins.forget_leaving();
        ToBroker::Hello { version: VERSION, source: self.source }.encode(&mut self.out);
        self.announce_clients();
        let out = &mut self.out;
        for (slot, claim, grant) in self.aliases.granted() {
            ToBroker::Holds { slot, claim: claim.clone(), grant }.encode(out);
        }
        for (source, numbers) in self.deduplicator.singles() {
            ToBroker::Seen { source, numbers }.encode(out);
        }
        for records in self.replays.records() {
            ToBroker::Remember(records).encode(out);
        }
        ToBroker::Announced { sequence: self.last_sequence }.encode(out);
        self.repeat_window();
        ToBroker::WindowRepeated.encode(&mut self.out);
        for (slot, client) in self.joins.reserving() {
            ToBroker::Reserve { slot, ip: client.ip }.encode(&mut self.out);
        }
        for message in self.watches.announcements() {
            ToBroker::Presence(message).encode(&mut self.out);
        }
        self.join_again();
        for (slot, claim) in self.aliases.ask_again() {
            ToBroker::Alias { slot, claim: claim.clone() }.encode(&mut self.out);
        }
        for (slot, query) in self.queries.iter() {
            ToBroker::Ask { slot, query: query.clone() }.encode(&mut self.out);
        }
        self.answers.repeat(&mut self.out);
        if let Some(number) = self.syncs.ask_again() {
            ToBroker::Sync { number }.encode(&mut self.out);
        }
        free
    }

    /// Applies a message of the broker. Returns an event if the message concerns a connection. Deliveries,
    /// sets and freed slots are handled by [`BrokerClient`](super::BrokerClient).
    pub fn on_message(&mut self, message: ToWorker) -> Option<BrokerEvent> {
        match message {
            ToWorker::Joined { slot, number, own, smallest } => self
                .on_joined(slot, number)
                .then_some(BrokerEvent::Joined { slot, own, smallest }),
            ToWorker::Reserved { slot } => {
                self.joins.reserved(slot).then_some(BrokerEvent::Reserved(slot))
            }
            ToWorker::Refused { slot, full } => {
                self.resumable.forget(slot);
                self.watches.forget(slot);
                let client = self.joins.refused(slot)?;
                Some(BrokerEvent::Refused { slot, full, client })
            }
            ToWorker::Aliased { slot, granted } => {
                let claim = self.aliases.answered(slot, granted)?;
                ToBroker::Alias { slot, claim: claim.clone() }.encode(&mut self.out);
                None
            }
            ToWorker::Answer { slot, number, result } => {
                let query = self.queries.take(slot, number)?;
                Some(BrokerEvent::Answer { slot, query, result })
            }
            ToWorker::Reached(counted) => {
                let id = self.acknowledge_id(&counted);
                let asker = self.report_requests.answered(counted.number)?;
                Some(BrokerEvent::Reached { asker, counted, id })
            }
            ToWorker::Acknowledged { up_to } => {
                self.throttles.acknowledge(&mut self.window, up_to);
                self.sent_requests.acknowledged(up_to);
                self.on_commands_acknowledged(up_to);
                None
            }
            ToWorker::Synced { number } => {
                self.syncs.answer(number);
                self.answers.confirm(number);
                None
            }
            ToWorker::Remember(ReplayRecords::Basis(basis)) => {
                Some(BrokerEvent::Remembered { basis })
            }
            ToWorker::Remember(records) => {
                self.replays.learn(&records);
                None
            }
            ToWorker::Describe(request) => Some(BrokerEvent::Describe(request)),
            ToWorker::Hosts(notice) => Some(BrokerEvent::Hosts(notice)),
            ToWorker::Tracked { number, outcome } => Some(BrokerEvent::Tracked { number, outcome }),
            ToWorker::Outcome { number, outcome } => Some(self.on_outcome(number, outcome)),
            ToWorker::Retagged(retagged) => self.on_retagged(*retagged),
            ToWorker::Close(order) => self.on_close(*order),
            ToWorker::Throttle(throttle) => Some(self.on_throttle(throttle)),
            ToWorker::Charged(charge) => Some(BrokerEvent::Charged(charge)),
            ToWorker::Resumable(message) => self.on_resumable(message),
            ToWorker::Presence(message) => Some(BrokerEvent::Presence(message)),
            ToWorker::RetaggedMatching(retagged) => {
                self.bulk_changes.begin(*retagged);
                None
            }
            ToWorker::Left { .. }
            | ToWorker::Deliver(_)
            | ToWorker::Batch
            | ToWorker::Tenant(_)
            | ToWorker::CountWork { .. }
            | ToWorker::Track(_)
            // Sent to the bridge alone.
            | ToWorker::Bridge(_)
            | ToWorker::At(_) | ToWorker::Head(_)
            | ToWorker::Set { .. } => None,
        }
    }

    /// Returns whether a publication arrives for the first time (rule L6), and records it.
    pub fn is_new<P>(&mut self, deliver: &Deliver<P>) -> bool {
        self.last_sequence = self.last_sequence.max(deliver.sequence);
        self.deduplicator.is_new(deliver.source, deliver.number, &deliver.target)
    }

    /// Frees a slot that the broker no longer uses, so that a new connection may have it (rule L3).
    pub fn on_left(&mut self, slot: Slot) {
        self.joins.free(slot);
    }
}

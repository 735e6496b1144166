//! The worker's side of the rules of the link: who joined, what is unacknowledged, what was seen.
//!
//! No I/O and no clock: bytes for the broker come out, messages of the broker go in.

mod progress;

use bytes::{Bytes, BytesMut};

use super::BrokerEvent;
use super::alias_requests::AliasRequests;
use super::dedup::Deduplicator;
use super::joins::JoinTracker;
use super::queries::{PresenceQueries, PresenceQuestion};
use super::report_requests::{ReportRequester, ReportRequests};
use super::send_window::SendWindow;
use super::sync::Syncs;
use crate::link::codec::{WireMessage, encode_publish};
pub use crate::link::message::NewPublication;
use crate::link::message::{Deliver, ToBroker, ToWorker, VERSION};
use crate::types::{Claim, Client, Sequence, Slot, Tags, WorkerIncarnation};

/// What a worker knows about its link to the broker, whichever broker that is.
#[derive(Debug)]
pub struct Uplink {
    source: WorkerIncarnation,
    is_linked: bool,
    joins: JoinTracker,
    window: SendWindow,
    deduplicator: Deduplicator,
    queries: PresenceQueries,
    aliases: AliasRequests,
    syncs: Syncs,
    report_requests: ReportRequests,
    last_sequence: Sequence,
    out: BytesMut,
}

impl Uplink {
    /// A worker that has no link yet.
    #[must_use]
    pub fn new(source: WorkerIncarnation) -> Self {
        Self {
            source,
            is_linked: false,
            joins: JoinTracker::default(),
            window: SendWindow::default(),
            deduplicator: Deduplicator::default(),
            queries: PresenceQueries::default(),
            aliases: AliasRequests::default(),
            syncs: Syncs::default(),
            report_requests: ReportRequests::default(),
            last_sequence: Sequence(0),
            out: BytesMut::new(),
        }
    }

    /// Asks the broker for a place among the clients of an address; [`BrokerEvent::Reserved`] answers.
    /// It is kept until [`Uplink::join`] or [`Uplink::leave`].
    pub fn reserve(&mut self, slot: Slot, client: Client) {
        if self.is_linked {
            ToBroker::Reserve { slot, ip: client.ip }.encode(&mut self.out);
        }
        self.joins.reserve(slot, client);
    }

    /// Asks the broker to take a client in; [`BrokerEvent::Joined`] answers, from this broker or from
    /// a later one.
    pub fn join(&mut self, slot: Slot, client: Client) {
        if self.is_linked {
            ToBroker::Join { slot, client: client.clone() }.encode(&mut self.out);
        }
        self.joins.join(slot, client);
    }

    /// Reports that a client is gone. Its slot is held until [`ToWorker::Left`] comes
    /// (rule L3), but for the time without a link: no broker knows it then, because the dead
    /// one's deliveries were read to the end and the next one is informed of living clients only.
    pub fn leave(&mut self, slot: Slot) {
        if !self.joins.holds(slot) || self.joins.is_leaving(slot) {
            return;
        }
        self.queries.forget(slot);
        self.aliases.forget(slot);
        self.report_requests.forget(slot);
        if self.is_linked {
            self.joins.leave(slot);
            ToBroker::Leave { slot }.encode(&mut self.out);
        } else {
            self.joins.free(slot);
        }
    }

    /// The client in a slot, until it leaves.
    #[must_use]
    pub fn client(&self, slot: Slot) -> Option<&Client> {
        self.joins.client(slot)
    }

    /// Bytes of memory that are held for the client in a slot: tags, requests for an alias, queries.
    #[must_use]
    pub fn held(&self, slot: Slot) -> usize {
        let tags = self.joins.client(slot).map_or(0, |client| client.tags.held());
        tags + self.aliases.held(slot) + self.queries.held(slot)
    }

    /// Gives a client other tags; publications that follow go by these, also when the broker dies
    /// in between (rule L6: a worker announces what its clients hold now).
    pub fn retag(&mut self, slot: Slot, tags: Tags) {
        if self.joins.retag(slot, &tags) && self.is_linked {
            ToBroker::Retag { slot, tags }.encode(&mut self.out);
        }
    }

    /// Asks for an alias in place of the one that a client may have. Whether it gets it the broker
    /// says, this one or a later one; what was granted is announced to later ones (rule L6).
    pub fn request_alias(&mut self, slot: Slot, claim: Claim) {
        if self.joins.client(slot).is_none() {
            return;
        }
        let asked = self.aliases.request(slot, claim);
        if let Some(claim) = asked.filter(|_| self.is_linked) {
            ToBroker::Alias { slot, claim: claim.clone() }.encode(&mut self.out);
        }
    }

    /// The alias that a broker has granted to a client, unless the client wants another one
    /// meanwhile.
    #[must_use]
    pub fn alias(&self, slot: Slot) -> Option<&Claim> {
        self.aliases.settled(slot)
    }

    /// Asks which clients carry some tags; [`BrokerEvent::Answer`] answers, from this broker or a later one.
    /// A client that has too many open questions asks in vain.
    pub fn query_presence(&mut self, slot: Slot, question: PresenceQuestion) {
        if self.joins.client(slot).is_some() {
            self.add_query(slot, question);
        }
    }

    /// The same for the worker itself: the number of the question, unless too many are open. The
    /// answer is for [`Slot::NOBODY`].
    pub fn query_presence_for_worker(&mut self, question: PresenceQuestion) -> Option<u32> {
        self.add_query(Slot::NOBODY, question)
    }

    fn add_query(&mut self, slot: Slot, question: PresenceQuestion) -> Option<u32> {
        let question = self.queries.open(slot, question)?;
        let number = question.number;
        if self.is_linked {
            ToBroker::Ask { slot, question }.encode(&mut self.out);
        }
        Some(number)
    }

    /// Whether a slot may still be named by a delivery, or belongs to a client that lives.
    #[must_use]
    pub fn holds(&self, slot: Slot) -> bool {
        self.joins.holds(slot)
    }

    /// Whether a publication of so many bytes may be taken now (rule L4).
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.window.has_room(bytes)
    }

    /// Whether everything that was published is acknowledged.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.window.is_empty()
    }

    /// How many publications were taken over, ever.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.window.next_number().0 - 1
    }

    /// How many of them the broker has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.window.len()
    }

    /// Takes a publication over: from here on it survives the broker (rule L4). The caller has
    /// asked [`Uplink::has_room`].
    pub fn publish(&mut self, publication: NewPublication<'_>) {
        let start = self.out.len();
        let number = self.window.next_number();
        encode_publish(&mut self.out, number, publication);
        self.window.push(start..self.out.len());
    }

    /// As [`Uplink::publish`]; [`BrokerEvent::Reached`] counts the clients that it has reached, from this
    /// broker or a later one.
    pub fn publish_counted(&mut self, asker: ReportRequester, publication: NewPublication<'_>) {
        let start = self.out.len();
        let number = self.window.next_number();
        ToBroker::Count.encode(&mut self.out);
        encode_publish(&mut self.out, number, publication);
        // Both together, so that a later broker is asked again with the publication.
        self.window.push(start..self.out.len());
        self.report_requests.ask(number, asker);
    }

    /// What this turn has for the broker; nothing while there is none.
    pub fn take_output(&mut self) -> Option<Bytes> {
        if self.is_linked
            && let Some(number) = self.syncs.ask()
        {
            ToBroker::Sync { number }.encode(&mut self.out);
        }
        if self.out.is_empty() {
            return None;
        }
        let said = self.out.split().freeze();
        self.window.keep(&said);
        self.is_linked.then_some(said)
    }

    /// The link has ended. The caller has taken every message that arrived on it.
    pub fn on_unlinked(&mut self) {
        self.is_linked = false;
    }

    /// A link to a new broker: sends which clients are connected, what was seen, and again what no broker has
    /// acknowledged (rule L6). Returns the slots that are named no more.
    pub fn on_linked(&mut self) -> Vec<Slot> {
        // What was sent since the last turn goes into the window or follows from the clients that joined.
        drop(self.take_output());
        self.is_linked = true;
        let free = self.joins.forget_leaving();
        let out = &mut self.out;
        ToBroker::Hello { version: VERSION, source: self.source }.encode(out);
        for (slot, number, client) in self.joins.joined() {
            ToBroker::Announce { slot, number, client: client.clone() }.encode(out);
        }
        for (slot, claim, grant) in self.aliases.granted() {
            ToBroker::Holds { slot, claim: claim.clone(), grant }.encode(out);
        }
        for (source, numbers) in self.deduplicator.singles() {
            ToBroker::Seen { source, numbers }.encode(out);
        }
        ToBroker::Announced { sequence: self.last_sequence }.encode(out);
        self.window.repeat(out);
        for (slot, client) in self.joins.reserving() {
            ToBroker::Reserve { slot, ip: client.ip }.encode(out);
        }
        for (slot, client) in self.joins.joining() {
            ToBroker::Join { slot, client: client.clone() }.encode(out);
        }
        for (slot, claim) in self.aliases.ask_again() {
            ToBroker::Alias { slot, claim: claim.clone() }.encode(out);
        }
        for (slot, question) in self.queries.iter() {
            ToBroker::Ask { slot, question: question.clone() }.encode(out);
        }
        if let Some(number) = self.syncs.ask_again() {
            ToBroker::Sync { number }.encode(out);
        }
        free
    }

    /// Applies a message of the broker; returns what it means for a connection. Deliveries, sets and
    /// slots that are free again are not among these messages: [`BrokerClient`](super::BrokerClient)
    /// takes them.
    pub fn on_message(&mut self, message: ToWorker) -> Option<BrokerEvent> {
        match message {
            ToWorker::Joined { slot, number, own, smallest } => self
                .joins
                .joined_as(slot, number)
                .then_some(BrokerEvent::Joined { slot, own, smallest }),
            ToWorker::Reserved { slot } => {
                self.joins.reserved(slot).then_some(BrokerEvent::Reserved(slot))
            }
            ToWorker::Refused { slot, full } => {
                let client = self.joins.refused(slot)?;
                Some(BrokerEvent::Refused { slot, full, client })
            }
            ToWorker::Aliased { slot, granted } => {
                let claim = self.aliases.answered(slot, granted)?;
                ToBroker::Alias { slot, claim: claim.clone() }.encode(&mut self.out);
                None
            }
            ToWorker::Answer { slot, number, found } => {
                let question = self.queries.answered(slot, number)?;
                Some(BrokerEvent::Answer { slot, question, found })
            }
            ToWorker::Reached { number, clients } => {
                let asker = self.report_requests.answered(number)?;
                Some(BrokerEvent::Reached { asker, clients })
            }
            ToWorker::Acknowledged { up_to } => {
                self.window.acknowledge(up_to);
                None
            }
            ToWorker::Synced { number } => {
                self.syncs.answer(number);
                None
            }
            ToWorker::Left { .. }
            | ToWorker::Deliver(_)
            | ToWorker::Batch
            | ToWorker::Set { .. } => None,
        }
    }

    /// Whether a publication was not seen before (rule L6); it is seen from here on.
    pub fn is_new(&mut self, deliver: &Deliver) -> bool {
        self.last_sequence = self.last_sequence.max(deliver.sequence);
        self.deduplicator.is_new(deliver.source, deliver.number, &deliver.target)
    }

    /// The broker names a slot no more: it may be given to a new connection (rule L3).
    pub fn on_left(&mut self, slot: Slot) {
        self.joins.free(slot);
    }
}

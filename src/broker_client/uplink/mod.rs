//! The worker's side of the rules of the link: who joined, what is unacknowledged, what was seen.
//!
//! No I/O and no clock: bytes for the broker come out, messages of the broker go in.

mod progress;

use bytes::{Bytes, BytesMut};

use super::alias_requests::AliasRequests;
use super::dedup::Deduplicator;
use super::joins::JoinTracker;
use super::queries::PresenceQueries;
use super::report_requests::{ReportRequester, ReportRequests};
use super::send_window::SendWindow;
use super::sync::Syncs;
use crate::link::codec::{WireMessage, encode_publish};
use crate::link::message::{
    Deliver, Full, PresenceQuery, PresenceResult, ToBroker, ToWorker, VERSION,
};
use crate::types::{
    Address, Claim, Client, PayloadForm, Sequence, Slot, TagQuery, Tags, Tenant, WorkerIncarnation,
};

/// What a worker knows about its link to the broker, whichever broker that is.
#[derive(Debug)]
pub struct Uplink {
    source: WorkerIncarnation,
    is_linked: bool,
    roster: JoinTracker,
    window: SendWindow,
    seen: Deduplicator,
    questions: PresenceQueries,
    aliases: AliasRequests,
    syncs: Syncs,
    counted: ReportRequests,
    last_sequence: Sequence,
    out: BytesMut,
}

/// What a message of the broker means for the connections.
#[derive(Debug, PartialEq)]
pub enum Downlink {
    /// The client in this slot is addressable: its handshake can be answered (rule L8).
    Joined {
        /// Its slot.
        slot: Slot,
        /// Connections of this worker.
        own: u32,
        /// Connections of the worker that has the fewest.
        smallest: u32,
    },
    /// The client in this slot has a place among those of its address: its backend can be asked.
    Reserved(Slot),
    /// The client in this slot is not let in.
    Refused {
        /// Its slot.
        slot: Slot,
        /// Which limit is reached.
        full: Full,
        /// Who it is.
        client: Box<Client>,
    },
    /// The answer to what the client in this slot asked.
    Answer {
        /// Its slot.
        slot: Slot,
        /// What it asked.
        question: PresenceQuery,
        /// What was found.
        found: PresenceResult,
    },
    /// How many clients a publication has reached whose publisher asked for it.
    Reached {
        /// The client, and by what it named the recipients.
        asker: ReportRequester,
        /// How many.
        clients: u64,
    },
    /// The slot may be given to a new connection (rule L3).
    Free(Slot),
    /// A publication that was not seen before.
    Deliver(Deliver),
    /// Room in the window: publishers may be read again.
    Room,
    /// What concerns sets goes to who keeps them.
    Sets(ToWorker),
    /// Nothing to do.
    Nothing,
}

impl Uplink {
    /// A worker that has no link yet.
    #[must_use]
    pub fn new(source: WorkerIncarnation) -> Self {
        Self {
            source,
            is_linked: false,
            roster: JoinTracker::default(),
            window: SendWindow::default(),
            seen: Deduplicator::default(),
            questions: PresenceQueries::default(),
            aliases: AliasRequests::default(),
            syncs: Syncs::default(),
            counted: ReportRequests::default(),
            last_sequence: Sequence(0),
            out: BytesMut::new(),
        }
    }

    /// Asks the broker for a place among the clients of an address; [`Downlink::Reserved`] answers.
    /// It is kept until [`Uplink::join`] or [`Uplink::leave`].
    pub fn reserve(&mut self, slot: Slot, client: Client) {
        if self.is_linked {
            ToBroker::Reserve { slot, ip: client.ip }.encode(&mut self.out);
        }
        self.roster.reserve(slot, client);
    }

    /// Asks the broker to take a client in; [`Downlink::Joined`] answers, from this broker or from
    /// a later one.
    pub fn join(&mut self, slot: Slot, client: Client) {
        if self.is_linked {
            ToBroker::Join { slot, client: client.clone() }.encode(&mut self.out);
        }
        self.roster.join(slot, client);
    }

    /// Tells that a client is gone. Its slot is held until [`Downlink::Free`] says otherwise
    /// (rule L3), but for the time without a link: no broker knows it then, because the dead
    /// one's deliveries were read to the end and the next one hears of living clients only.
    pub fn leave(&mut self, slot: Slot) {
        if !self.roster.holds(slot) || self.roster.is_leaving(slot) {
            return;
        }
        self.questions.forget(slot);
        self.aliases.forget(slot);
        self.counted.forget(slot);
        if self.is_linked {
            self.roster.leave(slot);
            ToBroker::Leave { slot }.encode(&mut self.out);
        } else {
            self.roster.free(slot);
        }
    }

    /// Who is in a slot, until it leaves.
    #[must_use]
    pub fn client(&self, slot: Slot) -> Option<&Client> {
        self.roster.client(slot)
    }

    /// Bytes of memory that are held for who is in a slot: tags, wishes for an alias, questions.
    #[must_use]
    pub fn held(&self, slot: Slot) -> usize {
        let tags = self.roster.client(slot).map_or(0, |client| client.tags.held());
        tags + self.aliases.held(slot) + self.questions.held(slot)
    }

    /// Gives a client other tags; publications that follow go by these, also when the broker dies
    /// in between (rule L6: a worker announces what its clients hold now).
    pub fn retag(&mut self, slot: Slot, tags: Tags) {
        if self.roster.retag(slot, &tags) && self.is_linked {
            ToBroker::Retag { slot, tags }.encode(&mut self.out);
        }
    }

    /// Asks for an alias in place of the one that a client may have. Whether it gets it the broker
    /// says, this one or a later one; what was granted is announced to later ones (rule L6).
    pub fn want_alias(&mut self, slot: Slot, claim: Claim) {
        if self.roster.client(slot).is_none() {
            return;
        }
        let asked = self.aliases.want(slot, claim);
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

    /// Asks who carries some tags; [`Downlink::Answer`] answers, from this broker or a later one.
    /// A client that has too many open questions asks in vain.
    pub fn ask(&mut self, slot: Slot, (tenant, query, tag): (Tenant, TagQuery, Box<str>)) {
        if self.roster.client(slot).is_none() {
            return;
        }
        self.put_question(slot, (tenant, query, tag));
    }

    /// The same for the worker itself: the number of the question, unless too many are open. The
    /// answer is for [`Slot::NOBODY`].
    pub fn inquire(&mut self, what: (Tenant, TagQuery, Box<str>)) -> Option<u32> {
        self.put_question(Slot::NOBODY, what)
    }

    fn put_question(&mut self, slot: Slot, what: (Tenant, TagQuery, Box<str>)) -> Option<u32> {
        let question = self.questions.open(slot, what)?;
        let number = question.number;
        if self.is_linked {
            ToBroker::Ask { slot, question }.encode(&mut self.out);
        }
        Some(number)
    }

    /// Whether a slot may still be named by a delivery, or belongs to a client that lives.
    #[must_use]
    pub fn holds(&self, slot: Slot) -> bool {
        self.roster.holds(slot)
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
    pub fn publish(
        &mut self,
        (tenant, address): (&Tenant, &Address),
        (form, payload): (PayloadForm, &[u8]),
    ) {
        let start = self.out.len();
        let number = self.window.next_number();
        encode_publish(&mut self.out, number, (tenant, address), (form, payload));
        self.window.push(start..self.out.len());
    }

    /// As [`Uplink::publish`]; [`Downlink::Reached`] says how many clients it has reached, from this
    /// broker or a later one.
    pub fn publish_counted(
        &mut self,
        asker: ReportRequester,
        to: (&Tenant, &Address),
        (form, payload): (PayloadForm, &[u8]),
    ) {
        let start = self.out.len();
        let number = self.window.next_number();
        ToBroker::Count.encode(&mut self.out);
        encode_publish(&mut self.out, number, to, (form, payload));
        // Both together, so that a later broker is asked again with the publication.
        self.window.push(start..self.out.len());
        self.counted.ask(number, asker);
    }

    /// What this turn has to say to the broker; nothing while there is none.
    pub fn take_out(&mut self) -> Option<Bytes> {
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
    pub fn unlinked(&mut self) {
        self.is_linked = false;
    }

    /// A link to a new broker: says who is connected, what was seen, and again what no broker has
    /// acknowledged (rule L6). Returns the slots that nobody can name any more.
    pub fn linked(&mut self) -> Vec<Slot> {
        // What was said since the last turn goes into the window or follows from the roster.
        drop(self.take_out());
        self.is_linked = true;
        let free = self.roster.forget_leaving();
        let out = &mut self.out;
        ToBroker::Hello { version: VERSION, source: self.source }.encode(out);
        for (slot, number, client) in self.roster.joined() {
            ToBroker::Announce { slot, number, client: client.clone() }.encode(out);
        }
        for (slot, claim, grant) in self.aliases.granted() {
            ToBroker::Holds { slot, claim: claim.clone(), grant }.encode(out);
        }
        for (source, numbers) in self.seen.singles() {
            ToBroker::Seen { source, numbers }.encode(out);
        }
        ToBroker::Announced { sequence: self.last_sequence }.encode(out);
        self.window.repeat(out);
        for (slot, client) in self.roster.reserving() {
            ToBroker::Reserve { slot, ip: client.ip }.encode(out);
        }
        for (slot, client) in self.roster.joining() {
            ToBroker::Join { slot, client: client.clone() }.encode(out);
        }
        for (slot, claim) in self.aliases.ask_again() {
            ToBroker::Alias { slot, claim: claim.clone() }.encode(out);
        }
        for (slot, question) in self.questions.iter() {
            ToBroker::Ask { slot, question: question.clone() }.encode(out);
        }
        if let Some(number) = self.syncs.ask_again() {
            ToBroker::Sync { number }.encode(out);
        }
        free
    }

    /// Takes one message of the broker.
    pub fn take(&mut self, message: ToWorker) -> Downlink {
        match message {
            ToWorker::Joined { slot, number, own, smallest } => {
                if self.roster.joined_as(slot, number) {
                    Downlink::Joined { slot, own, smallest }
                } else {
                    Downlink::Nothing
                }
            }
            ToWorker::Reserved { slot } => match self.roster.reserved(slot) {
                true => Downlink::Reserved(slot),
                false => Downlink::Nothing,
            },
            ToWorker::Refused { slot, full } => match self.roster.refused(slot) {
                Some(client) => Downlink::Refused { slot, full, client },
                None => Downlink::Nothing,
            },
            ToWorker::Aliased { slot, granted } => {
                if let Some(claim) = self.aliases.answered(slot, granted) {
                    ToBroker::Alias { slot, claim: claim.clone() }.encode(&mut self.out);
                }
                Downlink::Nothing
            }
            ToWorker::Answer { slot, number, found } => {
                match self.questions.answered(slot, number) {
                    Some(question) => Downlink::Answer { slot, question, found },
                    None => Downlink::Nothing,
                }
            }
            ToWorker::Reached { number, clients } => match self.counted.answered(number) {
                Some(asker) => Downlink::Reached { asker, clients },
                None => Downlink::Nothing,
            },
            ToWorker::Left { slot } => {
                self.roster.free(slot);
                Downlink::Free(slot)
            }
            ToWorker::Deliver(deliver) => {
                self.last_sequence = self.last_sequence.max(deliver.sequence);
                if self.seen.is_new(deliver.source, deliver.number, &deliver.target) {
                    Downlink::Deliver(deliver)
                } else {
                    Downlink::Nothing
                }
            }
            ToWorker::Acknowledged { up_to } => {
                self.window.acknowledge(up_to);
                Downlink::Room
            }
            ToWorker::Synced { number } => {
                self.syncs.answer(number);
                Downlink::Nothing
            }
            ToWorker::Batch | ToWorker::Set { .. } => Downlink::Sets(message),
        }
    }
}

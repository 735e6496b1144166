//! The messages between worker and broker (rules L1 to L8 of `docs/architecture.md`).

use std::net::IpAddr;

use crate::types::{
    Address, Claim, Client, Content, GrantNumber, JoinNumber, Number, PayloadForm, Publication,
    Sequence, Slot, SlotSet, TagQuery, Tags, Tenant, WorkerIncarnation,
};

/// The version of this language; both sides are the same binary, so any other ends the link.
pub const VERSION: u16 = 6;

/// What a client publishes.
#[derive(Clone, Copy, Debug)]
pub struct NewPublication<'a> {
    /// The space in which it is addressed.
    pub tenant: &'a Tenant,
    /// Its recipients.
    pub address: &'a Address,
    /// Whether the payload is a message or a whole packet.
    pub form: PayloadForm,
    /// Its content.
    pub payload: &'a [u8],
}

/// From a worker to the broker. A link begins with `Hello`, announcements, and `Announced`.
#[derive(Clone, Debug, PartialEq)]
pub enum ToBroker {
    /// Who speaks, and in which version.
    Hello {
        /// Must be [`VERSION`].
        version: u16,
        /// The worker and its generation.
        source: WorkerIncarnation,
    },
    /// A client that an earlier broker has said yes to (rule L6).
    Announce {
        /// Its slot.
        slot: Slot,
        /// The number that it joined with.
        number: JoinNumber,
        /// What it holds now.
        client: Client,
    },
    /// The alias of a client that was announced, as an earlier broker has granted it (rule L6).
    Holds {
        /// Its slot.
        slot: Slot,
        /// What it has.
        claim: Claim,
        /// Which grant that was.
        grant: GrantNumber,
    },
    /// Publications to one recipient that were delivered here, by source: a repeat of one of them
    /// may not reach a second client.
    Seen {
        /// Whose publications.
        source: WorkerIncarnation,
        /// Their numbers.
        numbers: Vec<Number>,
    },
    /// The end of the announcement.
    Announced {
        /// The highest sequence number that was seen, so that the line goes on from there.
        sequence: Sequence,
    },
    /// A client that wants to be addressable before its handshake is answered (rule L8).
    Join {
        /// Its slot.
        slot: Slot,
        /// Who it is.
        client: Client,
    },
    /// A client about which a backend is to be asked: from here on it counts by its address. Answered
    /// by `Reserved` or `Refused`; a `Join` or a `Leave` follows.
    Reserve {
        /// Its slot.
        slot: Slot,
        /// Its address.
        ip: IpAddr,
    },
    /// A client that is gone; its slot stays taken until `Left` (rule L3).
    Leave {
        /// Its slot.
        slot: Slot,
    },
    /// A client that carries other tags from now on.
    Retag {
        /// Its slot.
        slot: Slot,
        /// All its tags.
        tags: Tags,
    },
    /// A client that wants an alias in place of the one that it may have; answered by `Aliased`.
    Alias {
        /// Its slot.
        slot: Slot,
        /// What it wants.
        claim: Claim,
    },
    /// A client that wants to know who carries some tags.
    Ask {
        /// Its slot.
        slot: Slot,
        /// What it asks.
        question: PresenceQuery,
    },
    /// Answered by `Synced` when everything that came before it on this link is done, so that a
    /// client is told of it no earlier.
    Sync {
        /// Counts the questions of a worker.
        number: u64,
    },
    /// The publication that follows is to be counted; answered by `Reached`. A message of its own,
    /// so that a publication whose count nothing asks for costs no byte more.
    Count,
    /// A publication, kept by the worker until it is acknowledged (rule L4).
    Publish {
        /// Its place in the line of this worker.
        number: Number,
        /// What, and to whom.
        publication: Publication,
    },
}

/// From the broker to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// A new turn of the broker: names of sets given before it mean nothing any more.
    Batch,
    /// Gives a set of slots a name for the rest of the batch.
    Set {
        /// The name.
        name: SetName,
        /// The slots.
        slots: SlotSet,
    },
    /// A publication for some of this worker's clients.
    Deliver(Deliver),
    /// The client in this slot is addressable now.
    Joined {
        /// Its slot.
        slot: Slot,
        /// Its place in connection order.
        number: JoinNumber,
        /// Connections of this worker.
        own: u32,
        /// Connections of the worker that has the fewest.
        smallest: u32,
    },
    /// The client in this slot has a place among those of its address.
    Reserved {
        /// Its slot.
        slot: Slot,
    },
    /// The client in this slot is not let in; the broker does not know it.
    Refused {
        /// Its slot.
        slot: Slot,
        /// Which limit is reached.
        full: Full,
    },
    /// The answer to an [`ToBroker::Alias`].
    Aliased {
        /// The slot of who wanted it.
        slot: Slot,
        /// Which grant it is; none: it was refused, and what the client had before it still has.
        granted: Option<GrantNumber>,
    },
    /// The answer to an [`ToBroker::Ask`].
    Answer {
        /// The slot of who asked.
        slot: Slot,
        /// The number of the question.
        number: u32,
        /// Who was found.
        found: PresenceResult,
    },
    /// The answer to a [`ToBroker::Count`]: comes right before the publication's acknowledgement, so
    /// every link has taken what it says.
    Reached {
        /// The publication.
        number: Number,
        /// How many clients its address named when it was resolved.
        clients: u64,
    },
    /// No publication resolved from now on names this slot: it may be given away (rule L3).
    Left {
        /// The slot.
        slot: Slot,
    },
    /// The answer to a [`ToBroker::Sync`]: what is resolved from now on goes by what it followed.
    Synced {
        /// The number of the question.
        number: u64,
    },
    /// Every publication up to this number has been written to all its links (rule L5).
    Acknowledged {
        /// The last one.
        up_to: Number,
    },
}

/// Which limit a join has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// `maxClients`.
    Clients,
    /// `maxPerIP`.
    Address,
}

/// Who carries some tags, and what another tag of theirs says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceQuery {
    /// Counts the questions of a worker.
    pub number: u32,
    /// The space that is searched.
    pub tenant: Tenant,
    /// What they carry.
    pub query: TagQuery,
    /// The name of the tag whose values are wanted.
    pub tag: Box<str>,
}

/// What the index knows about a [`Question`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceResult {
    /// Clients that match.
    pub clients: u64,
    /// The values of the wanted tag, one for each client that has it, in no order; at most
    /// [`ANSWER_VALUES_MAX`](crate::types::limits::ANSWER_VALUES_MAX).
    pub values: Vec<Box<str>>,
}

/// A publication on its way to one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Deliver {
    /// The worker that it was published through.
    pub source: WorkerIncarnation,
    /// Its number there.
    pub number: Number,
    /// Its place in the line of the broker.
    pub sequence: Sequence,
    /// Which of this worker's clients get it.
    pub target: DeliverTo,
    /// What they get.
    pub content: Content,
}

/// Which of a worker's clients get a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverTo {
    /// One client, addressed by UUID or ident.
    One(Slot),
    /// The clients of a set, but for one that the address excepts.
    Set {
        /// The set's name in this batch.
        name: SetName,
        /// Who is left out.
        except: Option<Slot>,
    },
}

/// The name of a set of slots within one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetName(pub u32);

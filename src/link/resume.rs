//! Messages about clients that may resume (`tagcast.v1`), and about their records at the broker.

use std::time::Duration;

use bytes::Bytes;

use super::message::ROW_WORK;
use crate::types::{
    AcceptedIds, AllowedNames, Client, ClientUuid, Content, Ident, InstanceDigest, JoinNumber,
    MissedRequest, Number, RecoveryReason, ReplayPosition, ResumeGeneration, ResumeStanding, Slot,
    Tags, Tenant, WorkerIncarnation,
};

/// Usual work for the mailbox of a client, in bytes of a usual message.
const MAILBOX_WORK: usize = 2048;

/// What a worker sends about clients that may resume.
#[derive(Clone, Debug, PartialEq)]
pub enum FromResumable {
    /// A client that an earlier broker admitted (rule L6).
    Announce(Box<AnnouncedRecord>),
    /// A client that must be addressable before it gets `welcome` (rule L8). Answered by `Joined` after
    /// [`ToResumable::Record`], or by `Refused`.
    Join(Box<ResumableJoin>),
    /// The connection of a client has ended, and the client may come back. Its slot stays taken until `Left`
    /// (rule L3).
    Away(Slot),
    /// A client has sent a frame after its `welcome` and `recovery`, so it has both.
    Settled(Slot),
    /// A client has sent something since [`ToResumable::Probe`].
    Alive(Slot),
    /// Other tags of a client are fixed from now on, because it has another token.
    Fixed {
        /// The client's slot.
        slot: Slot,
        /// The tags.
        fixed: Tags,
    },
    /// Requests of the client in this slot that its announcement did not have were all sent again.
    Repeated(Slot),
    /// The publication or the change of tags that follows is this request. This is a separate message, so that
    /// those of other clients need no additional byte.
    Request(ClientRequest),
}

impl FromResumable {
    /// Returns the work that the broker does for it, in bytes of a usual message.
    #[must_use]
    pub fn work(&self) -> usize {
        let tags = match self {
            Self::Announce(record) => record.client.tags.len(),
            // It may replay a mailbox.
            Self::Join(join) => join.client.tags.len() + MAILBOX_WORK / ROW_WORK,
            Self::Fixed { fixed, .. } => fixed.len(),
            Self::Away(_)
            | Self::Settled(_)
            | Self::Alive(_)
            | Self::Repeated(_)
            | Self::Request(_) => 1,
        };
        tags * ROW_WORK
    }
}

/// What the broker sends about clients that may resume.
#[derive(Clone, Debug, PartialEq)]
pub enum ToResumable {
    /// Which client a joining one is.
    Record(Box<DecidedRecord>),
    /// A publication that a client has missed.
    Replay(Box<ReplayedPublication>),
    /// All of these have been sent.
    Recovered(Recovery),
    /// Another connection shows the token of the client in this slot. Answered by [`FromResumable::Alive`] if it
    /// sends anything.
    Probe(Slot),
    /// Another connection has the client of this slot, whose connection must be closed.
    Continued(Slot),
    /// Everything of a worker up to this number was sent on this link before, or is not for its clients. A client that
    /// comes back may have received it by another worker or host, so it must not be delivered again after the death of a
    /// broker.
    Passed {
        /// The worker that received it from its publishers.
        source: WorkerIncarnation,
        /// The number.
        number: Number,
    },
}

/// A request that its client repeats on another connection if it gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    /// The client.
    pub uuid: ClientUuid,
    /// The join of the connection that it came on. Later connections may be of another instance.
    pub joined: JoinNumber,
    /// Its number within the instance.
    pub id: u64,
}

/// Requests of an instance that were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownIds {
    /// The first connection since which they are known. A client that has seen none since then may have made others.
    pub from: ResumeGeneration,
    /// The requests. `None`: they are not known, or are of another instance.
    pub accepted: Option<AcceptedIds>,
    /// Whether there are no others that the worker sends again.
    pub is_complete: bool,
}

impl KnownIds {
    /// No request was accepted since this connection.
    #[must_use]
    pub fn none_since(from: ResumeGeneration) -> Self {
        Self { from, accepted: Some(AcceptedIds::default()), is_complete: true }
    }
}

/// How the broker keeps the record of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordTerms {
    /// How long the client may be away, in milliseconds. 0: it has no record, and only wants to get something again.
    pub grace_ms: u32,
    /// Maximum publications that are kept for it meanwhile.
    pub mailbox: u16,
    /// The run of its program.
    pub instance: Option<InstanceDigest>,
    /// Tags that its token or its resource fixes. They end with the connection.
    pub fixed: Tags,
}

/// A client that may resume, and whether it does.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumableJoin {
    /// The client's slot.
    pub slot: Slot,
    /// The client, as it is if it does not resume.
    pub client: Client,
    /// How its record is kept.
    pub terms: RecordTerms,
    /// The client that it wants to be.
    pub claim: Option<ResumeClaim>,
    /// What it wants to get again. Answered by [`ToResumable::Recovered`] after `Joined`, as is a claim that is
    /// accepted.
    pub missed: Option<MissedRequest>,
}

/// The contents of a token that a worker has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeClaim {
    /// The client.
    pub uuid: ClientUuid,
    /// The connection whose `welcome` had the token.
    pub generation: ResumeGeneration,
    /// Time of issue, since 1970.
    pub issued: Duration,
    /// Guarded topics that the credentials of the new connection allow. Others of the record are left.
    pub guarded: AllowedNames,
}

/// The record of a client that a worker announces to a new broker.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnouncedRecord {
    /// The client's slot.
    pub slot: Slot,
    /// The join number that the earlier broker assigned.
    pub number: JoinNumber,
    /// The client's current data.
    pub client: Client,
    /// How its record is kept.
    pub terms: RecordTerms,
    /// Number of its connection.
    pub generation: ResumeGeneration,
    /// The latest connection whose token it surely has.
    pub confirmed: ResumeGeneration,
    /// Its requests that were accepted, without those that follow.
    pub ids: KnownIds,
}

/// Which client a joining one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedRecord {
    /// The client's slot.
    pub slot: Slot,
    /// Its UUID.
    pub uuid: ClientUuid,
    /// Its name.
    pub ident: Option<Ident>,
    /// Its tags.
    pub tags: Tags,
    /// Number of its connection.
    pub generation: ResumeGeneration,
    /// Whether it is the client that it wants to be.
    pub standing: ResumeStanding,
    /// Its requests that were accepted.
    pub ids: KnownIds,
}

/// A publication that a client has missed.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedPublication {
    /// The client's slot.
    pub slot: Slot,
    /// The worker that received it from its publisher.
    pub source: WorkerIncarnation,
    /// Its number within that worker.
    pub number: Number,
    /// Its place in the journal or in the mailbox.
    pub position: ReplayPosition,
    /// Whether it was for this client alone.
    pub is_direct: bool,
    /// The content.
    pub content: Content<Bytes>,
}

/// The end of what a client has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The client's slot.
    pub slot: Slot,
    /// How many publications were replayed.
    pub replayed: u32,
    /// Why it may have missed others. `None`: it has missed none.
    pub reason: Option<RecoveryReason>,
    /// The present place in the journal or in its mailbox, if there is one.
    pub position: Option<ReplayPosition>,
}

/// The latest position of a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// The tenant of the space.
    pub tenant: Tenant,
    /// The position. Every publication up to it that concerns the receiving worker precedes it on the link. `None`: the
    /// space stores publications no more.
    pub position: Option<ReplayPosition>,
}

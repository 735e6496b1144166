//! Messages between brokers of several hosts about clients that resume on another host (`tagcast.v1`). They are items of
//! the lanes, so they arrive once, and in the order of publications.

use std::time::Duration;

use bytes::Bytes;

use super::resume::{RecordTerms, ResumableJoin};
use crate::cluster::CommonPlace;
use crate::types::{
    AcceptedIds, ClientUuid, Content, Generation, HostId, Ident, RecoveryReason, ReplayPosition,
    ResumeGeneration, Tenant, VersionedTags,
};

/// A request for a record, which its answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MoveNumber {
    /// The broker that asks.
    pub broker: Generation,
    /// Its number for the request.
    pub number: u32,
}

/// A message about a client that resumes on another host.
#[derive(Clone, Debug, PartialEq)]
pub enum MoveMessage {
    /// A client shows its token to the sender. The receiver is to hand over its record. Its slot means nothing.
    Request {
        /// The request.
        number: MoveNumber,
        /// The client, as it is if it does not resume, and its token, which the sender has verified.
        join: Box<ResumableJoin>,
    },
    /// The connection of the client is asked whether it is alive, or is being closed. The answer follows.
    Waiting(MoveNumber),
    /// The receiver does not get the record.
    Refused {
        /// The request.
        number: MoveNumber,
        /// Why.
        refusal: MoveRefusal,
    },
    /// The record, which the sender has no longer.
    Handed {
        /// The request.
        number: MoveNumber,
        /// The record.
        client: Box<HandedClient>,
    },
    /// The sender has a client, and no other host must have it.
    Held {
        /// The tenant of the client.
        tenant: Tenant,
        /// The client.
        uuid: ClientUuid,
        /// The record of the sender.
        stage: RecordStage,
        /// Whether the record was begun again, has been compared with another one, or answers such a message.
        occasion: HeldOccasion,
    },
    /// A place in the common lane of the sender.
    Mark,
}

/// Why a host says that it has a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldOccasion {
    /// It has admitted the client without its record.
    Begun,
    /// The receiver says in the directory that it has the client.
    Conflict,
    /// The receiver has said that it has the client. This is not answered.
    Answer,
}

/// How far the record of a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordStage {
    /// The last connection whose token the client surely has.
    pub confirmed: ResumeGeneration,
    /// Number of its last connection.
    pub generation: ResumeGeneration,
    /// The connection with which the record has begun.
    pub begun: ResumeGeneration,
}

impl RecordStage {
    /// Returns whether a token is of another record of the client, which another host has begun.
    #[must_use]
    pub fn is_another(&self, shown: ResumeGeneration) -> bool {
        shown > self.generation || shown > self.confirmed && shown < self.begun
    }

    /// Returns whether this record stays if two hosts have one of a client: the one whose tokens the client has.
    #[must_use]
    pub fn outlasts(&self, other: &Self) -> bool {
        if self.is_another(other.confirmed) != other.is_another(self.confirmed) {
            return other.is_another(self.confirmed);
        }
        (self.confirmed, self.generation) > (other.confirmed, other.generation)
    }
}

/// Why a host does not hand over a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveRefusal {
    /// Another connection has the client.
    Taken,
    /// A later token of the client was shown or confirmed.
    Outdated,
    /// The former host has no record, for this reason.
    Unknown(RecoveryReason),
    /// Another host has it.
    Moved(HostId),
}

/// A client that is away, on its way to another host.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedClient {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its UUID.
    pub uuid: ClientUuid,
    /// Its record.
    pub record: HandedRecord,
    /// What it has missed.
    pub missed: HandedPast,
}

/// The record of a client that is away.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedRecord {
    /// How it is kept.
    pub terms: RecordTerms,
    /// How far it is.
    pub stage: RecordStage,
    /// The first connection since which its requests are known.
    pub ids_from: ResumeGeneration,
    /// Requests of its instance that were accepted. `None`: they are not known.
    pub ids: Option<AcceptedIds>,
    /// Its name.
    pub ident: Option<Ident>,
    /// Its tags; `None` if tags do not reach it.
    pub tags: Option<VersionedTags>,
    /// How much longer it may be away.
    pub ends_in: Duration,
    /// The present place in its mailbox.
    pub position: ReplayPosition,
    /// Its mailbox.
    pub mailbox: Vec<HandedPublication>,
    /// Publications were dropped from it that the client has not received.
    pub has_dropped: bool,
}

/// What a client has missed on the host that had its record, and what it has had there.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedPast {
    /// Why that is not known. `None`: it has missed the publications, and nothing else.
    pub reason: Option<RecoveryReason>,
    /// The publications, in the order of the host that had the record.
    pub publications: Vec<HandedPublication>,
    /// What that host has taken of the others. It has had everything of its own that came before this message.
    pub extent: Vec<(HostId, CommonPlace)>,
}

/// A publication that a client has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedPublication {
    /// Its place in the journal or in the mailbox of the host that had the record.
    pub position: ReplayPosition,
    /// Whether it was for this client alone.
    pub is_direct: bool,
    /// The content.
    pub content: Content<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(confirmed: u32, generation: u32, begun: u32) -> RecordStage {
        let [confirmed, generation, begun] = [confirmed, generation, begun].map(ResumeGeneration);
        RecordStage { confirmed, generation, begun }
    }

    #[test]
    fn of_two_records_of_a_client_that_of_its_tokens_stays() {
        for (stays, ends, what) in [
            (stage(4, 900, 900), stage(4, 4, 1), "one that was begun again, with the last token"),
            (stage(4, 900, 900), stage(3, 5, 1), "the same, after an answer that was lost"),
            (stage(6, 6, 1), stage(4, 900, 900), "the client has had later tokens"),
            (stage(900, 901, 1), stage(4, 6, 1), "the client has a token of the other one"),
            (stage(4, 950, 950), stage(4, 900, 900), "two were begun again"),
            (stage(950, 950, 900), stage(4, 970, 970), "the client has a token of the earlier one"),
            (stage(5, 6, 1), stage(5, 5, 1), "a copy of the same record"),
        ] {
            assert!(stays.outlasts(&ends) && !ends.outlasts(&stays), "{what}");
        }
        assert!(!stage(5, 6, 1).outlasts(&stage(5, 6, 1)));
    }
}

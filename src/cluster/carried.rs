//! A publication on its way to other hosts, and what comes with it.

use bytes::Bytes;

use crate::types::{
    AskToken, Generation, Number, PayloadForm, ReplayDigest, Sequence, WorkerId, WorkerIncarnation,
};

/// A publication on its way to other hosts. One of [`WorkerId::DIRECTORY`](crate::types::WorkerId::DIRECTORY) is no
/// publication: its payload is a [`DirectoryItem`](super::DirectoryItem). Nor is one of
/// [`WorkerId::MOVES`](crate::types::WorkerId::MOVES), whose payload the brokers read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedPublication {
    /// The worker that accepted it.
    pub source: WorkerIncarnation,
    /// Its number within that worker.
    pub number: Number,
    /// The broker that resolved it.
    pub generation: Generation,
    /// Its number in the order of that broker.
    pub sequence: Sequence,
    /// Its tenant and address, in the encoding of the link.
    pub route: Bytes,
    /// How dialects interpret the payload.
    pub form: PayloadForm,
    /// The payload.
    pub payload: Bytes,
    /// The broker has given it to an earlier bridge, too.
    pub is_repeated: bool,
    /// The number by which its host awaits the outcome. Without a question it is a command about clients then, which
    /// is in place of the route.
    pub directive: Option<u64>,
    /// It is for one client, whose answer is the outcome.
    pub question: Option<CarriedQuestion>,
    /// What it says about requests that must not take effect twice.
    pub replay: CarriedReplay,
}

impl CarriedPublication {
    /// Returns whether it changes the directory of names.
    #[must_use]
    pub fn is_of_directory(&self) -> bool {
        self.source.worker == WorkerId::DIRECTORY
    }

    /// Returns whether it is about watched queries.
    #[must_use]
    pub fn is_of_watches(&self) -> bool {
        self.source.worker == WorkerId::WATCHES
    }
}

/// What an item says about requests that must not take effect twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CarriedReplay {
    /// Nothing.
    #[default]
    None,
    /// It has an id, and takes effect once on each host.
    Id(Box<CarriedId>),
    /// It is no publication. Its payload is [records](super::encode_records).
    Records,
}

/// The id of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedId {
    /// The digest of the id and its application.
    pub id: ReplayDigest,
    /// The digest of everything that is the same when the publication is repeated.
    pub content: ReplayDigest,
    /// The Unix second in which it was accepted.
    pub at: u64,
    /// The last Unix second in which it must be known.
    pub until: u64,
    /// A host with fewer recipients does not keep the id.
    pub recipients_min: u64,
}

/// What makes a publication a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedQuestion {
    /// What the client answers with.
    pub token: AskToken,
    /// How long its answer is waited for, in milliseconds.
    pub within_ms: u32,
}

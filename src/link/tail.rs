//! Copies of publications for an operator who watches them (`GET /v1/server/tail`).

use crate::types::{Address, Expression, PayloadForm, Tenant, WorkerIncarnation};

/// Asks for the publications that were copied since the question before it, and for further copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailQuery {
    /// The place of the reader, below [`TAIL_READERS_MAX`](crate::types::limits::TAIL_READERS_MAX).
    pub place: u8,
    /// Number of the reader. It replaces another reader in the same place.
    pub reader: u64,
    /// Whether only publications of the tenant of the question are copied.
    pub is_one_tenant: bool,
    /// Only publications that reach a client that this expression matches.
    pub expression: Option<Expression>,
    /// How many publications may be copied until the next question.
    pub credit: u32,
    /// How much of a payload is copied, in bytes.
    pub payload_max: u32,
}

/// The answer to a [`TailQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailPage {
    /// False if the broker did not know the reader. What was published before is not in any page then.
    pub is_continued: bool,
    /// The copies, in the order of the broker.
    pub publications: Vec<TailedPublication>,
    /// Further publications that were not copied, because the credit was used up.
    pub dropped: u64,
}

/// A copy of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailedPublication {
    /// The process that accepted it.
    pub source: WorkerIncarnation,
    /// Its tenant.
    pub tenant: Tenant,
    /// The recipients that it names.
    pub address: Address,
    /// The number of clients that it reached.
    pub clients: u64,
    /// The number of their workers.
    pub workers: u32,
    /// How its payload is interpreted.
    pub form: PayloadForm,
    /// Length of its payload in bytes.
    pub bytes: u64,
    /// The beginning of its payload, which may end within a character.
    pub payload: Box<[u8]>,
}

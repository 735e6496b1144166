//! What is kept of requests that must not take effect twice (rule L11).

use super::{HostId, WriteCounts};

/// The first half of a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplayDigest(pub [u8; 16]);

/// A spent nonce of a signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentNonce {
    /// The digest of the nonce and its application.
    pub nonce: ReplayDigest,
    /// The last Unix second in which it must be known.
    pub until: u64,
}

/// The id of a publication, which takes effect once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicationId {
    /// The digest of the id and its application.
    pub id: ReplayDigest,
    /// The digest of everything that is the same when the publication is repeated.
    pub content: ReplayDigest,
    /// The Unix second in which it was accepted.
    pub at: u64,
    /// The last Unix second in which it must be known.
    pub until: u64,
    /// How many recipients it may have.
    pub recipients: RecipientBounds,
    /// The host that has accepted it. `None` for this one.
    pub origin: Option<HostId>,
}

/// How many recipients a publication may have. With more or fewer it is refused, and its id is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipientBounds {
    /// The fewest.
    pub min: u64,
    /// The most.
    pub max: u64,
}

/// What became of a publication with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdUse {
    /// The digest of everything that is the same when the publication is repeated.
    pub content: ReplayDigest,
    /// Clients that its address matched.
    pub clients: u64,
    /// On how many workers they are.
    pub workers: u32,
    /// How many sockets have taken it, if that was asked for.
    pub written: Option<WriteCounts>,
    /// The host that has accepted it, and knows its counts. `None` for this one.
    pub origin: Option<HostId>,
    /// The hosts whose clients are counted. `None`: those of this one only.
    pub hosts: Option<CountedHosts>,
}

/// How many hosts were asked to count clients, and how many have answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedHosts {
    /// Those that were asked, the one that asks included.
    pub asked: u32,
    /// Those that have answered.
    pub answered: u32,
}

/// A used id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedId {
    /// The digest of the id and its application.
    pub id: ReplayDigest,
    /// The last Unix second in which it must be known.
    pub until: u64,
    /// What became of the publication.
    pub used: IdUse,
}

/// Which nonces a memory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayBasis {
    /// The nonces of requests that were signed before this Unix second may be missing.
    pub since: u64,
    /// Maximum age of a signed request, in seconds. Nonces of older requests may be missing.
    pub window: u64,
}

/// A part of a memory, or the end of all parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayRecords {
    /// Spent nonces, in the order in which they were spent.
    Nonces(Vec<SpentNonce>),
    /// Nonces that other hosts have reported. Of these the oldest are forgotten if there are too many.
    OtherNonces(Vec<SpentNonce>),
    /// Used ids of publications, in the order in which they were used.
    Ids(Vec<UsedId>),
    /// What the memory has. `None` if nothing can be said about it.
    Basis(Option<ReplayBasis>),
}

impl PublicationId {
    /// Returns the record of its use, unless the publication was refused because of its recipients.
    #[must_use]
    pub fn used_by(&self, clients: u64, workers: u32) -> Option<UsedId> {
        let Self { id, content, until, recipients, origin, .. } = *self;
        let used = IdUse { content, clients, workers, written: None, origin, hosts: None };
        let is_kept = (recipients.min..=recipients.max).contains(&clients);
        is_kept.then_some(UsedId { id, until, used })
    }
}

impl ReplayRecords {
    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Nonces(nonces) | Self::OtherNonces(nonces) => nonces.len(),
            Self::Ids(ids) => ids.len(),
            Self::Basis(_) => 1,
        }
    }

    /// Returns whether the list of records is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

//! What is kept of requests that must not take effect twice (rule L11).

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
    /// What the memory has. `None` if nothing can be said about it.
    Basis(Option<ReplayBasis>),
}

impl ReplayRecords {
    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Nonces(nonces) => nonces.len(),
            Self::Basis(_) => 1,
        }
    }

    /// Returns whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

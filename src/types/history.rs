//! How many of its publications a space stores.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{HISTORY_AGE, HISTORY_BYTES};

/// How many of its latest publications a space stores for clients that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryTerms {
    /// Maximum publications. 0: none is stored.
    pub entries: usize,
    /// Maximum bytes of their payloads.
    pub bytes: usize,
    /// Time after which a publication is dropped.
    pub age: Duration,
}

impl HistoryTerms {
    /// Returns whether publications are stored.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.entries > 0
    }

    /// Returns the terms of a space that several applications share: the largest value of each.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            entries: self.entries.max(other.entries),
            bytes: self.bytes.max(other.bytes),
            age: self.age.max(other.age),
        }
    }
}

/// How many of its publications an application wants to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistorySettings {
    /// Maximum publications. 0: none is stored.
    pub entries: usize,
    /// Maximum bytes of their payloads. `None`: the usual number, as far as an outbox has room for it.
    pub bytes: Option<usize>,
    /// Time after which a publication is dropped.
    pub age: Duration,
}

impl HistorySettings {
    /// Returns the most bytes for this limit of an outbox: what a client gets again must fit.
    #[must_use]
    pub fn bytes_max(outbox_limit: usize) -> usize {
        outbox_limit / 2
    }

    /// Returns the terms for this limit of an outbox in bytes.
    #[must_use]
    pub fn terms(self, outbox_limit: usize) -> HistoryTerms {
        let Self { entries, bytes, age } = self;
        let bytes = bytes.unwrap_or(HISTORY_BYTES).min(Self::bytes_max(outbox_limit));
        HistoryTerms { entries, bytes, age }
    }
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self { entries: 0, bytes: None, age: HISTORY_AGE }
    }
}

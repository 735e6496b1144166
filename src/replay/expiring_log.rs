//! Values by digest, in the order in which they were added, each until a time.

use std::collections::{HashMap, VecDeque};

use crate::types::ReplayDigest;

/// Entries that an empty log keeps memory for.
const KEPT_ENTRIES_MAX: usize = 4096;

/// Values by digest, in the order in which they were added.
#[derive(Debug)]
pub(super) struct ExpiringLog<V> {
    entries: HashMap<ReplayDigest, ExpiringEntry<V>>,
    /// A digest that was added again after its time occurs twice. Only its last entry is kept.
    order: VecDeque<ReplayDigest>,
    /// Digests that were ever removed from the front of `order`.
    removed: u64,
}

/// A value and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpiringEntry<V> {
    /// The last second of its time.
    pub(super) until: u64,
    pub(super) value: V,
}

impl<V> Default for ExpiringLog<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), removed: 0 }
    }
}

impl<V> ExpiringLog<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, digest: ReplayDigest) -> Option<&ExpiringEntry<V>> {
        self.entries.get(&digest)
    }

    /// Adds a value, or replaces the one with this digest.
    pub(super) fn insert(&mut self, digest: ReplayDigest, until: u64, value: V) {
        let former = self.entries.insert(digest, ExpiringEntry { until, value });
        if former.is_none_or(|former| former.until != until) {
            self.order.push_back(digest);
        }
    }

    /// Removes the oldest values until at most this many are left. Returns how many were removed.
    pub(super) fn evict_beyond(&mut self, entries_max: usize) -> u64 {
        let before = self.len();
        while self.len() > entries_max
            && let Some(oldest) = self.pop_front()
        {
            self.entries.remove(&oldest);
        }
        (before - self.len()) as u64
    }

    /// Removes values whose time is over, oldest first, at most this many.
    pub(super) fn forget_expired(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let Some(oldest) = self.order.front() else { break };
            if self.entries.get(oldest).is_some_and(|entry| entry.until >= now) {
                return;
            }
            if let Some(oldest) = self.pop_front() {
                self.entries.remove(&oldest);
            }
        }
        if self.order.is_empty() && self.order.capacity() > KEPT_ENTRIES_MAX {
            (self.entries, self.order) = (HashMap::new(), VecDeque::new());
        }
    }

    /// The second after which the oldest value may be removed.
    pub(super) fn oldest_until(&self) -> Option<u64> {
        self.order.front().and_then(|oldest| self.entries.get(oldest)).map(|entry| entry.until)
    }

    /// The position after the last entry.
    pub(super) fn end(&self) -> u64 {
        self.removed + self.order.len() as u64
    }

    /// Returns the entries from one position to another one, and their positions.
    pub(super) fn range(
        &self,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = (u64, ReplayDigest, &ExpiringEntry<V>)> {
        let skipped = usize::try_from(from.saturating_sub(self.removed)).unwrap_or(usize::MAX);
        let first = from.max(self.removed);
        let positions = (first..to).zip(self.order.iter().skip(skipped));
        positions.filter_map(|(at, digest)| Some((at, *digest, self.entries.get(digest)?)))
    }

    fn pop_front(&mut self) -> Option<ReplayDigest> {
        let oldest = self.order.pop_front();
        self.removed += u64::from(oldest.is_some());
        oldest
    }
}

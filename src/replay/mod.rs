//! The memory of requests that must not take effect twice (rule L11).
//!
//! The broker and the API process hold the same records. Each tells them to the successor of the other one.

mod expiring_log;
mod id_claims;

use self::expiring_log::{ExpiringEntry, ExpiringLog};
pub use self::id_claims::{Claimed, IdClaims, IdOutcome};
use crate::types::limits::{API_NONCES_MAX, IDEMPOTENCY_MAX, REPLAY_PIECE_RECORDS};
use crate::types::{
    IdUse, PublicationId, ReplayBasis, ReplayDigest, ReplayRecords, SpentNonce, UsedId,
};

/// Records of spent nonces and used ids.
#[derive(Debug)]
pub struct ReplayMemory {
    nonces: ExpiringLog<()>,
    /// Those of other hosts. They displace none of the own ones.
    other_nonces: ExpiringLog<()>,
    ids: ExpiringLog<IdUse>,
    /// Maximum number of ids.
    ids_max: usize,
    /// Ids that were ever forgotten early.
    ids_evicted: u64,
    basis: Option<ReplayBasis>,
}

impl Default for ReplayMemory {
    fn default() -> Self {
        Self {
            nonces: ExpiringLog::default(),
            other_nonces: ExpiringLog::default(),
            ids: ExpiringLog::default(),
            ids_max: IDEMPOTENCY_MAX,
            ids_evicted: 0,
            basis: None,
        }
    }
}

/// A position in a memory. It stays valid while records are added and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayMark {
    nonces: u64,
    other_nonces: u64,
    ids: u64,
}

impl ReplayMemory {
    /// What is known about the completeness of the memory.
    #[must_use]
    pub fn basis(&self) -> Option<ReplayBasis> {
        self.basis
    }

    /// Returns whether a nonce was spent.
    #[must_use]
    pub fn has_nonce(&self, nonce: ReplayDigest) -> bool {
        self.nonces.get(nonce).is_some() || self.other_nonces.get(nonce).is_some()
    }

    /// The number of ids.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.ids.len()
    }

    /// The number of nonces that this host has accepted.
    #[must_use]
    pub fn nonces(&self) -> usize {
        self.nonces.len()
    }

    /// The number of nonces that other hosts have reported.
    #[must_use]
    pub fn other_nonces(&self) -> usize {
        self.other_nonces.len()
    }

    /// The second after which the oldest nonce is forgotten.
    #[must_use]
    pub fn oldest_nonce_until(&self) -> Option<u64> {
        self.nonces.oldest_until()
    }

    /// Sets how many ids are kept. Beyond that the oldest are forgotten early.
    pub fn limit_ids(&mut self, ids_max: usize) {
        self.ids_max = ids_max;
        self.evict_ids();
    }

    /// The number of ids that were ever forgotten early.
    #[must_use]
    pub fn ids_evicted(&self) -> u64 {
        self.ids_evicted
    }

    /// Returns what became of an earlier publication with the same id.
    #[must_use]
    pub fn used(&self, id: &PublicationId) -> Option<UsedId> {
        let ExpiringEntry { until, value } = *self.ids.get(id.id)?;
        (until >= id.at).then_some(UsedId { id: id.id, until, used: value })
    }

    /// Returns what became of a publication with an id, while it is kept.
    #[must_use]
    pub fn use_of(&self, id: ReplayDigest) -> Option<IdUse> {
        self.ids.get(id).map(|entry| entry.value)
    }

    fn evict_ids(&mut self) {
        self.ids_evicted += self.ids.evict_beyond(self.ids_max);
    }

    /// Adds records. If there are too many, the oldest are forgotten. That concerns no nonce of this host: the process
    /// that accepts requests accepts no more than fit.
    pub fn learn(&mut self, records: &ReplayRecords) {
        match records {
            ReplayRecords::Nonces(spent) => {
                for SpentNonce { nonce, until } in spent {
                    self.nonces.insert(*nonce, *until, ());
                }
                self.nonces.evict_beyond(API_NONCES_MAX);
            }
            ReplayRecords::OtherNonces(spent) => {
                for SpentNonce { nonce, until } in spent {
                    self.other_nonces.insert(*nonce, *until, ());
                }
                self.other_nonces.evict_beyond(API_NONCES_MAX);
            }
            ReplayRecords::Ids(ids) => {
                for UsedId { id, until, used } in ids {
                    // Of two hosts that have accepted one id, the first to be known counts.
                    if used.origin.is_none() || self.ids.get(*id).is_none() {
                        self.ids.insert(*id, *until, *used);
                    }
                }
                self.evict_ids();
            }
            ReplayRecords::Basis(basis) => self.basis = *basis,
        }
    }

    /// Removes records whose time is over, at most this many of each kind.
    pub fn forget_expired(&mut self, now: u64, most: usize) {
        self.nonces.forget_expired(now, most);
        self.other_nonces.forget_expired(now, most);
        self.ids.forget_expired(now, most);
    }

    /// The position after the last record.
    #[must_use]
    pub fn end(&self) -> ReplayMark {
        let (nonces, other_nonces) = (self.nonces.end(), self.other_nonces.end());
        ReplayMark { nonces, other_nonces, ids: self.ids.end() }
    }

    /// Returns the records after a position, as many as fit in one message, and moves the position past them.
    /// `None` at the end.
    pub fn next_records(&self, from: &mut ReplayMark, end: ReplayMark) -> Option<ReplayRecords> {
        let nonces = next_nonces(&self.nonces, &mut from.nonces, end.nonces);
        if !nonces.is_empty() {
            return Some(ReplayRecords::Nonces(nonces));
        }
        let nonces = next_nonces(&self.other_nonces, &mut from.other_nonces, end.other_nonces);
        if !nonces.is_empty() {
            return Some(ReplayRecords::OtherNonces(nonces));
        }
        let ids = next_piece(&self.ids, &mut from.ids, end.ids);
        let used = |(id, ExpiringEntry { until, value: used })| UsedId { id, until, used };
        let ids: Vec<_> = ids.into_iter().map(used).collect();
        (!ids.is_empty()).then_some(ReplayRecords::Ids(ids))
    }

    /// Returns all records in pieces, with the basis at their end if there is one.
    pub fn records(&self) -> impl Iterator<Item = ReplayRecords> {
        let (mut from, end) = (ReplayMark::default(), self.end());
        let pieces = std::iter::from_fn(move || self.next_records(&mut from, end));
        pieces.chain(self.basis.map(|basis| ReplayRecords::Basis(Some(basis))))
    }
}

fn next_nonces(log: &ExpiringLog<()>, from: &mut u64, end: u64) -> Vec<SpentNonce> {
    let spent = |(nonce, ExpiringEntry { until, value: () })| SpentNonce { nonce, until };
    next_piece(log, from, end).into_iter().map(spent).collect()
}

/// Returns entries from a position on, and moves the position past them.
fn next_piece<V: Copy>(
    log: &ExpiringLog<V>,
    from: &mut u64,
    end: u64,
) -> Vec<(ReplayDigest, ExpiringEntry<V>)> {
    let mut piece = Vec::new();
    for (at, digest, entry) in log.range(*from, end) {
        if piece.len() == REPLAY_PIECE_RECORDS {
            *from = at;
            return piece;
        }
        piece.push((digest, *entry));
    }
    *from = end;
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: u32) -> ReplayDigest {
        let mut digest = [0; 16];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        ReplayDigest(digest)
    }

    fn spent(numbers: std::ops::Range<u32>, until: u64) -> ReplayRecords {
        ReplayRecords::Nonces(numbers.map(|it| SpentNonce { nonce: nonce(it), until }).collect())
    }

    #[test]
    fn another_memory_learns_all_records_in_pieces_and_in_order() {
        let mut memory = ReplayMemory::default();
        let many = u32::try_from(2 * REPLAY_PIECE_RECORDS).unwrap() + 1;
        memory.learn(&spent(0..many, 100));
        memory.learn(&ReplayRecords::Basis(Some(ReplayBasis { since: 7, window: 300 })));
        let pieces: Vec<_> = memory.records().collect();
        assert_eq!(pieces.len(), 4);
        let mut other = ReplayMemory::default();
        pieces.iter().for_each(|records| other.learn(records));
        assert_eq!((other.nonces(), other.basis()), (many as usize, memory.basis()));
        assert!(other.records().eq(pieces));
    }

    #[test]
    fn a_position_stays_valid_while_records_come_and_go() {
        let mut memory = ReplayMemory::default();
        memory.learn(&spent(0..5, 100));
        memory.learn(&spent(5..8, 200));
        let (mut from, end) = (ReplayMark::default(), memory.end());
        memory.learn(&spent(8..20, 300));
        memory.forget_expired(150, usize::MAX);
        assert_eq!(memory.next_records(&mut from, end), Some(spent(5..8, 200)));
        assert_eq!(memory.next_records(&mut from, end), None);
    }

    #[test]
    fn a_nonce_that_is_spent_again_after_its_time_is_kept_for_its_new_time() {
        let mut memory = ReplayMemory::default();
        memory.learn(&spent(0..1, 200));
        memory.learn(&spent(1..2, 100));
        memory.learn(&spent(1..2, 400));
        memory.forget_expired(300, usize::MAX);
        assert!(!memory.has_nonce(nonce(0)) && memory.has_nonce(nonce(1)));
        memory.forget_expired(401, usize::MAX);
        assert_eq!((memory.nonces(), memory.oldest_nonce_until()), (0, None));
    }

    #[test]
    fn nonces_of_other_hosts_are_known_and_displace_no_own_one() {
        let mut memory = ReplayMemory::default();
        memory.learn(&spent(0..2, 100));
        let many = u32::try_from(API_NONCES_MAX).unwrap() + 5;
        let ReplayRecords::Nonces(others) = spent(10..10 + many, 100) else { panic!() };
        memory.learn(&ReplayRecords::OtherNonces(others));
        assert_eq!((memory.nonces(), memory.other_nonces()), (2, API_NONCES_MAX));
        assert!(memory.has_nonce(nonce(0)) && memory.has_nonce(nonce(9 + many)));
        let mut other = ReplayMemory::default();
        memory.records().for_each(|records| other.learn(&records));
        assert_eq!((other.nonces(), other.other_nonces()), (2, API_NONCES_MAX));
        memory.forget_expired(101, usize::MAX);
        assert_eq!((memory.nonces(), memory.other_nonces()), (0, 0));
    }

    #[test]
    fn records_expire_some_at_a_time() {
        let mut memory = ReplayMemory::default();
        memory.learn(&spent(0..10, 100));
        memory.forget_expired(101, 3);
        assert_eq!((memory.nonces(), memory.has_nonce(nonce(3))), (7, true));
        memory.forget_expired(100, 3);
        assert_eq!(memory.nonces(), 7);
    }
}

//! The journals of all spaces, and the memory that they share.

use std::collections::HashMap;
use std::time::Duration;

use super::{Journal, JournalEntry};
use crate::types::limits::{HISTORY_MEMORY, JOURNAL_TICK};
use crate::types::{HistoryTerms, ReplayPosition, Tenant};

/// The journals of all spaces that store publications. Most servers have none.
#[derive(Debug)]
pub(in crate::broker) struct Journals {
    all: HashMap<Tenant, SpaceJournal>,
    bytes_max: usize,
    held: usize,
    /// Makes epochs that no other broker has.
    seed: u64,
    /// Total number of journals that were begun.
    begun: u64,
    /// The time at which heads are sent and old publications are dropped, if there may be any.
    next_tick: Option<Duration>,
}

#[derive(Debug)]
struct SpaceJournal {
    journal: Journal,
    /// The head that the workers have been told.
    told: Option<u64>,
}

impl Default for Journals {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            bytes_max: HISTORY_MEMORY,
            held: 0,
            seed: 0,
            begun: 0,
            next_tick: None,
        }
    }
}

impl Journals {
    /// Returns true if no space stores publications.
    #[inline]
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Sets the number from which epochs are made. No other broker of the server has the same.
    pub(in crate::broker) fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Returns the journal of a space.
    pub(in crate::broker) fn get(&self, tenant: &Tenant) -> Option<&Journal> {
        if self.all.is_empty() { None } else { self.all.get(tenant).map(|it| &it.journal) }
    }

    /// Sets the memory for all journals in bytes, and the limits of each. Returns the spaces that store publications
    /// no more.
    pub(in crate::broker) fn limit(
        &mut self,
        bytes_max: usize,
        terms: &[(Tenant, HistoryTerms)],
        now: Duration,
    ) -> Vec<Tenant> {
        self.bytes_max = bytes_max;
        let is_kept = |tenant: &Tenant| terms.iter().any(|(it, _)| it == tenant);
        let ended: Vec<Tenant> = self.all.keys().filter(|it| !is_kept(it)).cloned().collect();
        ended.iter().for_each(|tenant| drop(self.all.remove(tenant)));
        for (tenant, terms) in terms {
            match self.all.get_mut(tenant) {
                Some(own) => own.journal.limit(*terms, now),
                None => {
                    let journal = Journal::new(self.next_epoch(), *terms);
                    self.all.insert(tenant.clone(), SpaceJournal { journal, told: None });
                    self.next_tick = Some(now);
                }
            }
        }
        self.held = self.all.values().map(|it| it.journal.held()).sum();
        self.evict();
        ended
    }

    fn next_epoch(&mut self) -> u32 {
        self.begun += 1;
        // The finalizer of SplitMix64.
        let mut mixed = self.seed.wrapping_add(self.begun.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from(mixed >> 32).unwrap_or_default()
    }

    /// Stores a publication and returns its position; `None` if its space stores none.
    pub(in crate::broker) fn append(
        &mut self,
        tenant: &Tenant,
        entry: JournalEntry,
    ) -> Option<ReplayPosition> {
        let own = self.all.get_mut(tenant)?;
        let stored = entry.stored;
        let before = own.journal.held();
        let number = own.journal.append(entry);
        let position = own.journal.position_of(number);
        self.held = self.held - before + own.journal.held();
        self.next_tick.get_or_insert(stored + JOURNAL_TICK);
        if self.held > self.bytes_max {
            self.evict();
        }
        Some(position)
    }

    /// Publications of another host will never arrive. An entry for no client takes their place.
    pub(in crate::broker) fn note_gap(&mut self, entry: &dyn Fn() -> JournalEntry) {
        for SpaceJournal { journal, .. } in self.all.values_mut() {
            let stored = journal.note_gap(entry());
            self.next_tick.get_or_insert(stored + JOURNAL_TICK);
        }
        self.held = self.all.values().map(|it| it.journal.held()).sum();
    }

    /// Drops publications of a space that are too old.
    pub(in crate::broker) fn drop_old(&mut self, tenant: &Tenant, now: Duration) {
        if let Some(own) = self.all.get_mut(tenant) {
            let before = own.journal.held();
            own.journal.drop_old(now);
            self.held = self.held - before + own.journal.held();
        }
    }

    /// Drops the oldest publications of the largest journal while there is not enough memory. Some more are dropped,
    /// so that the largest one is not sought for each publication.
    fn evict(&mut self) {
        let target = self.bytes_max - self.bytes_max / 64;
        while self.held > self.bytes_max
            && let Some(largest) = self.all.values_mut().max_by_key(|it| it.journal.held())
        {
            let journal = &mut largest.journal;
            let before = journal.held();
            let share = before / 2;
            while self.held - before + journal.held() > target
                && journal.held() > share
                && journal.drop_oldest()
            {}
            self.held = self.held - before + journal.held();
        }
    }

    /// Returns the time at which [`Journals::tick`] must be called.
    pub(in crate::broker) fn next_tick(&self) -> Option<Duration> {
        self.next_tick
    }

    /// Drops old publications. Passes the positions that have moved since the last tick to `tell`.
    pub(in crate::broker) fn tick(
        &mut self,
        now: Duration,
        tell: &mut dyn FnMut(&Tenant, ReplayPosition),
    ) {
        if self.next_tick.is_none_or(|due| due > now) {
            return;
        }
        let mut is_used = false;
        for (tenant, SpaceJournal { journal, told }) in &mut self.all {
            journal.drop_old(now);
            is_used |= journal.len() > 0;
            if *told != Some(journal.head()) {
                *told = Some(journal.head());
                tell(tenant, journal.position());
            }
        }
        self.held = self.all.values().map(|it| it.journal.held()).sum();
        self.next_tick = is_used.then_some(now + JOURNAL_TICK);
    }

    /// Returns the memory of all journals in bytes.
    pub(in crate::broker) fn held(&self) -> usize {
        self.held
    }

    /// Returns how many publications are stored.
    pub(in crate::broker) fn entries(&self) -> usize {
        self.all.values().map(|it| it.journal.len()).sum()
    }
}

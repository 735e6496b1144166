//! The latest publications of each space, for clients that come back: pure data, with the time as an argument.
//!
//! A publication has a number within its space. What a client has missed is found by matching the publications after
//! its position with the tags that it had at each of them ([`matching`]).

pub(super) mod matching;
mod spaces;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::spaces::Journals;
use super::lane_places::EntryOrigin;
use crate::types::{
    Address, ClientUuid, Content, HistoryTerms, HostId, Number, Recipients, ReplayPosition,
    WorkerIncarnation,
};

/// Memory for an entry in addition to its payload and its address, in bytes.
const ENTRY_BYTES: usize = 120;

/// The latest publications of one space.
///
/// Their numbers are consecutive: the last one is the head, and the number before the first one is the floor.
#[derive(Debug)]
pub(super) struct Journal {
    /// Distinguishes its numbers from those of other journals.
    epoch: u32,
    terms: HistoryTerms,
    entries: VecDeque<JournalEntry>,
    head: u64,
    /// Number of the last publication after which publications of another host are missing.
    gap: u64,
    /// Bytes of the payloads.
    payload_bytes: usize,
    /// Memory of the entries.
    held: usize,
    /// The last publication of the common lane of each host that was dropped, with its number here. Without other hosts
    /// there is none.
    dropped: BTreeMap<HostId, (u64, EntryOrigin)>,
}

/// A publication in a journal.
#[derive(Debug)]
pub(super) struct JournalEntry {
    pub(super) recipients: StoredRecipients,
    /// The worker that received it from its publisher.
    pub(super) source: WorkerIncarnation,
    /// Its number within that worker.
    pub(super) number: Number,
    /// The content, in memory of its own: a slice of what a link brought would keep all of that.
    pub(super) content: Content<Box<[u8]>>,
    /// The time of the publication, since any fixed moment.
    pub(super) stored: Duration,
    /// Its place in the common lane of its host, if it is in one.
    pub(super) origin: Option<Box<EntryOrigin>>,
}

/// Which clients a stored publication was for.
#[derive(Clone, Debug)]
pub(super) enum StoredRecipients {
    /// No client: the address named none, or its expression was too expensive.
    NoClient,
    /// The client that an address of a single recipient resolved to, here or away.
    One(ClientUuid),
    /// The clients that match. Publications that follow each other often share an address.
    Many(Arc<Address>),
    /// A single client that was not found here, and that other hosts look for, too.
    Absent(Arc<Address>),
    /// Clients that depend on which other clients there were, so that they cannot be found later.
    Unknown,
}

impl StoredRecipients {
    /// Returns whether a publication was for a single client.
    pub(super) fn is_one(&self) -> bool {
        matches!(self, Self::One(_) | Self::Absent(_))
    }

    /// Returns the recipients of a publication to several clients.
    pub(super) fn of_many(address: &Arc<Address>) -> Self {
        match depends_on_others(&address.recipients) {
            true => Self::Unknown,
            false => Self::Many(Arc::clone(address)),
        }
    }
}

fn depends_on_others(recipients: &Recipients) -> bool {
    match recipients {
        Recipients::TagSequence(_) => true,
        Recipients::Without(it) => depends_on_others(&it.recipients),
        Recipients::Among(it) => depends_on_others(&it.recipients),
        _ => false,
    }
}

impl JournalEntry {
    fn held(&self) -> usize {
        let address = match &self.recipients {
            StoredRecipients::Many(address) | StoredRecipients::Absent(address) => {
                address.recipients.held()
            }
            _ => 0,
        };
        let origin = self.origin.as_ref().map_or(0, |_| size_of::<EntryOrigin>());
        ENTRY_BYTES + origin + address + self.content.payload.len()
    }
}

impl Journal {
    /// Creates a journal without publications.
    pub(super) fn new(epoch: u32, terms: HistoryTerms) -> Self {
        let (entries, dropped) = (VecDeque::new(), BTreeMap::new());
        Self { epoch, terms, entries, head: 0, gap: 0, payload_bytes: 0, held: 0, dropped }
    }

    /// Returns the number of the latest publication; 0 before the first one.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Returns the number of the last publication that was dropped. What happened after a position is known if that
    /// is not below it.
    pub(super) fn floor(&self) -> u64 {
        self.head - self.entries.len() as u64
    }

    /// Returns the position after the publication with this number.
    pub(super) fn position_of(&self, number: u64) -> ReplayPosition {
        ReplayPosition { epoch: self.epoch, number }
    }

    /// Returns the present position.
    pub(super) fn position(&self) -> ReplayPosition {
        self.position_of(self.head)
    }

    /// Returns whether a position is of this journal.
    pub(super) fn has_been_at(&self, position: ReplayPosition) -> bool {
        position.epoch == self.epoch && position.number <= self.head
    }

    /// Returns whether publications of another host are missing after a position of this journal.
    pub(super) fn has_gap_after(&self, position: ReplayPosition) -> bool {
        self.gap > 0 && position.number < self.gap
    }

    /// Returns the memory of its publications in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Returns how many publications are stored.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the publication with this number, if it is stored.
    pub(super) fn get(&self, number: u64) -> Option<&JournalEntry> {
        let place = number.checked_sub(self.floor() + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// Stores a publication and returns its number. The oldest ones are dropped beyond the limits. Those before one
    /// whose recipients cannot be found later are of no use, so they are dropped with it.
    pub(super) fn append(&mut self, entry: JournalEntry) -> u64 {
        let now = entry.stored;
        let is_cut = matches!(entry.recipients, StoredRecipients::Unknown);
        self.head += 1;
        self.payload_bytes += entry.content.payload.len();
        self.held += entry.held();
        self.entries.push_back(entry);
        if is_cut {
            while self.drop_oldest() {}
        }
        self.drop_old(now);
        self.head
    }

    /// Stores an entry in place of publications of another host that will never arrive. Returns its time.
    fn note_gap(&mut self, entry: JournalEntry) -> Duration {
        let stored = entry.stored;
        self.gap = self.append(entry);
        stored
    }

    /// Drops publications beyond the limits.
    pub(super) fn drop_old(&mut self, now: Duration) {
        let HistoryTerms { entries, bytes, age } = self.terms;
        let is_old = |entry: &JournalEntry| entry.stored + age <= now;
        while self.entries.len() > entries
            || self.payload_bytes > bytes
            || self.entries.front().is_some_and(is_old)
        {
            self.drop_oldest();
        }
    }

    /// Drops the oldest publication. Returns false if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.entries.pop_front() else { return false };
        self.payload_bytes -= oldest.content.payload.len();
        self.held -= oldest.held();
        if let Some(origin) = oldest.origin {
            self.dropped.insert(origin.host, (self.floor(), *origin));
        }
        true
    }

    /// Returns the last publication of the common lane of each host that was dropped, with its number here.
    pub(super) fn dropped(&self) -> impl Iterator<Item = (u64, &EntryOrigin)> {
        self.dropped.values().map(|(number, origin)| (*number, origin))
    }

    /// Sets other limits.
    fn limit(&mut self, terms: HistoryTerms, now: Duration) {
        self.terms = terms;
        self.drop_old(now);
    }
}

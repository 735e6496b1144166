//! All client entries, indexed by worker and slot.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::interner::NameId;
use super::tag_ids::TagIds;
use crate::types::{
    Client, ClientClass, ClientUuid, ConnectionRef, JoinNumber, Slot, TagVersion, WorkerId,
};

/// Entries per page. Slots are dense because workers reuse them. With pages, a table of a million entries is
/// not copied when it grows, and one unusually high slot costs only one page.
const PAGE_SLOTS: u32 = 512;

/// The data of one client in the index. Its texts are in [`super::interner::Interner`].
///
/// Exactly one cache line, aligned: a change usually reads an entry that is not in any cache.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct IndexEntry {
    pub(super) uuid: ClientUuid,
    pub(super) number: JoinNumber,
    pub(super) tenant: NameId,
    /// `None` also for clients that an ident cannot reach.
    pub(super) ident: Option<NameId>,
    /// The rows of the client's tags; empty unless tags can reach the client.
    pub(super) rows: TagIds,
    pub(super) reach: Reach,
}

const _: () =
    assert!(size_of::<Option<IndexEntry>>() == 64, "a million clients are 64 MB of entries");

/// The kinds of addresses that can reach a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Tags, UUID and ident: web-type clients.
    Tags,
    /// UUID and ident only: php-type clients.
    Name,
    /// No address: clients that do not receive publications.
    Nothing,
}

impl Reach {
    /// Returns what can reach a client.
    pub(super) fn of(client: &Client) -> Self {
        match (client.takes_publications, client.class) {
            (false, _) => Self::Nothing,
            (true, ClientClass::Php) => Self::Name,
            (true, ClientClass::Web) => Self::Tags,
        }
    }
}

/// The entries of all workers.
#[derive(Debug, Default)]
pub(super) struct Directory {
    workers: BTreeMap<WorkerId, WorkerEntries>,
    clients: usize,
}

/// The entries of one worker.
#[derive(Debug, Default)]
struct WorkerEntries {
    /// Pages in ascending order of their numbers; no page is empty.
    pages: Vec<EntryPage>,
    clients: usize,
}

impl WorkerEntries {
    fn page(&self, number: u32) -> Result<usize, usize> {
        // slots are dense, so page n is almost always at index n
        let nth = usize::try_from(number).unwrap_or(usize::MAX);
        if self.pages.get(nth).is_some_and(|page| page.number == number) {
            return Ok(nth);
        }
        self.pages.binary_search_by_key(&number, |page| page.number)
    }
}

#[derive(Debug)]
struct EntryPage {
    number: u32,
    entries: Box<[Option<IndexEntry>]>,
    /// Versions of the tags that have changed; zero for the others. Empty while no tags of the page have
    /// changed, because most clients keep their tags.
    versions: Box<[TagVersion]>,
    clients: usize,
}

impl EntryPage {
    fn new(number: u32) -> Self {
        let entries = (0..PAGE_SLOTS).map(|_| None).collect();
        Self { number, entries, versions: Box::default(), clients: 0 }
    }
}

impl Directory {
    /// Stores an entry at its place. The place must be free; check with [`Self::get`].
    pub(super) fn put(&mut self, place: ConnectionRef, entry: IndexEntry) {
        debug_assert!(self.get(place).is_none(), "a place is given to one client");
        let (number, at) = split(place.slot);
        let entries = self.workers.entry(place.worker).or_default();
        let page = entries.page(number).unwrap_or_else(|page| {
            entries.pages.insert(page, EntryPage::new(number));
            page
        });
        let Some(page) = entries.pages.get_mut(page) else { return };
        let Some(free) = page.entries.get_mut(at) else { return };
        *free = Some(entry);
        page.clients += 1;
        entries.clients += 1;
        self.clients += 1;
    }

    /// Returns the entry at a place.
    pub(super) fn get(&self, place: ConnectionRef) -> Option<&IndexEntry> {
        let (number, at) = split(place.slot);
        let entries = self.workers.get(&place.worker)?;
        entries.pages.get(entries.page(number).ok()?)?.entries.get(at)?.as_ref()
    }

    /// Returns the entry at a place for modification.
    pub(super) fn get_mut(&mut self, place: ConnectionRef) -> Option<&mut IndexEntry> {
        let (number, at) = split(place.slot);
        let entries = self.workers.get_mut(&place.worker)?;
        let page = entries.page(number).ok()?;
        entries.pages.get_mut(page)?.entries.get_mut(at)?.as_mut()
    }

    /// Removes and returns the entry at a place, and frees memory that only this entry used.
    pub(super) fn take(&mut self, place: ConnectionRef) -> Option<IndexEntry> {
        let (number, at) = split(place.slot);
        let entries = self.workers.get_mut(&place.worker)?;
        let nth = entries.page(number).ok()?;
        let page = entries.pages.get_mut(nth)?;
        let entry = page.entries.get_mut(at)?.take()?;
        if let Some(version) = page.versions.get_mut(at) {
            *version = TagVersion::default();
        }
        page.clients -= 1;
        entries.clients -= 1;
        self.clients -= 1;
        if page.clients == 0 {
            entries.pages.remove(nth);
        }
        if entries.clients == 0 {
            self.workers.remove(&place.worker);
        }
        Some(entry)
    }

    /// Returns the version of the tags of the client at a place: the number of its join until they change.
    pub(super) fn version(&self, place: ConnectionRef) -> Option<TagVersion> {
        let (number, at) = split(place.slot);
        let entries = self.workers.get(&place.worker)?;
        let page = entries.pages.get(entries.page(number).ok()?)?;
        let joined = TagVersion(page.entries.get(at)?.as_ref()?.number.0);
        let changed = page.versions.get(at).copied().unwrap_or_default();
        Some(if changed == TagVersion::default() { joined } else { changed })
    }

    /// Stores the version of the tags of the client at a place.
    pub(super) fn set_version(&mut self, place: ConnectionRef, version: TagVersion) {
        let (number, at) = split(place.slot);
        let Some(entries) = self.workers.get_mut(&place.worker) else { return };
        let Ok(nth) = entries.page(number) else { return };
        let Some(page) = entries.pages.get_mut(nth) else { return };
        if page.versions.is_empty() {
            page.versions = page.entries.iter().map(|_| TagVersion::default()).collect();
        }
        if let Some(known) = page.versions.get_mut(at) {
            *known = version;
        }
    }

    /// Returns the occupied places on a worker's last page, in descending order; `None` if the worker has no
    /// clients.
    pub(super) fn last_of(&self, worker: WorkerId) -> Option<Vec<ConnectionRef>> {
        let page = self.workers.get(&worker)?.pages.last()?;
        let taken = slots_of(page.number).zip(&page.entries).filter(|(_, entry)| entry.is_some());
        let mut places: Vec<ConnectionRef> =
            taken.map(|(slot, _)| ConnectionRef { worker, slot: Slot(slot) }).collect();
        places.reverse();
        Some(places)
    }

    /// Returns the number of clients of all workers.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// Returns the number of clients of one worker.
    pub(super) fn clients_of(&self, worker: WorkerId) -> usize {
        self.workers.get(&worker).map_or(0, |entries| entries.clients)
    }

    /// Returns every client with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionRef, &IndexEntry)> {
        self.workers.iter().flat_map(|(worker, entries)| {
            entries.pages.iter().flat_map(|page| {
                slots_of(page.number).zip(&page.entries).filter_map(|(slot, entry)| {
                    Some((ConnectionRef { worker: *worker, slot: Slot(slot) }, entry.as_ref()?))
                })
            })
        })
    }
}

/// Returns the page number of a slot and the index within that page.
fn split(slot: Slot) -> (u32, usize) {
    // lossless: the remainder is less than PAGE_SLOTS
    (slot.0 / PAGE_SLOTS, usize::try_from(slot.0 % PAGE_SLOTS).unwrap_or(usize::MAX))
}

/// Returns the slots of a page. The range is inclusive because the last page ends at `u32::MAX`.
fn slots_of(page: u32) -> RangeInclusive<u32> {
    let first = page * PAGE_SLOTS;
    first..=first + (PAGE_SLOTS - 1)
}

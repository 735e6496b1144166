//! Who stands at which place: the entries of all clients, by worker and slot.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::interner::NameId;
use super::tag_ids::TagIds;
use crate::types::{ClientUuid, ConnectionRef, JoinNumber, Slot, WorkerId};

/// Entries of one page. Slots are dense, as a worker reuses them; pages keep a table of a million
/// from being copied when it grows, and a slot that is out of line from costing more than a page.
const PAGE_SLOTS: u32 = 512;

/// What the index keeps of one client; the texts stand in [`super::interner::Names`].
///
/// As large as a cache line, and on one: a change reads an entry that is in no cache.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct IndexEntry {
    pub(super) uuid: ClientUuid,
    pub(super) number: JoinNumber,
    pub(super) tenant: NameId,
    /// Only of those whom an ident can reach.
    pub(super) ident: Option<NameId>,
    /// Those of its tags; none unless it is reached by them.
    pub(super) rows: TagIds,
    pub(super) reach: Reach,
}

const _: () =
    assert!(size_of::<Option<IndexEntry>>() == 64, "a million clients are 64 MB of entries");

/// What reaches a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Tags, UUID and ident: web-type clients.
    Tags,
    /// UUID and ident only: php-type clients.
    Name,
    /// Nothing: clients that take no publications.
    Nothing,
}

/// The entries of all workers.
#[derive(Debug, Default)]
pub(super) struct Directory {
    seats: BTreeMap<WorkerId, WorkerEntries>,
    clients: usize,
}

/// The entries of one worker.
#[derive(Debug, Default)]
struct WorkerEntries {
    /// In ascending order of their numbers, none of them empty.
    pages: Vec<EntryPage>,
    clients: usize,
}

impl WorkerEntries {
    fn page(&self, number: u32) -> Result<usize, usize> {
        // slots are dense, so page n is nearly always the n-th
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
    clients: usize,
}

impl EntryPage {
    fn new(number: u32) -> Self {
        Self { number, entries: (0..PAGE_SLOTS).map(|_| None).collect(), clients: 0 }
    }
}

impl Directory {
    /// Puts an entry to its place, which must be free: see [`Self::get`].
    pub(super) fn put(&mut self, place: ConnectionRef, entry: IndexEntry) {
        debug_assert!(self.get(place).is_none(), "a place is given to one client");
        let (number, at) = split(place.slot);
        let seat = self.seats.entry(place.worker).or_default();
        let page = seat.page(number).unwrap_or_else(|page| {
            seat.pages.insert(page, EntryPage::new(number));
            page
        });
        let Some(page) = seat.pages.get_mut(page) else { return };
        let Some(free) = page.entries.get_mut(at) else { return };
        *free = Some(entry);
        page.clients += 1;
        seat.clients += 1;
        self.clients += 1;
    }

    /// The entry of a place.
    pub(super) fn get(&self, place: ConnectionRef) -> Option<&IndexEntry> {
        let (number, at) = split(place.slot);
        let seat = self.seats.get(&place.worker)?;
        seat.pages.get(seat.page(number).ok()?)?.entries.get(at)?.as_ref()
    }

    /// The entry of a place, to change it.
    pub(super) fn get_mut(&mut self, place: ConnectionRef) -> Option<&mut IndexEntry> {
        let (number, at) = split(place.slot);
        let seat = self.seats.get_mut(&place.worker)?;
        let page = seat.page(number).ok()?;
        seat.pages.get_mut(page)?.entries.get_mut(at)?.as_mut()
    }

    /// Frees a place, and all memory that only it needed.
    pub(super) fn take(&mut self, place: ConnectionRef) -> Option<IndexEntry> {
        let (number, at) = split(place.slot);
        let seat = self.seats.get_mut(&place.worker)?;
        let nth = seat.page(number).ok()?;
        let page = seat.pages.get_mut(nth)?;
        let entry = page.entries.get_mut(at)?.take()?;
        page.clients -= 1;
        seat.clients -= 1;
        self.clients -= 1;
        if page.clients == 0 {
            seat.pages.remove(nth);
        }
        if seat.clients == 0 {
            self.seats.remove(&place.worker);
        }
        Some(entry)
    }

    /// The places of a worker's last page, from the last to the first; `None` when it has none.
    pub(super) fn last_of(&self, worker: WorkerId) -> Option<Vec<ConnectionRef>> {
        let page = self.seats.get(&worker)?.pages.last()?;
        let taken = slots_of(page.number).zip(&page.entries).filter(|(_, entry)| entry.is_some());
        let mut places: Vec<ConnectionRef> =
            taken.map(|(slot, _)| ConnectionRef { worker, slot: Slot(slot) }).collect();
        places.reverse();
        Some(places)
    }

    /// How many clients there are.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// How many clients one worker has.
    pub(super) fn clients_of(&self, worker: WorkerId) -> usize {
        self.seats.get(&worker).map_or(0, |seat| seat.clients)
    }

    /// Every client with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionRef, &IndexEntry)> {
        self.seats.iter().flat_map(|(worker, seat)| {
            seat.pages.iter().flat_map(|page| {
                slots_of(page.number).zip(&page.entries).filter_map(|(slot, entry)| {
                    Some((ConnectionRef { worker: *worker, slot: Slot(slot) }, entry.as_ref()?))
                })
            })
        })
    }
}

/// The page of a slot, and where in it.
fn split(slot: Slot) -> (u32, usize) {
    // lossless: the rest is below PAGE_SLOTS
    (slot.0 / PAGE_SLOTS, usize::try_from(slot.0 % PAGE_SLOTS).unwrap_or(usize::MAX))
}

/// The slots of a page; the last page ends with the last slot there is.
fn slots_of(page: u32) -> RangeInclusive<u32> {
    let first = page * PAGE_SLOTS;
    first..=first + (PAGE_SLOTS - 1)
}

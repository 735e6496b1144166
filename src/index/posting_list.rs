//! The members of one row: the clients that carry one tag.

use roaring::RoaringBitmap;
use smallvec::SmallVec;

use super::slot_bitmap::{SlotBitmap, difference};
use crate::types::{ConnectionRef, SlotSet, WorkerId};

/// Maximum number of members that are stored as a plain list. So few members are scattered over workers and
/// slots, where the bitmaps together would take more memory than the list, and changes would be slower. Tests
/// and fuzz targets use a smaller value, so that short inputs also reach the bitmaps.
const FEW_MAX: usize = if cfg!(any(test, fuzzing)) { 32 } else { 256 };

/// The clients of one row.
///
/// Most rows of a tag such as `user=…` have one member. Such a row allocates no memory.
#[derive(Debug)]
pub(super) enum PostingList {
    /// A plain list.
    Few {
        /// Position of its row in the column of the tag name.
        column: ColumnPlace,
        /// Places in ascending order, at most [`FEW_MAX`].
        places: SmallVec<[ConnectionRef; 2]>,
    },
    /// Bitmaps.
    Many {
        /// Position of its row in the column of the tag name.
        column: ColumnPlace,
        /// In ascending order of their workers; no bitmap is empty.
        sets: Vec<(WorkerId, SlotBitmap)>,
    },
}

const _: () = assert!(
    size_of::<PostingList>() == 32,
    "a place in a column takes no memory, because it is in what was padding"
);

/// Position of a row in the column of its tag name, and whether that column has its own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnPlace(u32);

impl ColumnPlace {
    /// In no column: the row is new.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// The bit that says that the column has a list of its own, which each change of the row must update.
    const IS_LISTED: u32 = 1 << 31;

    /// The place at this position.
    pub(super) fn at(position: u32) -> Self {
        debug_assert!(position < Self::IS_LISTED - 1, "fewer rows than 2^31");
        Self(position)
    }

    /// The same place in a column that has a list of its own.
    pub(super) fn listed(self) -> Self {
        Self(self.0 | Self::IS_LISTED)
    }

    /// The same place in a column that has no list of its own.
    pub(super) fn unlisted(self) -> Self {
        Self(self.0 & !Self::IS_LISTED)
    }

    /// The position in the column.
    pub(super) fn position(self) -> u32 {
        self.0 & !Self::IS_LISTED
    }

    /// Returns whether a change of the row changes the column too: the row is new, or the column has a list.
    pub(super) fn needs_column(self) -> bool {
        self.0 & Self::IS_LISTED != 0
    }
}

impl Default for PostingList {
    fn default() -> Self {
        Self::Few { column: ColumnPlace::NONE, places: SmallVec::new() }
    }
}

impl PostingList {
    /// Builds a list of these clients, which are grouped by worker in ascending order.
    pub(super) fn of(found: Vec<(WorkerId, RoaringBitmap)>) -> Self {
        let sets = found.into_iter().filter(|(_, slots)| !slots.is_empty());
        let sets = sets.map(|(worker, slots)| (worker, SlotBitmap::of(slots))).collect();
        Self::Many { column: ColumnPlace::NONE, sets }
    }

    /// Returns where its row is in the column of the tag name.
    pub(super) fn column(&self) -> ColumnPlace {
        match self {
            Self::Few { column, .. } | Self::Many { column, .. } => *column,
        }
    }

    /// Moves its row to another place of a column.
    pub(super) fn set_column(&mut self, place: ColumnPlace) {
        match self {
            Self::Few { column, .. } | Self::Many { column, .. } => *column = place,
        }
    }

    /// Adds a client. A client that is already a member stays.
    pub(super) fn insert(&mut self, place: ConnectionRef) {
        match self {
            Self::Few { column, places } => {
                let Err(at) = places.binary_search(&place) else { return };
                if places.len() < FEW_MAX {
                    places.insert(at, place);
                    return;
                }
                *self = Self::many(*column, places);
                self.insert(place);
            }
            Self::Many { sets, .. } => {
                let at = find(sets, place.worker).unwrap_or_else(|at| {
                    sets.insert(at, (place.worker, SlotBitmap::new()));
                    at
                });
                if let Some((_, slots)) = sets.get_mut(at) {
                    slots.insert(place.slot);
                }
            }
        }
    }

    fn many(column: ColumnPlace, places: &[ConnectionRef]) -> Self {
        let mut many = Self::Many { column, sets: Vec::new() };
        places.iter().for_each(|place| many.insert(*place));
        many
    }

    /// Removes a client, if it is a member.
    pub(super) fn remove(&mut self, place: ConnectionRef) {
        match self {
            Self::Few { places, .. } => {
                if let Ok(at) = places.binary_search(&place) {
                    places.remove(at);
                }
            }
            Self::Many { sets, .. } => {
                let Ok(at) = find(sets, place.worker) else { return };
                let Some((_, slots)) = sets.get_mut(at) else { return };
                slots.remove(place.slot);
                if slots.len() == 0 {
                    sets.remove(at);
                }
            }
        }
    }

    /// Returns whether a client is a member.
    pub(super) fn contains(&self, place: ConnectionRef) -> bool {
        match self {
            Self::Few { places, .. } => places.binary_search(&place).is_ok(),
            Self::Many { .. } => {
                self.slots(place.worker).is_some_and(|slots| slots.contains(place.slot))
            }
        }
    }

    /// Returns whether the row has no members.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few { places, .. } => places.is_empty(),
            Self::Many { sets, .. } => sets.is_empty(),
        }
    }

    /// Returns the number of members.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Few { places, .. } => u64::try_from(places.len()).unwrap_or(u64::MAX),
            Self::Many { sets, .. } => sets.iter().map(|(_, slots)| slots.len()).sum(),
        }
    }

    /// Returns the bitmap of one worker; `None` if the row is a list or the worker has no members.
    fn slots(&self, worker: WorkerId) -> Option<&SlotBitmap> {
        let Self::Many { sets, .. } = self else { return None };
        sets.get(find(sets, worker).ok()?).map(|(_, slots)| slots)
    }

    /// Returns the members of each worker: places of a list, or a bitmap.
    pub(super) fn parts(&self) -> (&[ConnectionRef], &[(WorkerId, SlotBitmap)]) {
        match self {
            Self::Few { places, .. } => (places, &[]),
            Self::Many { sets, .. } => (&[], sets),
        }
    }

    /// Returns all members, grouped by worker.
    pub(super) fn sets(&self) -> Vec<(WorkerId, SlotSet)> {
        match self {
            Self::Few { places, .. } => grouped(places).collect(),
            Self::Many { sets, .. } => sets.iter().map(|(w, slots)| (*w, slots.to_set())).collect(),
        }
    }
}

/// Returns the clients that are in all of these rows.
///
/// The cost depends on the smallest row. The places of a list are looked up in the other rows; bitmaps are
/// intersected, starting with the smallest.
pub(super) fn intersection(rows: Vec<&PostingList>) -> Vec<(WorkerId, SlotSet)> {
    intersection_without(rows, &[])
}

/// Returns the clients that are in all of these rows and in none of the others.
pub(super) fn intersection_without(
    mut rows: Vec<&PostingList>,
    without: &[&PostingList],
) -> Vec<(WorkerId, SlotSet)> {
    rows.sort_by_key(|row| (matches!(row, PostingList::Many { .. }), row.len()));
    let Some((smallest, others)) = rows.split_first() else { return Vec::new() };
    match smallest {
        PostingList::Few { places, .. } => {
            let inside = |place: &ConnectionRef| {
                others.iter().all(|row| row.contains(*place))
                    && !without.iter().any(|row| row.contains(*place))
            };
            let places: Vec<ConnectionRef> = places.iter().copied().filter(inside).collect();
            grouped(&places).collect()
        }
        PostingList::Many { sets, .. } => sets
            .iter()
            .filter_map(|(worker, slots)| {
                let others = others.iter().map(|row| row.slots(*worker));
                let all: Option<Vec<&SlotBitmap>> =
                    std::iter::once(Some(slots)).chain(others).collect();
                Some((*worker, without_rows(*worker, &all?, without)?))
            })
            .collect(),
    }
}

/// Returns the slots of one worker that are in all of these bitmaps and in none of the rows; `None` if there
/// are none.
fn without_rows(
    worker: WorkerId,
    all: &[&SlotBitmap],
    without: &[&PostingList],
) -> Option<SlotSet> {
    let bitmaps: SmallVec<[&SlotBitmap; 4]> =
        without.iter().filter_map(|row| row.slots(worker)).collect();
    let mut slots = difference(all, &bitmaps);
    for row in without {
        for place in row.parts().0.iter().filter(|place| place.worker == worker) {
            slots.0.remove(place.slot.0);
        }
    }
    (!slots.is_empty()).then_some(slots)
}

/// Groups places in ascending order by worker.
fn grouped(places: &[ConnectionRef]) -> impl Iterator<Item = (WorkerId, SlotSet)> + '_ {
    places.chunk_by(|a, b| a.worker == b.worker).filter_map(|group| {
        let worker = group.first()?.worker;
        Some((worker, group.iter().map(|place| place.slot).collect()))
    })
}

fn find(sets: &[(WorkerId, SlotBitmap)], worker: WorkerId) -> Result<usize, usize> {
    sets.binary_search_by_key(&worker, |(worker, _)| *worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Slot;

    fn place(worker: u16, slot: u32) -> ConnectionRef {
        ConnectionRef { worker: WorkerId(worker), slot: Slot(slot) }
    }

    fn row(places: impl IntoIterator<Item = ConnectionRef>) -> PostingList {
        let mut row = PostingList::default();
        places.into_iter().for_each(|place| row.insert(place));
        row
    }

    fn flat(sets: Vec<(WorkerId, SlotSet)>) -> Vec<ConnectionRef> {
        let places = |(worker, slots): (WorkerId, SlotSet)| {
            slots.iter().map(|slot| ConnectionRef { worker, slot }).collect::<Vec<_>>()
        };
        sets.into_iter().flat_map(places).collect()
    }

    #[test]
    fn a_row_keeps_all_clients_when_its_form_changes() {
        let all: Vec<ConnectionRef> =
            (0..100).map(|n| place(n % 3, u32::from(n) * 7_000)).collect();
        let mut row = row(all.iter().rev().copied());
        assert!(matches!(row, PostingList::Many { .. }));
        for (gone, place) in all.iter().enumerate() {
            assert!(row.contains(*place));
            assert_eq!(row.len(), 100 - u64::try_from(gone).unwrap());
            row.remove(*place);
            assert!(!row.contains(*place));
            assert!(row.sets().iter().all(|(_, slots)| !slots.is_empty()));
        }
        assert!(row.is_empty());
    }

    #[test]
    fn adding_twice_and_removing_an_absent_client_are_harmless() {
        for size in [3, 100] {
            let mut row = row((0..size).map(|slot| place(1, slot)));
            row.insert(place(1, 2));
            row.remove(place(0, 2));
            row.remove(place(1, size));
            assert_eq!(row.len(), u64::from(size));
        }
    }

    #[test]
    fn lists_and_bitmaps_intersect_alike() {
        let multiples = |of: usize, up_to: u32| {
            row((0..up_to).step_by(of).flat_map(|slot| [place(0, slot), place(9, slot)]))
        };
        for (of, up_to) in [(1, 10), (1, 400), (5, 400), (3, 60_000)] {
            let (two, three, own) = (multiples(2, 400), multiples(3, 300), multiples(of, up_to));
            let expected: Vec<ConnectionRef> = flat(own.sets())
                .into_iter()
                .filter(|p| two.contains(*p) && three.contains(*p))
                .collect();
            assert_eq!(flat(intersection(vec![&two, &own, &three])), expected);
        }
    }

    #[test]
    fn a_worker_without_a_match_is_not_named() {
        let (low, high) = (row((0..50).map(|n| place(n % 2, u32::from(n)))), row([place(0, 0)]));
        assert_eq!(flat(intersection(vec![&low, &high])), [place(0, 0)]);
        let even: PostingList = row((0..50).map(|n| place(0, n)));
        let odd = row((0..50).map(|n| place(1, n)).chain([place(0, 99)]));
        assert_eq!(intersection(vec![&even, &odd]), []);
    }
}

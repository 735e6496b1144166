//! Set operations over the clients of all workers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::posting_list::PostingList;
use super::slot_union::SlotUnion;
use crate::types::{ConnectionRef, WorkerId};

/// Slots by worker, in ascending order of the workers.
pub(super) type Found = Vec<(WorkerId, RoaringBitmap)>;

/// Returns the clients that are in at least one of these rows.
pub(super) fn union(rows: &[&PostingList]) -> Found {
    let mut workers: BTreeMap<WorkerId, SlotUnion<'_>> = BTreeMap::new();
    for row in rows {
        let (places, sets) = row.parts();
        for place in places {
            workers.entry(place.worker).or_default().push(place.slot);
        }
        for (worker, slots) in sets {
            workers.entry(*worker).or_default().add(slots);
        }
    }
    workers.into_iter().map(|(worker, union)| (worker, union.finish())).collect()
}

/// Adds what another set contains.
pub(super) fn unite(found: &mut Found, other: Cow<'_, Found>) {
    if found.is_empty() {
        *found = other.into_owned();
        return;
    }
    for (worker, slots) in other.iter() {
        match found.binary_search_by_key(worker, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, own)) = found.get_mut(at) {
                    *own |= slots;
                }
            }
            Err(at) => found.insert(at, (*worker, slots.clone())),
        }
    }
}

/// Keeps what another set contains too.
pub(super) fn intersect(found: &mut Found, other: &Found) {
    found.retain_mut(|(worker, slots)| {
        let Some(other) = of(other, *worker) else { return false };
        *slots &= other;
        !slots.is_empty()
    });
}

/// Removes what another set contains.
pub(super) fn subtract(found: &mut Found, other: &Found) {
    found.retain_mut(|(worker, slots)| {
        if let Some(other) = of(other, *worker) {
            *slots -= other;
        }
        !slots.is_empty()
    });
}

/// Returns how many clients there are.
pub(super) fn len(found: &Found) -> u64 {
    found.iter().map(|(_, slots)| slots.len()).sum()
}

/// Returns true if the client of a place is among them.
pub(super) fn contains(found: &Found, place: ConnectionRef) -> bool {
    of(found, place.worker).is_some_and(|slots| slots.contains(place.slot.0))
}

fn of(found: &Found, worker: WorkerId) -> Option<&RoaringBitmap> {
    let at = found.binary_search_by_key(&worker, |(known, _)| *known).ok()?;
    found.get(at).map(|(_, slots)| slots)
}

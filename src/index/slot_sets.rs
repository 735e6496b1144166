//! Places of clients in sets of slots by worker.

use crate::types::{ConnectionRef, SlotSet, WorkerId};

/// Removes a place from sets of slots by worker.
pub(super) fn remove(sets: &mut Vec<(WorkerId, SlotSet)>, place: ConnectionRef) {
    let Ok(at) = sets.binary_search_by_key(&place.worker, |(worker, _)| *worker) else { return };
    let Some((_, slots)) = sets.get_mut(at) else { return };
    slots.0.remove(place.slot.0);
    if slots.is_empty() {
        sets.remove(at);
    }
}

/// Returns whether a place is in sets of slots by worker.
pub(super) fn has_place(sets: &[(WorkerId, SlotSet)], place: ConnectionRef) -> bool {
    let set = sets.binary_search_by_key(&place.worker, |(worker, _)| *worker);
    set.ok().and_then(|at| sets.get(at)).is_some_and(|(_, slots)| slots.contains(place.slot))
}

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

/// Keeps what other sets contain too.
pub(super) fn keep_common(sets: &mut Vec<(WorkerId, SlotSet)>, others: &[(WorkerId, SlotSet)]) {
    sets.retain_mut(|(worker, slots)| {
        let at = others.binary_search_by_key(worker, |(worker, _)| *worker);
        let Some((_, other)) = at.ok().and_then(|at| others.get(at)) else { return false };
        slots.0 &= &other.0;
        !slots.is_empty()
    });
}

/// Returns whether a place is in sets of slots by worker.
pub(super) fn has_place(sets: &[(WorkerId, SlotSet)], place: ConnectionRef) -> bool {
    let set = sets.binary_search_by_key(&place.worker, |(worker, _)| *worker);
    set.ok().and_then(|at| sets.get(at)).is_some_and(|(_, slots)| slots.contains(place.slot))
}

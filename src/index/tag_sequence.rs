//! Resolves a sequence of tags ([`Recipients::TagSequence`](crate::types::Recipients::TagSequence)).

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::posting_list::PostingList;
use crate::types::{SlotSet, WorkerId};

/// Returns the clients that match these tags, which are in the order of the address. The first tag that any
/// client carries starts the result, and each later tag narrows it. If the result becomes empty, the next tag
/// starts again.
pub(super) fn narrowed<'r>(
    rows: impl Iterator<Item = &'r PostingList>,
) -> Vec<(WorkerId, SlotSet)> {
    let mut found: BTreeMap<WorkerId, RoaringBitmap> = BTreeMap::new();
    for row in rows {
        let carry = row.sets().into_iter().map(|(worker, slots)| (worker, slots.0));
        if found.is_empty() {
            found = carry.collect();
        } else {
            let carry: BTreeMap<_, _> = carry.collect();
            found.retain(|worker, slots| {
                *slots &= carry.get(worker).cloned().unwrap_or_default();
                !slots.is_empty()
            });
        }
    }
    found.into_iter().map(|(worker, slots)| (worker, SlotSet(slots))).collect()
}

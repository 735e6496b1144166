//! The clients that a sequence of tags matches
//! ([`Recipients::TagSequence`](crate::types::Recipients::TagSequence)).

use super::posting_list::{PostingList, intersection};
use crate::types::{SlotSet, WorkerId};

/// Returns the clients of these rows, which are in the order of the address. A row starts the search; each
/// row after it narrows it. When no client is left, the next row starts the search again.
///
/// Rows are intersected together and not one after the other, which would copy each of them.
pub(super) fn narrowed(mut rows: &[&PostingList]) -> Vec<(WorkerId, SlotSet)> {
    loop {
        let taken = longest_common(rows);
        if taken == rows.len() {
            return intersection(rows.to_vec());
        }
        // The row after them leaves no client.
        rows = rows.get(taken + 1..).unwrap_or_default();
    }
}

/// Returns the number of rows at the start that have common clients: the first rows are tried in groups that
/// double in size, and the last group is searched in halves.
fn longest_common(rows: &[&PostingList]) -> usize {
    let has_common = |count: usize| {
        let first = rows.get(..count).unwrap_or_default();
        count < 2 || !intersection(first.to_vec()).is_empty()
    };
    let mut known = rows.len().min(1);
    let mut tried = 2;
    while tried < rows.len() && has_common(tried) {
        (known, tried) = (tried, tried * 2);
    }
    let mut end = tried.min(rows.len());
    if has_common(end) {
        return end;
    }
    while known + 1 < end {
        let middle = usize::midpoint(known, end);
        if has_common(middle) {
            known = middle;
        } else {
            end = middle;
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::{ConnectionRef, Slot};
    use proptest::prelude::*;

    fn row(slots: &BTreeSet<u32>) -> PostingList {
        let mut row = PostingList::default();
        for slot in slots {
            let worker = WorkerId(u16::from(slot % 3 == 0));
            row.insert(ConnectionRef { worker, slot: Slot(*slot) });
        }
        row
    }

    /// One row after the other, as the words of [`narrowed`] say.
    fn one_by_one(rows: &[BTreeSet<u32>]) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for row in rows {
            found = match found.is_empty() {
                true => row.clone(),
                false => found.intersection(row).copied().collect(),
            };
        }
        found
    }

    proptest! {
        #[test]
        fn rows_taken_together_match_what_they_match_one_by_one(
            rows in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(0_u32..12, 1..9),
                    prop::collection::vec(0_u32..90, 100..200),
                ],
                0..24,
            ),
        ) {
            let rows: Vec<BTreeSet<u32>> =
                rows.into_iter().map(|slots| slots.into_iter().collect()).collect();
            let lists: Vec<PostingList> = rows.iter().map(row).collect();
            let lists: Vec<&PostingList> = lists.iter().collect();
            let found: BTreeSet<u32> = narrowed(&lists)
                .into_iter()
                .flat_map(|(_, slots)| slots.iter().map(|slot| slot.0).collect::<Vec<_>>())
                .collect();
            prop_assert_eq!(found, one_by_one(&rows));
        }
    }
}

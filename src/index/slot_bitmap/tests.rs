//! The forms of a set of slots against plain sets.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn slots(from: impl IntoIterator<Item = u32>) -> SlotBitmap {
    let mut slots = SlotBitmap::new();
    from.into_iter().for_each(|slot| slots.insert(Slot(slot)));
    slots
}

fn numbers(set: &SlotSet) -> Vec<u32> {
    set.0.iter().collect()
}

fn is_dense(slots: &SlotBitmap) -> bool {
    matches!(slots.form, BitmapForm::Dense(_))
}

#[test]
fn a_full_range_is_dense_until_it_has_emptied() {
    let mut own = slots(0..100_000);
    assert!(is_dense(&own));
    for slot in 0..99_999 {
        own.remove(Slot(slot));
    }
    assert!(!is_dense(&own));
    assert_eq!((numbers(&own.to_set()), own.len()), (vec![99_999], 1));
}

#[test]
fn a_distant_slot_allocates_no_memory() {
    let mut own = slots(0..10_000);
    own.insert(Slot(u32::MAX));
    assert!(!is_dense(&own));
    assert_eq!((own.len(), own.contains(Slot(u32::MAX))), (10_001, true));
    own.remove(Slot(u32::MAX));
    (10_000..10_300).for_each(|slot| own.insert(Slot(slot)));
    assert!(is_dense(&own));
    assert_eq!(numbers(&own.to_set()), (0..10_300).collect::<Vec<_>>());
}

#[test]
fn list_overflow_is_detected_where_a_sample_misses_it() {
    let many_slots = 2 * BLOCK_SLOTS..4 * BLOCK_SLOTS;
    let [mut one, mut other] = [slots(many_slots.clone()), slots(many_slots.clone())];
    (0..100_000).step_by(1_000).for_each(|slot| one.insert(Slot(slot)));
    other.insert(Slot(100_000));
    assert!(is_dense(&one) && is_dense(&other));
    assert_eq!(numbers(&difference(&[&one, &other], &[])), many_slots.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_form_the_slots_are_those_of_a_plain_set(
        steps in vec((prop::bool::weighted(0.7), 0..40_u32, 1..2_000_u32, 1..40_usize), 1..8),
    ) {
        let (mut own, mut model) = (SlotBitmap::new(), BTreeSet::new());
        for (joins, first, count, stride) in steps {
            let range = (first * 1_000..).step_by(stride).take(usize::try_from(count).unwrap());
            for slot in range {
                if joins {
                    own.insert(Slot(slot));
                    model.insert(slot);
                } else {
                    own.remove(Slot(slot));
                    model.remove(&slot);
                }
                assert_eq!(own.contains(Slot(slot)), joins);
            }
            assert_eq!(own.len(), u64::try_from(model.len()).unwrap());
            assert!(own.to_set().0.iter().eq(model.iter().copied()));
        }
    }

    #[test]
    fn forms_are_intersected_alike(
        strides in vec((1..40_usize, 1..60_000_u32), 1..5),
    ) {
        let all: Vec<SlotBitmap> = strides.iter().map(|(s, end)| slots((0..*end).step_by(*s))).collect();
        let expected: Vec<u32> = (0..60_000)
            .filter(|slot| all.iter().all(|set| set.contains(Slot(*slot))))
            .collect();
        prop_assert_eq!(numbers(&difference(&all.iter().collect::<Vec<_>>(), &[])), expected);
        let (first, others) = all.split_first().unwrap();
        let alone: Vec<u32> = (0..60_000)
            .filter(|slot| first.contains(Slot(*slot)))
            .filter(|slot| !others.iter().any(|set| set.contains(Slot(*slot))))
            .collect();
        let others: Vec<_> = others.iter().collect();
        prop_assert_eq!(numbers(&difference(&[first], &others)), alone);
    }
}

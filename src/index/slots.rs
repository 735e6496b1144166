//! The slots of one worker in one row: compressed while they are sparse, plain bits where dense.

use roaring::RoaringBitmap;

use crate::types::{Slot, SlotSet};

/// Slots for one member of a row at which plain bits cost as much memory as compressed ones (two
/// bytes each); denser ones are intersected several times faster as plain bits.
const DENSE_SLOTS_EACH: u64 = 16;
/// Slots for one member at which plain bits are given up; far enough from [`DENSE_SLOTS_EACH`]
/// that a row does not go to and fro.
const SPARSE_SLOTS_EACH: u64 = 64;
/// Fewer members are never dense: not worth it.
const DENSE_MIN: u64 = 1024;
/// Members that may join before a sparse set is looked at again.
const LOOK_EVERY: u64 = 256;

const _: () = assert!(SPARSE_SLOTS_EACH >= 2 * DENSE_SLOTS_EACH, "no conversion soon undone");

/// The slots of one worker that are in one row.
#[derive(Debug)]
pub(super) struct Slots {
    form: Form,
    len: u64,
}

#[derive(Debug)]
enum Form {
    Sparse(RoaringBitmap),
    /// Bit n of word m is slot 64 m + n.
    Dense(Vec<u64>),
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { form: Form::Sparse(RoaringBitmap::new()), len: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        match &self.form {
            Form::Sparse(slots) => slots.contains(slot.0),
            Form::Dense(words) => contains(words, slot.0),
        }
    }

    /// Adds a slot; one that is in it already stays.
    pub(super) fn insert(&mut self, slot: Slot) {
        let new = match &mut self.form {
            Form::Sparse(slots) => slots.insert(slot.0),
            Form::Dense(words) => {
                let (at, bit) = split(slot.0);
                if at >= words.len() && words_of(at + 1) > (self.len + 1) * SPARSE_SLOTS_EACH {
                    self.form = Form::Sparse(sparse(words));
                    return self.insert(slot);
                }
                if at >= words.len() {
                    words.resize(at + 1, 0);
                }
                words.get_mut(at).is_some_and(|word| {
                    let new = *word & bit == 0;
                    *word |= bit;
                    new
                })
            }
        };
        self.len += u64::from(new);
        if new && self.len.is_multiple_of(LOOK_EVERY) {
            self.look_for_dense();
        }
    }

    fn look_for_dense(&mut self) {
        let Form::Sparse(slots) = &self.form else { return };
        let Some(last) = slots.max() else { return };
        if self.len < DENSE_MIN || u64::from(last) >= self.len * DENSE_SLOTS_EACH {
            return;
        }
        let mut words = vec![0; split(last).0 + 1];
        for slot in slots {
            let (at, bit) = split(slot);
            if let Some(word) = words.get_mut(at) {
                *word |= bit;
            }
        }
        self.form = Form::Dense(words);
    }

    /// Removes a slot, if it is in it.
    pub(super) fn remove(&mut self, slot: Slot) {
        match &mut self.form {
            Form::Sparse(slots) => self.len -= u64::from(slots.remove(slot.0)),
            Form::Dense(words) => {
                let (at, bit) = split(slot.0);
                let Some(word) = words.get_mut(at).filter(|word| **word & bit != 0) else { return };
                *word &= !bit;
                self.len -= 1;
                if words_of(words.len()) > self.len * SPARSE_SLOTS_EACH {
                    self.form = Form::Sparse(sparse(words));
                }
            }
        }
    }

    /// All of them.
    pub(super) fn to_set(&self) -> SlotSet {
        SlotSet(match &self.form {
            Form::Sparse(slots) => slots.clone(),
            Form::Dense(words) => compressed(words),
        })
    }
}

/// The slots that are in all of these; the cost follows the smallest.
pub(super) fn common(sets: &[&Slots]) -> SlotSet {
    let (mut sparse, mut dense) = (Vec::new(), Vec::new());
    for set in sets {
        match &set.form {
            Form::Sparse(slots) => sparse.push((set.len, slots)),
            Form::Dense(words) => dense.push(words.as_slice()),
        }
    }
    sparse.sort_by_key(|(len, _)| *len);
    let mut sparse = sparse.into_iter().map(|(_, slots)| slots);
    let Some(first) = sparse.next() else { return SlotSet(compressed(&common_words(&dense))) };
    let mut slots = sparse.next().map_or_else(|| first.clone(), |second| first & second);
    sparse.for_each(|more| slots &= more);
    if !dense.is_empty() {
        let inside = |slot: &u32| dense.iter().all(|words| contains(words, *slot));
        slots = sorted(slots.iter().filter(inside));
    }
    SlotSet(slots)
}

fn common_words(sets: &[&[u64]]) -> Vec<u64> {
    let Some(shortest) = sets.iter().min_by_key(|words| words.len()) else { return Vec::new() };
    let mut common = shortest.to_vec();
    for words in sets.iter().filter(|words| !std::ptr::eq(**words, *shortest)) {
        common.iter_mut().zip(*words).for_each(|(word, other)| *word &= other);
    }
    common
}

/// Whichever of the two ways is faster; a sample tells how dense the bits are.
fn compressed(words: &[u64]) -> RoaringBitmap {
    const SAMPLE_EVERY: usize = 16;
    let sampled: u64 =
        words.iter().step_by(SAMPLE_EVERY).map(|word| u64::from(word.count_ones())).sum();
    if sampled * DENSE_SLOTS_EACH < words_of(words.len() / SAMPLE_EVERY) {
        return sparse(words);
    }
    let mut bytes = vec![0; size_of_val(words)];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    RoaringBitmap::from_lsb0_bytes(0, &bytes)
}

/// First which words have bits, then which bits: a branch for each word would be guessed wrong
/// for each slot that is found, which took half of the time of a query.
fn sparse(words: &[u64]) -> RoaringBitmap {
    let mut slots = Vec::new();
    let mut first = 0_u32;
    for block in words.chunks(64) {
        let used = (0..).zip(block).fold(0, |used, (at, word)| used | u64::from(*word != 0) << at);
        for at in ones(used) {
            let word = usize::try_from(at).ok().and_then(|at| block.get(at));
            slots.extend(ones(word.copied().unwrap_or(0)).map(|bit| first + 64 * at + bit));
        }
        first = first.wrapping_add(64 * 64);
    }
    sorted(slots)
}

/// The numbers of the bits that are set.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

/// Appending costs less than inserting.
fn sorted(slots: impl IntoIterator<Item = u32>) -> RoaringBitmap {
    RoaringBitmap::from_sorted_iter(slots).unwrap_or_else(|wrong| {
        debug_assert!(false, "ascending slots: {wrong}");
        RoaringBitmap::new()
    })
}

fn contains(words: &[u64], slot: u32) -> bool {
    let (at, bit) = split(slot);
    words.get(at).is_some_and(|word| word & bit != 0)
}

/// The word of a slot, and its bit in it.
fn split(slot: u32) -> (usize, u64) {
    // lossless: the crate is built for targets of 32 bits and more
    (usize::try_from(slot / 64).unwrap_or(usize::MAX), 1 << (slot % 64))
}

/// Slots that so many words have room for.
fn words_of(words: usize) -> u64 {
    u64::try_from(words).unwrap_or(u64::MAX).saturating_mul(64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn slots(from: impl IntoIterator<Item = u32>) -> Slots {
        let mut slots = Slots::new();
        from.into_iter().for_each(|slot| slots.insert(Slot(slot)));
        slots
    }

    fn listed(set: &SlotSet) -> Vec<u32> {
        set.0.iter().collect()
    }

    fn is_dense(slots: &Slots) -> bool {
        matches!(slots.form, Form::Dense(_))
    }

    #[test]
    fn a_full_range_is_dense_until_it_has_emptied() {
        let mut own = slots(0..100_000);
        assert!(is_dense(&own));
        for slot in 0..99_999 {
            own.remove(Slot(slot));
        }
        assert!(!is_dense(&own));
        assert_eq!((listed(&own.to_set()), own.len()), (vec![99_999], 1));
    }

    #[test]
    fn a_slot_out_of_line_costs_no_memory() {
        let mut own = slots(0..10_000);
        own.insert(Slot(u32::MAX));
        assert!(!is_dense(&own));
        assert_eq!((own.len(), own.contains(Slot(u32::MAX))), (10_001, true));
        own.remove(Slot(u32::MAX));
        (10_000..10_300).for_each(|slot| own.insert(Slot(slot)));
        assert!(is_dense(&own));
        assert_eq!(listed(&own.to_set()), (0..10_300).collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_the_form_the_slots_are_those_of_a_plain_set(
            steps in vec((prop::bool::weighted(0.7), 0..40_u32, 1..2_000_u32, 1..40_usize), 1..8),
        ) {
            let (mut own, mut model) = (Slots::new(), BTreeSet::new());
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
            let all: Vec<Slots> = strides.iter().map(|(s, end)| slots((0..*end).step_by(*s))).collect();
            let expected: Vec<u32> = (0..60_000)
                .filter(|slot| all.iter().all(|set| set.contains(Slot(*slot))))
                .collect();
            prop_assert_eq!(listed(&common(&all.iter().collect::<Vec<_>>())), expected);
        }
    }
}

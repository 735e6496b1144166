//! The union of many sets of slots of one worker.

use roaring::{MultiOps, RoaringBitmap};

use super::slot_bitmap::{BitmapForm, BlockBits, EMPTY, SlotBitmap, sorted, split};
use crate::types::Slot;

/// Words of plain bits for each slot at which slots are sorted or merged instead: a slot far from the others
/// would take memory up to itself.
const WORDS_EACH: usize = 4;
/// Fewer slots are sorted or merged.
const FEW_SLOTS: usize = 64;
/// Slots that are taken out of a compressed set at a time.
const BATCH_SLOTS: usize = 256;

/// Collects sets of slots of one worker.
#[derive(Debug, Default)]
pub(super) struct SlotUnion<'s> {
    /// The contents of dense bitmaps.
    blocks: Vec<BlockBits>,
    sparse: Vec<&'s RoaringBitmap>,
    lists: Vec<&'s [u32]>,
    /// Slots in the lists.
    listed: usize,
    /// Single slots, in no order.
    single: Vec<u32>,
}

impl<'s> SlotUnion<'s> {
    /// Adds all slots of a bitmap.
    pub(super) fn add(&mut self, slots: &'s SlotBitmap) {
        match slots.form() {
            BitmapForm::List(slots) => {
                self.listed += slots.len();
                self.lists.push(slots);
            }
            BitmapForm::Sparse(slots) => self.sparse.push(slots),
            BitmapForm::Dense(blocks) => {
                if self.blocks.len() < blocks.len() {
                    self.blocks.resize(blocks.len(), EMPTY);
                }
                for (own, other) in self.blocks.iter_mut().zip(blocks) {
                    own.iter_mut().zip(other).for_each(|(word, other)| *word |= other);
                }
            }
        }
    }

    /// Adds one slot.
    pub(super) fn push(&mut self, slot: Slot) {
        self.single.push(slot.0);
    }

    /// Returns the union.
    pub(super) fn finish(mut self) -> RoaringBitmap {
        self.enter_sparse();
        self.enter_lists();
        let single = self.take_single();
        let mut slots = match self.sparse.as_slice() {
            [] => single,
            [one] => single | *one,
            many => single | many.iter().copied().union(),
        };
        if !self.blocks.is_empty() {
            let words = self.blocks.as_flattened().iter();
            let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
            slots |= RoaringBitmap::from_lsb0_bytes(0, &bytes);
        }
        slots
    }

    /// Enters the compressed sets into the plain bits, unless these would be mostly empty. Setting a bit takes a
    /// fifth of the time that merging lists takes for each slot.
    fn enter_sparse(&mut self) {
        if self.sparse.len() < 2 {
            return;
        }
        let Some(last) = self.sparse.iter().filter_map(|slots| slots.max()).max() else { return };
        let count = self.sparse.iter().map(|slots| slots.len()).sum::<u64>();
        if !self.reserve(last, usize::try_from(count).unwrap_or(usize::MAX)) {
            return;
        }
        let words = self.blocks.as_flattened_mut();
        let mut buffer = [0; BATCH_SLOTS];
        for slots in self.sparse.drain(..) {
            let mut slots = slots.iter();
            loop {
                // A call for each slot would take most of the time.
                let batch = slots.next_many(&mut buffer);
                if batch.is_empty() {
                    break;
                }
                batch.iter().for_each(|slot| set(words, *slot));
            }
        }
    }

    /// Enters the lists into the plain bits, or adds them to the single slots.
    fn enter_lists(&mut self) {
        let Some(last) = self.lists.iter().filter_map(|list| list.last()).max() else { return };
        if !self.reserve(*last, self.listed) {
            self.single.extend(self.lists.drain(..).flatten());
            return;
        }
        let words = self.blocks.as_flattened_mut();
        for list in self.lists.drain(..) {
            list.iter().for_each(|slot| set(words, *slot));
        }
    }

    /// Returns the single slots, or enters them into the plain bits.
    fn take_single(&mut self) -> RoaringBitmap {
        let mut single = std::mem::take(&mut self.single);
        let Some(last) = single.iter().copied().max() else { return RoaringBitmap::new() };
        if !self.reserve(last, single.len()) {
            single.sort_unstable();
            single.dedup();
            return sorted(single);
        }
        let words = self.blocks.as_flattened_mut();
        single.into_iter().for_each(|slot| set(words, slot));
        RoaringBitmap::new()
    }

    /// Makes room for plain bits up to a slot. Returns false if there are too few slots for that.
    fn reserve(&mut self, last: u32, slots: usize) -> bool {
        let blocks = split(last).0 + 1;
        if blocks <= self.blocks.len() {
            return true;
        }
        let is_wide = blocks * EMPTY.len() > slots.saturating_mul(WORDS_EACH);
        if is_wide || slots < FEW_SLOTS {
            return false;
        }
        self.blocks.resize(blocks, EMPTY);
        true
    }
}

/// Sets the bit of a slot.
fn set(words: &mut [u64], slot: u32) {
    // lossless: the crate is built for targets of 32 bits and more
    let word = usize::try_from(slot / 64).unwrap_or(usize::MAX);
    if let Some(word) = words.get_mut(word) {
        *word |= 1 << (slot % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sets_of_any_form_are_united_like_plain_sets(
            sets in vec((0..40_u32, 1..30_usize, 0..3_000_usize), 0..4),
            single in vec(prop_oneof![0..20_000_u32, any::<u32>()], 0..200),
        ) {
            let of = |(first, stride, count): &(u32, usize, usize)| {
                (first * 1_000..).step_by(*stride).take(*count).collect::<Vec<u32>>()
            };
            let bitmaps: Vec<SlotBitmap> =
                sets.iter().map(|set| SlotBitmap::of(sorted(of(set)))).collect();
            let mut union = SlotUnion::default();
            bitmaps.iter().for_each(|bitmap| union.add(bitmap));
            single.iter().for_each(|slot| union.push(Slot(*slot)));
            let expected: BTreeSet<u32> = sets.iter().flat_map(of).chain(single).collect();
            prop_assert!(union.finish().iter().eq(expected));
        }
    }
}

//! The union of many sets of slots of one worker.

use roaring::{MultiOps, RoaringBitmap};

use super::slot_bitmap::{BitmapForm, BlockBits, EMPTY, SlotBitmap, sorted, split};
use crate::types::Slot;

/// Words of plain bits for each single slot at which these are sorted instead: a slot far from the others
/// would take memory up to itself.
const WORDS_EACH: usize = 4;
/// Fewer single slots are sorted.
const FEW_SLOTS: usize = 64;

/// Collects sets of slots of one worker.
#[derive(Debug, Default)]
pub(super) struct SlotUnion<'s> {
    /// The contents of dense bitmaps.
    blocks: Vec<BlockBits>,
    sparse: Vec<&'s RoaringBitmap>,
    /// Single slots, in no order.
    single: Vec<u32>,
}

impl<'s> SlotUnion<'s> {
    /// Adds all slots of a bitmap.
    pub(super) fn add(&mut self, slots: &'s SlotBitmap) {
        match slots.form() {
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

    /// Returns the single slots, or enters them into the plain bits.
    fn take_single(&mut self) -> RoaringBitmap {
        let mut single = std::mem::take(&mut self.single);
        let Some(last) = single.iter().copied().max() else { return RoaringBitmap::new() };
        let blocks = split(last).0 + 1;
        let is_wide = blocks * EMPTY.len() > single.len() * WORDS_EACH;
        if blocks > self.blocks.len() && (is_wide || single.len() < FEW_SLOTS) {
            single.sort_unstable();
            single.dedup();
            return sorted(single);
        }
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, EMPTY);
        }
        for slot in single {
            let (block, word, bit) = split(slot);
            if let Some(word) = self.blocks.get_mut(block).and_then(|it| it.get_mut(word)) {
                *word |= bit;
            }
        }
        RoaringBitmap::new()
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

//! The slots of one worker in one row: a list while they are few, a compressed bitmap while they are sparse,
//! plain bits when they are dense.

use roaring::RoaringBitmap;

use super::bitmap_builder::BitmapBuilder;
use crate::types::{Slot, SlotSet};

/// Slots per member at which plain bits take as much memory as a compressed bitmap (two bytes per member).
/// Denser slots are intersected several times faster as plain bits.
const DENSE_SLOTS_EACH: u64 = 16;
/// Slots per member at which plain bits are converted back. The distance from [`DENSE_SLOTS_EACH`] keeps a
/// row from switching back and forth.
const SPARSE_SLOTS_EACH: u64 = 64;
/// Fewer members than this are never plain bits, because these would gain nothing.
const DENSE_MIN: u64 = 1024;
/// Members up to which they are a list. It is one piece of memory. A compressed bitmap has one piece for each
/// 65,536 slots, and these are rarely in a cache when many bitmaps are united. Tests and fuzz targets use a
/// smaller value, so that short inputs also reach the other forms.
const LIST_MAX: usize = if cfg!(any(test, fuzzing)) { 48 } else { 1024 };
/// Members at which a compressed bitmap is converted back.
const LIST_AGAIN: u64 = if cfg!(any(test, fuzzing)) { 24 } else { 512 };
/// A sparse set is checked for density after this number of additional members.
const LOOK_EVERY: u64 = 256;

const _: () = assert!(SPARSE_SLOTS_EACH >= 2 * DENSE_SLOTS_EACH, "no conversion soon undone");

/// The slots of one worker in one row.
#[derive(Debug)]
pub(super) struct SlotBitmap {
    form: BitmapForm,
    len: u64,
}

/// How the slots are stored.
#[derive(Debug)]
pub(super) enum BitmapForm {
    /// In ascending order, at most [`LIST_MAX`].
    List(Vec<u32>),
    /// Compressed.
    Sparse(RoaringBitmap),
    /// As plain bits.
    Dense(Vec<BlockBits>),
}

/// Words per block of plain bits. Blocks are allocated and intersected as a unit.
const BLOCK_WORDS: usize = 64;
const BLOCK_SLOTS: u32 = 64 * 64;

/// Bit n of word m is slot 64 m + n of the block.
pub(super) type BlockBits = [u64; BLOCK_WORDS];

pub(super) const EMPTY: BlockBits = [0; BLOCK_WORDS];

impl SlotBitmap {
    pub(super) fn new() -> Self {
        Self { form: BitmapForm::List(Vec::new()), len: 0 }
    }

    /// Builds it from a compressed set.
    pub(super) fn of(slots: RoaringBitmap) -> Self {
        let mut own = Self { len: slots.len(), form: BitmapForm::Sparse(slots) };
        own.make_dense();
        own.make_list();
        own
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns how the slots are stored.
    pub(super) fn form(&self) -> &BitmapForm {
        &self.form
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        match &self.form {
            BitmapForm::List(slots) => slots.binary_search(&slot.0).is_ok(),
            BitmapForm::Sparse(slots) => slots.contains(slot.0),
            BitmapForm::Dense(blocks) => contains(blocks, slot.0),
        }
    }

    /// Adds a slot. A slot that is already a member stays.
    pub(super) fn insert(&mut self, slot: Slot) {
        let new = match &mut self.form {
            BitmapForm::List(slots) => {
                let Err(at) = slots.binary_search(&slot.0) else { return };
                if slots.len() >= LIST_MAX {
                    self.form = BitmapForm::Sparse(sorted(slots.iter().copied()));
                    return self.insert(slot);
                }
                slots.insert(at, slot.0);
                true
            }
            BitmapForm::Sparse(slots) => slots.insert(slot.0),
            BitmapForm::Dense(blocks) => {
                let (block, word, bit) = split(slot.0);
                if block >= blocks.len() {
                    if slots_of(block + 1) > (self.len + 1) * SPARSE_SLOTS_EACH {
                        self.form = BitmapForm::Sparse(compressed(&[blocks], &[]));
                        return self.insert(slot);
                    }
                    blocks.resize(block + 1, EMPTY);
                }
                blocks.get_mut(block).and_then(|it| it.get_mut(word)).is_some_and(|word| {
                    let new = *word & bit == 0;
                    *word |= bit;
                    new
                })
            }
        };
        self.len += u64::from(new);
        if new && self.len.is_multiple_of(LOOK_EVERY) {
            self.make_dense();
        }
    }

    /// Converts a compressed bitmap of few members to a list.
    fn make_list(&mut self) {
        if let BitmapForm::Sparse(slots) = &self.form
            && self.len <= LIST_AGAIN
        {
            self.form = BitmapForm::List(slots.iter().collect());
        }
    }

    fn make_dense(&mut self) {
        let BitmapForm::Sparse(slots) = &self.form else { return };
        let Some(last) = slots.max() else { return };
        if self.len < DENSE_MIN || u64::from(last) >= self.len * DENSE_SLOTS_EACH {
            return;
        }
        let mut blocks = vec![EMPTY; split(last).0 + 1];
        for slot in slots {
            let (block, word, bit) = split(slot);
            if let Some(word) = blocks.get_mut(block).and_then(|it| it.get_mut(word)) {
                *word |= bit;
            }
        }
        self.form = BitmapForm::Dense(blocks);
    }

    /// Removes a slot, if it is a member.
    pub(super) fn remove(&mut self, slot: Slot) {
        match &mut self.form {
            BitmapForm::List(slots) => {
                let Ok(at) = slots.binary_search(&slot.0) else { return };
                slots.remove(at);
                self.len -= 1;
                // A list that has shrunk keeps no more than twice its memory.
                if slots.len() < slots.capacity() / 4 {
                    slots.shrink_to(slots.len() * 2);
                }
            }
            BitmapForm::Sparse(slots) => {
                self.len -= u64::from(slots.remove(slot.0));
                self.make_list();
            }
            BitmapForm::Dense(blocks) => {
                let (block, word, bit) = split(slot.0);
                let word = blocks.get_mut(block).and_then(|it| it.get_mut(word));
                let Some(word) = word.filter(|word| **word & bit != 0) else { return };
                *word &= !bit;
                self.len -= 1;
                if slots_of(blocks.len()) > self.len * SPARSE_SLOTS_EACH {
                    self.form = BitmapForm::Sparse(compressed(&[blocks], &[]));
                }
            }
        }
    }

    /// Returns all slots as a compressed set.
    pub(super) fn to_set(&self) -> SlotSet {
        SlotSet(match &self.form {
            BitmapForm::List(slots) => sorted(slots.iter().copied()),
            BitmapForm::Sparse(slots) => slots.clone(),
            BitmapForm::Dense(blocks) => compressed(&[blocks], &[]),
        })
    }
}

/// Returns the slots that are in all of these sets and in none of the others. The cost depends on the
/// smallest of these sets.
pub(super) fn difference(sets: &[&SlotBitmap], without: &[&SlotBitmap]) -> SlotSet {
    if let Some(list) = smallest_list(sets) {
        let inside = |slot: &u32| {
            sets.iter().all(|set| set.contains(Slot(*slot)))
                && !without.iter().any(|set| set.contains(Slot(*slot)))
        };
        return SlotSet(sorted(list.iter().copied().filter(inside)));
    }
    let (mut sparse, dense) = by_form(sets);
    let (sparse_without, dense_without) = by_form(without);
    sparse.sort_by_key(|slots| slots.len());
    let mut sparse = sparse.into_iter();
    let mut slots = match sparse.next() {
        None => compressed(&dense, &dense_without),
        Some(first) => {
            let mut slots = sparse.next().map_or_else(|| first.clone(), |second| first & second);
            sparse.for_each(|more| slots &= more);
            if dense.is_empty() && dense_without.is_empty() {
                slots
            } else {
                let inside = |slot: &u32| {
                    dense.iter().all(|blocks| contains(blocks, *slot))
                        && !dense_without.iter().any(|blocks| contains(blocks, *slot))
                };
                sorted(slots.iter().filter(inside))
            }
        }
    };
    sparse_without.into_iter().for_each(|less| slots -= less);
    for set in without {
        if let BitmapForm::List(less) = &set.form {
            for slot in less {
                slots.remove(*slot);
            }
        }
    }
    SlotSet(slots)
}

fn smallest_list<'s>(sets: &[&'s SlotBitmap]) -> Option<&'s [u32]> {
    let lists = sets.iter().filter_map(|set| match &set.form {
        BitmapForm::List(slots) => Some(slots.as_slice()),
        _ => None,
    });
    lists.min_by_key(|slots| slots.len())
}

/// Separates compressed sets from plain bits. Lists are left out.
fn by_form<'s>(sets: &[&'s SlotBitmap]) -> (Vec<&'s RoaringBitmap>, Vec<&'s [BlockBits]>) {
    let (mut sparse, mut dense) = (Vec::new(), Vec::new());
    for set in sets {
        match &set.form {
            BitmapForm::List(_) => {}
            BitmapForm::Sparse(slots) => sparse.push(slots),
            BitmapForm::Dense(blocks) => dense.push(blocks.as_slice()),
        }
    }
    (sparse, dense)
}

/// Returns the slots that are in all of these sets and in none of the others, by the faster of two
/// methods. A sample estimates the density of the result.
fn compressed(sets: &[&[BlockBits]], without: &[&[BlockBits]]) -> RoaringBitmap {
    const SAMPLE_EVERY: usize = 16;
    let count = sets.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let mut block = EMPTY;
    let (mut sampled, mut found) = (0, 0);
    for at in (0..count).step_by(SAMPLE_EVERY) {
        combine(sets, without, at, &mut block);
        sampled += u64::from(BLOCK_SLOTS);
        found += block.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    }
    let few = found * DENSE_SLOTS_EACH < sampled;
    if let Some(slots) = few.then(|| listed(sets, without, count)).flatten() {
        return slots;
    }
    let mut bytes = vec![0; count * size_of::<BlockBits>()];
    for (at, bytes) in bytes.chunks_exact_mut(size_of::<BlockBits>()).enumerate() {
        combine(sets, without, at, &mut block);
        let words = bytes.as_chunks_mut().0.iter_mut().zip(&block);
        words.for_each(|(bytes, word)| *bytes = word.to_le_bytes());
    }
    RoaringBitmap::from_lsb0_bytes(0, &bytes)
}

/// Computes the slots of one block that are in all of these sets and in none of the others. The
/// block must be present in each of these sets.
///
/// Each set is read once, and only this block is written. Three sets are combined in registers at a time,
/// which is a quarter faster than combining them one after another.
fn combine(sets: &[&[BlockBits]], without: &[&[BlockBits]], at: usize, common: &mut BlockBits) {
    let mut blocks = sets.iter().filter_map(|set| set.get(at));
    let Some(first) = blocks.next() else { return };
    let second = blocks.next().unwrap_or(first);
    let third = blocks.next().unwrap_or(first);
    let three = first.iter().zip(second).zip(third);
    common.iter_mut().zip(three).for_each(|(word, ((a, b), c))| *word = a & b & c);
    for more in blocks {
        common.iter_mut().zip(more).for_each(|(word, other)| *word &= other);
    }
    for less in without.iter().filter_map(|set| set.get(at)) {
        common.iter_mut().zip(less).for_each(|(word, other)| *word &= !other);
    }
}

/// Returns the slots that are in all of these sets and in none of the others, built slot by slot.
/// `None` if there are more slots than a list may have.
///
/// The search first finds groups of four words that have bits, then the bits. A branch per word would be
/// mispredicted for each slot found, which took half of the time of a query.
fn listed(sets: &[&[BlockBits]], without: &[&[BlockBits]], count: usize) -> Option<RoaringBitmap> {
    let mut lists = BitmapBuilder::default();
    let mut block = EMPTY;
    for at in 0..count {
        combine(sets, without, at, &mut block);
        let (fours, _) = block.as_chunks();
        let any = |[a, b, c, d]: &[u64; 4]| u64::from(a | b | c | d != 0);
        let used = (0..).zip(fours).fold(0, |used, (four, words)| used | any(words) << four);
        let first = u32::try_from(at).ok()?.checked_mul(BLOCK_SLOTS)?;
        for four in ones(used) {
            let Some([a, b, c, d]) = fours.get(usize::from(four)) else { break };
            let first = first + 256 * u32::from(four);
            lists.push(first, *a);
            lists.push(first + 64, *b);
            lists.push(first + 128, *c);
            lists.push(first + 192, *d);
        }
        lists.end(first);
    }
    lists.bitmap()
}

/// Returns the positions of the bits that are set.
fn ones(mut word: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        u8::try_from(bit).ok()
    })
}

/// Builds a bitmap by appending, which costs less than inserting.
pub(super) fn sorted(slots: impl IntoIterator<Item = u32>) -> RoaringBitmap {
    RoaringBitmap::from_sorted_iter(slots).unwrap_or_else(|wrong| {
        debug_assert!(false, "ascending slots: {wrong}");
        RoaringBitmap::new()
    })
}

fn contains(blocks: &[BlockBits], slot: u32) -> bool {
    let (block, word, bit) = split(slot);
    blocks.get(block).and_then(|it| it.get(word)).is_some_and(|word| word & bit != 0)
}

/// Returns the block of a slot, the word within the block, and the bit within the word.
pub(super) fn split(slot: u32) -> (usize, usize, u64) {
    // lossless: the crate is built for targets of 32 bits and more
    let word = usize::try_from(slot / 64).unwrap_or(usize::MAX);
    (word / BLOCK_WORDS, word % BLOCK_WORDS, 1 << (slot % 64))
}

/// Returns the number of slots that this number of blocks covers.
fn slots_of(blocks: usize) -> u64 {
    u64::try_from(blocks).unwrap_or(u64::MAX).saturating_mul(u64::from(BLOCK_SLOTS))
}

#[cfg(test)]
mod tests;

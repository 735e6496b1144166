//! Memory for encoded items: one after the other in blocks, which are used again.
//!
//! An allocation for each item would cost more time than the item itself, and memory that the process has never touched
//! costs more than both.

use std::collections::VecDeque;

use crate::types::limits::CLUSTER_BODY_BYTES_MAX;

/// Bytes of a block.
const BLOCK_BYTES: usize = 256 * 1024;
const _: () = assert!(BLOCK_BYTES >= 4 * CLUSTER_BODY_BYTES_MAX, "little of a block stays empty");

/// Where an item is. It is in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockPlace {
    /// The number of the block, counted from 0.
    block: u64,
    start: u32,
    end: u32,
}

impl BlockPlace {
    /// Returns how many bytes the item has.
    pub(super) fn bytes(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// Blocks of items, the oldest first. They are dropped in this order.
#[derive(Debug, Default)]
pub(super) struct ItemBlocks {
    blocks: VecDeque<Vec<u8>>,
    /// The number of the first block.
    first: u64,
    /// A block that is empty.
    spare: Option<Vec<u8>>,
}

impl ItemBlocks {
    /// Appends what `write` appends, which is at most this number of bytes.
    pub(super) fn push(
        &mut self,
        bytes_max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> BlockPlace {
        let has_room = |block: &Vec<u8>| block.len() + bytes_max <= BLOCK_BYTES;
        if !self.blocks.back().is_some_and(has_room) {
            let spare = self.spare.take();
            self.blocks.push_back(spare.unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES)));
        }
        let block = self.first + self.blocks.len() as u64 - 1;
        let (mut start, mut end) = (0, 0);
        if let Some(bytes) = self.blocks.back_mut() {
            start = bytes.len();
            write(bytes);
            end = bytes.len();
        }
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        BlockPlace { block, start: place(start), end: place(end) }
    }

    /// Returns the bytes of an item.
    pub(super) fn get(&self, place: BlockPlace) -> &[u8] {
        let block = place.block.checked_sub(self.first).and_then(|it| usize::try_from(it).ok());
        let bytes = block.and_then(|block| self.blocks.get(block));
        let range = place.start as usize..place.end as usize;
        bytes.and_then(|bytes| bytes.get(range)).unwrap_or_default()
    }

    /// Drops all items before this one; all items if there is none.
    pub(super) fn drop_before(&mut self, oldest: Option<BlockPlace>) {
        let end = self.first + self.blocks.len() as u64;
        let first = oldest.map_or(end, |oldest| oldest.block);
        while self.first < first
            && let Some(mut block) = self.blocks.pop_front()
        {
            self.first += 1;
            if block.capacity() <= BLOCK_BYTES {
                block.clear();
                self.spare = Some(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_in_their_places_while_earlier_ones_are_dropped() {
        let mut blocks = ItemBlocks::default();
        let mut places = VecDeque::new();
        for number in 0..2_000_usize {
            let item = vec![u8::try_from(number % 251).unwrap(); 10 + number];
            let place = blocks.push(item.len(), |out| out.extend_from_slice(&item));
            assert_eq!(place.bytes(), item.len());
            places.push_back((place, item));
            if places.len() > 700 {
                places.pop_front();
                blocks.drop_before(places.front().map(|(place, _)| *place));
            }
            let (place, item) = &places[number % places.len()];
            assert_eq!(blocks.get(*place), item);
        }
        let kept: usize = places.iter().map(|(place, _)| place.bytes()).sum();
        assert!(blocks.blocks.len() <= kept / (BLOCK_BYTES - 2_010) + 2, "{}", blocks.blocks.len());
        blocks.drop_before(None);
        assert!(blocks.blocks.is_empty() && blocks.spare.is_some());
        assert_eq!(blocks.get(places[0].0), b"");
    }

    #[test]
    fn an_item_that_is_larger_than_a_block_has_one_of_its_own() {
        let mut blocks = ItemBlocks::default();
        let small = blocks.push(1, |out| out.push(1));
        let large = blocks.push(BLOCK_BYTES + 5, |out| out.resize(BLOCK_BYTES + 5, 2));
        let after = blocks.push(1, |out| out.push(3));
        assert_eq!((blocks.get(small), blocks.get(after)), (&[1][..], &[3][..]));
        assert_eq!(blocks.get(large).len(), BLOCK_BYTES + 5);
        blocks.drop_before(Some(after));
        assert_eq!(blocks.get(after), [3]);
    }
}

//! Items that a bridge has numbered: those that it has not sent yet, and those that it may have to send again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::item::{ItemFrame, LaneKey};
use super::item_blocks::{BlockPlace, ItemBlocks};
use super::lost_items::{ClientNumbers, Tombstone};
use crate::types::limits::{CLUSTER_REPLAY_BYTES, CLUSTER_REPLAY_TIME};

/// How much a replay buffer keeps. The oldest items are dropped first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayBounds {
    /// Bytes of all items (`replayBytes`).
    pub bytes: usize,
    /// Age of an item (`replayTime`). Hosts that were silent for this long are forgotten.
    pub time: Duration,
}

impl Default for ReplayBounds {
    fn default() -> Self {
        Self { bytes: CLUSTER_REPLAY_BYTES, time: CLUSTER_REPLAY_TIME }
    }
}

/// An item with its place in its lane.
#[derive(Clone, Debug)]
pub(super) struct NumberedItem {
    pub(super) lane: LaneKey,
    pub(super) number: u64,
    /// Where its encoding is.
    place: BlockPlace,
    /// When it was numbered.
    at: Instant,
    /// Bytes of all items before it, those that were dropped included.
    bytes_before: u64,
    /// What it was, when it is dropped.
    tombstone: Tombstone,
}

impl NumberedItem {
    /// Returns its bytes in memory.
    fn bytes(&self) -> usize {
        ITEM_COST + self.encoded_bytes()
    }

    /// Returns its bytes in a batch.
    pub(super) fn encoded_bytes(&self) -> usize {
        self.place.bytes()
    }
}

/// The last item of a lane that was dropped.
#[derive(Clone, Copy, Debug)]
struct DroppedItem {
    number: u64,
    tombstone: Tombstone,
}

/// Bytes that an item takes next to its encoding, rounded up: both lists may be half empty.
const ITEM_COST: usize = 2 * (size_of::<NumberedItem>() + size_of::<u64>());

/// The items of all lanes in the order in which they were numbered. Each has an *order*, counted from 1.
#[derive(Debug)]
pub(super) struct ReplayBuffer {
    bounds: ReplayBounds,
    items: VecDeque<NumberedItem>,
    blocks: ItemBlocks,
    /// Order of the first item that is kept.
    first: u64,
    bytes: usize,
    /// Bytes of all items that were ever kept.
    bytes_ever: u64,
    /// The last item of each lane that was dropped.
    dropped: BTreeMap<LaneKey, DroppedItem>,
    /// Which numbers of each lane were for clients.
    numbers: BTreeMap<LaneKey, ClientNumbers>,
    /// The orders of the kept items of each lane. Their numbers are consecutive.
    lanes: BTreeMap<LaneKey, VecDeque<u64>>,
}

impl ReplayBuffer {
    pub(super) fn new(bounds: ReplayBounds) -> Self {
        Self {
            bounds,
            items: VecDeque::new(),
            blocks: ItemBlocks::default(),
            first: 1,
            bytes: 0,
            bytes_ever: 0,
            dropped: BTreeMap::new(),
            numbers: BTreeMap::new(),
            lanes: BTreeMap::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the order of the last item.
    pub(super) fn last(&self) -> u64 {
        self.first + self.items.len() as u64 - 1
    }

    /// Returns the order of the first item that is kept.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the last number of a lane that was dropped, or 0.
    pub(super) fn dropped_up_to(&self, lane: LaneKey) -> u64 {
        self.dropped.get(&lane).map_or(0, |dropped| dropped.number)
    }

    /// Returns what stands for the last item of a lane that was dropped.
    pub(super) fn tombstone(&self, lane: LaneKey) -> Option<Tombstone> {
        self.dropped.get(&lane).map(|dropped| dropped.tombstone)
    }

    /// Returns how many numbers of a lane were of items for clients.
    pub(super) fn numbers_for_clients(&self, lane: LaneKey) -> u64 {
        self.numbers.get(&lane).and_then(|numbers| numbers.count()).unwrap_or(0)
    }

    /// Returns the bytes of all items up to this order, those that were dropped included.
    pub(super) fn bytes_up_to(&self, order: u64) -> u64 {
        let next = self.get((order + 1).max(self.first));
        next.map_or(self.bytes_ever, |next| next.bytes_before)
    }

    /// Forgets a lane that has ended. Its items are not found any longer.
    pub(super) fn close(&mut self, lane: LaneKey) {
        self.dropped.remove(&lane);
        self.numbers.remove(&lane);
        self.lanes.remove(&lane);
    }

    pub(super) fn get(&self, order: u64) -> Option<&NumberedItem> {
        let place = usize::try_from(order.checked_sub(self.first)?).ok()?;
        self.items.get(place)
    }

    /// Returns the encoding of an item.
    pub(super) fn encoding(&self, item: &NumberedItem) -> &[u8] {
        self.blocks.get(item.place)
    }

    /// Returns an item by its place in its lane.
    pub(super) fn find(&self, lane: LaneKey, number: u64) -> Option<&NumberedItem> {
        let orders = self.lanes.get(&lane)?;
        let front = self.get(*orders.front()?)?.number;
        let place = usize::try_from(number.checked_sub(front)?).ok()?;
        self.get(*orders.get(place)?)
    }

    /// Appends an item and drops what is beyond the bounds.
    pub(super) fn push(&mut self, lane: LaneKey, number: u64, item: ItemFrame<'_>, now: Instant) {
        let bytes_before = self.bytes_ever;
        let head =
            self.numbers.entry(lane).or_insert(ClientNumbers::NONE).pass(item.part, item.body[0]);
        let tombstone = Tombstone {
            is_for_clients: head.is_for_clients.unwrap_or(true),
            before: head.before.unwrap_or(0),
        };
        let place = self.blocks.push(item.bytes_max(), |out| item.encode(lane, out));
        let numbered = NumberedItem { lane, number, place, at: now, bytes_before, tombstone };
        self.bytes += numbered.bytes();
        self.bytes_ever += numbered.bytes() as u64;
        self.items.push_back(numbered);
        let order = self.last();
        self.lanes.entry(lane).or_default().push_back(order);
        self.expire(now);
    }

    /// Drops what is beyond the bounds.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.items.front()
            && (self.bytes > self.bounds.bytes
                || now.saturating_duration_since(oldest.at) > self.bounds.time)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.items.pop_front() else { return };
        self.first += 1;
        self.bytes -= oldest.bytes();
        self.blocks.drop_before(self.items.front().map(|next| next.place));
        // A lane that was closed has none.
        if let Some(orders) = self.lanes.get_mut(&oldest.lane) {
            orders.pop_front();
            let (number, tombstone) = (oldest.number, oldest.tombstone);
            self.dropped.insert(oldest.lane, DroppedItem { number, tombstone });
            if orders.is_empty() {
                self.lanes.remove(&oldest.lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::item::ItemPart;
    use super::*;

    /// An item with a body of at most 1,000 bytes.
    fn item(bytes: usize) -> ItemFrame<'static> {
        ItemFrame { fence: &[], part: ItemPart::Whole, body: [&[0; 1000][..bytes], b""] }
    }

    #[expect(clippy::disallowed_methods, reason = "an arbitrary time for a test")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_oldest_items_of_all_lanes_are_dropped_first() {
        let now = start();
        let bounds = ReplayBounds { bytes: 3 * (ITEM_COST + 13), ..ReplayBounds::default() };
        let mut buffer = ReplayBuffer::new(bounds);
        for number in 1..=3 {
            buffer.push(LaneKey(0), number, item(10), now);
            buffer.push(LaneKey(7), number, item(10), now);
        }
        assert_eq!((buffer.first(), buffer.last()), (4, 6));
        let has = |lane, number| buffer.find(LaneKey(lane), number).is_some();
        assert!(has(0, 3) && has(7, 2) && has(7, 3));
        assert!(!has(0, 2) && !has(7, 1) && !has(0, 4) && !has(9, 1));
        assert!(buffer.bytes() <= bounds.bytes);
    }

    #[test]
    fn an_item_larger_than_the_buffer_is_not_kept() {
        let bounds = ReplayBounds { bytes: 100, ..ReplayBounds::default() };
        let mut buffer = ReplayBuffer::new(bounds);
        buffer.push(LaneKey(0), 1, item(1000), start());
        assert_eq!((buffer.first(), buffer.last(), buffer.bytes()), (2, 1, 0));
    }

    #[test]
    fn an_old_item_is_dropped() {
        let now = start();
        let mut buffer = ReplayBuffer::new(ReplayBounds::default());
        buffer.push(LaneKey(0), 1, item(10), now);
        buffer.expire(now + CLUSTER_REPLAY_TIME);
        assert!(buffer.find(LaneKey(0), 1).is_some());
        buffer.expire(now + CLUSTER_REPLAY_TIME + Duration::from_millis(1));
        assert!(buffer.find(LaneKey(0), 1).is_none());
        assert_eq!(buffer.bytes(), 0);
    }

    proptest! {
        /// A list of all items is the model.
        #[test]
        fn items_are_found_as_in_a_list(
            lanes in proptest::collection::vec(0..3_u32, 1..60), kept in 1..20_usize
        ) {
            let bounds = ReplayBounds { bytes: kept * (ITEM_COST + 3), ..ReplayBounds::default() };
            let mut buffer = ReplayBuffer::new(bounds);
            let mut numbers = [0; 3];
            let mut all = Vec::new();
            for lane in &lanes {
                numbers[*lane as usize] += 1;
                all.push((LaneKey(*lane), numbers[*lane as usize]));
                buffer.push(LaneKey(*lane), numbers[*lane as usize], item(0), start());
            }
            let dropped = all.len().saturating_sub(kept);
            for (place, (lane, number)) in all.into_iter().enumerate() {
                let found = buffer.find(lane, number).map(|it| (it.lane, it.number));
                prop_assert_eq!(found, (place >= dropped).then_some((lane, number)));
                let by_order = buffer.get(place as u64 + 1).map(|it| (it.lane, it.number));
                prop_assert_eq!(by_order, found);
            }
        }
    }
}

//! Items that wait for earlier items of their host, within bounds.

use std::collections::BTreeMap;

use crate::cluster::item::LaneItem;
use crate::types::limits::{
    CLUSTER_HELD_BYTES_MAX, CLUSTER_HELD_TOTAL_BYTES_MAX, CLUSTER_ITEM_BYTES_MAX,
};

/// Bytes of held items.
#[derive(Clone, Copy, Debug)]
pub struct HeldBounds {
    /// Of one host.
    pub host: usize,
    /// Of all hosts.
    pub total: usize,
    /// Of one large item whose parts arrive.
    pub item: usize,
}

impl Default for HeldBounds {
    fn default() -> Self {
        Self {
            host: CLUSTER_HELD_BYTES_MAX,
            total: CLUSTER_HELD_TOTAL_BYTES_MAX,
            item: CLUSTER_ITEM_BYTES_MAX,
        }
    }
}

/// The memory of held items: that of one host, and that of all.
#[derive(Debug)]
pub(in crate::cluster) struct HeldMemory<'a> {
    pub(in crate::cluster) bounds: HeldBounds,
    pub(in crate::cluster) host: &'a mut usize,
    pub(in crate::cluster) total: &'a mut usize,
}

impl HeldMemory<'_> {
    fn has_room(&self, bytes: usize) -> bool {
        *self.host + bytes <= self.bounds.host && *self.total + bytes <= self.bounds.total
    }

    pub(super) fn add(&mut self, bytes: usize) {
        *self.host += bytes;
        *self.total += bytes;
    }

    pub(super) fn remove(&mut self, bytes: usize) {
        *self.host -= bytes;
        *self.total -= bytes;
    }
}

/// Bytes of an item in memory, about.
pub(super) fn held_bytes(item: &LaneItem) -> usize {
    size_of::<LaneItem>() + 48 + item.body.len()
}

/// The held items of one lane by number.
#[derive(Debug, Default)]
pub(super) struct HeldItems(BTreeMap<u64, LaneItem>);

impl HeldItems {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, number: u64) -> Option<&LaneItem> {
        self.0.get(&number)
    }

    /// Returns the lowest number.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.first_key_value().map(|(number, _)| *number)
    }

    /// Holds an item. Where there is no room, higher numbers make room for it; they are requested again later.
    /// The item that is next is always held. Returns false if this item is not.
    pub(super) fn hold(
        &mut self,
        number: u64,
        item: LaneItem,
        next: u64,
        memory: &mut HeldMemory<'_>,
    ) -> bool {
        let bytes = held_bytes(&item);
        while !memory.has_room(bytes) {
            let highest = self.0.last_key_value().map_or(0, |(highest, _)| *highest);
            if highest > number {
                self.take(highest, memory);
            } else if number == next {
                break;
            } else {
                return false;
            }
        }
        memory.add(bytes);
        self.0.insert(number, item);
        true
    }

    pub(super) fn take(&mut self, number: u64, memory: &mut HeldMemory<'_>) -> Option<LaneItem> {
        let item = self.0.remove(&number)?;
        memory.remove(held_bytes(&item));
        Some(item)
    }

    /// Drops the items after a number.
    pub(super) fn cut_after(&mut self, end: u64, memory: &mut HeldMemory<'_>) {
        let after = self.0.split_off(&end.saturating_add(1));
        memory.remove(after.values().map(held_bytes).sum());
    }

    pub(super) fn clear(&mut self, memory: &mut HeldMemory<'_>) {
        let bytes = self.0.values().map(held_bytes).sum();
        memory.remove(bytes);
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cluster::item::{Fence, ItemPart};

    fn item() -> LaneItem {
        let body = Bytes::from_static(&[0; 100]);
        LaneItem { fence: Fence::default(), part: ItemPart::Whole, body }
    }

    #[test]
    fn a_full_lane_keeps_its_lowest_numbers() {
        let one = held_bytes(&item());
        let bounds = HeldBounds { host: 2 * one, ..HeldBounds::default() };
        let (mut host, mut total) = (0, 7);
        let mut memory = HeldMemory { bounds, host: &mut host, total: &mut total };
        let mut held = HeldItems::default();
        assert!(held.hold(9, item(), 2, &mut memory));
        assert!(held.hold(8, item(), 2, &mut memory));
        assert!(!held.hold(10, item(), 2, &mut memory), "the highest");
        assert!(held.hold(3, item(), 2, &mut memory), "in place of 9");
        assert!(held.hold(2, item(), 2, &mut memory), "in place of 8");
        assert_eq!((held.len(), held.first()), (2, Some(2)));
        assert!(!held.hold(4, item(), 2, &mut memory));
        held.take(3, &mut memory);
        held.clear(&mut memory);
        assert_eq!((host, total), (0, 7));
    }

    #[test]
    fn the_next_item_is_held_even_if_other_hosts_use_all_memory() {
        let bounds = HeldBounds { total: 10, ..HeldBounds::default() };
        let (mut host, mut total) = (0, 10);
        let mut memory = HeldMemory { bounds, host: &mut host, total: &mut total };
        let mut held = HeldItems::default();
        assert!(!held.hold(3, item(), 2, &mut memory));
        assert!(held.hold(2, item(), 2, &mut memory));
    }
}

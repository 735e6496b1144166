//! Slots on their way from plain bits to a roaring bitmap, in that one's portable format.

use roaring::RoaringBitmap;

/// Slots of one container.
const CONTAINER_SLOTS: u32 = 65_536;
/// As many may stand in a container as a list.
const LIST_MAX: usize = 4096;

/// Ascending slots as a list for each container.
///
/// A bitmap read from them copies each list at once; its own ways take each slot by itself, which
/// cost a quarter of a query.
#[derive(Debug, Default)]
pub(super) struct BitmapBuilder {
    /// The lower halves of all slots.
    low: Vec<u16>,
    /// The upper half of the slots of each container, and how many they are.
    containers: Vec<(u16, usize)>,
    /// How many of all slots are counted in a container.
    counted: usize,
}

impl BitmapBuilder {
    /// Adds the slots of one word of bits, which comes behind all that are here.
    pub(super) fn push(&mut self, first: u32, mut word: u64) {
        while word != 0 {
            let [low, lower, ..] = (first | word.trailing_zeros()).to_le_bytes();
            self.low.push(u16::from_le_bytes([low, lower]));
            word &= word - 1;
        }
    }

    /// Counts what was added for the container of a slot.
    pub(super) fn end(&mut self, slot: u32) {
        let count = self.low.len() - self.counted;
        self.counted = self.low.len();
        let high = u16::try_from(slot / CONTAINER_SLOTS).unwrap_or(u16::MAX);
        match self.containers.last_mut().filter(|container| container.0 == high) {
            Some((_, slots)) => *slots += count,
            None if count > 0 => self.containers.push((high, count)),
            None => {}
        }
    }

    /// The bitmap; `None` when a container has too many for a list.
    pub(super) fn bitmap(&self) -> Option<RoaringBitmap> {
        const COOKIE_WITHOUT_RUNS: u32 = 12_346;
        let head = 8 + 8 * self.containers.len();
        let mut bytes = Vec::with_capacity(head + 2 * self.low.len());
        bytes.extend_from_slice(&COOKIE_WITHOUT_RUNS.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.containers.len()).ok()?.to_le_bytes());
        for (high, count) in &self.containers {
            let more = count.checked_sub(1).filter(|more| *more < LIST_MAX)?;
            bytes.extend_from_slice(&high.to_le_bytes());
            bytes.extend_from_slice(&u16::try_from(more).ok()?.to_le_bytes());
        }
        let mut offset = head;
        for (_, count) in &self.containers {
            bytes.extend_from_slice(&u32::try_from(offset).ok()?.to_le_bytes());
            offset += 2 * count;
        }
        self.low.iter().for_each(|low| bytes.extend_from_slice(&low.to_le_bytes()));
        RoaringBitmap::deserialize_from(bytes.as_slice()).ok()
    }
}

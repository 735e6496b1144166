//! Converts plain bits to a roaring bitmap by writing the portable format of roaring bitmaps.

use roaring::RoaringBitmap;

/// Slots that one container of a roaring bitmap covers.
const CONTAINER_SLOTS: u32 = 65_536;
/// Maximum number of members that a container may store as a list (array container).
const LIST_MAX: usize = 4096;

/// Ascending slots, grouped into one list per container.
///
/// Deserializing a bitmap copies each list in one step. Inserting slots one at a time took a quarter of the
/// time of a query.
#[derive(Debug, Default)]
pub(super) struct BitmapBuilder {
    /// The lower 16 bits of all slots.
    low: Vec<u16>,
    /// For each container: the upper 16 bits of its slots, and the number of its slots.
    containers: Vec<(u16, usize)>,
    /// Number of slots in `low` that already belong to a container.
    counted: usize,
}

impl BitmapBuilder {
    /// Appends the slots of one word of bits. All of them must be greater than the slots added before.
    pub(super) fn push(&mut self, first: u32, mut word: u64) {
        while word != 0 {
            let [low, lower, ..] = (first | word.trailing_zeros()).to_le_bytes();
            self.low.push(u16::from_le_bytes([low, lower]));
            word &= word - 1;
        }
    }

    /// Assigns the slots added since the last call to the container of `slot`.
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

    /// Returns the bitmap; `None` if a container has more members than a list may have.
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

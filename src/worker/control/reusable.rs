//! Memory of a worker process that its allocator keeps although it is unused.

use std::fs;

use crate::types::limits::{GROWTH_BYTES, PAGE_BYTES};

/// Estimate of reusable memory: memory that the allocator holds although it is unused. The
/// allocator does not return small blocks to the system, so the process does not shrink when
/// clients with such blocks are closed. New clients can use that memory.
///
/// What the process has beyond its size at the start is attributed to its connections, in
/// proportion to the bytes that they hold: buffers that grow leave holes, and encryption has state
/// that the connections do not count. When connections release bytes and the process does not
/// shrink, their part of it is reusable.
#[derive(Debug, Default)]
pub(super) struct Reusable {
    bytes: u64,
    told: u64,
    /// Size of the process without connections. None until the first look.
    base: Option<u64>,
    resident: u64,
    held: u64,
}

/// A connection that releases bytes leaves at most this many times as much reusable memory. It
/// bounds an error of the estimate where few connections hold most of the bytes.
const RELEASED_FACTOR_MAX: u64 = 2;

impl Reusable {
    /// Returns the estimate in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Updates the estimate from the process size and the bytes held by connections. Growth of the
    /// process means that the memory was not reusable, so a wrong estimate corrects itself. Returns
    /// the estimate if it must be reported.
    pub(super) fn on_look(&mut self, resident: u64, held: u64) -> Option<u64> {
        let base = *self.base.get_or_insert_with(|| resident.saturating_sub(held));
        let grown = resident.saturating_sub(self.resident);
        let shrunk = self.resident.saturating_sub(resident);
        let (gained, used) = match self.held.checked_sub(held) {
            Some(released) => (self.left_by(released, base), grown),
            // The connections took this much, of what was reusable or of the system.
            None => (0, grown.max(held - self.held)),
        };
        self.bytes = (self.bytes + gained).saturating_sub(used + shrunk);
        (self.resident, self.held) = (resident, held);
        if self.bytes.abs_diff(self.told) < GROWTH_BYTES as u64 {
            return None;
        }
        self.told = self.bytes;
        Some(self.bytes)
    }

    /// Returns the memory that was attributed to these released bytes.
    fn left_by(&self, released: u64, base: u64) -> u64 {
        let attributed = self.resident.saturating_sub(base + self.bytes);
        let part = u128::from(attributed) * u128::from(released) / u128::from(self.held.max(1));
        let part = u64::try_from(part).unwrap_or(u64::MAX);
        part.clamp(released, released.saturating_mul(RELEASED_FACTOR_MAX))
    }
}

/// Returns the resident size of this process: the second number of `/proc/self/statm`, in pages
/// (proc(5)).
pub(super) fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn memory_that_was_released_and_not_returned_is_available() {
        let mut memory = Reusable::default();
        assert_eq!(memory.on_look(10 * MIB, 0), None);
        assert_eq!(memory.on_look(110 * MIB, 100 * MIB), None, "it grew for what it holds");
        assert_eq!(memory.on_look(110 * MIB, 20 * MIB), Some(80 * MIB));
        assert_eq!(memory.on_look(110 * MIB, 50 * MIB), Some(50 * MIB), "some of it is used again");
        assert_eq!(memory.on_look(90 * MIB, 50 * MIB), Some(30 * MIB), "some was given back");
        assert_eq!(memory.on_look(90 * MIB, 50 * MIB), None);
        assert_eq!(
            memory.on_look(130 * MIB, 50 * MIB),
            Some(0),
            "it was not free, or not to be had"
        );
    }

    #[test]
    fn other_memory_is_released_with_the_held_bytes() {
        let mut memory = Reusable::default();
        memory.on_look(10 * MIB, 0);
        memory.on_look(43 * MIB, 20 * MIB);
        assert_eq!(memory.on_look(43 * MIB, 10 * MIB), Some(16 * MIB + MIB / 2), "half of 33");
        assert_eq!(memory.on_look(43 * MIB, 0), Some(33 * MIB), "nothing is left to use it");
    }

    #[test]
    fn connections_that_grow_with_the_process_use_the_estimate_once() {
        let mut memory = Reusable::default();
        memory.on_look(10 * MIB, 0);
        memory.on_look(110 * MIB, 100 * MIB);
        memory.on_look(110 * MIB, 20 * MIB);
        assert_eq!(memory.on_look(120 * MIB, 30 * MIB), Some(70 * MIB), "ten were not to be had");
    }

    #[test]
    fn a_few_bytes_do_not_release_all_memory() {
        let mut memory = Reusable::default();
        memory.on_look(10 * MIB, 0);
        memory.on_look(510 * MIB, 10 * MIB);
        assert_eq!(memory.on_look(510 * MIB, 5 * MIB), Some(10 * MIB));
    }

    #[test]
    fn large_blocks_go_back_at_once() {
        let mut memory = Reusable::default();
        memory.on_look(110 * MIB, 100 * MIB);
        assert_eq!(memory.on_look(10 * MIB, 0), None);
    }
}

//! Memory of a worker process that its allocator keeps although it is unused.

use std::fs;

use crate::types::limits::{GROWTH_BYTES, PAGE_BYTES};

/// Estimate of reusable memory: memory that the allocator holds although it is unused. The
/// allocator does not return small blocks to the system, so the process does not shrink when
/// clients with such blocks are closed. New clients can use that memory. The estimate is the amount
/// by which connections shrink without the process shrinking.
#[derive(Debug, Default)]
pub(super) struct Reusable {
    bytes: u64,
    told: u64,
    resident: u64,
    held: u64,
}

impl Reusable {
    /// Returns the estimate in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Updates the estimate from the process size and the bytes held by connections. Growth of the
    /// process means that the memory was not reusable, so a wrong estimate corrects itself. Returns
    /// the estimate if it must be reported.
    pub(super) fn on_look(&mut self, resident: u64, held: u64) -> Option<u64> {
        let moved = resident.abs_diff(self.resident);
        let released = (self.bytes + self.held).saturating_sub(held);
        self.bytes = released.saturating_sub(moved);
        (self.resident, self.held) = (resident, held);
        if self.bytes.abs_diff(self.told) < GROWTH_BYTES as u64 {
            return None;
        }
        self.told = self.bytes;
        Some(self.bytes)
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
    fn large_blocks_go_back_at_once() {
        let mut memory = Reusable::default();
        memory.on_look(110 * MIB, 100 * MIB);
        assert_eq!(memory.on_look(10 * MIB, 0), None);
    }
}

//! Allocates slots: implements rule L3 between the close of a connection and the reuse of its slot.

use crate::types::Slot;

/// The slots of a worker.
#[derive(Debug, Default)]
pub(crate) struct SlotAllocator {
    lives: Vec<SlotState>,
    free: Vec<Slot>,
    /// Slots without a connection that a queued publication may still contain.
    vacant: Vec<Slot>,
}

/// The state of a slot between one connection and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    Free,
    /// A connection uses the slot.
    Taken,
    /// The connection is closed. The broker may still use the slot.
    Gone,
    /// The broker no longer uses the slot.
    Vacant,
}

impl SlotAllocator {
    /// Allocates a slot for a new connection.
    pub(crate) fn take(&mut self) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.lives.push(SlotState::Free);
            Slot(u32::try_from(self.lives.len() - 1).unwrap_or(u32::MAX))
        });
        self.change(slot, SlotState::Free, SlotState::Taken);
        slot
    }

    /// Records that the connection of a slot is closed.
    pub(crate) fn end(&mut self, slot: Slot) {
        self.change(slot, SlotState::Taken, SlotState::Gone);
    }

    /// Records that the broker no longer uses a slot. Has no effect while its connection is still being
    /// closed.
    pub(crate) fn vacate(&mut self, slot: Slot) {
        if self.lives.get(slot.0 as usize) == Some(&SlotState::Gone) {
            self.change(slot, SlotState::Gone, SlotState::Vacant);
            self.vacant.push(slot);
        }
    }

    /// Returns the slots that were vacated since the last call.
    pub(crate) fn take_vacant(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.vacant)
    }

    /// Frees a slot that no queued publication contains.
    pub(crate) fn release(&mut self, slot: Slot) {
        self.change(slot, SlotState::Vacant, SlotState::Free);
        self.free.push(slot);
    }

    /// Returns the number of slots that have no connection but may not be reused yet.
    pub(crate) fn withheld(&self) -> usize {
        self.lives.iter().filter(|life| matches!(life, SlotState::Gone | SlotState::Vacant)).count()
    }

    fn change(&mut self, slot: Slot, from: SlotState, to: SlotState) {
        if let Some(life) = self.lives.get_mut(slot.0 as usize) {
            debug_assert_eq!(*life, from, "a slot goes from one life to the next (rule L3)");
            *life = to;
        }
    }
}

//! Which slots are free: rule L3 between a connection that ends and the next one in its place.

use crate::types::Slot;

/// The slots of a worker.
#[derive(Debug, Default)]
pub(crate) struct SlotAllocator {
    lives: Vec<SlotState>,
    free: Vec<Slot>,
    /// Slots without a connection that may still be named by what waits to be delivered.
    vacant: Vec<Slot>,
}

/// How far a slot is on its way from one connection to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    Free,
    /// A connection lives in it.
    Taken,
    /// Its connection is gone; the broker may still name it.
    Gone,
    /// The broker names it no more.
    Vacant,
}

impl SlotAllocator {
    /// A slot for a new connection.
    pub(crate) fn take(&mut self) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.lives.push(SlotState::Free);
            Slot(u32::try_from(self.lives.len() - 1).unwrap_or(u32::MAX))
        });
        self.change(slot, SlotState::Free, SlotState::Taken);
        slot
    }

    /// The connection of a slot is gone.
    pub(crate) fn end(&mut self, slot: Slot) {
        self.change(slot, SlotState::Taken, SlotState::Gone);
    }

    /// The broker names a slot no more, which changes nothing while its connection is being closed.
    pub(crate) fn vacate(&mut self, slot: Slot) {
        if self.lives.get(slot.0 as usize) == Some(&SlotState::Gone) {
            self.change(slot, SlotState::Gone, SlotState::Vacant);
            self.vacant.push(slot);
        }
    }

    /// The slots that were vacated since the last time.
    pub(crate) fn take_vacant(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.vacant)
    }

    /// Gives a slot free: nothing that waits names it either.
    pub(crate) fn release(&mut self, slot: Slot) {
        self.change(slot, SlotState::Vacant, SlotState::Free);
        self.free.push(slot);
    }

    /// How many slots are without a connection and may not be given to one yet.
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

//! Which slots are free: rule L3 between a connection that ends and the next one in its place.

use crate::types::Slot;

/// The slots of a worker.
#[derive(Debug, Default)]
pub(super) struct Slots {
    lives: Vec<Life>,
    free: Vec<Slot>,
    /// Slots that nobody is in, and that may still be named by what waits to be delivered.
    vacant: Vec<Slot>,
}

/// How far a slot is on its way from one connection to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Free,
    /// A connection lives in it.
    Taken,
    /// Its connection is gone; the broker may still name it.
    Gone,
    /// The broker names it no more.
    Vacant,
}

impl Slots {
    /// A slot for a new connection.
    pub(super) fn take(&mut self) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.lives.push(Life::Free);
            Slot(u32::try_from(self.lives.len() - 1).unwrap_or(u32::MAX))
        });
        self.change(slot, (Life::Free, Life::Taken));
        slot
    }

    /// The connection of a slot is gone.
    pub(super) fn end(&mut self, slot: Slot) {
        self.change(slot, (Life::Taken, Life::Gone));
    }

    /// The broker names a slot no more, which changes nothing while its connection says goodbye.
    pub(super) fn vacate(&mut self, slot: Slot) {
        if self.lives.get(slot.0 as usize) == Some(&Life::Gone) {
            self.change(slot, (Life::Gone, Life::Vacant));
            self.vacant.push(slot);
        }
    }

    /// The slots that were vacated since the last time.
    pub(super) fn take_vacant(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.vacant)
    }

    /// Gives a slot free: nothing that waits names it either.
    pub(super) fn release(&mut self, slot: Slot) {
        self.change(slot, (Life::Vacant, Life::Free));
        self.free.push(slot);
    }

    /// How many slots nobody is in and nobody may have yet.
    pub(super) fn withheld(&self) -> usize {
        self.lives.iter().filter(|life| matches!(life, Life::Gone | Life::Vacant)).count()
    }

    fn change(&mut self, slot: Slot, (from, to): (Life, Life)) {
        if let Some(life) = self.lives.get_mut(slot.0 as usize) {
            debug_assert_eq!(*life, from, "a slot goes from one life to the next (rule L3)");
            *life = to;
        }
    }
}

//! When which connection is to be looked at again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::types::Slot;
use crate::worker::clock::Moment;

/// One entry for each timer that was set. Entries are not taken back: a connection that
/// is woken compares with what it waits for now.
#[derive(Debug, Default)]
pub(in crate::worker) struct Timers(BinaryHeap<Reverse<(Moment, u32)>>);

impl Timers {
    pub(in crate::worker) fn set(&mut self, at: Moment, slot: Slot) {
        self.0.push(Reverse((at, slot.0)));
    }

    /// The next moment at which a connection is to be looked at.
    pub(in crate::worker) fn next(&self) -> Option<Moment> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one connection whose time has come.
    pub(in crate::worker) fn due(&mut self, now: Moment) -> Option<Slot> {
        let Reverse((at, slot)) = *self.0.peek()?;
        if at > now {
            return None;
        }
        self.0.pop();
        Some(Slot(slot))
    }
}

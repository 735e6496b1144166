//! Timers of connections.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::types::Slot;
use crate::worker::clock::Moment;

/// Heap with one entry per timer. Entries are never removed early: a woken connection compares the
/// time with its current deadline.
#[derive(Debug, Default)]
pub(in crate::worker) struct Timers(BinaryHeap<Reverse<(Moment, u32)>>);

impl Timers {
    pub(in crate::worker) fn set(&mut self, at: Moment, slot: Slot) {
        self.0.push(Reverse((at, slot.0)));
    }

    /// Returns the time of the earliest timer.
    pub(in crate::worker) fn next(&self) -> Option<Moment> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Removes one expired timer and returns its connection.
    pub(in crate::worker) fn due(&mut self, now: Moment) -> Option<Slot> {
        let Reverse((at, slot)) = *self.0.peek()?;
        if at > now {
            return None;
        }
        self.0.pop();
        Some(Slot(slot))
    }
}

//! Parts of an outbox that wait for the broker.

use bytes::Bytes;

use super::{Kind, Outbox, Part};
use crate::worker::clock::Moment;
use crate::worker::marks::Mark;

impl Outbox {
    /// What is added from now on leaves when the broker has reached this mark. False where the
    /// last part says so already.
    pub(in crate::worker) fn hold(&mut self, mark: Mark, now: Moment) -> bool {
        match self.parts.back_mut() {
            Some(Part { kind: Kind::Hold(last), .. }) if *last == mark => return false,
            Some(Part { kind: Kind::Hold(last), .. }) => *last = last.and(mark),
            _ => self.push(Part::of(Bytes::new(), Kind::Hold(mark)), now),
        }
        true
    }

    /// The broker has come so far.
    pub(in crate::worker) fn release(&mut self, reached: Mark, now: Moment) {
        let before = self.parts.len();
        self.parts
            .retain(|part| !matches!(part.kind, Kind::Hold(mark) if mark.is_reached(reached)));
        if self.parts.len() < before {
            self.moved_at = now;
        }
    }

    /// What this mark would set free waits for another one.
    pub(in crate::worker) fn hold_longer(&mut self, reached: Mark, mark: Mark) {
        for part in &mut self.parts {
            if let Kind::Hold(until) = &mut part.kind
                && until.is_reached(reached)
            {
                *until = mark;
            }
        }
    }

    /// Whether the next part waits for the broker.
    pub(in crate::worker) fn is_held(&self) -> bool {
        matches!(self.next_kind(), Some(Kind::Hold(_)))
    }
}

//! Parts of an outbox that wait for the broker.

use bytes::Bytes;

use super::{Outbox, OutboxPart, PartKind};
use crate::broker_client::sync::SyncMark;
use crate::worker::clock::Moment;

impl Outbox {
    /// Holds all later parts until the broker has reached this mark. Returns false if the last part
    /// has this mark already.
    pub(in crate::worker) fn hold(&mut self, mark: SyncMark, now: Moment) -> bool {
        match self.parts.back_mut() {
            Some(OutboxPart { kind: PartKind::Hold(last), .. }) if *last == mark => return false,
            Some(OutboxPart { kind: PartKind::Hold(last), .. }) => *last = last.and(mark),
            _ => self.push(OutboxPart::of(Bytes::new(), PartKind::Hold(mark)), now),
        }
        true
    }

    /// Releases the parts whose mark the broker has reached.
    pub(in crate::worker) fn release(&mut self, reached: SyncMark, now: Moment) {
        let before = self.parts.len();
        self.parts
            .retain(|part| !matches!(part.kind, PartKind::Hold(mark) if mark.is_reached(reached)));
        if self.parts.len() < before {
            self.moved_at = now;
        }
    }

    /// Replaces the marks that `reached` would release with a later mark.
    pub(in crate::worker) fn hold_longer(&mut self, reached: SyncMark, mark: SyncMark) {
        for part in &mut self.parts {
            if let PartKind::Hold(until) = &mut part.kind
                && until.is_reached(reached)
            {
                *until = mark;
            }
        }
    }

    /// Returns true if the next part waits for the broker.
    pub(in crate::worker) fn is_held(&self) -> bool {
        matches!(self.next_kind(), Some(PartKind::Hold(_)))
    }
}

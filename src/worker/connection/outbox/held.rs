//! Parts of an outbox that wait for the broker.

use bytes::Bytes;

use super::{Outbox, OutboxPart, PartKind};
use crate::broker_client::sync::SyncMark;
use crate::worker::clock::Moment;

impl Outbox {
    /// What is added from now on leaves when the broker has reached this mark. False where the
    /// last part has this mark already.
    pub(in crate::worker) fn hold(&mut self, mark: SyncMark, now: Moment) -> bool {
        match self.parts.back_mut() {
            Some(OutboxPart { kind: PartKind::Hold(last), .. }) if *last == mark => return false,
            Some(OutboxPart { kind: PartKind::Hold(last), .. }) => *last = last.and(mark),
            _ => self.push(OutboxPart::of(Bytes::new(), PartKind::Hold(mark)), now),
        }
        true
    }

    /// The broker has come so far.
    pub(in crate::worker) fn release(&mut self, reached: SyncMark, now: Moment) {
        let before = self.parts.len();
        self.parts
            .retain(|part| !matches!(part.kind, PartKind::Hold(mark) if mark.is_reached(reached)));
        if self.parts.len() < before {
            self.moved_at = now;
        }
    }

    /// What this mark would set free waits for another one.
    pub(in crate::worker) fn hold_longer(&mut self, reached: SyncMark, mark: SyncMark) {
        for part in &mut self.parts {
            if let PartKind::Hold(until) = &mut part.kind
                && until.is_reached(reached)
            {
                *until = mark;
            }
        }
    }

    /// Whether the next part waits for the broker.
    pub(in crate::worker) fn is_held(&self) -> bool {
        matches!(self.next_kind(), Some(PartKind::Hold(_)))
    }
}

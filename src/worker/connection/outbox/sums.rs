//! Sums over all outboxes, kept up to date with each change of one.

use super::Outbox;

/// Sums over outboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct OutboxSums {
    /// Outboxes.
    pub(in crate::worker) count: u64,
    /// Bytes in them.
    pub(in crate::worker) bytes: u64,
    /// Deliveries in them.
    pub(in crate::worker) waiting: u64,
}

impl OutboxSums {
    /// Replaces what the sums include of an outbox.
    pub(in crate::worker) fn note(&mut self, outbox: &mut Outbox) {
        let (bytes, waiting) = (outbox.bytes as u64, outbox.waiting);
        self.replace(outbox, Self { count: 1, bytes, waiting });
    }

    /// Removes an outbox from the sums.
    pub(in crate::worker) fn forget(&mut self, outbox: &mut Outbox) {
        self.replace(outbox, Self::default());
    }

    fn replace(&mut self, outbox: &mut Outbox, now: Self) {
        let before = std::mem::replace(&mut outbox.noted, now);
        self.count = self.count + now.count - before.count;
        self.bytes = self.bytes + now.bytes - before.bytes;
        self.waiting = self.waiting + now.waiting - before.waiting;
    }
}

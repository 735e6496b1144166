//! Deliveries that a report counts, and those of a slow client.

use super::{Outbox, OutboxPart};
use crate::broker_client::write_reports::WriteTicket;

impl OutboxPart {
    /// Counts the delivery of this part for a report.
    #[must_use]
    pub(in crate::worker) fn counted(mut self, ticket: WriteTicket) -> Self {
        self.ticket = ticket;
        self
    }

    /// Drops a delivery to a client that is closed because it does not read.
    pub(in crate::worker) fn drop_slow(mut self) {
        self.ticket.count_slow();
    }
}

impl Outbox {
    /// Removes all parts except the first, which may be partly written. A client that is closed as
    /// slow would get the rest too late. Returns the number of removed deliveries.
    pub fn truncate(&mut self) -> u64 {
        self.count_slow();
        let before = self.waiting;
        let begun = usize::from(!self.parts.is_empty() && !self.is_held());
        for late in self.parts.drain(begun..) {
            self.bytes -= late.bytes.len();
            self.waiting -= u64::from(late.deliveries);
        }
        before - self.waiting
    }

    /// Counts all waiting deliveries as those of a client that is closed because it does not read.
    pub(in crate::worker) fn count_slow(&mut self) {
        let sealed = self.sealed.as_mut().map(|sealed| &mut sealed.ticket);
        let parts = self.parts.iter_mut().map(|part| &mut part.ticket);
        parts.chain(sealed).for_each(WriteTicket::count_slow);
    }
}

//! Publications to a single client that is away.

use std::collections::VecDeque;

use crate::types::limits::MAILBOX_BYTES_MAX;
use crate::types::{Content, Number, WorkerIncarnation};

/// Memory for a publication in addition to its payload, in bytes.
const ENTRY_BYTES: usize = 64;

/// Publications that are kept for a client until it has received them. The oldest are dropped first.
#[derive(Debug, Default)]
pub(in crate::broker) struct Mailbox {
    entries: VecDeque<MailboxEntry>,
    /// Bytes of the payloads.
    bytes: usize,
    /// Publications were dropped that the client has not received.
    pub(in crate::broker) has_dropped: bool,
}

/// A publication in a mailbox.
#[derive(Debug)]
pub(in crate::broker) struct MailboxEntry {
    /// Its number in the mailbox.
    pub(in crate::broker) place: u64,
    /// The worker that received it from its publisher.
    pub(in crate::broker) source: WorkerIncarnation,
    /// Its number within that worker.
    pub(in crate::broker) number: Number,
    pub(in crate::broker) content: Content<Box<[u8]>>,
}

impl Mailbox {
    /// Adds a publication, and drops what is more than `most` or [`MAILBOX_BYTES_MAX`].
    pub(super) fn push(&mut self, kept: MailboxEntry, most: u16) {
        self.bytes += kept.content.payload.len();
        self.entries.push_back(kept);
        while self.entries.len() > usize::from(most) || self.bytes > MAILBOX_BYTES_MAX {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.content.payload.len();
            self.has_dropped = true;
        }
    }

    /// Removes what the client has received: everything up to a place.
    pub(super) fn forget_up_to(&mut self, place: u64) {
        while let Some(oldest) = self.entries.pop_front_if(|oldest| oldest.place <= place) {
            self.bytes -= oldest.content.payload.len();
        }
    }

    /// Returns true if it has no publication and has dropped none.
    pub(super) fn is_unused(&self) -> bool {
        self.entries.is_empty() && !self.has_dropped
    }

    /// Returns the publications, the oldest first.
    pub(in crate::broker) fn iter(&self) -> impl Iterator<Item = &MailboxEntry> {
        self.entries.iter()
    }

    /// Returns its memory in bytes.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.entries.len() * ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Generation, PayloadForm, WorkerId};

    fn kept(place: u64, bytes: usize) -> MailboxEntry {
        let source = WorkerIncarnation { worker: WorkerId(0), generation: Generation(1) };
        let payload = vec![b'x'; bytes].into_boxed_slice();
        let content = Content { form: PayloadForm::Message, payload };
        MailboxEntry { place, source, number: Number(place), content }
    }

    fn places(mailbox: &Mailbox) -> Vec<u64> {
        mailbox.iter().map(|kept| kept.place).collect()
    }

    #[test]
    fn the_latest_publications_are_kept() {
        let mut mailbox = Mailbox::default();
        (1..=3).for_each(|place| mailbox.push(kept(place, 10), 3));
        assert!(!mailbox.has_dropped);
        mailbox.push(kept(4, 10), 3);
        assert_eq!((places(&mailbox), mailbox.has_dropped), (vec![2, 3, 4], true));
        mailbox.forget_up_to(3);
        assert_eq!(places(&mailbox), [4]);
        assert_eq!(mailbox.held(), 10 + ENTRY_BYTES);
    }

    #[test]
    fn a_mailbox_has_a_limit_of_bytes() {
        let mut mailbox = Mailbox::default();
        (1..=6).for_each(|place| mailbox.push(kept(place, 50 * 1024), 100));
        assert_eq!((places(&mailbox), mailbox.has_dropped), (vec![2, 3, 4, 5, 6], true));
        mailbox.push(kept(7, MAILBOX_BYTES_MAX + 1), 100);
        assert!(places(&mailbox).is_empty() && mailbox.has_dropped && !mailbox.is_unused());
        assert_eq!(mailbox.held(), 0);
    }
}

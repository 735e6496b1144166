//! Publications to a single client that is away.

use std::collections::VecDeque;

use crate::types::limits::MAILBOX_BYTES_MAX;
use crate::types::{Content, Number, ReplayPosition, WorkerIncarnation};

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
    /// Its place in the journal of its space, or in the mailbox if there is no journal.
    pub(in crate::broker) position: ReplayPosition,
    /// Its place in the mailbox.
    pub(in crate::broker) own: ReplayPosition,
    /// The worker that received it from its publisher.
    pub(in crate::broker) source: WorkerIncarnation,
    /// Its number within that worker.
    pub(in crate::broker) number: Number,
    pub(in crate::broker) content: Content<Box<[u8]>>,
}

/// A publication that is to be kept for a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct MailboxPublication<'a> {
    /// The worker that received it from its publisher.
    pub(in crate::broker) source: WorkerIncarnation,
    /// Its number within that worker.
    pub(in crate::broker) number: Number,
    /// Its place in the journal of its space, if there is one.
    pub(in crate::broker) at: Option<ReplayPosition>,
    pub(in crate::broker) content: Content<&'a [u8]>,
}

impl MailboxPublication<'_> {
    /// Returns the entry with its own place in the mailbox.
    pub(super) fn entry(self, own: ReplayPosition) -> MailboxEntry {
        let Self { source, number, at, content } = self;
        let content = Content { form: content.form, payload: content.payload.into() };
        MailboxEntry { position: at.unwrap_or(own), own, source, number, content }
    }
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

    /// Removes what the client has received: everything up to the last publication whose position is not after this
    /// one. Positions of another journal say nothing.
    pub(super) fn forget_up_to(&mut self, since: ReplayPosition) {
        let is_up_to = |it: ReplayPosition| it.epoch == since.epoch && it.number <= since.number;
        let is_received = |entry: &MailboxEntry| is_up_to(entry.position) || is_up_to(entry.own);
        let received = self.entries.iter().rposition(is_received).map_or(0, |last| last + 1);
        for entry in self.entries.drain(..received) {
            self.bytes -= entry.content.payload.len();
        }
    }

    /// Removes what was kept before the first publication with a place in this journal.
    pub(super) fn forget_others(&mut self, epoch: u32) {
        while let Some(entry) = self.entries.pop_front_if(|it| it.position.epoch != epoch) {
            self.bytes -= entry.content.payload.len();
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
        let position = ReplayPosition { epoch: 1, number: place };
        let own = ReplayPosition { epoch: 9, number: 10 + place };
        MailboxEntry { position, own, source, number: Number(place), content }
    }

    fn places(mailbox: &Mailbox) -> Vec<u64> {
        mailbox.iter().map(|kept| kept.position.number).collect()
    }

    #[test]
    fn the_latest_publications_are_kept() {
        let mut mailbox = Mailbox::default();
        (1..=3).for_each(|place| mailbox.push(kept(place, 10), 3));
        assert!(!mailbox.has_dropped);
        mailbox.push(kept(4, 10), 3);
        assert_eq!((places(&mailbox), mailbox.has_dropped), (vec![2, 3, 4], true));
        mailbox.forget_up_to(ReplayPosition { epoch: 2, number: 4 });
        assert_eq!(places(&mailbox), [2, 3, 4]);
        mailbox.forget_up_to(ReplayPosition { epoch: 9, number: 12 });
        assert_eq!(places(&mailbox), [3, 4]);
        mailbox.forget_up_to(ReplayPosition { epoch: 1, number: 3 });
        assert_eq!(places(&mailbox), [4]);
        assert_eq!(mailbox.held(), 10 + ENTRY_BYTES);
        mailbox.forget_others(1);
        assert_eq!(places(&mailbox), [4]);
        mailbox.forget_others(2);
        assert!(places(&mailbox).is_empty());
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

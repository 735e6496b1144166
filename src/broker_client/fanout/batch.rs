//! A batch: consecutive publications to the same clients, and the progress of writing them.

use std::ops::ControlFlow::{self, Continue};
use std::rc::Rc;
use std::time::Duration;

use super::frames::{Joined, ask, frame_of_large, join};
use crate::broker_client::write_reports::WriteTally;
use crate::protocol::{Cast, Protocol};
use crate::types::limits::SEND_BYTES;
use crate::types::{
    AskToken, Content, FramedPayload, Number, PayloadForm, ReplayPosition, Slot, SlotSet,
    WorkerIncarnation, send_work,
};

/// Value of `next` when all recipients are done. Real slots are far below it.
const DONE: u32 = u32::MAX;

/// Consecutive publications to the same clients.
#[derive(Debug)]
pub struct Batch {
    recipients: BatchRecipients,
    queue: BatchQueue,
    /// Recipients below this slot have been written to; [`DONE`] when all have.
    next: u32,
    /// Recipients at or above `next` that were written to early.
    served: SlotSet,
    is_sealed: bool,
    /// Excluded slots with the index of the publication that excludes them. The set itself stays whole, so
    /// that publications of several publishers, each of which excludes its sender, can still share a batch.
    excepts: Vec<(Slot, usize)>,
    /// The slots of `excepts` without duplicates, against which a recipient is checked.
    excepted: Vec<Slot>,
    joined: [Option<Joined>; Protocol::COUNT],
    /// The frames for the excluded client that was served last.
    gathered: Joined,
    /// What the publisher of its only publication wants to know.
    tracking: Option<DeliveryTracking>,
    /// Payload of its only publication, if that is large.
    large: Option<FramedPayload>,
    /// Number of the batch among those of all tenants.
    number: u64,
    /// A publication whose first write is timed, until that write.
    pub timed: Option<Number>,
    /// Its work, if it is counted for the broker.
    work: u64,
}

/// Progress of a batch in one slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchProgress {
    /// Recipients that are done.
    pub(super) sends: usize,
    /// `write` broke: the time is over.
    pub(super) is_broken: bool,
}

/// Content of a publication that is queued.
#[derive(Debug)]
pub(super) enum NewContent<'a> {
    /// It is copied.
    Small(Content<&'a [u8]>),
    /// It is shared.
    Large(Content<FramedPayload>),
}

impl NewContent<'_> {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Small(content) => content.payload.len(),
            Self::Large(content) => content.payload.payload().len(),
        }
    }

    pub(super) fn is_large(&self) -> bool {
        matches!(self, Self::Large(_))
    }
}

/// What the publisher of a publication wants to know about its deliveries.
#[derive(Debug)]
pub enum DeliveryTracking {
    /// How many sockets have taken it.
    Writes(Rc<WriteTally>),
    /// The answer of its recipient.
    Question(Box<Question>),
}

/// A question to one client.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The publisher, which gets the answer.
    pub publisher: WorkerIncarnation,
    /// Number of the publication.
    pub number: Number,
    /// Number that the client repeats in its answer.
    pub token: AskToken,
    /// Time that the client has.
    pub within: Duration,
}

/// The publications of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchQueue {
    pub(super) publications: Vec<QueuedPublication>,
    /// All payloads, concatenated. An owner for each of them would cost more than a copy.
    pub(super) payloads: Vec<u8>,
    /// Positions of those publications whose space stores them, with their places in `publications`.
    pub(super) positions: Vec<(usize, ReplayPosition)>,
}

/// One publication of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueuedPublication {
    /// End offset of its payload.
    pub(super) end: usize,
    pub(super) form: PayloadForm,
    pub(super) cast: Cast,
}

/// The recipients of a batch.
#[derive(Clone, Debug)]
pub(crate) enum BatchRecipients {
    /// One client.
    One(Slot),
    /// The clients of a set.
    Set(Rc<SlotSet>),
}

impl BatchRecipients {
    pub(super) fn contains(&self, slot: Slot) -> bool {
        match self {
            Self::One(one) => *one == slot,
            Self::Set(set) => set.contains(slot),
        }
    }

    /// Returns the number of clients.
    pub(super) fn clients(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Set(set) => set.0.len(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(other)) => one == other,
            (Self::Set(one), Self::Set(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Batch {
    /// Creates a batch in the memory of an earlier one.
    pub(super) fn new(recipients: BatchRecipients, queue: BatchQueue, number: u64) -> Self {
        Self {
            recipients,
            queue,
            number,
            work: 0,
            next: 0,
            served: SlotSet::default(),
            is_sealed: false,
            excepts: Vec::new(),
            excepted: Vec::new(),
            joined: [const { None }; Protocol::COUNT],
            gathered: Joined::default(),
            tracking: None,
            large: None,
            timed: None,
        }
    }

    /// Tracks the only publication of this batch.
    pub(super) fn track(&mut self, tracking: DeliveryTracking) {
        self.tracking = Some(tracking);
        self.seal();
    }

    /// Returns what the publisher of its only publication wants to know; `None` for nearly all batches.
    #[inline]
    #[must_use]
    pub fn tracking(&self) -> Option<&DeliveryTracking> {
        self.tracking.as_ref()
    }

    pub(super) fn recipients(&self) -> &BatchRecipients {
        &self.recipients
    }

    /// Returns whether a publication to these recipients can be appended to this batch. This preserves the
    /// order of each publisher only for the last batch, and only until it has been written to a client.
    pub(super) fn takes_more(&self, recipients: &BatchRecipients) -> bool {
        !self.is_sealed && self.bytes() < SEND_BYTES && self.recipients.is_same(recipients)
    }

    /// Prevents further publications from being appended.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// Returns the payload size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.queue.payloads.len() + self.large.as_ref().map_or(0, |it| it.payload().len())
    }

    /// Returns its number among the batches of all tenants.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the work of one send.
    pub(super) fn cost(&self) -> i64 {
        i64::try_from(send_work(self.bytes())).unwrap_or(i64::MAX)
    }

    /// Counts the work of a publication that was appended.
    pub(super) fn add_work(&mut self, work: u64) {
        self.work += work;
    }

    /// Returns the work that was counted, and counts from zero.
    pub(super) fn take_work(&mut self) -> u64 {
        std::mem::take(&mut self.work)
    }

    /// Returns its memory for the next batch, unless there is too much of it.
    pub(super) fn into_queue(self) -> BatchQueue {
        let BatchQueue { mut publications, mut payloads, mut positions } = self.queue;
        if payloads.capacity() > 2 * SEND_BYTES {
            return BatchQueue::default();
        }
        publications.clear();
        payloads.clear();
        positions.clear();
        BatchQueue { publications, payloads, positions }
    }

    /// Marks one client as written to, ahead of its turn. Returns false if the client is not a recipient or
    /// was already written to.
    pub(super) fn serve(&mut self, slot: Slot) -> bool {
        let is_named = self.waits_for(slot);
        if is_named {
            self.served.0.insert(slot.0);
        }
        is_named
    }

    /// Writes to the next recipients, `most` at most, until `write` breaks.
    pub(super) fn write_some(
        &mut self,
        most: usize,
        write: &mut impl FnMut(Slot, &mut Self) -> ControlFlow<()>,
    ) -> BatchProgress {
        if most == 0 {
            return BatchProgress { sends: 0, is_broken: false };
        }
        self.seal();
        match self.recipients.clone() {
            BatchRecipients::One(slot) => {
                let flow = if self.serve(slot) { write(slot, self) } else { Continue(()) };
                self.next = DONE;
                BatchProgress { sends: 1, is_broken: flow.is_break() }
            }
            BatchRecipients::Set(set) => {
                let mut slots = set.0.iter();
                slots.advance_to(self.next);
                let (mut left, mut is_broken) = (most, false);
                for slot in slots.by_ref().take(most) {
                    left -= 1;
                    let is_served = !self.served.is_empty() && self.served.contains(Slot(slot));
                    if !is_served && write(Slot(slot), self).is_break() {
                        is_broken = true;
                        break;
                    }
                }
                self.next = slots.next().unwrap_or(DONE);
                BatchProgress { sends: most - left, is_broken }
            }
        }
    }

    /// Returns whether all recipients have been written to.
    pub(super) fn is_done(&self) -> bool {
        self.next == DONE
    }

    pub(super) fn push(&mut self, content: NewContent<'_>, cast: Cast, except: Option<Slot>) {
        if let Some(slot) = except {
            self.excepts.push((slot, self.queue.publications.len()));
            if !self.excepted.contains(&slot) {
                self.excepted.push(slot);
            }
        }
        let form = match content {
            NewContent::Small(Content { form, payload }) => {
                self.queue.payloads.extend_from_slice(payload);
                form
            }
            NewContent::Large(Content { form, payload }) => {
                self.large = Some(payload);
                self.seal();
                form
            }
        };
        let end = self.queue.payloads.len();
        self.queue.publications.push(QueuedPublication { end, form, cast });
    }

    /// Stores the position of the last publication, if it has one.
    #[inline]
    pub(super) fn position_last(&mut self, at: Option<ReplayPosition>) {
        if let Some(at) = at
            && let Some(last) = self.queue.publications.len().checked_sub(1)
        {
            self.queue.positions.push((last, at));
        }
    }

    /// Returns whether a client is a recipient that was not written to yet.
    pub(super) fn waits_for(&self, slot: Slot) -> bool {
        slot.0 >= self.next && !self.served.contains(slot) && self.recipients.contains(slot)
    }

    /// Returns the number of publications for one client.
    pub(crate) fn count_for(&self, slot: Slot) -> u64 {
        let without = self.excepts.iter().filter(|(except, _)| *except == slot).count();
        (self.queue.publications.len() - without) as u64
    }

    /// Returns the frames for one client.
    pub fn frames_for(&mut self, slot: Slot, protocol: Protocol) -> &Joined {
        let (queue, tracking, large) = (&self.queue, &self.tracking, &self.large);
        #[expect(clippy::indexing_slicing, reason = "a protocol's place is below COUNT")]
        let joined = self.joined[protocol.place()].get_or_insert_with(|| match tracking {
            Some(DeliveryTracking::Question(question)) => ask(queue, protocol, question),
            _ => match large {
                Some(large) => frame_of_large(queue, large, protocol),
                None => join(queue, protocol),
            },
        });
        if !self.excepted.contains(&slot) {
            return joined;
        }
        self.gathered = joined.without(self.excepts.iter().filter(|(except, _)| *except == slot));
        &self.gathered
    }
}

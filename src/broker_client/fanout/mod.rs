//! The queue of publications to deliver. Consecutive publications to the same clients are joined.
//!
//! A publication is rendered and framed once per protocol, and its recipients share the bytes. From about
//! sixty-four publications in flight, joining publications for the same recipients into one buffer dominates
//! the throughput, because one send of many frames costs little more than one send of one frame.
//!
//! A fan-out to ten thousand clients takes thirty milliseconds, so it is written in slices, one per turn. A
//! publication to a single client that arrives meanwhile does not wait for the rest of the fan-out. That
//! client is served early, with everything that was queued for it before, so every client still receives its
//! publications in order.

mod batch;

use std::collections::VecDeque;
use std::ops::ControlFlow::{self, Break, Continue};
use std::rc::Rc;

pub use self::batch::{Batch, DeliveryTracking, Joined, Question};
use self::batch::{BatchQueue, BatchRecipients, NewContent};
use crate::link::message::{DeliverTo, SetName, ToWorker};
use crate::protocol::Cast;
use crate::types::limits::{FANOUT_BYTES_MAX, OVERTAKE_BATCHES_MAX};
use crate::types::{Content, FramedPayload, Slot, SlotSet, Tracking};

/// The publications to deliver, in order.
#[derive(Debug, Default)]
pub struct Fanout {
    /// The sets of the current batch of the link, indexed by name.
    sets: Vec<Rc<SlotSet>>,
    /// Batches in the order in which their publications arrived on the link.
    batches: VecDeque<Batch>,
    /// Publications to one client that arrived while a fan-out was being written, each with the number of the
    /// batch that it precedes.
    urgent: VecDeque<(u64, Batch)>,
    /// Total number of batches written, which is also the number of the first waiting batch.
    written: u64,
    /// Payload bytes that wait.
    bytes: usize,
    /// Whether the last slice left publications unwritten.
    is_behind: bool,
    /// Total number of urgent publications written.
    urgent_written: u64,
    /// Slots without a connection, each with the numbers of the first batch and the first urgent publication
    /// that no longer contain it.
    retired: VecDeque<((u64, u64), Slot)>,
    /// Memory of the last batch that was written, for the next one.
    spare: BatchQueue,
    /// The request for a report on the next publication.
    next_tracking: Option<Tracking>,
}

/// Error: the broker used the name of a set that it has not sent. Its link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownSet(pub(crate) SetName);

impl Fanout {
    /// Stores or clears sets, according to a message of the broker.
    pub(crate) fn take_sets(&mut self, message: ToWorker) -> Result<(), UnknownSet> {
        match message {
            ToWorker::Set { name, slots } if name.0 as usize == self.sets.len() => {
                let slots = self.same_as_before(&slots).unwrap_or_else(|| Rc::new(slots));
                self.sets.push(slots);
                Ok(())
            }
            ToWorker::Set { name, .. } => Err(UnknownSet(name)),
            _ => {
                self.sets.clear();
                Ok(())
            }
        }
    }

    /// Returns the set of the last batch if it has the same slots. Two batches of the link in one turn
    /// usually have the same recipients; with a shared set their publications can be joined.
    fn same_as_before(&self, slots: &SlotSet) -> Option<Rc<SlotSet>> {
        match self.batches.back()?.recipients() {
            BatchRecipients::Set(before) if **before == *slots => Some(Rc::clone(before)),
            _ => None,
        }
    }

    /// Queues a publication.
    pub(crate) fn deliver(
        &mut self,
        target: DeliverTo,
        content: Content<&[u8]>,
    ) -> Result<(), UnknownSet> {
        self.queue(target, NewContent::Small(content))
    }

    /// Queues a large publication, in a batch of its own. Its payload is not copied.
    pub(crate) fn deliver_large(
        &mut self,
        target: DeliverTo,
        content: Content<FramedPayload>,
    ) -> Result<(), UnknownSet> {
        self.queue(target, NewContent::Large(content))
    }

    #[inline]
    fn queue(&mut self, target: DeliverTo, content: NewContent<'_>) -> Result<(), UnknownSet> {
        let (recipients, cast, except) = match target {
            DeliverTo::One(slot) if self.overtakes() => {
                self.deliver_urgently(slot, content);
                return Ok(());
            }
            DeliverTo::One(slot) => (BatchRecipients::One(slot), Cast::One, None),
            DeliverTo::Set { name, except } => {
                let set = self.sets.get(name.0 as usize).ok_or(UnknownSet(name))?;
                (BatchRecipients::Set(Rc::clone(set)), Cast::Many, except)
            }
        };
        self.bytes += content.bytes();
        let joins = |last: &Batch| last.takes_more(&recipients) && !content.is_large();
        if !self.batches.back().is_some_and(joins) {
            let queue = std::mem::take(&mut self.spare);
            self.batches.push_back(Batch::new(recipients, queue));
        }
        if let Some(last) = self.batches.back_mut() {
            last.push(content, cast, except);
        }
        Ok(())
    }

    /// Returns whether a publication to one client is served ahead of the waiting batches.
    fn overtakes(&self) -> bool {
        self.is_behind && self.batches.len() <= OVERTAKE_BATCHES_MAX
    }

    /// Stores a request for a report on the next publication.
    pub(crate) fn track_next(&mut self, tracking: Tracking) {
        self.next_tracking = Some(tracking);
    }

    /// Returns whether there is a request for a report on the next publication.
    #[inline]
    pub(crate) fn tracks_next(&self) -> bool {
        self.next_tracking.is_some()
    }

    /// Takes the request for a report on this publication.
    pub(crate) fn take_tracking(&mut self) -> Option<Tracking> {
        self.next_tracking.take()
    }

    /// Returns the number of recipients of a publication.
    pub(crate) fn recipients(&self, target: DeliverTo) -> Result<u64, UnknownSet> {
        match target {
            DeliverTo::One(_) => Ok(1),
            DeliverTo::Set { name, except } => {
                let set = self.sets.get(name.0 as usize).ok_or(UnknownSet(name))?;
                let is_except = except.is_some_and(|slot| set.contains(slot));
                Ok(set.0.len().saturating_sub(u64::from(is_except)))
            }
        }
    }

    /// Queues a tracked publication, in a batch of its own.
    pub(crate) fn deliver_tracked(
        &mut self,
        target: DeliverTo,
        content: Content<&[u8]>,
        tracking: DeliveryTracking,
    ) -> Result<(), UnknownSet> {
        let is_urgent = matches!(target, DeliverTo::One(_)) && self.overtakes();
        let last_urgent = self.urgent.back_mut().map(|(_, batch)| batch);
        self.batches.back_mut().into_iter().chain(last_urgent).for_each(Batch::seal);
        self.deliver(target, content)?;
        let last_urgent = self.urgent.back_mut().map(|(_, batch)| batch);
        let batch = if is_urgent { last_urgent } else { self.batches.back_mut() };
        if let Some(batch) = batch {
            batch.track(tracking);
        }
        Ok(())
    }

    /// Queues a publication to a client that is served early. Everything that is queued now precedes it, so
    /// nothing may be appended to the last batch.
    fn deliver_urgently(&mut self, slot: Slot, content: NewContent<'_>) {
        if let Some(last) = self.batches.back_mut() {
            last.seal();
        }
        let before = self.end();
        let same = BatchRecipients::One(slot);
        let joins = |(number, last): &(u64, Batch)| {
            *number == before && last.takes_more(&same) && !content.is_large()
        };
        if !self.urgent.back().is_some_and(joins) {
            self.urgent.push_back((before, Batch::new(same, BatchQueue::default())));
        }
        self.bytes += content.bytes();
        if let Some((_, last)) = self.urgent.back_mut() {
            last.push(content, Cast::One, None);
        }
    }

    /// Returns the number of the next batch to be queued.
    fn end(&self) -> u64 {
        self.written + self.batches.len() as u64
    }

    /// Writes to at most `most` clients, until `write` breaks. Publications to one client that arrived since
    /// the last slice are written first.
    pub fn write_some(
        &mut self,
        most: usize,
        mut write: impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) {
        let mut left = if self.write_urgent(&mut write).is_break() { 0 } else { most };
        // Batches that were queued after a waiting urgent publication must not be written before it.
        let end = self.urgent.front().map_or(u64::MAX, |(before, _)| *before);
        while self.written < end
            && let Some(batch) = self.batches.front_mut()
        {
            left = batch.write_some(left, &mut write);
            if !batch.is_done() {
                break;
            }
            self.bytes -= batch.bytes();
            self.spare = self.batches.pop_front().map(Batch::into_queue).unwrap_or_default();
            self.written += 1;
        }
        self.is_behind = !self.batches.is_empty() || !self.urgent.is_empty();
    }

    /// Serves clients early, each with everything that was queued before its urgent publication. A client is
    /// always completed once it is started.
    fn write_urgent(
        &mut self,
        write: &mut impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some((before, mut batch)) = self.urgent.pop_front() {
            let BatchRecipients::One(slot) = *batch.recipients() else { continue };
            // Batches may have been written since the publication arrived.
            let queued = usize::try_from(before.saturating_sub(self.written)).unwrap_or(usize::MAX);
            let mut flow = Continue(());
            for earlier in self.batches.iter_mut().take(queued) {
                if earlier.serve(slot) && write(slot, earlier).is_break() {
                    flow = Break(());
                }
            }
            if write(slot, &mut batch).is_break() {
                flow = Break(());
            }
            self.bytes -= batch.bytes();
            self.urgent_written += 1;
            flow?;
        }
        Continue(())
    }

    /// Writes everything that waits for one client, ahead of its turn.
    pub fn write_for(&mut self, slot: Slot, mut write: impl FnMut(Slot, &mut Batch)) {
        let mut write = |slot: Slot, batch: &mut Batch| {
            write(slot, batch);
            Continue(())
        };
        let _all: ControlFlow<()> = self.write_urgent(&mut write);
        for batch in &mut self.batches {
            if batch.serve(slot) {
                batch.seal();
                let _flow: ControlFlow<()> = write(slot, batch);
            }
        }
    }

    /// Returns whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.urgent.is_empty()
    }

    /// Returns whether more publications may be taken from the link. If not, they wait at the broker and
    /// finally at their publishers, not in this process.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < FANOUT_BYTES_MAX
    }

    /// Registers a slot that has no connection and that the broker no longer uses. Queued publications may
    /// still contain the slot, so it can be reused only after they are written (rule L3).
    pub(crate) fn retire(&mut self, slot: Slot) {
        let urgent_end = self.urgent_written + self.urgent.len() as u64;
        self.retired.push_back(((self.end(), urgent_end), slot));
    }

    /// Returns a slot that can be reused, if there is one.
    pub(crate) fn next_retired(&mut self) -> Option<Slot> {
        let ((number, urgent), slot) = *self.retired.front()?;
        if number > self.written || urgent > self.urgent_written {
            return None;
        }
        self.retired.pop_front();
        Some(slot)
    }

    /// Clears all sets, because they are not valid on another link.
    pub(crate) fn forget_sets(&mut self) {
        self.sets.clear();
        self.next_tracking = None;
    }
}

#[cfg(test)]
mod tests;

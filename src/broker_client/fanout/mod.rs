//! The publications that are to be delivered, joined where they go to the same clients.
//!
//! A publication is rendered and framed once for each protocol; its recipients share the bytes.
//! Joining publications for the same recipients into one buffer is what decides from sixty-four in
//! flight on: one send of many frames costs little more than one send of one.
//!
//! A fan-out to ten thousand takes thirty milliseconds, so it is written in slices, a slice a turn.
//! What comes for one client in between does not wait for the rest of it: that client is served out
//! of turn with all that is queued before, so every client still receives everything in its order.

mod batch;

use std::collections::VecDeque;
use std::ops::ControlFlow::{self, Break, Continue};
use std::rc::Rc;

use self::batch::BatchRecipients;
pub use self::batch::{Batch, Joined};
use crate::link::message::{Deliver, DeliverTo, SetName, ToWorker};
use crate::protocol::Cast;
use crate::types::limits::{FANOUT_BYTES_MAX, OVERTAKE_BATCHES_MAX};
use crate::types::{Content, Slot, SlotSet};

/// What is to be delivered, in order.
#[derive(Debug, Default)]
pub struct Fanout {
    /// The sets of the current batch of the link, by name.
    sets: Vec<Rc<SlotSet>>,
    /// In the order of the link.
    batches: VecDeque<Batch>,
    /// Publications to one client that came while a fan-out was being written, each with the number
    /// of the batch that it comes before.
    urgent: VecDeque<(u64, Batch)>,
    /// Batches that were written, ever: the number of the first that waits.
    written: u64,
    /// Bytes of payload that wait.
    bytes: usize,
    /// The last slice left something.
    is_behind: bool,
    /// Publications that were written out of turn, ever.
    urgent_written: u64,
    /// Slots without a connection, each with the numbers of the batch and of the urgent publication from
    /// which on none names it.
    retired: VecDeque<((u64, u64), Slot)>,
}

/// The broker named a set that it has not sent: its link is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownSet(pub(crate) SetName);

impl Fanout {
    /// Takes the sets that the broker sends.
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

    /// Two batches of the link in one turn usually name the same clients: then they are one set,
    /// and their publications can be joined.
    fn same_as_before(&self, slots: &SlotSet) -> Option<Rc<SlotSet>> {
        match self.batches.back()?.recipients() {
            BatchRecipients::Set(before) if **before == *slots => Some(Rc::clone(before)),
            _ => None,
        }
    }

    /// Takes a publication.
    pub(crate) fn deliver(&mut self, deliver: Deliver) -> Result<(), UnknownSet> {
        let content = deliver.content;
        let (recipients, cast, except) = match deliver.target {
            DeliverTo::One(slot)
                if self.is_behind && self.batches.len() <= OVERTAKE_BATCHES_MAX =>
            {
                self.deliver_urgently(slot, content);
                return Ok(());
            }
            DeliverTo::One(slot) => (BatchRecipients::One(slot), Cast::One, None),
            DeliverTo::Set { name, except } => {
                let set = self.sets.get(name.0 as usize).ok_or(UnknownSet(name))?;
                (BatchRecipients::Set(Rc::clone(set)), Cast::Many, except)
            }
        };
        self.bytes += content.payload.len();
        if !self.batches.back().is_some_and(|last| last.takes_more(&recipients)) {
            self.batches.push_back(Batch::new(recipients));
        }
        if let Some(last) = self.batches.back_mut() {
            last.push(content, cast, except);
        }
        Ok(())
    }

    /// Takes a publication to a client that is served out of turn. What is queued by now comes
    /// before it, so nothing may be joined to that any more.
    fn deliver_urgently(&mut self, slot: Slot, content: Content) {
        if let Some(last) = self.batches.back_mut() {
            last.seal();
        }
        let before = self.end();
        let same = BatchRecipients::One(slot);
        let joins = |(number, last): &(u64, Batch)| *number == before && last.takes_more(&same);
        if !self.urgent.back().is_some_and(joins) {
            self.urgent.push_back((before, Batch::new(same)));
        }
        self.bytes += content.payload.len();
        if let Some((_, last)) = self.urgent.back_mut() {
            last.push(content, Cast::One, None);
        }
    }

    /// The number of the batch that is queued next.
    fn end(&self) -> u64 {
        self.written + self.batches.len() as u64
    }

    /// Writes to at most so many clients, and until `write` breaks off; publications to one client
    /// that have come since the last slice go first.
    pub fn write_some(
        &mut self,
        most: usize,
        mut write: impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) {
        let mut left = if self.write_urgent(&mut write).is_break() { 0 } else { most };
        // What was queued after an urgent publication that still waits is written after it.
        let end = self.urgent.front().map_or(u64::MAX, |(before, _)| *before);
        while self.written < end
            && let Some(batch) = self.batches.front_mut()
        {
            left = batch.write_some(left, &mut write);
            if !batch.is_done() {
                break;
            }
            self.bytes -= batch.bytes();
            self.batches.pop_front();
            self.written += 1;
        }
        self.is_behind = !self.batches.is_empty() || !self.urgent.is_empty();
    }

    /// Serves clients out of turn, each with all that was queued before its publication. What is started
    /// for one of them is done.
    fn write_urgent(
        &mut self,
        write: &mut impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some((before, mut batch)) = self.urgent.pop_front() {
            let BatchRecipients::One(slot) = *batch.recipients() else { continue };
            // Batches may have been written since it came.
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

    /// Writes everything that waits for one client, out of turn.
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

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.urgent.is_empty()
    }

    /// Whether more may be taken: what waits for slow turns waits at the broker, and then at the
    /// publishers, not here.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < FANOUT_BYTES_MAX
    }

    /// A slot without a connection that the broker names no more. What is queued may still name
    /// it, so it can be given away only when that is written (rule L3).
    pub(crate) fn retire(&mut self, slot: Slot) {
        let urgent_end = self.urgent_written + self.urgent.len() as u64;
        self.retired.push_back(((self.end(), urgent_end), slot));
    }

    /// A slot that can be given away.
    pub(crate) fn next_retired(&mut self) -> Option<Slot> {
        let ((number, urgent), slot) = *self.retired.front()?;
        if number > self.written || urgent > self.urgent_written {
            return None;
        }
        self.retired.pop_front();
        Some(slot)
    }

    /// A link ended: no set of it means anything any more.
    pub(crate) fn forget_sets(&mut self) {
        self.sets.clear();
    }
}

#[cfg(test)]
mod tests;

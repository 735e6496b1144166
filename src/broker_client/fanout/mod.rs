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
//!
//! Each tenant has a queue, and the tenants that wait take turns. A client belongs to one tenant, so the turns
//! do not change the order of its publications.

mod batch;
mod frames;
mod queue;
mod turns;

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::rc::Rc;

pub use self::batch::{Batch, DeliveryTracking, Question};
use self::batch::{BatchRecipients, NewContent};
pub use self::frames::Joined;
use self::queue::{NewDelivery, SharedQueueState};
use self::turns::TenantTurns;
use crate::link::fairness::WorkReport;
use crate::link::message::{DeliverTo, SetName, ToWorker};
use crate::link::resume::JournalHead;
use crate::protocol::Cast;
use crate::types::limits::FANOUT_BYTES_MAX;
use crate::types::{Content, FramedPayload, Number, ReplayPosition, Slot, Tenant, Tracking};

/// The publications to deliver. Those of one tenant are in order; the tenants take turns.
#[derive(Debug, Default)]
pub struct Fanout {
    /// The sets of the current batch of the link, indexed by name.
    sets: Vec<BatchRecipients>,
    queues: TenantTurns,
    shared: SharedQueueState,
    /// Slots without a connection, each with the number of the first batch that no longer contains it.
    retired: VecDeque<(u64, Slot)>,
    /// The next publication, if its first write is timed.
    next_timed: Option<Number>,
    /// The request for a report on the next publication.
    next_tracking: Option<Tracking>,
    /// The position of the next publication, if its space stores publications.
    next_at: Option<ReplayPosition>,
    /// The latest positions of the spaces that store publications.
    heads: HashMap<Tenant, ReplayPosition>,
    /// A later one of the space whose publications the link carries at present.
    passed: Option<ReplayPosition>,
}

/// Error: the broker used the name of a set that it has not sent. Its link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownSet(pub(crate) SetName);

impl Fanout {
    /// Stores or clears sets, according to a message of the broker.
    pub(crate) fn take_sets(&mut self, message: ToWorker) -> Result<(), UnknownSet> {
        match message {
            ToWorker::Set { name, slots } if name.0 as usize == self.sets.len() => {
                let before = self.queues.current().and_then(|it| it.same_as_before(&slots));
                self.sets.push(before.unwrap_or_else(|| BatchRecipients::Set(Rc::new(slots))));
                Ok(())
            }
            ToWorker::Set { name, .. } => Err(UnknownSet(name)),
            _ => {
                self.sets.clear();
                Ok(())
            }
        }
    }

    /// The sets and publications that follow on the link are those of this tenant. A link begins with the
    /// shared tenant.
    pub(crate) fn switch_to(&mut self, tenant: Tenant) {
        if let Some(position) = self.passed.take()
            && let Some(former) = self.queues.current_tenant().cloned()
        {
            self.heads.insert(former, position);
        }
        self.queues.switch_to(tenant);
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
        let new = self.new_delivery(target, content)?;
        let new = NewDelivery { timed: self.next_timed.take(), at: self.take_next_at(), ..new };
        self.queues.push_with(&mut self.shared, |queue, shared| queue.push(new, shared));
        Ok(())
    }

    #[inline]
    fn new_delivery<'a>(
        &self,
        target: DeliverTo,
        content: NewContent<'a>,
    ) -> Result<NewDelivery<'a>, UnknownSet> {
        let (recipients, cast, except) = match target {
            DeliverTo::One(slot) => (BatchRecipients::One(slot), Cast::One, None),
            DeliverTo::Set { name, except } => {
                let set = self.sets.get(name.0 as usize).ok_or(UnknownSet(name))?;
                (set.clone(), Cast::Many, except)
            }
        };
        Ok(NewDelivery { recipients, content, cast, except, timed: None, at: None })
    }

    /// Stores the position of the next publication.
    pub(crate) fn position_next(&mut self, position: ReplayPosition) {
        self.next_at = Some(position);
    }

    /// The next publication was received before.
    pub(crate) fn forget_next(&mut self) {
        self.take_next_at();
    }

    /// Takes the position of the publication that is queued now. From here on it is the latest one: between both
    /// messages of the link something else may ask for it.
    #[inline]
    fn take_next_at(&mut self) -> Option<ReplayPosition> {
        let at = self.next_at.take();
        if at.is_some() {
            self.passed = at;
        }
        at
    }

    /// Stores the latest position of a space. All publications up to it are queued already.
    pub(crate) fn take_head(&mut self, JournalHead { tenant, position }: JournalHead) {
        self.passed = self.passed.filter(|_| self.queues.current_tenant() != Some(&tenant));
        match position {
            Some(position) => self.heads.insert(tenant, position),
            None => self.heads.remove(&tenant),
        };
    }

    /// Returns the latest position of a space that stores publications.
    pub(crate) fn head(&self, tenant: &Tenant) -> Option<ReplayPosition> {
        let passed = self.passed.filter(|_| self.queues.current_tenant() == Some(tenant));
        passed.or_else(|| self.heads.get(tenant).copied())
    }

    /// Returns the position up to which a client was sent everything; `None` if something waits for it, or its space
    /// stores no publications.
    pub(crate) fn position_of(&self, tenant: &Tenant, slot: Slot) -> Option<ReplayPosition> {
        self.head(tenant).filter(|_| !self.queues.may_wait_for(tenant, slot))
    }

    /// Times the first write of the next publication, which has this number.
    pub(crate) fn time_next(&mut self, number: Number) {
        self.next_timed = Some(number);
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
                Ok(set.clients().saturating_sub(u64::from(is_except)))
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
        let new = self.new_delivery(target, NewContent::Small(content))?;
        let new = NewDelivery { at: self.take_next_at(), ..new };
        self.queues.push_with(&mut self.shared, |queue, shared| {
            queue.push_tracked(new, tracking, shared);
        });
        Ok(())
    }

    /// Writes to at most `most` clients, until `write` breaks. Publications to one client that arrived since
    /// the last slice are written first.
    pub fn write_some(
        &mut self,
        most: usize,
        mut write: impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) {
        self.queues.write_some(most, &mut self.shared, &mut write);
    }

    /// Writes everything that waits for one client, ahead of its turn.
    pub fn write_for(&mut self, slot: Slot, mut write: impl FnMut(Slot, &mut Batch)) {
        self.queues.write_for(slot, &mut write);
    }

    /// Returns whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Returns whether more publications may be taken from the link. If not, they wait at the broker and
    /// finally at their publishers, not in this process.
    pub(crate) fn has_room(&self) -> bool {
        self.queues.bytes() < FANOUT_BYTES_MAX
    }

    /// Counts work from here on, and reports it from this much on.
    pub(crate) fn count_work(&mut self, reported_from: u64) {
        self.shared.reported_from = Some(reported_from);
    }

    /// Counts a publication as done that was received before.
    pub(crate) fn note_dropped(&mut self, target: DeliverTo, bytes: usize) {
        if self.shared.reported_from.is_none() {
            return;
        }
        let recipients = match target {
            DeliverTo::One(slot) => Some(BatchRecipients::One(slot)),
            DeliverTo::Set { name, .. } => self.sets.get(name.0 as usize).cloned(),
        };
        let work = recipients.map_or(0, |it| self.shared.work_of(&it, bytes));
        self.queues.note_dropped(work);
    }

    /// Passes the work that was done since the last report to `report`, by tenant.
    pub(crate) fn report_work(&mut self, mut report: impl FnMut(WorkReport)) {
        if let Some(from) = self.shared.reported_from {
            self.queues.report(from, &mut report);
        }
    }

    /// Registers a slot that has no connection and that the broker no longer uses. Queued publications may
    /// still contain the slot, so it can be reused only after they are written (rule L3).
    pub(crate) fn retire(&mut self, slot: Slot) {
        self.retired.push_back((self.shared.next_number, slot));
    }

    /// Passes the slots that can be reused to `release`.
    pub(crate) fn release_retired(&mut self, mut release: impl FnMut(Slot)) {
        if self.retired.is_empty() {
            return;
        }
        let oldest = self.queues.oldest().unwrap_or(u64::MAX);
        while let Some((_, slot)) = self.retired.pop_front_if(|(number, _)| *number <= oldest) {
            release(slot);
        }
    }

    /// Clears what is not valid on another link.
    pub(crate) fn forget_sets(&mut self) {
        self.sets.clear();
        self.next_tracking = None;
        self.next_at = None;
        self.heads.clear();
        self.passed = None;
        self.queues.switch_to(Tenant::shared());
        if self.shared.reported_from.take().is_some() {
            self.queues.forget_work();
        }
    }
}

#[cfg(test)]
mod tenant_tests;
#[cfg(test)]
mod tests;

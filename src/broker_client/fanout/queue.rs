//! The publications to deliver in one tenant, in the order in which they arrived on the link.

use std::collections::VecDeque;
use std::ops::ControlFlow::{self, Break, Continue};

use super::batch::{Batch, BatchQueue, BatchRecipients, DeliveryTracking, NewContent};
use crate::protocol::Cast;
use crate::types::limits::OVERTAKE_BATCHES_MAX;
use crate::types::{Number, ReplayPosition, Slot, SlotSet, Tenant, send_work};

/// Batches that are examined for a client. With more than these, something may wait for it.
const WAITING_EXAMINED: usize = 64;

/// The publications of one tenant.
#[derive(Debug)]
pub(super) struct TenantQueue {
    pub(super) tenant: Tenant,
    /// Batches in the order in which their publications arrived on the link.
    batches: VecDeque<Batch>,
    /// Publications to one client that arrived while a fan-out was being written. Each precedes the batches
    /// with a greater number.
    urgent: VecDeque<Batch>,
    /// Payload bytes that wait.
    bytes: usize,
    /// Total number of slices when it began to wait.
    waits_since: u64,
    /// Work that is left of its turn, or a debt of its last turn if negative.
    pub(super) balance: i64,
    /// Work that is done and was not reported to the broker.
    pub(super) done: u64,
}

/// Recipients of a publication, and what it is for them.
#[derive(Debug)]
pub(super) struct NewDelivery<'a> {
    pub(super) recipients: BatchRecipients,
    pub(super) content: NewContent<'a>,
    pub(super) cast: Cast,
    pub(super) except: Option<Slot>,
    /// Its number, if its first write is timed.
    pub(super) timed: Option<Number>,
    /// Its position, if its space stores publications.
    pub(super) at: Option<ReplayPosition>,
}

/// What the queues of all tenants share.
#[derive(Debug, Default)]
pub(super) struct SharedQueueState {
    /// Number of the next batch.
    pub(super) next_number: u64,
    /// Total number of slices written.
    pub(super) slices: u64,
    /// Memory of the last batch that was written, for the next one.
    pub(super) spare: BatchQueue,
    /// Work of a tenant from which on it is reported. `None`: nothing is counted.
    pub(super) reported_from: Option<u64>,
}

impl SharedQueueState {
    /// Returns the work of a publication for the broker, if that is counted.
    pub(super) fn work_of(&self, recipients: &BatchRecipients, bytes: usize) -> u64 {
        self.reported_from.map_or(0, |_| recipients.clients().saturating_mul(send_work(bytes)))
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

/// How much more may be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct SliceBudget {
    /// Clients in this slice. Urgent publications are not counted.
    pub(super) sends: usize,
    /// Work of the tenant in this turn. [`i64::MAX`] if no other tenant waits.
    pub(super) work: i64,
    /// The time for writing is over.
    pub(super) is_over: bool,
}

impl SliceBudget {
    /// Returns how many sends of this cost may follow.
    fn sends_of(&self, cost: i64) -> usize {
        let sends = i64::try_from(self.sends).unwrap_or(i64::MAX);
        if sends.saturating_mul(cost) <= self.work {
            return self.sends;
        }
        // The last one may exceed what is left. The excess is a debt.
        let sends = self.work.saturating_add(cost - 1) / cost;
        usize::try_from(sends).unwrap_or(0)
    }

    fn charge(&mut self, sends: usize, cost: i64) {
        let sends = i64::try_from(sends).unwrap_or(i64::MAX);
        self.work = self.work.saturating_sub(sends.saturating_mul(cost));
    }
}

impl TenantQueue {
    pub(super) fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            batches: VecDeque::new(),
            urgent: VecDeque::new(),
            bytes: 0,
            waits_since: 0,
            balance: 0,
            done: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.urgent.is_empty()
    }

    /// Returns the payload bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records that the queue begins to wait.
    pub(super) fn begin(&mut self, shared: &SharedQueueState) {
        self.waits_since = shared.slices;
        // A debt stays, so that a tenant with few large publications gets no more than others.
        self.balance = self.balance.min(0);
    }

    /// Returns the set of the last batch if it has the same slots. Two batches of the link in one turn
    /// usually have the same recipients; with a shared set their publications can be joined.
    pub(super) fn same_as_before(&self, slots: &SlotSet) -> Option<BatchRecipients> {
        match self.batches.back()?.recipients() {
            it @ BatchRecipients::Set(before) if **before == *slots => Some(it.clone()),
            _ => None,
        }
    }

    /// Queues a publication.
    #[inline]
    pub(super) fn push(&mut self, new: NewDelivery<'_>, shared: &mut SharedQueueState) {
        self.bytes += new.content.bytes();
        if let BatchRecipients::One(_) = new.recipients
            && self.overtakes(shared)
        {
            return self.push_urgent(new, shared);
        }
        let NewDelivery { recipients, content, cast, except, timed, at } = new;
        let work = shared.work_of(&recipients, content.bytes());
        let joins = |last: &Batch| last.takes_more(&recipients) && !content.is_large();
        if !self.batches.back().is_some_and(joins) {
            let queue = std::mem::take(&mut shared.spare);
            self.batches.push_back(Batch::new(recipients, queue, shared.take_number()));
        }
        if let Some(last) = self.batches.back_mut() {
            last.push(content, cast, except);
            last.position_last(at);
            last.timed = timed.or(last.timed);
            last.add_work(work);
        }
    }

    /// Returns whether a publication to one client is served ahead of the waiting batches: the last slice
    /// left some of them.
    fn overtakes(&self, shared: &SharedQueueState) -> bool {
        !self.is_empty()
            && self.waits_since < shared.slices
            && self.batches.len() <= OVERTAKE_BATCHES_MAX
    }

    /// Queues a publication to a client that is served early. Everything that is queued now precedes it, so
    /// nothing may be appended to the last batch.
    fn push_urgent(&mut self, new: NewDelivery<'_>, shared: &mut SharedQueueState) {
        let NewDelivery { recipients, content, cast, except, timed, at } = new;
        let work = shared.work_of(&recipients, content.bytes());
        let last_number = self.batches.back_mut().map(|last| {
            last.seal();
            last.number()
        });
        let joins = |last: &Batch| {
            last_number.is_none_or(|batch| batch < last.number())
                && last.takes_more(&recipients)
                && !content.is_large()
        };
        if !self.urgent.back().is_some_and(joins) {
            let batch = Batch::new(recipients, BatchQueue::default(), shared.take_number());
            self.urgent.push_back(batch);
        }
        if let Some(last) = self.urgent.back_mut() {
            last.push(content, cast, except);
            last.position_last(at);
            last.timed = timed.or(last.timed);
            last.add_work(work);
        }
    }

    /// Queues a tracked publication, in a batch of its own.
    pub(super) fn push_tracked(
        &mut self,
        new: NewDelivery<'_>,
        tracking: DeliveryTracking,
        shared: &mut SharedQueueState,
    ) {
        let is_urgent = matches!(new.recipients, BatchRecipients::One(_)) && self.overtakes(shared);
        self.batches.back_mut().into_iter().chain(self.urgent.back_mut()).for_each(Batch::seal);
        self.push(new, shared);
        let last = if is_urgent { self.urgent.back_mut() } else { self.batches.back_mut() };
        if let Some(batch) = last {
            batch.track(tracking);
        }
    }

    /// Writes to clients as far as `budget` goes, until `write` breaks. Publications to one client that
    /// arrived since the last slice are written first.
    pub(super) fn write_some(
        &mut self,
        budget: &mut SliceBudget,
        spare: &mut BatchQueue,
        write: &mut impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) {
        self.write_urgent(budget, write);
        // Batches that were queued after a waiting urgent publication must not be written before it.
        let end = self.urgent.front().map_or(u64::MAX, Batch::number);
        while let Some(batch) = self.batches.front_mut().filter(|it| it.number() < end) {
            let cost = batch.cost();
            let most = if budget.is_over { 0 } else { budget.sends_of(cost) };
            let progress = batch.write_some(most, write);
            budget.sends -= progress.sends;
            budget.charge(progress.sends, cost);
            budget.is_over |= progress.is_broken;
            if !batch.is_done() {
                break;
            }
            self.bytes -= batch.bytes();
            self.done += batch.take_work();
            *spare = self.batches.pop_front().map(Batch::into_queue).unwrap_or_default();
        }
    }

    /// Serves clients early, each with everything that was queued before its urgent publication. A client is
    /// always completed once it is started.
    fn write_urgent(
        &mut self,
        budget: &mut SliceBudget,
        write: &mut impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) {
        while !budget.is_over
            && budget.work > 0
            && let Some(mut batch) = self.urgent.pop_front()
        {
            let BatchRecipients::One(slot) = *batch.recipients() else { continue };
            let mut flow = Continue(());
            for earlier in self.batches.iter_mut().take_while(|it| it.number() < batch.number()) {
                if earlier.serve(slot) {
                    budget.charge(1, earlier.cost());
                    if write(slot, earlier).is_break() {
                        flow = Break(());
                    }
                }
            }
            budget.charge(1, batch.cost());
            if write(slot, &mut batch).is_break() {
                flow = Break(());
            }
            self.bytes -= batch.bytes();
            self.done += batch.take_work();
            budget.is_over = flow.is_break();
        }
    }

    /// Writes everything that waits for one client, ahead of its turn, after all urgent publications.
    pub(super) fn write_for(&mut self, slot: Slot, write: &mut impl FnMut(Slot, &mut Batch)) {
        let mut write = |slot: Slot, batch: &mut Batch| {
            write(slot, batch);
            Continue(())
        };
        let mut budget = SliceBudget { sends: usize::MAX, work: i64::MAX, is_over: false };
        self.write_urgent(&mut budget, &mut write);
        for batch in &mut self.batches {
            if batch.serve(slot) {
                batch.seal();
                let _flow: ControlFlow<()> = write(slot, batch);
            }
        }
    }

    /// Returns whether a publication may wait for a client.
    pub(super) fn may_wait_for(&self, slot: Slot) -> bool {
        let waiting = self.batches.len() + self.urgent.len();
        let mut batches = self.batches.iter().chain(&self.urgent);
        waiting > WAITING_EXAMINED || batches.any(|batch| batch.waits_for(slot))
    }

    /// Forgets the work that was counted for a broker that is dead.
    pub(super) fn forget_work(&mut self) {
        self.done = 0;
        for batch in self.batches.iter_mut().chain(&mut self.urgent) {
            batch.take_work();
        }
    }

    /// Returns the number of the oldest waiting batch.
    pub(super) fn oldest(&self) -> Option<u64> {
        let fronts = [self.batches.front(), self.urgent.front()];
        fronts.into_iter().flatten().map(Batch::number).min()
    }
}

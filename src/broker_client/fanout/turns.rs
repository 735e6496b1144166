//! The queues of all tenants, and whose turn it is.
//!
//! Deficit round robin (Shreedhar and Varghese), with debts in place of credits: what a send costs is only
//! known when it is made, so the last send of a turn may exceed the quantum, and the next turn is shorter by
//! as much. While one tenant waits alone, nothing is counted.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use super::batch::Batch;
use super::queue::{SharedQueueState, SliceBudget, TenantQueue};
use crate::link::fairness::WorkReport;
use crate::types::limits::{FANOUT_QUANTUM, FANOUT_QUEUES_IDLE};
use crate::types::{Slot, Tenant};

/// The queues of all tenants.
#[derive(Debug)]
pub(super) struct TenantTurns {
    /// The first is that of the shared tenant.
    queues: Vec<TenantQueue>,
    /// Index of each queue.
    places: HashMap<Tenant, usize>,
    /// Index of the tenant whose publications the link carries at present.
    current: usize,
    /// Queues with publications. The first of them is served.
    waiting: VecDeque<usize>,
    /// Number of queues from which on empty ones are removed.
    prune_at: usize,
    /// Reports of queues that were removed.
    reports: Vec<WorkReport>,
}

impl Default for TenantTurns {
    fn default() -> Self {
        let shared = Tenant::shared();
        Self {
            queues: vec![TenantQueue::new(shared.clone())],
            places: HashMap::from([(shared, 0)]),
            current: 0,
            waiting: VecDeque::new(),
            prune_at: FANOUT_QUEUES_IDLE,
            reports: Vec::new(),
        }
    }
}

impl TenantTurns {
    /// The publications that follow are for clients of this tenant.
    pub(super) fn switch_to(&mut self, tenant: Tenant) {
        if let Some(place) = self.places.get(&tenant) {
            self.current = *place;
            return;
        }
        if self.queues.len() >= self.prune_at {
            self.prune();
        }
        self.current = self.queues.len();
        self.queues.push(TenantQueue::new(tenant.clone()));
        self.places.insert(tenant, self.current);
    }

    /// Removes empty queues, except that of the shared tenant. No queue is current afterwards.
    fn prune(&mut self) {
        let mut moved = HashMap::new();
        let mut kept = Vec::new();
        for (place, queue) in std::mem::take(&mut self.queues).into_iter().enumerate() {
            if place == 0 || !queue.is_empty() {
                moved.insert(place, kept.len());
                kept.push(queue);
            } else if queue.done > 0 {
                self.reports.push(WorkReport { tenant: queue.tenant, done: queue.done });
            }
        }
        self.waiting = self.waiting.iter().filter_map(|place| moved.get(place).copied()).collect();
        self.places = kept.iter().map(|it| it.tenant.clone()).zip(0..).collect();
        self.prune_at = FANOUT_QUEUES_IDLE.max(2 * kept.len());
        self.queues = kept;
    }

    /// Returns the queue of the tenant whose publications the link carries.
    #[inline]
    pub(super) fn current(&self) -> Option<&TenantQueue> {
        self.queues.get(self.current)
    }

    /// Returns the tenant whose publications the link carries.
    pub(super) fn current_tenant(&self) -> Option<&Tenant> {
        self.current().map(|queue| &queue.tenant)
    }

    /// Calls `push` with the queue of the current tenant, which has publications afterwards.
    #[inline]
    pub(super) fn push_with(
        &mut self,
        shared: &mut SharedQueueState,
        push: impl FnOnce(&mut TenantQueue, &mut SharedQueueState),
    ) {
        let Some(queue) = self.queues.get_mut(self.current) else { return };
        if queue.is_empty() {
            queue.begin(shared);
            self.waiting.push_back(self.current);
        }
        push(queue, shared);
    }

    /// Writes to at most `sends` clients, until `write` breaks. Each tenant in turn gets a quantum, which may
    /// take several slices.
    pub(super) fn write_some(
        &mut self,
        sends: usize,
        shared: &mut SharedQueueState,
        write: &mut impl FnMut(Slot, &mut Batch) -> ControlFlow<()>,
    ) {
        let mut budget = SliceBudget { sends, work: 0, is_over: false };
        while let Some(place) = self.waiting.front().copied()
            && let Some(queue) = self.queues.get_mut(place)
        {
            let is_alone = self.waiting.len() == 1;
            if is_alone {
                queue.balance = 0;
            } else if queue.balance <= 0 {
                queue.balance += FANOUT_QUANTUM;
            }
            budget.work = if is_alone { i64::MAX } else { queue.balance };
            if budget.work > 0 {
                queue.write_some(&mut budget, &mut shared.spare, write);
            }
            if !is_alone {
                queue.balance = budget.work;
            }
            if queue.is_empty() {
                self.waiting.pop_front();
            } else if budget.work <= 0 {
                self.waiting.rotate_left(1);
            } else {
                // The rest of its turn is for the next slice.
                break;
            }
            if budget.is_over || budget.sends == 0 {
                break;
            }
        }
        shared.slices += 1;
    }

    /// Writes everything that waits for one client.
    pub(super) fn write_for(&mut self, slot: Slot, write: &mut impl FnMut(Slot, &mut Batch)) {
        let Self { queues, waiting, .. } = self;
        waiting.retain(|place| {
            let Some(queue) = queues.get_mut(*place) else { return false };
            queue.write_for(slot, write);
            !queue.is_empty()
        });
    }

    /// Returns whether a publication may wait for a client. Of many that wait, none is examined.
    pub(super) fn may_wait_for(&self, tenant: &Tenant, slot: Slot) -> bool {
        let queue = self.places.get(tenant).and_then(|place| self.queues.get(*place));
        queue.is_some_and(|queue| queue.may_wait_for(slot))
    }

    /// Counts the work of a publication to the current tenant that was dropped.
    pub(super) fn note_dropped(&mut self, work: u64) {
        if let Some(queue) = self.queues.get_mut(self.current) {
            queue.done += work;
        }
    }

    /// Passes the work of each tenant to `report`, from this much on.
    pub(super) fn report(&mut self, from: u64, report: &mut impl FnMut(WorkReport)) {
        self.reports.drain(..).for_each(&mut *report);
        for queue in self.queues.iter_mut().filter(|it| it.done >= from) {
            let done = std::mem::take(&mut queue.done);
            report(WorkReport { tenant: queue.tenant.clone(), done });
        }
    }

    /// Forgets the work that was counted for a broker that is dead.
    pub(super) fn forget_work(&mut self) {
        self.reports.clear();
        self.queues.iter_mut().for_each(TenantQueue::forget_work);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the payload bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.waiting().map(TenantQueue::bytes).sum()
    }

    /// Returns the number of the oldest waiting batch of all tenants.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting().filter_map(TenantQueue::oldest).min()
    }

    fn waiting(&self) -> impl Iterator<Item = &TenantQueue> {
        self.waiting.iter().filter_map(|place| self.queues.get(*place))
    }
}

//! Connections that wait for room in the send window, in turns of their tenants.

use super::fair_queue::{FairQueue, QueueKey};
use crate::broker_client::window_turns::{TurnOutcome, TurnRound, WindowTurns};
use crate::types::{Slot, Tenant};

/// Connections that wait for room in the send window (rule L4). Those of one tenant are in the order of their work.
#[derive(Debug)]
pub(in crate::worker) struct PausedQueue {
    turns: WindowTurns<FairQueue<Slot>>,
    /// Earliest start of waiting work in virtual time, or [`u64::MAX`].
    next_start: u64,
    /// The tenant of the push socket, while that waits for room too.
    push_socket: Option<Tenant>,
}

/// A paused connection whose turn it is.
#[derive(Debug)]
pub(in crate::worker) struct PausedTurn {
    pub(in crate::worker) slot: Slot,
    /// Its position among those of its tenant.
    pub(in crate::worker) key: QueueKey,
    tenant: Tenant,
}

impl Default for PausedQueue {
    fn default() -> Self {
        Self { turns: WindowTurns::default(), next_start: u64::MAX, push_socket: None }
    }
}

impl PausedQueue {
    /// Adds a connection that publishes in a tenant by `push`, with work that starts at this virtual time.
    pub(in crate::worker) fn push_with(
        &mut self,
        tenant: &Tenant,
        start: u64,
        push: impl FnOnce(&mut FairQueue<Slot>),
    ) {
        self.next_start = self.next_start.min(start);
        self.turns.push_with(tenant, push);
    }

    /// Removes the connection whose turn it is. [`PausedQueue::settle`] records what became of it.
    pub(in crate::worker) fn next(&mut self, round: &mut TurnRound) -> Option<PausedTurn> {
        let (tenant, queue) = self.turns.select(round)?;
        let (slot, key) = queue.pop_first()?;
        let turn = PausedTurn { slot, key, tenant: tenant.clone() };
        if key.start <= self.next_start {
            let starts = self.turns.queues().map(FairQueue::next_start);
            self.next_start = starts.min().unwrap_or(u64::MAX);
        }
        Some(turn)
    }

    /// Puts a connection back at its position, because its message still has to wait.
    pub(in crate::worker) fn put_back(&mut self, PausedTurn { slot, key, tenant }: PausedTurn) {
        self.push_with(&tenant, key.start, |queue| queue.put_back(slot, key));
    }

    /// Records what became of the connection that was removed last.
    pub(in crate::worker) fn settle(&mut self, round: &mut TurnRound, outcome: TurnOutcome) {
        self.turns.settle(round, outcome);
    }

    /// Sets whether the push socket waits for room, and in which tenant it publishes.
    pub(in crate::worker) fn set_push_socket(&mut self, tenant: Option<Tenant>) {
        self.push_socket = tenant;
    }

    /// Returns whether a publisher waits for room.
    pub(in crate::worker) fn is_contended(&self) -> bool {
        !self.turns.is_empty() || self.push_socket.is_some()
    }

    /// Returns whether a publisher of another tenant waits for room.
    pub(in crate::worker) fn others_wait(&self, tenant: &Tenant) -> bool {
        self.turns.others_wait(tenant) || self.push_socket.as_ref().is_some_and(|it| it != tenant)
    }

    /// Returns the number of tenants whose connections wait.
    pub(in crate::worker) fn tenants(&self) -> usize {
        self.turns.len()
    }

    /// Returns the earliest start of waiting work in virtual time, or [`u64::MAX`] if none waits.
    pub(in crate::worker) fn next_start(&self) -> u64 {
        self.next_start
    }
}

//! Clients that wait for what they have missed.

use std::collections::{BTreeMap, HashMap};

use super::client_moves::HandedMove;
use super::journal::matching::MissedSearch;
use super::records::RecordKey;
use crate::link::resume::ResumableJoin;
use crate::types::{ConnectionRef, WorkerId, WorkerIncarnation};

/// Joins of clients that get publications of the past, in their order for each worker. Until its turn a client is not
/// here, and its worker has no answer.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    /// Joins that wait until all workers have sent again what an earlier broker may have delivered, or until requests of
    /// earlier connections are written to all links.
    early: BTreeMap<ConnectionRef, (WorkerIncarnation, ResumableJoin)>,
    /// How many turns were written when those were decided on last.
    tried_at: u64,
    waiting: BTreeMap<(WorkerId, u64), PendingRecovery>,
    by_place: HashMap<ConnectionRef, u64>,
    by_key: HashMap<RecordKey, ConnectionRef>,
    /// Total number of joins that have waited.
    serials: u64,
    /// The worker that was served last.
    served: Option<WorkerId>,
}

/// A join that waits.
#[derive(Debug)]
pub(super) struct PendingRecovery {
    pub(super) source: WorkerIncarnation,
    pub(super) join: ResumableJoin,
    /// The client whose token was accepted; `None` for a new client.
    pub(super) key: Option<RecordKey>,
    /// What is sought in the journal.
    pub(super) wanted: WantedPast,
    pub(super) search: MissedSearch,
    /// What it has missed on another host.
    pub(super) handed: Option<Box<HandedMove>>,
}

/// Which publications of the past a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedPast {
    /// All since this number of the journal with this epoch.
    Since { epoch: u32, number: u64 },
    /// This number of the latest ones of that journal.
    Latest { epoch: u32, most: usize },
    /// All that it has not received on another host.
    Handed { epoch: u32 },
}

impl PendingRecovery {
    fn place(&self) -> ConnectionRef {
        ConnectionRef { worker: self.source.worker, slot: self.join.slot }
    }
}

impl Recoveries {
    /// Returns true if no client waits for its part of a journal.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a join wait until all workers have sent again what they must, or until more is written.
    pub(super) fn put_early(&mut self, source: WorkerIncarnation, join: ResumableJoin) {
        let place = ConnectionRef { worker: source.worker, slot: join.slot };
        self.early.insert(place, (source, join));
    }

    /// Returns whether joins have waited for one of these turns.
    pub(super) fn has_early(&self, written: u64) -> bool {
        !self.early.is_empty() && self.tried_at < written
    }

    /// Takes the joins that have waited for that, given the number of turns that are written.
    pub(super) fn take_early(&mut self, written: u64) -> Vec<(WorkerIncarnation, ResumableJoin)> {
        self.tried_at = written;
        std::mem::take(&mut self.early).into_values().collect()
    }

    /// Lets a join wait for its turn. No other one of the same client waits.
    pub(super) fn put(&mut self, pending: PendingRecovery) {
        self.serials += 1;
        self.keep_first(self.serials, pending);
    }

    /// Puts a join back to its place, because its turn is not over.
    pub(super) fn keep_first(&mut self, serial: u64, pending: PendingRecovery) {
        let place = pending.place();
        self.by_place.insert(place, serial);
        if let Some(key) = &pending.key {
            let former = self.by_key.insert(key.clone(), place);
            debug_assert!(former.is_none(), "one join of a client waits");
        }
        self.waiting.insert((place.worker, serial), pending);
    }

    /// Returns the join that waits for a client.
    pub(super) fn of(&self, key: &RecordKey) -> Option<&PendingRecovery> {
        if self.waiting.is_empty() {
            return None;
        }
        let place = self.by_key.get(key)?;
        self.waiting.get(&(place.worker, *self.by_place.get(place)?))
    }

    /// Removes the join that waits for a client.
    pub(super) fn take(&mut self, key: &RecordKey) -> Option<PendingRecovery> {
        let place = *self.by_key.get(key)?;
        self.take_at(place).map(|(_, pending)| pending)
    }

    fn take_at(&mut self, place: ConnectionRef) -> Option<(u64, PendingRecovery)> {
        let serial = self.by_place.remove(&place)?;
        let pending = self.waiting.remove(&(place.worker, serial))?;
        if let Some(key) = &pending.key {
            self.by_key.remove(key);
        }
        Some((serial, pending))
    }

    /// Removes the join of a connection that has ended.
    pub(super) fn withdraw(&mut self, place: ConnectionRef) {
        self.early.remove(&place);
        self.take_at(place);
    }

    /// Removes the joins of a worker that is gone.
    pub(super) fn withdraw_all(&mut self, worker: WorkerId) {
        self.early.retain(|place, _| place.worker != worker);
        let places: Vec<ConnectionRef> =
            self.by_place.keys().filter(|place| place.worker == worker).copied().collect();
        places.into_iter().for_each(|place| drop(self.take_at(place)));
    }

    /// Returns the workers with joins that wait. The first one follows the worker that was served last.
    pub(super) fn workers(&self) -> Vec<WorkerId> {
        let mut workers = Vec::new();
        let mut from = WorkerId(0);
        while let Some(((worker, _), _)) = self.waiting.range((from, 0)..).next() {
            workers.push(*worker);
            from = WorkerId(worker.0.saturating_add(1));
            if from == *worker {
                break;
            }
        }
        let served = workers.partition_point(|worker| Some(*worker) <= self.served);
        workers.rotate_left(served);
        workers
    }

    /// Takes the first join of a worker that waits.
    pub(super) fn take_first(&mut self, worker: WorkerId) -> Option<(u64, PendingRecovery)> {
        let ((_, serial), pending) = self.waiting.range((worker, 0)..=(worker, u64::MAX)).next()?;
        debug_assert!(self.by_place.get(&pending.place()) == Some(serial), "places are known");
        self.served = Some(worker);
        self.take_at(pending.place())
    }
}

//! Connections that show the token of a client that seems to be here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::records::RecordKey;
use crate::link::resume::ResumableJoin;
use crate::types::{ConnectionRef, WorkerId, WorkerIncarnation};

/// Joins that wait until the client of their token has proven that it is alive, or has not.
#[derive(Debug, Default)]
pub(super) struct Takeovers {
    waiting: BTreeMap<RecordKey, Takeover>,
    /// The same by the place of the new connection.
    by_place: BTreeMap<ConnectionRef, RecordKey>,
    /// The same by the time at which they wait no longer.
    due: BTreeMap<(Duration, RecordKey), ()>,
}

/// A join that waits.
#[derive(Debug)]
pub(super) struct Takeover {
    pub(super) source: WorkerIncarnation,
    pub(super) join: ResumableJoin,
    /// The present connection of the client.
    pub(super) present: ConnectionRef,
    /// The time from which that connection counts as dead.
    pub(super) until: Duration,
    /// It is of the same instance, so that connection is being closed. Otherwise it is asked for a sign of life.
    pub(super) is_continuing: bool,
}

impl Takeover {
    fn place(&self) -> ConnectionRef {
        ConnectionRef { worker: self.source.worker, slot: self.join.slot }
    }
}

impl Takeovers {
    /// Returns true if no join waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a join that waits. It replaces another one for the same client, which is returned.
    pub(super) fn put(&mut self, key: RecordKey, takeover: Takeover) -> Option<Takeover> {
        let former = self.take(&key);
        self.by_place.insert(takeover.place(), key.clone());
        self.due.insert((takeover.until, key.clone()), ());
        self.waiting.insert(key, takeover);
        former
    }

    /// Returns whether the join of a connection waits.
    pub(super) fn has(&self, place: ConnectionRef) -> bool {
        self.by_place.contains_key(&place)
    }

    /// Returns the join that waits for a client.
    pub(super) fn get(&self, key: &RecordKey) -> Option<&Takeover> {
        self.waiting.get(key)
    }

    /// Removes the join that waits for a client.
    pub(super) fn take(&mut self, key: &RecordKey) -> Option<Takeover> {
        let takeover = self.waiting.remove(key)?;
        self.by_place.remove(&takeover.place());
        self.due.remove(&(takeover.until, key.clone()));
        Some(takeover)
    }

    /// Removes the join of a connection that has ended.
    pub(super) fn withdraw(&mut self, place: ConnectionRef) {
        if let Some(key) = self.by_place.get(&place).cloned() {
            self.take(&key);
        }
    }

    /// Removes the joins of a worker that is gone.
    pub(super) fn withdraw_all(&mut self, worker: WorkerId) {
        let is_its = |(_, takeover): &(&RecordKey, &Takeover)| takeover.source.worker == worker;
        let keys: Vec<RecordKey> =
            self.waiting.iter().filter(is_its).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| drop(self.take(key)));
    }

    /// Returns the clients on a worker that joins wait for.
    pub(super) fn waiting_for(&self, worker: WorkerId) -> Vec<RecordKey> {
        let is_there = |(_, takeover): &(&RecordKey, &Takeover)| takeover.present.worker == worker;
        self.waiting.iter().filter(is_there).map(|(key, _)| key.clone()).collect()
    }

    /// Returns the time at which the next join waits no longer.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.keys().next().map(|(until, _)| *until)
    }

    /// Removes the next join that waits no longer.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<(RecordKey, Takeover)> {
        let (_, key) = self.due.keys().next().filter(|(until, _)| *until <= now)?.clone();
        let takeover = self.take(&key)?;
        Some((key, takeover))
    }
}

//! Requests of the present instance of a client that were accepted, so that a repeated one has no second effect.

use super::{NewPlace, Record, RecordKey, Records};
use crate::link::resume::{ClientRequest, KnownIds};
use crate::types::{AcceptedIds, ConnectionRef, Tenant};

/// What is known about the requests of an instance.
#[derive(Debug, Default)]
pub(super) struct InstanceIds {
    /// The requests that were accepted.
    accepted: AcceptedIds,
    /// An earlier broker, or a worker that did not answer, may have accepted others.
    is_doubtful: bool,
    /// The turn of this broker in which it has accepted the last one.
    accepted_in: u64,
}

impl Records {
    /// Records that a request of a client was accepted. Nothing happens if it came on an earlier connection: the
    /// present one is of another instance. `turn` is the number of this turn.
    pub(in crate::broker) fn accept(&mut self, tenant: &Tenant, request: ClientRequest, turn: u64) {
        let key = RecordKey { tenant: tenant.clone(), uuid: request.uuid };
        let Some(record) = self.all.get_mut(&key) else { return };
        if record.joined == request.joined && record.terms.instance.is_some() {
            let ids = record.ids_mut();
            ids.accepted.insert(request.id);
            ids.accepted_in = turn;
        }
    }

    /// Records that requests of a client may have been accepted that are not known.
    pub(in crate::broker) fn doubt_ids(&mut self, key: &RecordKey) {
        if let Some(record) = self.all.get_mut(key) {
            record.ids_mut().is_doubtful = true;
        }
    }

    /// A worker has sent all requests of a client again that it had announced.
    pub(in crate::broker) fn complete_ids(&mut self, key: &RecordKey, place: ConnectionRef) {
        let record = self.all.get_mut(key).filter(|record| record.place == Some(place));
        if let Some(ids) = record.and_then(|record| record.ids.as_mut()) {
            ids.is_doubtful = false;
        }
    }
}

impl Record {
    fn ids_mut(&mut self) -> &mut InstanceIds {
        self.ids.get_or_insert_with(|| Box::new(InstanceIds::default()))
    }

    /// Returns whether requests were accepted in a turn that is not written to all links, given the number of those that
    /// are. If the broker died, their worker would send them again, and another one those of the next connection: they
    /// could arrive in another order.
    pub(in crate::broker) fn has_unwritten_requests(&self, written: u64) -> bool {
        self.ids.as_ref().is_some_and(|ids| ids.accepted_in > written)
    }

    /// Returns the requests of its instance that were accepted; `None` if they are not known.
    pub(super) fn known_ids(&self) -> Option<AcceptedIds> {
        match self.ids.as_deref() {
            None => Some(AcceptedIds::default()),
            Some(ids) => Some(ids.accepted).filter(|_| !ids.is_doubtful),
        }
    }

    /// Returns the requests that were accepted, for the next connection. `None`: that is not known, or it is of another
    /// instance, or the client has not seen the connection since which they are known, or its token is of an earlier
    /// record that is lost, which may have had a greater number. They begin afresh then, for tokens of later connections.
    pub(super) fn continue_ids(&mut self, next: &NewPlace) -> Option<AcceptedIds> {
        let instance = next.terms.instance;
        let is_same = instance.is_some() && instance == self.terms.instance;
        let is_continued = is_same && (self.ids_from..=self.generation).contains(&next.shown);
        let ids = self.known_ids().filter(|_| is_continued);
        if ids.is_none() {
            self.ids = None;
            self.ids_from = self.generation.max(next.shown).next();
        }
        ids
    }
}

impl InstanceIds {
    /// Returns what a worker has announced; `None` if no request was accepted.
    pub(super) fn announced(known: KnownIds) -> Option<Box<Self>> {
        let KnownIds { accepted, is_complete, .. } = known;
        let is_doubtful = accepted.is_none() || !is_complete;
        let accepted = accepted.unwrap_or_default();
        let ids = Self { accepted, is_doubtful, accepted_in: 0 };
        (is_doubtful || !accepted.is_empty()).then(|| Box::new(ids))
    }
}

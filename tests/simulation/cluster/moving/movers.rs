//! What a client that moves must get, and what it has got.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tagcast::link::resume::Recovery;
use tagcast::types::{
    ClientUuid, InstanceDigest, ReplayPosition, ResumeGeneration, ResumeStanding, Slot,
};

use super::Figures;

/// The clients that a publication is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Everyone,
    Uuid(ClientUuid),
}

/// A publication.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Its host and its worker.
    pub by: (usize, usize),
    pub target: For,
    pub at: Instant,
}

/// After a client has begun without its record, hosts may look for it where it was.
const FOUND_AGAIN: Duration = Duration::from_millis(1_500);

/// A connection of a mover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    pub host: usize,
    pub worker: usize,
    pub slot: Slot,
}

/// A client of `tagcast.v1` that changes its host.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
pub struct Mover {
    pub instance: InstanceDigest,
    pub token: Option<(ClientUuid, ResumeGeneration)>,
    pub since: Option<ReplayPosition>,
    /// Its present connection.
    pub connection: Option<Connection>,
    pub is_open: bool,
    pub is_recovering: bool,
    /// The host where it was before.
    pub former: Option<usize>,
    /// It must get the publications from this number on.
    noted: u64,
    /// It must get those to it alone that are later.
    lost: Option<Instant>,
    unsettled: Vec<(Instant, Instant)>,
    received: BTreeSet<u64>,
    /// The last publication to everyone of each worker.
    last: BTreeMap<(usize, usize), u64>,
}

impl Mover {
    pub fn new(no: usize) -> Self {
        Self {
            instance: InstanceDigest(no as u64 + 1),
            token: None,
            since: None,
            connection: None,
            is_open: false,
            is_recovering: false,
            former: None,
            noted: u64::MAX,
            lost: None,
            unsettled: Vec::new(),
            received: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    /// Its connection has joined. `next` is the next publication.
    pub fn joins(
        &mut self,
        uuid: ClientUuid,
        record: (ResumeGeneration, ResumeStanding),
        next: u64,
    ) -> Result<(), String> {
        let (generation, standing) = record;
        let is_resumed = standing == ResumeStanding::Resumed;
        if is_resumed && self.token.map(|(uuid, _)| uuid) != Some(uuid) {
            return Err(format!("{uuid:?} is not the client of {:?}", self.token));
        }
        self.token = Some((uuid, generation));
        self.is_open = true;
        if !is_resumed {
            (self.received, self.last, self.since) = (BTreeSet::new(), BTreeMap::new(), None);
            self.is_recovering = false;
            self.noted = next;
        }
        Ok(())
    }

    /// A host may not get its record in time and admit it without. Until the hosts have compared their records,
    /// publications to it alone may go there.
    pub fn unsettled(&mut self, now: Instant) {
        self.unsettled.push((now, now + FOUND_AGAIN));
    }

    /// It may have missed anything before the next publication.
    pub fn misses(&mut self, next: u64) {
        self.noted = next;
    }

    pub fn gets(
        &mut self,
        id: u64,
        publication: &Publication,
        at: Option<ReplayPosition>,
    ) -> Result<(), String> {
        let uuid = self.token.map(|(uuid, _)| uuid);
        if let For::Uuid(one) = publication.target
            && Some(one) != uuid
        {
            return Err(format!("{uuid:?} gets {id}, which is for {one:?}"));
        }
        // What it has received before it has learned that it may have missed something is not known to any host.
        let is_checked = id >= self.noted;
        if !self.received.insert(id) && is_checked {
            return Err(format!("{uuid:?} gets {id} twice (P2)"));
        }
        if publication.target == For::Everyone {
            let last = self.last.entry(publication.by).or_default();
            if id < *last && is_checked {
                return Err(format!("{uuid:?} gets {id} after {last} of the same worker (P1)"));
            }
            *last = id;
        }
        if at.is_some() {
            self.since = at;
        }
        Ok(())
    }

    pub fn recovers(&mut self, recovery: Recovery, next: (u64, Instant), figures: &mut Figures) {
        self.is_recovering = false;
        let has_moved = self.former.take() != self.connection.map(|it| it.host);
        if recovery.reason.is_none() {
            figures.recovered += u64::from(has_moved);
        } else {
            figures.lost += u64::from(has_moved);
            (self.noted, self.lost) = (next.0, Some(next.1 + FOUND_AGAIN));
        }
        if recovery.position.is_some() {
            self.since = recovery.position;
        }
    }

    /// Returns a publication that it should have got.
    pub fn missing(&self, published: &BTreeMap<u64, Publication>) -> Option<u64> {
        let uuid = self.token?.0;
        let is_unsettled =
            |at: Instant| self.unsettled.iter().any(|(from, until)| *from <= at && at <= *until);
        let is_found =
            |it: &Publication| self.lost.is_none_or(|lost| lost < it.at) && !is_unsettled(it.at);
        let is_its = |it: &Publication| {
            it.target == For::Everyone || it.target == For::Uuid(uuid) && is_found(it)
        };
        let expected = published.range(self.noted..).filter(|(_, it)| is_its(it));
        let mut missing = expected.filter(|(id, _)| !self.received.contains(id));
        missing.next().map(|(id, _)| *id)
    }

    pub fn has(&self, id: u64) -> bool {
        self.received.contains(&id)
    }

    pub fn count(&self) -> u64 {
        self.received.len() as u64
    }
}

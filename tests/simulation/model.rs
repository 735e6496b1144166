//! The reference model: the connected clients, the publications and their receivers. `promises.rs`
//! decides whether a run is correct.
//!
//! It does not know links, slots, windows or brokers. A moment is a step of the run.

use std::collections::{BTreeMap, BTreeSet};

use tagcast::types::{Alias, Client, ClientUuid, Ident, Tags, Tenant, WorkerIncarnation};

use super::marks::Marks;
use super::programs::Programs;

pub type Moment = u64;
/// Number of a connection, in the order of join requests.
pub type ClientNo = usize;
/// Number of a publication, in the order of publishing.
pub type PublicationNo = usize;

/// One connection from start to end.
#[derive(Debug)]
pub struct Life {
    pub client: Client,
    pub worker: WorkerIncarnation,
    pub asked_at: Moment,
    pub opened_at: Option<Moment>,
    pub ended_at: Option<Moment>,
    /// True if the server closed it as part of a drain.
    pub is_sent_away: bool,
    /// Latest time at which the broker learned that it has ended.
    pub gone_at: Option<Moment>,
    pub tags: Vec<Carried>,
    /// All aliases that it ever requested.
    pub requested: Vec<Alias>,
    /// Alias that was granted to it, and the time at which it learned of it. None while another request
    /// is pending.
    pub granted: Option<(Alias, Moment)>,
    /// Last publication that it received from each publisher, and the last request of each.
    pub received: BTreeMap<(ClientNo, bool), PublicationNo>,
}

/// Tags of a client from one moment on.
#[derive(Debug)]
pub struct Carried {
    pub tags: Tags,
    pub since: Moment,
    /// Latest time at which the broker learned of these tags: it has acknowledged a later
    /// publication.
    pub known_at: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum To {
    Matching(Tags),
    MatchingButSelf(Tags),
    Uuid(ClientUuid),
    Ident(Ident),
    Alias(Alias),
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
pub struct Published {
    pub by: ClientNo,
    pub source: WorkerIncarnation,
    pub tenant: Tenant,
    pub to: To,
    pub at: Moment,
    /// Time at which the publisher's worker got the acknowledgement of the broker.
    pub settled_at: Option<Moment>,
    /// True if the publisher knows that the publication is accepted.
    pub is_promised: bool,
    /// Its publisher repeats it until it is acknowledged, or drops it.
    pub is_request: bool,
    pub repeats: Repeats,
    pub received_by: Vec<ClientNo>,
}

/// Whether a publication may be delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    Dropped,
    /// All processes that knew its id have died within the same moments.
    Possible,
}

#[derive(Debug, Default)]
pub struct Model {
    pub now: Moment,
    pub lives: Vec<Life>,
    pub published: Vec<Published>,
    /// Tags that backends change.
    pub marks: Marks,
    /// Clients that may resume.
    pub programs: Programs,
    pub dead: BTreeSet<WorkerIncarnation>,
    /// Workers whose link was cut. They will exit, and the broker may learn this before their
    /// clients.
    pub cut: BTreeSet<WorkerIncarnation>,
}

impl Life {
    pub fn is_open(&self) -> bool {
        self.opened_at.is_some() && self.ended_at.is_none()
    }
}

impl Model {
    pub fn asks(&mut self, client: Client, worker: WorkerIncarnation) -> ClientNo {
        let tags = Carried { tags: client.tags.clone(), since: self.now, known_at: None };
        self.lives.push(Life {
            client,
            worker,
            asked_at: self.now,
            opened_at: None,
            ended_at: None,
            is_sent_away: false,
            gone_at: None,
            tags: vec![tags],
            requested: Vec::new(),
            granted: None,
            received: BTreeMap::new(),
        });
        self.lives.len() - 1
    }

    pub fn opens(&mut self, client: ClientNo) {
        self.lives[client].opened_at = Some(self.now);
    }

    pub fn ends(&mut self, client: ClientNo) {
        self.lives[client].ended_at.get_or_insert(self.now);
    }

    pub fn retags(&mut self, client: ClientNo, tags: Tags) {
        self.lives[client].tags.push(Carried { tags, since: self.now, known_at: None });
    }

    pub fn requests_alias(&mut self, client: ClientNo, alias: Alias) {
        self.lives[client].granted = None;
        self.lives[client].requested.push(alias);
    }

    /// Records the alias of a client as its worker knows it.
    pub fn on_granted(&mut self, client: ClientNo, alias: Option<&Alias>) {
        let life = &mut self.lives[client];
        if life.granted.as_ref().map(|(alias, _)| alias) != alias {
            life.granted = alias.map(|alias| (alias.clone(), self.now));
        }
    }

    pub fn publishes(&mut self, by: ClientNo, to: To) -> PublicationNo {
        let (source, at) = (self.lives[by].worker, self.now);
        let tenant = self.lives[by].client.tenant.clone();
        let (settled_at, is_promised, received_by) = (None, false, Vec::new());
        self.published.push(Published {
            by,
            source,
            tenant,
            to,
            at,
            settled_at,
            is_promised,
            is_request: false,
            repeats: Repeats::Dropped,
            received_by,
        });
        self.published.len() - 1
    }

    /// Records that no process may know the ids of earlier publications any more. Publications without an
    /// id come from workers.
    pub fn forget_ids(&mut self) {
        self.published
            .iter_mut()
            .filter(|it| it.source.worker.is_api())
            .for_each(|it| it.repeats = Repeats::Possible);
    }

    /// Records that the publisher knows that its publication is accepted.
    pub fn promises(&mut self, no: PublicationNo) {
        self.published[no].is_promised = true;
    }

    /// Records that the broker has acknowledged a publication. The publisher then knows it too.
    pub fn acknowledges(&mut self, no: PublicationNo) {
        self.published[no].settled_at.get_or_insert(self.now);
        self.promises(no);
    }

    /// Records that a client is closed in a drain.
    pub fn sent_away(&mut self, client: ClientNo) {
        self.lives[client].is_sent_away = true;
    }

    /// Records that the broker has acknowledged all publications of a worker. It therefore also
    /// knows all tag changes and departures before the last of them.
    pub fn settles(&mut self, source: WorkerIncarnation) {
        let now = self.now;
        let its = |it: &&mut Published| it.source == source && !it.is_request;
        let of_it = self.published.iter_mut().rev().filter(its);
        let settled = of_it.take_while(|it| it.settled_at.is_none());
        let Some(last) = settled.map(|it| (it.settled_at = Some(now), it.at).1).max() else {
            return;
        };
        for life in self.lives.iter_mut().filter(|life| life.worker == source) {
            for it in life.tags.iter_mut().filter(|it| it.known_at.is_none() && it.since < last) {
                it.known_at = Some(now);
            }
            if life.gone_at.is_none() && life.ended_at.is_some_and(|ended_at| ended_at < last) {
                life.gone_at = Some(now);
            }
        }
    }

    pub fn dies(&mut self, source: WorkerIncarnation) {
        self.dead.insert(source);
        self.marks.on_death(source);
    }
}

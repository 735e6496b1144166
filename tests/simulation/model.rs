//! The reference: who was connected, what was published, and who heard it. Whether that is right
//! stands in `promises.rs`.
//!
//! It knows nothing of links, slots, windows and brokers. A moment is a step of the run.

use std::collections::{BTreeMap, BTreeSet};

use tagcast::types::{Alias, Client, ClientUuid, Ident, Tags, Tenant, WorkerIncarnation};

pub type Moment = u64;
/// A connection, by the order in which it asked to join.
pub type ClientNo = usize;
/// A publication, by the order in which it was made.
pub type PublicationNo = usize;

/// One connection from its beginning to its end.
#[derive(Debug)]
pub struct Life {
    pub client: Client,
    pub worker: WorkerIncarnation,
    pub asked_at: Moment,
    pub opened_at: Option<Moment>,
    pub ended_at: Option<Moment>,
    /// The server closed it in its turn.
    pub is_sent_away: bool,
    /// The broker knows of its end, at the latest.
    pub gone_at: Option<Moment>,
    pub tags: Vec<Carried>,
    /// All that it ever wanted to be called.
    pub wished: Vec<Alias>,
    /// What it was told that it is called, since when; nothing while it wants something else.
    pub called: Option<(Alias, Moment)>,
    /// What it heard last of each publisher.
    pub heard: BTreeMap<ClientNo, PublicationNo>,
}

/// Tags from one moment on.
#[derive(Debug)]
pub struct Carried {
    pub tags: Tags,
    pub since: Moment,
    /// The broker knows them, at the latest: it has settled what came after them.
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
pub struct Published {
    pub by: ClientNo,
    pub source: WorkerIncarnation,
    pub tenant: Tenant,
    pub to: To,
    pub at: Moment,
    /// The worker that it came through knows that the broker has dealt with it.
    pub settled_at: Option<Moment>,
    /// Its client was told that it is taken.
    pub is_promised: bool,
    pub heard_by: Vec<ClientNo>,
}

#[derive(Debug, Default)]
pub struct Model {
    pub now: Moment,
    pub lives: Vec<Life>,
    pub published: Vec<Published>,
    pub dead: BTreeSet<WorkerIncarnation>,
    /// Workers whose link was cut: they end, and the broker may know it before their clients do.
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
            wished: Vec::new(),
            called: None,
            heard: BTreeMap::new(),
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

    pub fn wishes(&mut self, client: ClientNo, alias: Alias) {
        self.lives[client].called = None;
        self.lives[client].wished.push(alias);
    }

    /// What the worker of a client knows about its alias.
    pub fn is_called(&mut self, client: ClientNo, alias: Option<&Alias>) {
        let life = &mut self.lives[client];
        if life.called.as_ref().map(|(alias, _)| alias) != alias {
            life.called = alias.map(|alias| (alias.clone(), self.now));
        }
    }

    pub fn publishes(&mut self, by: ClientNo, to: To) -> PublicationNo {
        let (source, at) = (self.lives[by].worker, self.now);
        let tenant = self.lives[by].client.tenant.clone();
        let (settled_at, is_promised, heard_by) = (None, false, Vec::new());
        self.published.push(Published {
            by,
            source,
            tenant,
            to,
            at,
            settled_at,
            is_promised,
            heard_by,
        });
        self.published.len() - 1
    }

    /// A client is told that its publication is taken.
    pub fn promises(&mut self, no: PublicationNo) {
        self.published[no].is_promised = true;
    }

    /// The same, because the broker has it.
    pub fn acknowledges(&mut self, no: PublicationNo) {
        self.published[no].settled_at.get_or_insert(self.now);
        self.promises(no);
    }

    /// A client is closed in a drain.
    pub fn sent_away(&mut self, client: ClientNo) {
        self.lives[client].is_sent_away = true;
    }

    /// Everything that a worker has published is acknowledged, so the broker also knows what was
    /// said before the last of it.
    pub fn settles(&mut self, source: WorkerIncarnation) {
        let now = self.now;
        let of_it = self.published.iter_mut().rev().filter(|it| it.source == source);
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
    }
}

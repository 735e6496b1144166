//! The reference: what every client may hear, and what it must have heard when all is calm.
//!
//! It knows nothing of workers' links, slots, windows and brokers. A moment is a step of the run.

use tagcast::types::{Client, ClientClass, ClientUuid, Ident, Source, Tags, Tenant};

pub type Moment = u64;
/// A connection, by the order in which it asked to join.
pub type ClientNo = usize;
/// A publication, by the order in which it was made.
pub type PublicationNo = usize;

/// One connection from its beginning to its end.
#[derive(Debug)]
pub struct Life {
    pub client: Client,
    pub worker: Source,
    asked_at: Moment,
    opened_at: Option<Moment>,
    ended_at: Option<Moment>,
    /// The broker knows of its end, at the latest.
    gone_at: Option<Moment>,
    tags: Vec<Carried>,
    pub heard: Vec<PublicationNo>,
}

/// Tags from one moment on.
#[derive(Debug)]
struct Carried {
    tags: Tags,
    since: Moment,
    /// The broker knows them, at the latest: it has settled what came after them.
    known_at: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum To {
    Matching(Tags),
    MatchingButSelf(Tags),
    Uuid(ClientUuid),
    Ident(Ident),
}

#[derive(Debug)]
pub struct Published {
    pub by: ClientNo,
    pub source: Source,
    pub tenant: Tenant,
    pub to: To,
    at: Moment,
    /// The worker that it came through knows that the broker has dealt with it.
    settled_at: Option<Moment>,
}

/// Whether a client matches whenever the broker looked, or may have matched.
#[derive(Clone, Copy, Debug)]
enum Sure {
    Yes,
    No,
}

#[derive(Debug, Default)]
pub struct Model {
    pub now: Moment,
    pub lives: Vec<Life>,
    pub published: Vec<Published>,
    dead: Vec<Source>,
}

impl Life {
    pub fn is_open(&self) -> bool {
        self.opened_at.is_some() && self.ended_at.is_none()
    }

    fn matches(&self, query: &Tags, during: (Moment, Moment), sure: Sure) -> bool {
        let matches = |tags: &Tags| query.iter().all(|tag| tags.iter().any(|own| own == tag));
        match sure {
            Sure::Yes => self.carried(during).all(matches),
            Sure::No => self.carried(during).any(matches),
        }
    }

    /// The tags that the broker may have known it by between two moments.
    fn carried(&self, (from, to): (Moment, Moment)) -> impl Iterator<Item = &Tags> {
        let next = self.tags.iter().skip(1).map(|next| next.known_at).chain([None]);
        let during = self.tags.iter().zip(next).filter(move |(it, replaced_at)| {
            it.since <= to && replaced_at.is_none_or(|replaced_at| from <= replaced_at)
        });
        during.map(|(it, _)| &it.tags)
    }
}

impl Model {
    pub fn asks(&mut self, client: Client, worker: Source) -> ClientNo {
        let tags = Carried { tags: client.tags.clone(), since: self.now, known_at: None };
        let (asked_at, tags) = (self.now, vec![tags]);
        let (opened_at, ended_at, gone_at, heard) = (None, None, None, Vec::new());
        self.lives.push(Life {
            client,
            worker,
            asked_at,
            opened_at,
            ended_at,
            gone_at,
            tags,
            heard,
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

    pub fn publishes(&mut self, by: ClientNo, to: To) -> PublicationNo {
        let (source, at) = (self.lives[by].worker, self.now);
        let tenant = self.lives[by].client.tenant.clone();
        self.published.push(Published { by, source, tenant, to, at, settled_at: None });
        self.published.len() - 1
    }

    pub fn settles(&mut self, source: Source) {
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

    pub fn dies(&mut self, source: Source) {
        self.dead.push(source);
    }

    /// A client hears a publication: P1, P2, P4, and that it is meant for it (rule L3).
    pub fn hears(&mut self, client: ClientNo, no: PublicationNo) -> Result<(), String> {
        let Some(it) = self.published.get(no) else { return Err(format!("nobody said {no}")) };
        let life = &self.lives[client];
        let before = life.heard.iter().rev().find(|other| self.published[**other].by == it.by);
        match before.map(|before| before.cmp(&no)) {
            Some(std::cmp::Ordering::Equal) => {
                return Err(format!("{client} hears {no} twice (P2)"));
            }
            Some(std::cmp::Ordering::Greater) => {
                return Err(format!("{client} hears {no} after {} (P1)", before.unwrap()));
            }
            _ => {}
        }
        if life.client.tenant != it.tenant {
            return Err(format!("{client} hears {no} of another tenant (P4)"));
        }
        if it.settled_at.is_some_and(|settled_at| settled_at < life.asked_at)
            || !self.is_for(it, client, (it.at, self.now), Sure::No)
        {
            return Err(format!("{client} hears {no}, which is for others (L3)"));
        }
        if matches!(it.to, To::Uuid(_) | To::Ident(_)) {
            // Whose worker is dead as well cannot have told the next broker.
            let other = self
                .lives
                .iter()
                .position(|other| other.heard.contains(&no) && !self.dead.contains(&other.worker));
            if let Some(other) = other {
                return Err(format!("{client} hears {no}, which {other} has heard (L6)"));
            }
        }
        self.lives[client].heard.push(no);
        Ok(())
    }

    fn is_for(
        &self,
        it: &Published,
        client: ClientNo,
        during: (Moment, Moment),
        sure: Sure,
    ) -> bool {
        let Life { client: who, .. } = &self.lives[client];
        let is_web = who.class == ClientClass::Web;
        who.takes_publications
            && match &it.to {
                To::Uuid(uuid) => who.uuid == *uuid,
                To::Ident(ident) => who.ident.as_ref() == Some(ident),
                To::MatchingButSelf(_) if client == it.by => false,
                To::Matching(query) | To::MatchingButSelf(query) => {
                    is_web && self.lives[client].matches(query, during, sure)
                }
            }
    }

    /// All is calm: whoever was connected all the time has heard all that was for it (P3).
    pub fn is_complete(&self) -> Result<(), String> {
        for (no, it) in self.published.iter().enumerate() {
            let Some(settled_at) = it.settled_at else {
                if self.dead.contains(&it.source) {
                    continue;
                }
                return Err(format!("{no} is not acknowledged"));
            };
            let meant = |client: &ClientNo| {
                let life = &self.lives[*client];
                life.client.tenant == it.tenant
                    && life.asked_at <= settled_at
                    && life.gone_at.is_none_or(|gone_at| it.at < gone_at)
                    && self.is_for(it, *client, (it.at, settled_at), Sure::Yes)
            };
            let stayed = |client: &ClientNo| {
                let life = &self.lives[*client];
                life.is_open() && life.opened_at.is_some_and(|opened_at| opened_at <= it.at)
            };
            let mut meant = (0..self.lives.len()).filter(meant);
            let missed = match it.to {
                // The first of a name gets it; who that is is known only while none of them goes.
                To::Ident(_) => {
                    let all: Vec<_> = meant.collect();
                    let sure = all.iter().any(stayed)
                        && all.iter().all(|one| self.lives[*one].ended_at.is_none());
                    let heard = all.iter().any(|one| self.lives[*one].heard.contains(&no));
                    (sure && !heard).then(|| all[0])
                }
                _ => meant.find(|one| stayed(one) && !self.lives[*one].heard.contains(&no)),
            };
            if let Some(client) = missed {
                return Err(format!("{client} never hears {no} (P3)"));
            }
        }
        Ok(())
    }
}

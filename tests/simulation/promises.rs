//! Checks which publications a client may receive, and which it must have received when the server
//! is idle: P1 to P4, L3 and L6.

use tagcast::types::{Alias, ClientClass, Tags, WorkerIncarnation};

use super::model::{ClientNo, Life, Model, Moment, PublicationNo, Published, Repeats, To};

/// Whether a client certainly matched, at every moment at which the broker may have looked, or only
/// possibly.
#[derive(Clone, Copy, Debug)]
pub enum Sure {
    Yes,
    No,
}

impl Life {
    fn matches(&self, query: &Tags, during: (Moment, Moment), sure: Sure) -> bool {
        let matches = |tags: &Tags| {
            query.iter().all(|tag| {
                let topic = if tag.name().ends_with("channel") { tag.value() } else { "" };
                tags.iter().any(|own| own == tag) || tags.topics().iter().any(|own| own == topic)
            })
        };
        match sure {
            Sure::Yes => self.carried(during).all(matches),
            Sure::No => self.carried(during).any(matches),
        }
    }

    /// Returns the tags that the client may have had in the broker's index between two moments.
    fn carried(&self, (from, to): (Moment, Moment)) -> impl Iterator<Item = &Tags> {
        let next = self.tags.iter().skip(1).map(|next| next.known_at).chain([None]);
        let during = self.tags.iter().zip(next).filter(move |(it, replaced_at)| {
            it.since <= to && replaced_at.is_none_or(|replaced_at| from <= replaced_at)
        });
        during.map(|(it, _)| &it.tags)
    }

    fn was_open_since(&self, moment: Moment) -> bool {
        self.is_open() && self.opened_at.is_some_and(|opened_at| opened_at <= moment)
    }
}

impl Model {
    /// Records that a client received a publication, and checks that it was allowed to.
    pub fn receives(&mut self, client: ClientNo, no: PublicationNo) -> Result<(), String> {
        let (Some(it), life) = (self.published.get(no), &self.lives[client]) else {
            return Err(format!("{client} receives {no}, which no client published"));
        };
        let fault = |what: &str| Err(format!("{client} receives {no} {what}"));
        if it.repeats == Repeats::Possible {
            if !it.received_by.contains(&client) {
                self.published[no].received_by.push(client);
            }
            return Ok(());
        }
        match life.received.get(&(it.by, it.is_request)) {
            Some(_) if it.received_by.contains(&client) => return fault("twice (P2)"),
            Some(later) if *later > no && !self.programs.counts.unordered.contains(&no) => {
                return fault("too late (P1)");
            }
            _ => {}
        }
        if life.client.tenant != it.tenant {
            return fault("of another tenant (P4)");
        }
        let came_later = it.settled_at.is_some_and(|settled_at| settled_at < life.asked_at);
        if came_later || !self.is_for(it, client, (it.at, self.now), Sure::No) {
            return fault("that is for others (L3)");
        }
        // If the worker of the earlier receiver has died too, the new broker cannot know of the
        // delivery.
        // A client that has come back gets again what was sent into its old connection.
        let can_announce = |other: &ClientNo| {
            let Life { client: receiver, worker, .. } = &self.lives[*other];
            !self.dead.contains(worker) && receiver.uuid != life.client.uuid
        };
        if let To::Alias(alias) = &it.to
            && let Some(holder) = self.holder(alias, it).filter(|holder| *holder != client)
        {
            return fault(&format!("for a name that was granted to {holder} (L6)"));
        }
        if matches!(it.to, To::Uuid(_) | To::Ident(_) | To::Alias(_))
            && it.received_by.iter().any(can_announce)
        {
            return fault("that is for one client and was already delivered (L6)");
        }
        let publisher = (it.by, it.is_request);
        self.lives[client].received.insert(publisher, no);
        self.published[no].received_by.push(client);
        Ok(())
    }

    pub fn is_for(
        &self,
        it: &Published,
        client: ClientNo,
        during: (Moment, Moment),
        sure: Sure,
    ) -> bool {
        let Life { client: addressed, .. } = &self.lives[client];
        addressed.takes_publications
            && match &it.to {
                To::Uuid(uuid) => addressed.uuid == *uuid,
                To::Ident(ident) => addressed.ident.as_ref() == Some(ident),
                // The holder of an alias is certain only if it knew of the alias before the
                // publication: see `holder`.
                To::Alias(alias) => match sure {
                    Sure::No => self.lives[client].requested.contains(alias),
                    Sure::Yes => self.holder(alias, it) == Some(client),
                },
                // The sender may have come back on another connection.
                To::MatchingButSelf(_) if addressed.uuid == self.lives[it.by].client.uuid => false,
                To::Matching(query) | To::MatchingButSelf(query) => {
                    addressed.class == ClientClass::Web
                        && self.lives[client].matches(query, during, sure)
                }
            }
    }

    /// Returns the client that knew before this publication that it has the alias, and that still
    /// has it.
    fn holder(&self, alias: &Alias, it: &Published) -> Option<ClientNo> {
        let has = |life: &Life| {
            let granted = life.granted.as_ref();
            life.is_open()
                && !self.cut.contains(&life.worker)
                && life.client.tenant == it.tenant
                && granted.is_some_and(|(own, since)| own == alias && *since < it.at)
        };
        self.lives.iter().position(has)
    }

    /// Checks an idle server: every client that was connected all the time has received all its
    /// publications (P3).
    pub fn is_complete(&self) -> Result<(), String> {
        let open: Vec<ClientNo> =
            (0..self.lives.len()).filter(|client| self.lives[*client].is_open()).collect();
        for (no, it) in self.published.iter().enumerate() {
            let missed = match it.settled_at {
                // A publication that dies with its worker before it reaches the broker is not
                // promised.
                None if self.dead.contains(&it.source) || it.is_request => None,
                None => return Err(format!("{no} is not acknowledged")),
                Some(_) if matches!(it.to, To::Ident(_)) => self.sure_first(it),
                Some(settled_at) => open.iter().copied().find(|client| {
                    let life = &self.lives[*client];
                    life.was_open_since(it.at)
                        && life.client.tenant == it.tenant
                        && self.is_for(it, *client, (it.at, settled_at), Sure::Yes)
                        && !it.received_by.contains(client)
                }),
            };
            if let Some(client) = missed {
                return Err(format!("{client} never receives {no} (P3)"));
            }
        }
        Ok(())
    }

    /// Checks a server after an orderly shutdown: each acknowledged publication has reached all its
    /// recipients that were open when the broker acknowledged it (P3). Publications through a
    /// worker that died are not promised. The same is true for a worker whose link was cut shortly
    /// before the end: it was about to be killed, even if it exited in order first. A connection that hangs
    /// receives nothing.
    pub fn is_complete_at_the_end(&self) -> Result<(), String> {
        let died =
            |source: &WorkerIncarnation| self.dead.contains(source) || self.cut.contains(source);
        let promised = |it: &&Published| it.is_promised && !died(&it.source);
        for (no, it) in self.published.iter().enumerate().filter(|(_, it)| promised(it)) {
            let Some(settled_at) = it.settled_at else {
                return Err(format!("{no} was acknowledged and is lost (P3)"));
            };
            let missed = self.lives.iter().enumerate().find(|(client, life)| {
                life.is_sent_away
                    && self.programs.hears(*client)
                    && matches!(it.to, To::Matching(_) | To::MatchingButSelf(_) | To::Uuid(_))
                    && !died(&life.worker)
                    && life.opened_at.is_some_and(|opened_at| opened_at <= it.at)
                    && life.ended_at.is_some_and(|ended_at| ended_at > settled_at)
                    && life.client.tenant == it.tenant
                    && self.is_for(it, *client, (it.at, settled_at), Sure::Yes)
                    && !it.received_by.contains(client)
            });
            if let Some((client, _)) = missed {
                return Err(format!("{client} is closed and has not received {no} (P3)"));
            }
        }
        Ok(())
    }

    /// Returns the client that must have received a publication to the first client with an ident.
    /// It is certain only while no client with that ident leaves.
    fn sure_first(&self, it: &Published) -> Option<ClientNo> {
        let may = |client: &ClientNo| {
            let life = &self.lives[*client];
            life.client.tenant == it.tenant
                && life.gone_at.is_none_or(|gone_at| it.at < gone_at)
                && self.is_for(it, *client, (it.at, it.at), Sure::Yes)
        };
        let all: Vec<ClientNo> = (0..self.lives.len()).filter(may).collect();
        let all_stay = all.iter().all(|client| self.lives[*client].ended_at.is_none());
        let stays = all.iter().copied().find(|client| self.lives[*client].was_open_since(it.at));
        stays.filter(|_| all_stay && it.received_by.is_empty())
    }
}

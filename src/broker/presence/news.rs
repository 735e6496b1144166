//! What watchers get as time passes.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::audience::{AudienceKind, AudiencePart, AudienceUpdate, EarlierState};
use super::members::tags_at;
use super::remote::{SharedQuery, counts_of_hosts, is_member_here};
use super::space::{SpaceMember, WatchedQuery, WatchedSpace};
use super::{PresenceTable, SharedPresence, hosts, sharing};
use crate::index::Index;
use crate::link::hosts_presence::HostMember;
use crate::link::presence::{AudienceNews, AudienceNumber};
use crate::types::limits::PRESENCE_COLLECTED;
use crate::types::{
    ClientUuid, ConnectionRef, MemberTerms, PresenceCounts, PresenceNews, PresentMember, Tags,
    WatchMode, WorkerId,
};

/// After this time a query whose members are still being found is looked at again.
const BUILDING_PAUSE: Duration = Duration::from_millis(5);

/// The links to the workers of watchers.
pub(in crate::broker) trait AudienceLinks {
    /// Returns whether a link has room for news.
    fn has_room(&self, worker: WorkerId) -> bool;

    /// Sends news.
    fn send(&mut self, worker: WorkerId, news: AudienceNews);
}

impl PresenceTable {
    /// Returns the time at which [`PresenceTable::serve`] must be called.
    pub(in crate::broker) fn next_due(&self) -> Option<Duration> {
        if !(self.building.is_empty() && self.dropped.is_empty()) {
            return Some(Duration::ZERO);
        }
        let news = self.audiences.next_due();
        let leaving = self.lingering.first().map(|(at, ..)| *at);
        let kept = self.kept.first().map(|(at, ..)| *at);
        let of_hosts = self.shared().and_then(SharedPresence::next_due);
        [news, leaving, kept, of_hosts].into_iter().flatten().min()
    }

    /// Sends the news that are due, until `is_spent` returns true, which is called after each piece of work.
    pub(in crate::broker) fn serve(
        &mut self,
        index: &Index,
        now: Duration,
        links: &mut dyn AudienceLinks,
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        self.drop_kept(now);
        hosts::apply_pending(self, index, now, is_spent)?;
        self.build(index, is_spent)?;
        while sharing::end_one_part(self, now) {
            if is_spent() {
                return ControlFlow::Break(());
            }
        }
        while let Some((at, ..)) = self.lingering.first()
            && *at <= now
            && let Some((at, tenant, uuid)) = self.lingering.pop_first()
        {
            let space = self.spaces.get(&tenant);
            let member = space.and_then(|space| space.member(space.number_of(uuid)?));
            if member.and_then(|it| it.away.as_ref()).is_some_and(|away| away.ends_at == at) {
                self.end_member(&tenant, uuid, now);
            }
            if is_spent() {
                return ControlFlow::Break(());
            }
        }
        while let Some(number) = self.audiences.take_due(now) {
            self.send_news(index, number, now, links);
            if is_spent() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Sends one audience its news, unless a link of it has no room.
    fn send_news(
        &mut self,
        index: &Index,
        number: u64,
        now: Duration,
        links: &mut dyn AudienceLinks,
    ) {
        let Some(audience) = self.audiences.get_mut(number) else { return };
        let Some(query) = self.queries.get(&audience.query) else { return };
        let Some(space) = self.spaces.get(&query.tenant) else { return };
        if self.building.iter().any(|build| build.query == audience.query) {
            return self.audiences.put_off(number, now + BUILDING_PAUSE);
        }
        let AudienceKind::Clients(mode) = audience.kind else {
            return hosts::send_parts(self, index, number, now, links);
        };
        if audience.workers().any(|worker| !links.has_room(worker)) {
            return self.audiences.put_off(number, now + PRESENCE_COLLECTED);
        }
        let shared = self.shared.as_deref();
        if audience.has_fresh()
            && let Some(until) = sharing::awaited_until(shared, query, now)
        {
            return self.audiences.put_off(number, until);
        }
        let counts = counts_of_hosts(space, query);
        let coverage = sharing::coverage(shared, query);
        let (update, is_long) = audience.take_update(counts, coverage, now);
        let elsewhere = query.shared.as_deref();
        let look = MemberLook { index, terms: &self.terms, space, elsewhere };
        let settled = look.settled(query, update);
        let mut over = Vec::new();
        let parts = audience.take_parts(|place, id| over.push((place, id)));
        let needs_all = parts.values().any(|part| !part.fresh.is_empty());
        let fresh = needs_all.then(|| match mode {
            WatchMode::Count => PresenceNews::AllCounts,
            WatchMode::Members(_) if is_long => PresenceNews::TooMany,
            WatchMode::Members(_) => look.all(query),
        });
        self.updates += u64::from(settled.is_some() || fresh.is_some());
        let audience = AudienceNumber(number);
        let is_partial = coverage.is_partial;
        CurrentNews { audience, counts, is_partial, settled, fresh }.send(parts, links);
        for (place, id) in over {
            self.unwatch(place, id);
        }
        self.drop_unwatched(number, None);
    }
}

/// News of one audience.
struct CurrentNews {
    audience: AudienceNumber,
    counts: PresenceCounts,
    is_partial: bool,
    /// For watchers that know the earlier state.
    settled: Option<PresenceNews>,
    /// For new ones.
    fresh: Option<PresenceNews>,
}

impl CurrentNews {
    fn send(
        &self,
        parts: impl IntoIterator<Item = (WorkerId, AudiencePart)>,
        links: &mut dyn AudienceLinks,
    ) {
        let Self { audience, counts, is_partial, settled, fresh } = self;
        for (worker, part) in parts {
            for (slots, news) in [(part.settled, settled), (part.fresh, fresh)] {
                if let Some(news) = news.clone().filter(|_| !slots.is_empty()) {
                    let (audience, counts, is_partial) = (*audience, *counts, *is_partial);
                    let news = AudienceNews { audience, slots, counts, is_partial, news };
                    links.send(worker, news);
                }
            }
        }
    }
}

/// What members look like.
pub(super) struct MemberLook<'a> {
    pub(super) index: &'a Index,
    pub(super) terms: &'a HashMap<ConnectionRef, Arc<MemberTerms>>,
    pub(super) space: &'a WatchedSpace,
    /// Members on other hosts, if they count.
    pub(super) elsewhere: Option<&'a SharedQuery>,
}

impl MemberLook<'_> {
    /// Returns what the watchers get that know the earlier state.
    fn settled(&self, query: &WatchedQuery, update: AudienceUpdate) -> Option<PresenceNews> {
        match update {
            AudienceUpdate::Nothing => None,
            AudienceUpdate::Counts => Some(PresenceNews::Counts),
            AudienceUpdate::AllCounts => Some(PresenceNews::AllCounts),
            AudienceUpdate::All => Some(self.all(query)),
            AudienceUpdate::TooMany => Some(PresenceNews::TooMany),
            AudienceUpdate::Changed { clients, has_other_counts } => {
                let counts = has_other_counts.then_some(PresenceNews::Counts);
                self.changed(query, clients).or(counts)
            }
        }
    }

    fn all(&self, query: &WatchedQuery) -> PresenceNews {
        let members = query.members.iter().filter_map(|number| self.space.member(number));
        let mut all: Vec<PresentMember> = members.map(|member| self.look(member)).collect();
        let mut listed = HashSet::new();
        for member in self.elsewhere.iter().flat_map(|shared| shared.members()) {
            let is_here = is_member_here(self.space, query, member.client);
            if !is_here && listed.insert(member.client) {
                all.push(member.clone());
            }
        }
        PresenceNews::All(all)
    }

    /// Returns the members on this host.
    pub(super) fn clients(&self, query: &WatchedQuery) -> impl Iterator<Item = ClientUuid> {
        let members = query.members.iter().filter_map(|number| self.space.member(number));
        members.map(|member| member.client)
    }

    /// Returns a member on this host as other hosts get it.
    pub(super) fn host_member(
        &self,
        query: &WatchedQuery,
        client: ClientUuid,
    ) -> Option<HostMember> {
        let member = self.member_here(query, client)?;
        let terms = self.terms_of(member);
        let linger_ms =
            terms.map_or_else(|| MemberTerms::usual().linger_ms, |terms| terms.linger_ms);
        let user = self.space.digest_of(member);
        Some(HostMember { look: self.look(member), user, linger_ms })
    }

    fn member_here(&self, query: &WatchedQuery, client: ClientUuid) -> Option<&SpaceMember> {
        let number = self.space.number_of(client).filter(|number| query.members.contains(*number));
        self.space.member(number?)
    }

    fn present(&self, query: &WatchedQuery, client: ClientUuid) -> Option<PresentMember> {
        let here = self.member_here(query, client).map(|member| self.look(member));
        here.or_else(|| self.elsewhere?.present(client))
    }

    fn changed(
        &self,
        query: &WatchedQuery,
        mut changed: Vec<(ClientUuid, EarlierState)>,
    ) -> Option<PresenceNews> {
        changed.sort_unstable_by_key(|(client, _)| *client);
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for (client, before) in changed {
            match (self.present(query, client), before) {
                (Some(member), EarlierState::Absent | EarlierState::OtherMember) => {
                    joined.push(member);
                }
                (None, EarlierState::Member | EarlierState::OtherMember) => left.push(client),
                (Some(_), EarlierState::Member) | (None, EarlierState::Absent) => {}
            }
        }
        let is_nothing = joined.is_empty() && left.is_empty();
        (!is_nothing).then_some(PresenceNews::Changed { joined, left })
    }

    fn terms_of<'m>(&'m self, member: &'m SpaceMember) -> Option<&'m Arc<MemberTerms>> {
        match member.place {
            Some(place) => self.terms.get(&place),
            None => member.away.as_ref()?.terms.as_ref(),
        }
    }

    fn look(&self, member: &SpaceMember) -> PresentMember {
        let away = member.away.as_deref();
        let terms = self.terms_of(member);
        let client = member.client;
        let Some(terms) = terms else {
            let (info, tags) = (None, Tags::default());
            return PresentMember { client, shows_uuid: false, info, tags };
        };
        let shown = |tags: Option<Tags>| tags.map(|tags| terms.shown(&tags)).unwrap_or_default();
        let tags = match (terms.tags.is_empty(), member.place) {
            (true, _) => Tags::default(),
            (false, Some(place)) => shown(tags_at(self.index, place)),
            (false, None) => shown(away.map(|away| away.tags.clone())),
        };
        let (shows_uuid, info) = (terms.shows_uuid, terms.info.clone());
        PresentMember { client, shows_uuid, info, tags }
    }
}

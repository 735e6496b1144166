//! Presence of `tagcast.v1`: which clients match the queries that are watched, and what the watchers get.
//!
//! No I/O and no clock, as the router. For each space there are the watched queries, equal ones once. When a client
//! joins, leaves, is away for too long or changes its tags, its tags are compared with them. In a space without a watch
//! this costs one lookup.

mod audience;
mod audiences;
mod building;
mod hosts;
mod members;
mod news;
mod remote;
pub(super) mod sharing;
mod space;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::audience::NewWatch;
use self::audience::{AudienceKind, QueryAudience};
use self::audiences::Audiences;
use self::building::RunningBuild;
use self::members::{MemberStanding, appearance, tags_at};
pub(super) use self::news::AudienceLinks;
pub(super) use self::sharing::SharedPresence;
use self::space::{AwayMember, UserName, WatchedQuery, WatchedSpace};
use crate::index::Index;
use crate::index::identity::ident_at;
use crate::link::presence::AudienceNumber;
use crate::types::limits::PRESENCE_LINGER;
use crate::types::{
    ClientUuid, ConnectionRef, MemberTerms, Tags, Tenant, WatchRefusal, WatchScope,
};

/// All watched queries of a broker.
#[derive(Debug, Default)]
pub(in crate::broker) struct PresenceTable {
    spaces: HashMap<Tenant, WatchedSpace>,
    queries: HashMap<u64, WatchedQuery>,
    audiences: Audiences,
    /// Watches by the connections of their clients.
    watches: HashMap<ConnectionRef, Vec<PlacedWatch>>,
    /// What watchers see of clients, where that is not the usual.
    terms: HashMap<ConnectionRef, Arc<MemberTerms>>,
    /// The terms that came last. Those of the next client are often equal.
    last_terms: Option<Arc<MemberTerms>>,
    /// Members that are away, by the time at which they leave.
    lingering: BTreeSet<(Duration, Tenant, ClientUuid)>,
    /// Queries without watchers that are kept for a time, by its end.
    kept: BTreeSet<(Duration, Tenant, u64)>,
    /// Queries whose members are still being found.
    building: Vec<RunningBuild>,
    /// Queries that were watched. Their members forget them in parts.
    dropped: Vec<(u64, WatchedQuery)>,
    /// The last number of a query or an audience.
    last_number: u64,
    /// News that were sent, by watched query and mode.
    updates: u64,
    /// Work since [`PresenceTable::take_work`].
    work: usize,
    /// What is shared with other hosts. `None` if this one shares nothing.
    shared: Option<Box<SharedPresence>>,
}

/// A watch of a client.
#[derive(Clone, Copy, Debug)]
struct PlacedWatch {
    id: u64,
    audience: u64,
    scope: WatchScope,
}

/// A client that is here.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct PresentClient<'a> {
    pub(in crate::broker) tenant: &'a Tenant,
    pub(in crate::broker) uuid: ClientUuid,
    pub(in crate::broker) place: ConnectionRef,
}

/// A watch that has ended because its client does not match its query any more.
pub(in crate::broker) type EndedWatch = (ConnectionRef, u64);

impl PresenceTable {
    /// Returns true if nothing is watched and nothing is known of clients.
    pub(in crate::broker) fn is_idle(&self) -> bool {
        self.spaces.is_empty() && self.terms.is_empty()
    }

    /// Returns true if something is watched in a space.
    pub(in crate::broker) fn watches(&self, tenant: &Tenant) -> bool {
        !self.spaces.is_empty() && self.spaces.contains_key(tenant)
    }

    /// Returns what is shared with other hosts.
    pub(in crate::broker) fn shared(&self) -> Option<&SharedPresence> {
        self.shared.as_deref()
    }

    /// Returns how many watches of clients there are.
    pub(in crate::broker) fn watch_count(&self) -> usize {
        let of_clients = self.watches.iter().filter(|(place, _)| place.worker.has_clients());
        of_clients.map(|(_, watches)| watches.len()).sum()
    }

    /// Returns how many news were sent, over all time.
    pub(in crate::broker) fn updates(&self) -> u64 {
        self.updates
    }

    /// Returns the work since the last call, in bytes of a usual message.
    pub(in crate::broker) fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    /// Stores what watchers see of the client at a place.
    pub(in crate::broker) fn set_terms(&mut self, place: ConnectionRef, terms: MemberTerms) {
        if terms == MemberTerms::usual() {
            self.terms.remove(&place);
            return;
        }
        let last = self.last_terms.take().filter(|last| **last == terms);
        let terms = last.unwrap_or_else(|| Arc::new(terms));
        self.last_terms = Some(Arc::clone(&terms));
        self.terms.insert(place, terms);
    }

    /// Forgets what watchers see of a client that does not join.
    pub(in crate::broker) fn forget(&mut self, place: ConnectionRef) {
        self.terms.remove(&place);
    }

    /// Forgets what watchers see of the clients at other places.
    pub(in crate::broker) fn retain_terms(&mut self, stays: impl Fn(ConnectionRef) -> bool) {
        self.terms.retain(|place, _| stays(*place));
    }

    /// Adds a watch.
    ///
    /// # Errors
    ///
    /// If the query is not watched.
    pub(in crate::broker) fn watch(
        &mut self,
        index: &Index,
        client: PresentClient<'_>,
        watch: NewWatch<'_>,
    ) -> Result<AudienceNumber, WatchRefusal> {
        let PresentClient { tenant, place, .. } = client;
        let NewWatch { id, terms, now } = watch;
        self.unwatch(place, id);
        if terms.scope == WatchScope::Own {
            let own = tags_at(index, place);
            if !own.is_some_and(|own| space::matches(&terms.query, &own)) {
                return Err(WatchRefusal::NotOwn);
            }
        }
        let query = self.query_of(index, tenant, &terms.query)?;
        if let Some(watched) = self.queries.get_mut(&query)
            && let Some(until) = watched.kept_until.take()
        {
            self.kept.remove(&(until, tenant.clone(), query));
        }
        let audience = self.audience_of(query, AudienceKind::Clients(terms.mode));
        self.audiences.add_watch(audience, place, watch);
        sharing::share(self, query, now);
        let watch = PlacedWatch { id, audience, scope: terms.scope };
        self.watches.entry(place).or_default().push(watch);
        Ok(AudienceNumber(audience))
    }

    fn audience_of(&mut self, query: u64, kind: AudienceKind) -> u64 {
        let Some(watched) = self.queries.get_mut(&query) else { return 0 };
        let same = watched.audiences.iter().find(|(known, _)| *known == kind);
        if let Some((_, number)) = same {
            return *number;
        }
        self.last_number += 1;
        let number = self.last_number;
        watched.audiences.push((kind, number));
        self.audiences.insert(number, QueryAudience::new(query, kind));
        number
    }

    /// Removes a watch. Nothing happens if there is none.
    pub(in crate::broker) fn unwatch(&mut self, place: ConnectionRef, id: u64) {
        let Some(watches) = self.watches.get_mut(&place) else { return };
        let Some(at) = watches.iter().position(|watch| watch.id == id) else { return };
        let PlacedWatch { audience, .. } = watches.swap_remove(at);
        if watches.is_empty() {
            self.watches.remove(&place);
        }
        if let Some(it) = self.audiences.get_mut(audience) {
            it.remove(place, id);
        }
        self.drop_unwatched(audience, None);
    }

    /// Removes an audience without watchers, and its query if it has no other. The query is kept until a time if its
    /// watchers may come back: the members that are away with them are still members then.
    fn drop_unwatched(&mut self, audience: u64, kept_until: Option<Duration>) {
        let Some(it) = self.audiences.get(audience).filter(|it| it.is_empty()) else { return };
        let query = it.query;
        self.audiences.remove(audience);
        let Some(watched) = self.queries.get_mut(&query) else { return };
        watched.audiences.retain(|(_, number)| *number != audience);
        if watched.clients_audiences().next().is_some() {
            return;
        }
        let tenant = watched.tenant.clone();
        match kept_until {
            Some(until) => {
                watched.kept_until = Some(until);
                self.kept.insert((until, tenant, query));
            }
            None if watched.kept_until.is_none() => self.release(&tenant, query),
            None => {}
        }
    }

    /// No client of this host watches a query any more. It is dropped if no other host watches it.
    fn release(&mut self, tenant: &Tenant, query: u64) {
        sharing::unshare(self, query);
        if self.queries.get(&query).is_some_and(|watched| watched.audiences.is_empty()) {
            self.drop_query(tenant, query);
        }
    }

    /// The client at a place has joined, or its tags have changed. Returns its own watches that end with that.
    pub(in crate::broker) fn on_present(
        &mut self,
        index: &Index,
        client: PresentClient<'_>,
        now: Duration,
    ) -> Vec<EndedWatch> {
        let PresentClient { tenant, uuid, place } = client;
        if !self.watches(tenant) {
            return Vec::new();
        }
        let tags = tags_at(index, place);
        let name = tags.as_ref().and_then(|tags| UserName::of(tags, ident_at(index, place)));
        let appearance = appearance(self.terms.get(&place), tags.as_ref());
        let standing = MemberStanding { tags: tags.as_ref(), name, appearance };
        members::compare(self, tenant, uuid, standing, now);
        if let Some(space) = self.spaces.get_mut(tenant)
            && let Some(number) = space.number_of(uuid)
            && let Some(member) = space.member_mut(number)
        {
            member.place = Some(place);
            if let Some(away) = member.away.take() {
                self.lingering.remove(&(away.ends_at, tenant.clone(), uuid));
            }
        }
        self.end_own(place, tags.as_ref())
    }

    /// Returns the watches of a client that it does not match any more, as they demand.
    fn end_own(&mut self, place: ConnectionRef, tags: Option<&Tags>) -> Vec<EndedWatch> {
        let Some(watches) = self.watches.get(&place) else { return Vec::new() };
        let own = watches.iter().filter(|watch| watch.scope == WatchScope::Own);
        let lost = own.filter(|watch| {
            let query = self.audiences.get(watch.audience).map(|it| it.query);
            let query = query.and_then(|query| self.queries.get(&query));
            query.is_some_and(|query| tags.is_none_or(|tags| !query.matches(tags)))
        });
        let lost: Vec<u64> = lost.map(|watch| watch.id).collect();
        lost.iter().for_each(|id| self.unwatch(place, *id));
        lost.into_iter().map(|id| (place, id)).collect()
    }

    /// The tags of a member that is away have changed.
    pub(in crate::broker) fn on_away_retag(
        &mut self,
        tenant: &Tenant,
        uuid: ClientUuid,
        tags: &Tags,
        now: Duration,
    ) {
        let Some(space) = self.spaces.get_mut(tenant) else { return };
        let Some(member) = space.number_of(uuid).and_then(|number| space.member_mut(number)) else {
            return;
        };
        let Some(away) = member.away.as_mut() else { return };
        away.tags = tags.clone();
        let (terms, name) = (away.terms.clone(), UserName::of(tags, away.ident.clone()));
        let standing = MemberStanding {
            tags: Some(tags),
            name,
            appearance: appearance(terms.as_ref(), Some(tags)),
        };
        members::compare(self, tenant, uuid, standing, now);
    }

    /// The client at a place leaves it. It is still in the index. If it may come back until a time, it stays a member
    /// for a while.
    pub(in crate::broker) fn on_gone(
        &mut self,
        index: &Index,
        client: PresentClient<'_>,
        ends_at: Option<Duration>,
        now: Duration,
    ) {
        let PresentClient { tenant, uuid, place } = client;
        let terms = self.terms.remove(&place);
        let linger = terms
            .as_ref()
            .map_or(PRESENCE_LINGER, |terms| Duration::from_millis(terms.linger_ms.into()));
        for watch in self.watches.remove(&place).unwrap_or_default() {
            if let Some(it) = self.audiences.get_mut(watch.audience) {
                it.remove(place, watch.id);
            }
            self.drop_unwatched(watch.audience, ends_at.map(|_| now + linger));
        }
        if !self.watches(tenant) {
            return;
        }
        let Some(space) = self.spaces.get_mut(tenant) else { return };
        let Some(number) = space.number_of(uuid) else { return };
        let Some(member) = space.member_mut(number).filter(|it| it.place == Some(place)) else {
            return;
        };
        let lingers_until = ends_at.map(|ends_at| ends_at.min(now + linger));
        match lingers_until.filter(|until| *until > now) {
            Some(ends_at) => {
                let tags = tags_at(index, place).unwrap_or_default();
                member.place = None;
                let ident = ident_at(index, place);
                member.away = Some(Box::new(AwayMember { ends_at, ident, tags, terms }));
                self.lingering.insert((ends_at, tenant.clone(), uuid));
            }
            None => self.end_member(tenant, uuid, now),
        }
    }

    /// A client that is away has ended.
    pub(in crate::broker) fn on_ended_away(
        &mut self,
        tenant: &Tenant,
        uuid: ClientUuid,
        now: Duration,
    ) {
        let space = self.spaces.get(tenant);
        let member = space.and_then(|space| space.member(space.number_of(uuid)?));
        if member.is_some_and(|member| member.place.is_none()) {
            self.end_member(tenant, uuid, now);
        }
    }

    fn end_member(&mut self, tenant: &Tenant, uuid: ClientUuid, now: Duration) {
        let standing = MemberStanding { tags: None, name: None, appearance: 0 };
        members::compare(self, tenant, uuid, standing, now);
    }
}

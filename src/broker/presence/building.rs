//! Members of queries: those of a new one are found in parts, and those of one without a watcher are forgotten in parts.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::members::{appearance, forget_unused, tags_at};
use super::space::{QueryKey, UserName, WatchedQuery};
use super::{PresenceTable, PresentClient};
use crate::index::Index;
use crate::index::identity::{client_at, ident_at};
use crate::types::limits::WATCHED_QUERIES_MAX;
use crate::types::{
    Address, ClientFilter, ClientUuid, ConnectionRef, Slot, SlotSet, Tenant, WatchRefusal, WorkerId,
};

/// Clients after which the clock is read.
const CLIENTS: usize = 16;

/// A query whose members are being found.
#[derive(Debug)]
pub(super) struct RunningBuild {
    pub(super) query: u64,
    tenant: Tenant,
    /// The clients that matched when it began. Those that come later are compared as they come.
    places: Vec<(WorkerId, SlotSet)>,
    last: Option<Slot>,
    /// Members of other queries that are away.
    away: Vec<ClientUuid>,
}

impl RunningBuild {
    fn next(&mut self) -> Option<ConnectionRef> {
        loop {
            let (worker, slots) = self.places.last()?;
            if let Some(slot) = slots.after(self.last).next() {
                self.last = Some(slot);
                return Some(ConnectionRef { worker: *worker, slot });
            }
            self.places.pop();
            self.last = None;
        }
    }
}

impl PresenceTable {
    /// Returns the number of a query. A new one gets its members over the next turns.
    pub(super) fn query_of(
        &mut self,
        index: &Index,
        tenant: &Tenant,
        filter: &ClientFilter,
    ) -> Result<u64, WatchRefusal> {
        let space = self.spaces.get(tenant);
        let known = space.and_then(|space| space.by_key.get(&QueryKey::of(filter))).copied();
        if let Some(query) = known {
            return Ok(query);
        }
        if space.is_some_and(|space| space.by_key.len() >= WATCHED_QUERIES_MAX) {
            let is_unwatched = |query: u64| {
                let watched = self.queries.get(&query);
                watched.is_some_and(|watched| watched.audiences.is_empty())
            };
            let mut kept = self.kept.iter().filter(|(_, of, _)| of == tenant).map(|kept| kept.2);
            let unwatched = kept.find(|query| is_unwatched(*query));
            self.release(tenant, unwatched.ok_or(WatchRefusal::TooMany)?);
        }
        let address = match filter {
            ClientFilter::Tags(query) => Address::matching(query.clone()),
            ClientFilter::Expression(expression) => Address::expr(expression.clone()),
        };
        let found = index.resolve(tenant, &address);
        if let Some(refused) = found.refused {
            return Err(WatchRefusal::TooExpensive(refused.values));
        }
        self.last_number += 1;
        let query = self.last_number;
        let space = self.spaces.entry(tenant.clone()).or_default();
        space.add_query(query, filter);
        let away = space.members().filter(|member| member.place.is_none());
        let away = away.map(|member| member.client).collect();
        let (tenant, places, last) = (tenant.clone(), found.sets, None);
        self.queries.insert(query, WatchedQuery::new(tenant.clone(), filter.clone()));
        self.building.push(RunningBuild { query, tenant, places, last, away });
        Ok(query)
    }

    /// Removes a query. Its members forget it in parts.
    pub(super) fn drop_query(&mut self, tenant: &Tenant, query: u64) {
        let Some(watched) = self.queries.remove(&query) else { return };
        if let Some(until) = watched.kept_until {
            self.kept.remove(&(until, tenant.clone(), query));
        }
        self.building.retain(|build| build.query != query);
        let Some(space) = self.spaces.get_mut(tenant) else { return };
        space.remove_query(query, &watched.filter);
        if space.by_key.is_empty() {
            self.spaces.remove(tenant);
            // Numbers of members mean nothing in the next space of the tenant.
            self.dropped.retain(|(_, watched)| watched.tenant != *tenant);
        } else if !watched.members.is_empty() {
            self.dropped.push((query, watched));
        }
    }

    /// Finds members of new queries, and forgets those of dropped ones, until `is_spent` returns true.
    pub(super) fn build(
        &mut self,
        index: &Index,
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        while let Some(mut build) = self.building.pop() {
            let outcome = self.continue_build(index, &mut build, is_spent);
            if outcome.is_break() {
                self.building.push(build);
                return outcome;
            }
        }
        while let Some((query, mut watched)) = self.dropped.pop() {
            let outcome = self.forget_members(query, &mut watched, is_spent);
            if outcome.is_break() {
                self.dropped.push((query, watched));
                return outcome;
            }
        }
        Continue(())
    }

    fn continue_build(
        &mut self,
        index: &Index,
        build: &mut RunningBuild,
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        let mut visited = 0;
        loop {
            if let Some(place) = build.next() {
                let client = client_at(index, place).filter(|(tenant, _)| *tenant == build.tenant);
                if let Some((tenant, uuid)) = client {
                    let client = PresentClient { tenant: &tenant, uuid, place };
                    self.enter_one(index, client, build.query);
                }
            } else if let Some(client) = build.away.pop() {
                self.enter_away(&build.tenant, client, build.query);
            } else {
                return Continue(());
            }
            visited += 1;
            if visited % CLIENTS == 0 && is_spent() {
                return Break(());
            }
        }
    }

    /// Adds a client to a query if it matches.
    fn enter_one(&mut self, index: &Index, client: PresentClient<'_>, query: u64) {
        let PresentClient { tenant, uuid, place } = client;
        let Some(watched) = self.queries.get_mut(&query) else { return };
        let Some(space) = self.spaces.get_mut(tenant) else { return };
        let Some(tags) = tags_at(index, place).filter(|tags| watched.matches(tags)) else { return };
        let number = space.number_of(uuid).unwrap_or_else(|| {
            let number = space.add_member(uuid);
            space.set_user(number, UserName::of(&tags, ident_at(index, place)));
            if let Some(member) = space.member_mut(number) {
                member.place = Some(place);
                member.appearance = appearance(self.terms.get(&place), Some(&tags));
            }
            number
        });
        space.enter(number, query, watched);
    }

    fn enter_away(&mut self, tenant: &Tenant, client: ClientUuid, query: u64) {
        let Some(watched) = self.queries.get_mut(&query) else { return };
        let Some(space) = self.spaces.get_mut(tenant) else { return };
        let Some(number) = space.number_of(client) else { return };
        let away = space.member(number).and_then(|member| member.away.as_ref());
        if away.is_some_and(|away| watched.matches(&away.tags)) {
            space.enter(number, query, watched);
        }
    }

    fn forget_members(
        &mut self,
        query: u64,
        watched: &mut WatchedQuery,
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        let mut visited = 0;
        let Some(space) = self.spaces.get_mut(&watched.tenant) else { return Continue(()) };
        while let Some(member) = watched.members.min() {
            space.leave(member, query, watched);
            forget_unused(space, &mut self.lingering, &watched.tenant, member);
            visited += 1;
            if visited % CLIENTS == 0 && is_spent() {
                return Break(());
            }
        }
        Continue(())
    }

    /// Removes the queries that no client has watched again.
    pub(super) fn drop_kept(&mut self, now: Duration) {
        while let Some((until, _, _)) = self.kept.first()
            && *until <= now
            && let Some((_, tenant, query)) = self.kept.pop_first()
        {
            self.queries.get_mut(&query).into_iter().for_each(|it| it.kept_until = None);
            self.release(&tenant, query);
        }
    }
}

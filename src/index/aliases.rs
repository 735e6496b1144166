//! Aliases of clients, ordered by the time at which their clients joined.

use std::collections::HashMap;

use super::Index;
use super::directory::IndexEntry;
use super::directory::Reach;
use super::idents::Idents;
use super::interner::{InternedName, NameId};
use crate::types::{Claim, ConnectionRef, Exclusivity, GrantNumber, Ident, JoinNumber, Tenant};

/// The aliases of all clients. Few clients have one, so aliases are stored apart from the client entries.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    pub(super) order: Idents,
    /// The aliases of web-type clients only, so that a search among web-type clients does not visit the
    /// others.
    pub(super) web: Idents,
    held: HashMap<ConnectionRef, HeldAlias>,
}

/// The alias of one client.
#[derive(Clone, Copy, Debug)]
struct HeldAlias {
    id: NameId,
    /// The same alias in [`Aliases::web`]; `None` unless the client is web-type.
    web: Option<NameId>,
    keeping: Exclusivity,
    grant: GrantNumber,
}

impl Aliases {
    fn put(&mut self, place: ConnectionRef, number: JoinNumber, id: NameId, held: HeldAlias) {
        self.held.insert(place, held);
        debug_assert!(self.order.order().contains(&(id, number, place)), "both or none");
    }

    /// Removes the alias of a client, if it has one.
    pub(super) fn release(&mut self, place: ConnectionRef, number: JoinNumber) {
        if self.held.is_empty() {
            return;
        }
        if let Some(held) = self.held.remove(&place) {
            self.order.remove(held.id, number, place);
            if let Some(web) = held.web {
                self.web.remove(web, number, place);
            }
        }
    }

    /// Returns all other clients with this alias.
    fn others(
        &self,
        tenant: NameId,
        name: &Ident,
        place: ConnectionRef,
    ) -> impl Iterator<Item = ConnectionRef> + use<'_> {
        self.order.all(tenant, name).filter(move |other| *other != place)
    }

    /// Returns the alias of a client.
    pub(super) fn of(&self, place: ConnectionRef) -> Option<NameId> {
        self.held.get(&place).map(|held| held.id)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Returns every alias with the place of its client.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionRef, NameId)> {
        self.held.iter().map(|(place, held)| (*place, held.id))
    }
}

impl Index {
    /// Gives the client at a place an alias, which replaces the alias that the client had. The claim is
    /// refused when it is exclusive and another client has the alias, when the alias is spelled like the UUID
    /// of another client, and when publications cannot reach the client. Returns whether the claim was
    /// granted.
    pub fn claim(&mut self, place: ConnectionRef, claim: &Claim, grant: GrantNumber) -> bool {
        let Some(entry) = self.places.get(place) else { return false };
        let (tenant, reach) = (entry.tenant, entry.reach);
        let is_anothers = claim
            .alias
            .as_uuid()
            .and_then(|uuid| self.uuids.find(tenant, uuid, &self.places))
            .is_some_and(|other| other != place);
        let mut others = self.aliases.others(tenant, claim.alias.as_ident(), place);
        let is_taken = claim.keeping == Exclusivity::Alone && others.next().is_some();
        drop(others);
        if reach == Reach::Nothing || is_anothers || is_taken {
            return false;
        }
        self.hold(place, claim, grant);
        true
    }

    /// Restores an alias that an earlier broker granted. If two clients announce the same exclusive alias,
    /// the client with the later grant keeps it: the other client had already taken another alias, but its
    /// worker did not learn that before the broker died.
    pub fn restore(&mut self, place: ConnectionRef, claim: &Claim, grant: GrantNumber) {
        let Some(entry) = self.places.get(place) else { return };
        if entry.reach == Reach::Nothing {
            return;
        }
        let tenant = entry.tenant;
        if claim.keeping == Exclusivity::Alone {
            let others: Vec<ConnectionRef> =
                self.aliases.others(tenant, claim.alias.as_ident(), place).collect();
            for other in others {
                match self.aliases.held.get(&other) {
                    Some(held) if held.keeping == Exclusivity::Shared => {}
                    Some(held) if held.grant > grant => return,
                    _ => self.release_alias(other),
                }
            }
        }
        self.hold(place, claim, grant);
    }

    /// Takes an alias back from the clients that have it alone. Returns whether there were any.
    pub fn take_back(&mut self, tenant: &Tenant, alias: &Ident) -> bool {
        let Some(tenant) = self.tenants.find(InternedName::tenant(tenant)) else { return false };
        let is_alone = |place: &ConnectionRef| {
            let held = self.aliases.held.get(place);
            held.is_some_and(|held| held.keeping == Exclusivity::Alone)
        };
        let holders: Vec<ConnectionRef> =
            self.aliases.order.all(tenant, alias).filter(is_alone).collect();
        holders.iter().for_each(|place| self.release_alias(*place));
        !holders.is_empty()
    }

    fn hold(&mut self, place: ConnectionRef, claim: &Claim, grant: GrantNumber) {
        self.release_alias(place);
        let Some(IndexEntry { tenant, number, reach, .. }) = self.places.get(place) else { return };
        let (number, keeping, alias) = (*number, claim.keeping, claim.alias.as_ident());
        let id = self.aliases.order.add(*tenant, alias, number, place);
        let is_web = *reach == Reach::Tags;
        let web = is_web.then(|| self.aliases.web.add(*tenant, alias, number, place));
        self.aliases.put(place, number, id, HeldAlias { id, web, keeping, grant });
    }

    fn release_alias(&mut self, place: ConnectionRef) {
        if let Some(entry) = self.places.get(place) {
            self.aliases.release(place, entry.number);
        }
    }
}

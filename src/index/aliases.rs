//! Aliases: which clients have one, and which of them joined first.

use std::collections::HashMap;

use super::Index;
use super::directory::IndexEntry;
use super::directory::Reach;
use super::idents::Idents;
use super::interner::NameId;
use crate::types::{Claim, ConnectionRef, Exclusivity, GrantNumber, Ident, JoinNumber};

/// The aliases of all clients. Few have one, so they are stored apart from the entries.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    pub(super) order: Idents,
    /// Those of web-type clients alone, so that a search for these does not look through the others.
    pub(super) web: Idents,
    held: HashMap<ConnectionRef, HeldAlias>,
}

/// The alias of one client.
#[derive(Clone, Copy, Debug)]
struct HeldAlias {
    id: NameId,
    /// The same among web-type clients, if it is one.
    web: Option<NameId>,
    keeping: Exclusivity,
    grant: GrantNumber,
}

impl Aliases {
    fn put(&mut self, place: ConnectionRef, number: JoinNumber, id: NameId, held: HeldAlias) {
        self.held.insert(place, held);
        debug_assert!(self.order.order().contains(&(id, number, place)), "both or none");
    }

    /// Takes the alias of a client away, if it has one.
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

    /// All other clients with this alias.
    fn others(
        &self,
        tenant: NameId,
        name: &Ident,
        place: ConnectionRef,
    ) -> impl Iterator<Item = ConnectionRef> + use<'_> {
        self.order.all(tenant, name).filter(move |other| *other != place)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Every alias that is held, with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionRef, NameId)> {
        self.held.iter().map(|(place, held)| (*place, held.id))
    }
}

impl Index {
    /// Gives the client of a place an alias in place of the one that it had. It is refused when it
    /// wants the alias alone and another client has it, when it is spelled like the UUID of another
    /// client, and when nothing can reach the client. Returns whether it was granted.
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

    /// Enters an alias that an earlier broker has granted. Of two clients to whom it was granted
    /// alone the one with the later grant has it: the other one had moved on, and was not told
    /// before that broker died.
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

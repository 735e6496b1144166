//! Names of the client at a place.

use super::Index;
use super::idents::Idents;
use super::interner::InternedName;
use crate::types::{ClientUuid, ConnectionRef, Ident, JoinNumber, Tenant, WorkerId};

/// Returns the tenant and the UUID of the client at a place.
#[must_use]
pub fn client_at(index: &Index, place: ConnectionRef) -> Option<(Tenant, ClientUuid)> {
    let entry = index.places.get(place)?;
    let name = str::from_utf8(index.tenants.name_of(entry.tenant)?.value_of_tag("")?).ok()?;
    let tenant = if name.is_empty() { Tenant::shared() } else { Tenant(name.into()) };
    Some((tenant, entry.uuid))
}

/// Returns the name by which publications reach the client at a place.
#[must_use]
pub fn ident_at(index: &Index, place: ConnectionRef) -> Option<Ident> {
    let ident = index.places.get(place)?.ident?;
    Ident::new(str::from_utf8(index.idents.text(ident)?).ok()?).ok()
}

/// Returns the alias of the client at a place.
#[must_use]
pub fn alias_at(index: &Index, place: ConnectionRef) -> Option<Ident> {
    let alias = index.aliases.of(place)?;
    Ident::new(str::from_utf8(index.aliases.order.text(alias)?).ok()?).ok()
}

/// Returns the number of the join of the client at a place.
#[must_use]
pub fn number_at(index: &Index, place: ConnectionRef) -> Option<JoinNumber> {
    Some(index.places.get(place)?.number)
}

/// Returns the number of the join of the first client with an ident.
#[must_use]
pub fn first_with_ident(index: &Index, tenant: &Tenant, ident: &Ident) -> Option<JoinNumber> {
    first_in(&index.idents, index, tenant, ident)
}

/// Returns the number of the join of the first client with an alias.
#[must_use]
pub fn first_with_alias(index: &Index, tenant: &Tenant, alias: &Ident) -> Option<JoinNumber> {
    first_in(&index.aliases.order, index, tenant, alias)
}

fn first_in(names: &Idents, index: &Index, tenant: &Tenant, name: &Ident) -> Option<JoinNumber> {
    let tenant = index.tenants.find(InternedName::tenant(tenant))?;
    number_at(index, names.first(tenant, name)?)
}

/// Returns places of clients of a worker in descending order; `None` if it has no clients.
#[must_use]
pub fn last_places_of(index: &Index, worker: WorkerId) -> Option<Vec<ConnectionRef>> {
    index.places.last_of(worker)
}

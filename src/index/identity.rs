//! Names of the client at a place.

use std::sync::Arc;

use super::Index;
use crate::types::{ClientUuid, ConnectionRef, Ident, Tenant, WorkerId};

/// Returns the tenant and the UUID of the client at a place.
#[must_use]
pub fn client_at(index: &Index, place: ConnectionRef) -> Option<(Tenant, ClientUuid)> {
    let entry = index.places.get(place)?;
    let name = str::from_utf8(index.tenants.name_of(entry.tenant)?.value_of_tag("")?).ok()?;
    let tenant = if name.is_empty() { Tenant::shared() } else { Tenant(Arc::from(name)) };
    Some((tenant, entry.uuid))
}

/// Returns the name by which publications reach the client at a place.
#[must_use]
pub fn ident_at(index: &Index, place: ConnectionRef) -> Option<Ident> {
    let ident = index.places.get(place)?.ident?;
    Ident::new(str::from_utf8(index.idents.text(ident)?).ok()?).ok()
}

/// Returns places of clients of a worker in descending order; `None` if it has no clients.
#[must_use]
pub fn last_places_of(index: &Index, worker: WorkerId) -> Option<Vec<ConnectionRef>> {
    index.places.last_of(worker)
}

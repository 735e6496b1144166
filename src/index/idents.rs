//! Maps an ident to its clients, in the order in which they joined.

use std::collections::BTreeSet;

use super::interner::{InternedName, Interner, NameId};
use crate::types::{ConnectionRef, Ident, JoinNumber, Slot, WorkerId};

/// The clients that have an ident.
///
/// All idents share one ordered set, so an ident needs no collection of its own, whether it has one client or
/// a hundred thousand.
#[derive(Debug, Default)]
pub(super) struct Idents {
    names: Interner<()>,
    order: BTreeSet<(NameId, JoinNumber, ConnectionRef)>,
}

impl Idents {
    /// Adds a client to an ident and returns the id of the ident.
    pub(super) fn add(
        &mut self,
        tenant: NameId,
        ident: &Ident,
        number: JoinNumber,
        place: ConnectionRef,
    ) -> NameId {
        let id = self.names.intern(InternedName::ident(tenant, ident));
        self.order.insert((id, number, place));
        id
    }

    /// Removes a client from an ident. The ident is removed with its last client.
    pub(super) fn remove(&mut self, id: NameId, number: JoinNumber, place: ConnectionRef) {
        self.order.remove(&(id, number, place));
        if self.first_of(id).is_none() {
            self.names.remove(id);
        }
    }

    /// Returns the client of an ident that joined first.
    pub(super) fn first(&self, tenant: NameId, ident: &Ident) -> Option<ConnectionRef> {
        self.first_of(self.names.find(InternedName::ident(tenant, ident))?)
    }

    /// Returns the clients of an ident in the order in which they joined.
    pub(super) fn all(
        &self,
        tenant: NameId,
        ident: &Ident,
    ) -> impl Iterator<Item = ConnectionRef> + use<'_> {
        let id = self.names.find(InternedName::ident(tenant, ident));
        id.into_iter().flat_map(|id| self.from(id).take_while(move |it| it.0 == id)).map(|it| it.2)
    }

    /// Returns the text of an ident.
    pub(super) fn text(&self, id: NameId) -> Option<&[u8]> {
        self.names.name_of(id)?.value_of_tag("")
    }

    fn from(&self, id: NameId) -> impl Iterator<Item = &(NameId, JoinNumber, ConnectionRef)> {
        let least = (id, JoinNumber(0), ConnectionRef { worker: WorkerId(0), slot: Slot(0) });
        self.order.range(least..)
    }

    fn first_of(&self, id: NameId) -> Option<ConnectionRef> {
        self.from(id).next().filter(|first| first.0 == id).map(|first| first.2)
    }

    /// Returns the id of every ident with the id of its tenant.
    pub(super) fn tenants(&self) -> impl Iterator<Item = (NameId, NameId)> {
        self.names.iter().map(|(id, name, ())| (id, name.tenant_id()))
    }

    /// Returns all pairs of ident and client, ordered by ident and then by join number.
    pub(super) fn order(&self) -> &BTreeSet<(NameId, JoinNumber, ConnectionRef)> {
        &self.order
    }
}

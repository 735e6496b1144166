//! Maps an ident to its clients, in the order in which they joined.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::interner::{InternedName, Interner, NameId};
use crate::types::{ConnectionRef, Ident, JoinNumber, ListPosition, Slot, WorkerId};

/// The clients that have an ident.
///
/// All idents share one ordered set, so an ident needs no collection of its own, whether it has one client or
/// a hundred thousand.
#[derive(Debug, Default)]
pub(super) struct Idents {
    /// Each ident with the number of its clients.
    names: Interner<u32>,
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
        if let Some(clients) = self.names.get_mut(id) {
            *clients += u32::from(self.order.insert((id, number, place)));
        }
        id
    }

    /// Removes a client from an ident. The ident is removed with its last client.
    pub(super) fn remove(&mut self, id: NameId, number: JoinNumber, place: ConnectionRef) {
        let is_gone = self.order.remove(&(id, number, place));
        let Some(clients) = self.names.get_mut(id) else { return };
        *clients -= u32::from(is_gone);
        if *clients == 0 {
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

    /// Returns how many clients have an ident.
    pub(super) fn count(&self, tenant: NameId, ident: &Ident) -> u64 {
        let id = self.names.find(InternedName::ident(tenant, ident));
        id.and_then(|id| self.names.get(id)).map_or(0, |clients| u64::from(*clients))
    }

    /// Returns the clients of an ident that follow a position, in the order in which they joined.
    pub(super) fn after(
        &self,
        tenant: NameId,
        ident: &Ident,
        last: Option<ListPosition>,
    ) -> impl Iterator<Item = ConnectionRef> + use<'_> {
        let id = self.names.find(InternedName::ident(tenant, ident));
        id.into_iter().flat_map(move |id| {
            let first =
                last.map_or_else(|| Included(least(id)), |it| Excluded((id, it.number, it.place)));
            let rest = self.order.range((first, Unbounded));
            rest.take_while(move |it| it.0 == id).map(|it| it.2)
        })
    }

    /// Returns the text of an ident.
    pub(super) fn text(&self, id: NameId) -> Option<&[u8]> {
        self.names.name_of(id)?.value_of_tag("")
    }

    fn from(&self, id: NameId) -> impl Iterator<Item = &(NameId, JoinNumber, ConnectionRef)> {
        self.order.range(least(id)..)
    }

    fn first_of(&self, id: NameId) -> Option<ConnectionRef> {
        self.from(id).next().filter(|first| first.0 == id).map(|first| first.2)
    }

    /// Returns the id of every ident with the id of its tenant.
    pub(super) fn tenants(&self) -> impl Iterator<Item = (NameId, NameId)> {
        self.names.iter().map(|(id, name, _)| (id, name.tenant_id()))
    }

    /// Returns all pairs of ident and client, ordered by ident and then by join number.
    pub(super) fn order(&self) -> &BTreeSet<(NameId, JoinNumber, ConnectionRef)> {
        &self.order
    }
}

/// The least entry of an ident.
fn least(id: NameId) -> (NameId, JoinNumber, ConnectionRef) {
    (id, JoinNumber(0), ConnectionRef { worker: WorkerId(0), slot: Slot(0) })
}

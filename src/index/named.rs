//! The one client that a [`Named`] fits: by alias, or by a comparison as PHP makes it.

use super::Index;
use super::loose::Loose;
use super::names::NameId;
use super::places::{Entry, Reach};
use crate::types::{ClientUuid, JoinNumber, Laxity, Named, Place};

type Found = (JoinNumber, Place, ClientUuid);

impl Index {
    /// The client that joined first of those that fit. The cost is that of a few looks, however many
    /// clients there are and share a name; the first loose comparison of a broker's life orders all.
    pub(super) fn first_named(&self, tenant: NameId, named: &Named) -> Option<Found> {
        let Named { uuid, alias, ident, laxity } = named;
        let by_uuid = uuid.and_then(|uuid| self.uuids.find(tenant, uuid, &self.places));
        let aliases = match laxity.has(Laxity::WEB_ONLY) {
            true => &self.aliases.web,
            false => &self.aliases.order,
        };
        let by_alias = alias.as_ref().and_then(|alias| aliases.first(tenant, alias.as_ident()));
        let by_ident = ident.as_ref().and_then(|ident| self.idents.first(tenant, ident));
        let found = |place: Place| Some((place, self.places.get(place)?));
        let by_id = by_uuid
            .into_iter()
            .chain(by_alias)
            .filter_map(found)
            .filter(|(_, it)| it.reach == Reach::Tags || !laxity.has(Laxity::WEB_ONLY))
            .filter(|(_, it)| it.reach != Reach::Nothing)
            .map(number)
            .min();
        let by_ident =
            by_ident.and_then(found).filter(|(_, it)| it.reach != Reach::Nothing).map(number);
        by_id.into_iter().chain(by_ident).chain(self.first_loosely(tenant, named)).min()
    }

    fn first_loosely(&self, tenant: NameId, named: &Named) -> Option<Found> {
        let laxity = named.laxity;
        let is_lax = [Laxity::ANY_WEB, Laxity::ANY_IDENT, Laxity::SAME_NUMBER];
        if !is_lax.iter().any(|lax| laxity.has(*lax)) {
            return None;
        }
        let ident = named.ident.as_ref().map(|ident| ident.as_str().as_bytes());
        let loose = self.loose.get_or_init(|| Loose::of(&self.places, &self.idents));
        let place = loose.first(tenant, laxity, ident)?;
        Some(number((place, self.places.get(place)?)))
    }
}

fn number((place, entry): (Place, &Entry)) -> Found {
    (entry.number, place, entry.uuid)
}

//! The one client that a [`Named`] fits: by alias, or by a comparison as PHP makes it.

use super::Index;
use super::directory::{IndexEntry, Reach};
use super::interner::NameId;
use super::match_groups::LooseGroups;
use crate::types::{ClientUuid, ConnectionRef, JoinNumber, MatchOptions, NamedClient};

type FirstMatch = (JoinNumber, ConnectionRef, ClientUuid);

impl Index {
    /// The client that joined first of those that fit. The cost is that of a few looks, however many
    /// clients there are and share a name; the first loose comparison of a broker's life orders all.
    pub(super) fn first_named(&self, tenant: NameId, named: &NamedClient) -> Option<FirstMatch> {
        let NamedClient { uuid, alias, ident, laxity } = named;
        let by_uuid = uuid.and_then(|uuid| self.uuids.find(tenant, uuid, &self.places));
        let aliases = match laxity.has(MatchOptions::WEB_ONLY) {
            true => &self.aliases.web,
            false => &self.aliases.order,
        };
        let by_alias = alias.as_ref().and_then(|alias| aliases.first(tenant, alias.as_ident()));
        let by_ident = ident.as_ref().and_then(|ident| self.idents.first(tenant, ident));
        let found = |place: ConnectionRef| Some((place, self.places.get(place)?));
        let by_id = by_uuid
            .into_iter()
            .chain(by_alias)
            .filter_map(found)
            .filter(|(_, it)| it.reach == Reach::Tags || !laxity.has(MatchOptions::WEB_ONLY))
            .filter(|(_, it)| it.reach != Reach::Nothing)
            .map(number)
            .min();
        let by_ident =
            by_ident.and_then(found).filter(|(_, it)| it.reach != Reach::Nothing).map(number);
        by_id.into_iter().chain(by_ident).chain(self.first_loosely(tenant, named)).min()
    }

    fn first_loosely(&self, tenant: NameId, named: &NamedClient) -> Option<FirstMatch> {
        let laxity = named.laxity;
        let is_lax = [MatchOptions::ANY_WEB, MatchOptions::ANY_IDENT, MatchOptions::SAME_NUMBER];
        if !is_lax.iter().any(|lax| laxity.has(*lax)) {
            return None;
        }
        let ident = named.ident.as_ref().map(|ident| ident.as_str().as_bytes());
        let loose = self.loose.get_or_init(|| LooseGroups::of(&self.places, &self.idents));
        let place = loose.first(tenant, laxity, ident)?;
        Some(number((place, self.places.get(place)?)))
    }
}

fn number((place, entry): (ConnectionRef, &IndexEntry)) -> FirstMatch {
    (entry.number, place, entry.uuid)
}

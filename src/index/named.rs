//! The one client that a [`Named`] fits: by alias, or by a comparison as PHP makes it.

use super::Index;
use super::names::NameId;
use super::places::{Entry, Reach};
use crate::types::{ClientUuid, JoinNumber, Laxity, Named, Place};

type Found = (JoinNumber, Place, ClientUuid);

impl Index {
    /// The client that joined first of those that fit. What is compared loosely is looked for among
    /// all clients: only a switch allows it.
    pub(super) fn first_named(&self, tenant: NameId, named: &Named) -> Option<Found> {
        let Named { uuid, alias, ident, laxity } = named;
        let by_uuid = uuid.and_then(|uuid| self.uuids.find(tenant, uuid, &self.places));
        let by_alias =
            alias.iter().flat_map(|alias| self.aliases.order.all(tenant, alias.as_ident()));
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
        let wanted = named.ident.as_ref().and_then(|ident| number_in(ident.as_str().as_bytes()));
        let fits = |entry: &Entry| {
            let is_web = laxity.has(Laxity::ANY_WEB) && entry.reach == Reach::Tags;
            let is_named = laxity.has(Laxity::ANY_IDENT) && entry.ident.is_some();
            is_web || is_named || (laxity.has(Laxity::SAME_NUMBER) && self.is_number(entry, wanted))
        };
        let inside = self.places.iter().filter(|(_, entry)| entry.tenant == tenant);
        inside.filter(|(_, it)| it.reach != Reach::Nothing && fits(it)).map(number).min()
    }

    fn is_number(&self, entry: &Entry, wanted: Option<f64>) -> bool {
        let text = entry.ident.and_then(|ident| self.idents.text(ident));
        let own = text.and_then(number_in);
        wanted.is_some() && own == wanted
    }
}

fn number((place, entry): (Place, &Entry)) -> Found {
    (entry.number, place, entry.uuid)
}

/// The number that PHP sees in a numeric string: blanks around, a sign, digits, a fraction, an
/// exponent.
fn number_in(text: &[u8]) -> Option<f64> {
    let text =
        std::str::from_utf8(text).ok()?.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let is_of_a_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    // Rust reads `inf` and `nan` too, which are no numbers in PHP.
    text.bytes().all(is_of_a_number).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_php_sees() {
        for text in ["5", "5.0", " 5", "5 ", "+5", "05", "5e0", "50e-1", "5."] {
            assert_eq!(number_in(text.as_bytes()), Some(5.0), "{text}");
        }
        for text in ["", "x", "5x", "0x5", "inf", "nan", "5 5", "."] {
            assert_eq!(number_in(text.as_bytes()), None, "{text}");
        }
    }
}

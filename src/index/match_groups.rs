//! Clients in the order in which they joined, by the groups that [`MatchOptions`] can ask for. With these
//! groups a lookup takes one step; without them it would visit all clients.

use std::collections::BTreeSet;

use super::directory::{Directory, IndexEntry, Reach};
use super::idents::Idents;
use super::interner::NameId;
use crate::types::{ConnectionRef, JoinNumber, MatchOptions, Slot, WorkerId};

/// The groups. They are built at the first lookup that needs them and kept up to date after that. Only one
/// configuration option allows such lookups, so servers without it have no cost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MatchGroups(BTreeSet<(GroupKey, JoinNumber, ConnectionRef)>);

/// A group of clients of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum GroupKey {
    /// Clients that tags can reach.
    Web(NameId),
    /// Clients with an ident.
    Named(NameId),
    /// Clients whose ident is this number.
    Number(NameId, u64),
}

impl MatchGroups {
    /// Builds the groups of all clients.
    pub(super) fn of(places: &Directory, idents: &Idents) -> Self {
        let mut all = Self::default();
        for (place, entry) in places.iter() {
            all.add(place, entry, idents);
        }
        all
    }

    pub(super) fn add(&mut self, place: ConnectionRef, entry: &IndexEntry, idents: &Idents) {
        for key in keys(entry, idents) {
            self.0.insert((key, entry.number, place));
        }
    }

    /// Removes a client. Its ident must still be interned.
    pub(super) fn remove(&mut self, place: ConnectionRef, entry: &IndexEntry, idents: &Idents) {
        for key in keys(entry, idents) {
            self.0.remove(&(key, entry.number, place));
        }
    }

    /// Returns the client that joined first among those that the options match with this ident.
    pub(super) fn first(
        &self,
        tenant: NameId,
        options: MatchOptions,
        ident: Option<&[u8]>,
    ) -> Option<ConnectionRef> {
        let number = ident.and_then(number_in).map(|number| GroupKey::Number(tenant, bits(number)));
        let ways = [
            (MatchOptions::ANY_WEB, Some(GroupKey::Web(tenant))),
            (MatchOptions::ANY_IDENT, Some(GroupKey::Named(tenant))),
            (MatchOptions::SAME_NUMBER, number),
        ];
        let keys = ways.into_iter().filter(|(lax, _)| options.has(*lax)).filter_map(|(_, key)| key);
        keys.filter_map(|key| self.first_of(key)).min().map(|(_, place)| place)
    }

    fn first_of(&self, key: GroupKey) -> Option<(JoinNumber, ConnectionRef)> {
        let least = (key, JoinNumber(0), ConnectionRef { worker: WorkerId(0), slot: Slot(0) });
        let (found, number, place) = *self.0.range(least..).next()?;
        (found == key).then_some((number, place))
    }
}

fn keys(entry: &IndexEntry, idents: &Idents) -> impl Iterator<Item = GroupKey> + use<> {
    let is_reached = entry.reach != Reach::Nothing;
    let ident = entry.ident.filter(|_| is_reached);
    let number = ident.and_then(|ident| idents.text(ident)).and_then(number_in);
    let web = (entry.reach == Reach::Tags).then_some(GroupKey::Web(entry.tenant));
    let named = ident.map(|_| GroupKey::Named(entry.tenant));
    let number = number.map(|number| GroupKey::Number(entry.tenant, bits(number)));
    [web, named, number].into_iter().flatten()
}

/// Returns a key that is the same for equal numbers. NaN cannot occur.
fn bits(number: f64) -> u64 {
    // Turns minus zero into zero.
    (number + 0.0).to_bits()
}

/// Parses a numeric string as PHP defines it: whitespace around it, a sign, digits, a fraction, an exponent.
fn number_in(text: &[u8]) -> Option<f64> {
    let text =
        std::str::from_utf8(text).ok()?.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let is_of_a_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    // Rust also parses `inf` and `nan`, which are not numeric strings.
    text.bytes().all(is_of_a_number).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numeric_strings() {
        for text in ["5", "5.0", " 5", "5 ", "+5", "05", "5e0", "50e-1", "5."] {
            assert_eq!(number_in(text.as_bytes()), Some(5.0), "{text}");
        }
        for text in ["", "x", "5x", "0x5", "inf", "nan", "5 5", "."] {
            assert_eq!(number_in(text.as_bytes()), None, "{text}");
        }
        assert_eq!(bits(number_in(b"-0").unwrap()), bits(number_in(b"0").unwrap()));
    }
}

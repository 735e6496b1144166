//! Interned names: each text is stored once, and other structures refer to it by an id of four bytes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::inline_str::InlineStr;
use crate::types::{Ident, TagRef, Tenant};

/// The id of a name within one [`Interner`]. An id is reused after its name is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

impl NameId {
    fn at(self) -> usize {
        // lossless: the crate is built for targets of 32 bits and more
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The key of a lookup: a name and a value within a tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct InternedName<'a> {
    tenant: NameId,
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> InternedName<'a> {
    /// Returns the key of a tenant. Tenants have an [`Interner`] of their own.
    pub(super) fn tenant(tenant: &'a Tenant) -> Self {
        Self { tenant: NameId(0), name: b"", value: tenant.0.as_bytes() }
    }

    /// Returns the key of an ident. Idents have an [`Interner`] of their own.
    pub(super) fn ident(tenant: NameId, ident: &'a Ident) -> Self {
        Self { tenant, name: b"", value: ident.as_str().as_bytes() }
    }

    /// Returns the key of a tag.
    pub(super) fn tag(tenant: NameId, tag: TagRef<'a>) -> Self {
        Self { tenant, name: tag.name().as_bytes(), value: tag.value().as_bytes() }
    }

    /// Returns the key of a tag that is given by its parts.
    pub(super) fn tag_of(tenant: NameId, name: &'a str, value: &'a str) -> Self {
        Self { tenant, name: name.as_bytes(), value: value.as_bytes() }
    }

    /// Returns the key of a tag name. Tag names have an [`Interner`] of their own.
    pub(super) fn tag_name_of(tenant: NameId, name: &'a str) -> Self {
        Self { tenant, name: name.as_bytes(), value: b"" }
    }

    /// Returns the key of the name of this tag.
    pub(super) fn to_tag_name(self) -> Self {
        Self { value: b"", ..self }
    }

    /// Returns the value of a tag.
    pub(super) fn tag_value(self) -> &'a [u8] {
        self.value
    }

    /// Returns the value if this is a tag with the given name.
    pub(super) fn value_of_tag(self, name: &str) -> Option<&'a [u8]> {
        (self.name == name.as_bytes()).then_some(self.value)
    }

    /// Returns the name of a tag; empty for tenants and idents.
    pub(super) fn tag_name(self) -> &'a [u8] {
        self.name
    }

    /// Returns the tenant that the name belongs to.
    pub(super) fn tenant_id(self) -> NameId {
        self.tenant
    }
}

/// Does not hand names without a text (the shared tenant) to `memcmp`: with AVX-512 vectors it reads
/// even an empty slice, whose address is not mapped, and that costs the processor 70 ns.
impl PartialEq for InternedName<'_> {
    fn eq(&self, other: &Self) -> bool {
        let is_same =
            |one: &[u8], other: &[u8]| one.len() == other.len() && (one.is_empty() || one == other);
        self.tenant == other.tenant
            && is_same(self.name, other.name)
            && is_same(self.value, other.value)
    }
}

impl Eq for InternedName<'_> {}

/// Makes three writes; the derived implementation would make five. Every tag of every join is hashed.
impl Hash for InternedName<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.name);
        state.write(self.value);
        // no separator is written between name and value, so the length of the name is hashed too
        state.write_u64(u64::from(self.tenant.0) << 32 ^ widen(self.name.len()));
    }
}

fn widen(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Up to this number of names, a lookup compares them one by one instead of hashing.
const FEW: usize = 4;

/// Names, each with an associated value.
///
/// The hash is keyed because clients choose the names.
#[derive(Debug)]
pub(super) struct Interner<V> {
    hasher: RandomState,
    ids: HashTable<KnownName>,
    records: Vec<Option<NameRecord<V>>>,
    free: Vec<NameId>,
}

/// A name in the hash table, with the upper half of its hash: when the table grows, it does not need the
/// text.
#[derive(Debug)]
struct KnownName {
    hash: u32,
    id: NameId,
}

/// The stored form of one name.
#[derive(Debug)]
struct NameRecord<V> {
    tenant: NameId,
    split: u32,
    text: InlineStr,
    value: V,
}

impl<V> NameRecord<V> {
    fn new(name: InternedName<'_>, value: V) -> Self {
        Self {
            tenant: name.tenant,
            // a tag's name has at most 255 bytes, and other names have none
            split: u32::try_from(name.name.len()).unwrap_or(u32::MAX),
            text: InlineStr::new(name.name, name.value),
            value,
        }
    }

    fn name(&self) -> InternedName<'_> {
        let text = self.text.bytes();
        let split = usize::try_from(self.split).unwrap_or(usize::MAX);
        let (name, value) = text.split_at_checked(split).unwrap_or((text, b""));
        InternedName { tenant: self.tenant, name, value }
    }
}

impl<V> Default for Interner<V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            ids: HashTable::new(),
            records: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<V: Default> Interner<V> {
    /// Returns the id of a name, and assigns one if the name is new.
    pub(super) fn intern(&mut self, name: InternedName<'_>) -> NameId {
        let hash = high_bits(self.hasher.hash_one(name));
        let Self { ids, records, free, .. } = self;
        let same = |it: &KnownName| it.hash == hash && is(records, it.id, name);
        let vacant = match ids.entry(spread(hash), same, |it| spread(it.hash)) {
            Entry::Occupied(entry) => return entry.get().id,
            Entry::Vacant(vacant) => vacant,
        };
        let id = free.pop().unwrap_or_else(|| next_id(records.len()));
        vacant.insert(KnownName { hash, id });
        let record = Some(NameRecord::new(name, V::default()));
        match records.get_mut(id.at()) {
            Some(place) => *place = record,
            None => records.push(record),
        }
        id
    }
}

impl<V> Interner<V> {
    /// Returns the id of a name, if it has one. Each publication looks up its tenant, and most servers have
    /// only a few tenants; comparing these is faster than hashing the name.
    pub(super) fn find(&self, name: InternedName<'_>) -> Option<NameId> {
        if self.records.len() <= FEW {
            let is_it =
                |it: &Option<NameRecord<V>>| it.as_ref().is_some_and(|it| it.name() == name);
            return self.records.iter().position(is_it).map(next_id);
        }
        let hash = high_bits(self.hasher.hash_one(name));
        let same = |it: &KnownName| it.hash == hash && is(&self.records, it.id, name);
        self.ids.find(spread(hash), same).map(|it| it.id)
    }

    /// Returns the value of a name.
    pub(super) fn get(&self, id: NameId) -> Option<&V> {
        known(&self.records, id).map(|record| &record.value)
    }

    /// Returns the name with this id.
    pub(super) fn name_of(&self, id: NameId) -> Option<InternedName<'_>> {
        known(&self.records, id).map(NameRecord::name)
    }

    /// Returns the value of a name for modification.
    pub(super) fn get_mut(&mut self, id: NameId) -> Option<&mut V> {
        self.records.get_mut(id.at())?.as_mut().map(|record| &mut record.value)
    }

    /// Removes a name. Its id may be reused for another name.
    pub(super) fn remove(&mut self, id: NameId) {
        let Some(record) = self.records.get_mut(id.at()).and_then(Option::take) else { return };
        let hash = high_bits(self.hasher.hash_one(record.name()));
        if let Ok(entry) = self.ids.find_entry(spread(hash), |known| known.id == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    /// Returns the id that follows the highest one.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// Returns the number of names.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns every name with its id and its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NameId, InternedName<'_>, &V)> {
        self.ids.iter().filter_map(|KnownName { id, .. }| {
            known(&self.records, *id).map(|record| (*id, record.name(), &record.value))
        })
    }
}

fn known<V>(records: &[Option<NameRecord<V>>], id: NameId) -> Option<&NameRecord<V>> {
    records.get(id.at())?.as_ref()
}

fn is<V>(records: &[Option<NameRecord<V>>], id: NameId, name: InternedName<'_>) -> bool {
    known(records, id).is_some_and(|record| record.name() == name)
}

fn high_bits(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(u32::MAX)
}

/// Expands the stored 32 bits of a hash to 64. The table takes the bucket from the low bits and the tag byte
/// from the high bits, so both halves need them.
pub(super) fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

#[expect(clippy::expect_used, reason = "four thousand million names need 200 GB first")]
fn next_id(names: usize) -> NameId {
    NameId(u32::try_from(names).expect("fewer names than 2^32"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AsTag, Tag};

    fn tag(name: &str, value: &str) -> Tag {
        Tag::new(name, value).unwrap()
    }

    #[test]
    fn where_a_name_ends_and_its_value_begins_matters() {
        let mut names: Interner<u8> = Interner::default();
        let tenant = NameId(0);
        let first = names.intern(InternedName::tag(tenant, tag("ab", "c").as_tag()));
        assert_ne!(first, names.intern(InternedName::tag(tenant, tag("a", "bc").as_tag())));
        assert_ne!(first, names.intern(InternedName::tag(NameId(1), tag("ab", "c").as_tag())));
        assert_eq!(first, names.intern(InternedName::tag(tenant, tag("ab", "c").as_tag())));
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn a_removed_name_is_forgotten_and_its_id_used_again() {
        let mut names: Interner<u8> = Interner::default();
        let (old, new) = (tag("a", "1"), tag("a", "2"));
        let id = names.intern(InternedName::tag(NameId(0), old.as_tag()));
        *names.get_mut(id).unwrap() = 7;
        names.remove(id);
        names.remove(id);
        assert_eq!(
            (names.find(InternedName::tag(NameId(0), old.as_tag())), names.get(id)),
            (None, None)
        );
        assert_eq!(names.intern(InternedName::tag(NameId(0), new.as_tag())), id);
        assert_eq!((names.get(id), names.len()), (Some(&0), 1));
    }

    #[test]
    fn thousands_of_names_are_all_found_again() {
        let mut names: Interner<u8> = Interner::default();
        let tags: Vec<Tag> = (0..5_000).map(|n| tag("n", &n.to_string())).collect();
        let ids: Vec<_> = tags
            .iter()
            .map(|tag| names.intern(InternedName::tag(NameId(3), tag.as_tag())))
            .collect();
        for (tag, id) in tags.iter().zip(ids) {
            assert_eq!(names.find(InternedName::tag(NameId(3), tag.as_tag())), Some(id));
        }
    }
}

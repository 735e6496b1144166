//! Names of clients, and the items by which hosts tell each other which they have.

use bytes::{BufMut, Bytes};

use crate::cluster::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::{HostId, Ident, Tenant};

/// A kind of names. Each has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKind(u8);

impl NameKind {
    /// A client has given itself the name. Several clients may have it.
    pub const IDENT: Self = Self(1);
    /// A client has requested the name.
    pub const ALIAS: Self = Self(2);
    /// The UUID of a client that is not on the host that its UUID names.
    pub const UUID: Self = Self(3);
}

/// A name that clients of a tenant have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryName {
    /// The tenant.
    pub tenant: Tenant,
    /// The kind.
    pub kind: NameKind,
    /// The name.
    pub text: Ident,
}

/// When the client that a host has for a name has got it. The earliest of all hosts gets what is published to the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameStamp {
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// The number of its join on its host.
    pub number: u64,
}

/// A name that a host has from now on, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameChange {
    /// The name.
    pub name: DirectoryName,
    /// `None`: no client has it.
    pub stamp: Option<NameStamp>,
}

/// All names of a host within a part of the order of names. They replace what was known of this part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRange {
    /// The snapshot that it is a part of.
    pub snapshot: u64,
    /// The part begins after this name; `None`: at the first one.
    pub after: Option<DirectoryName>,
    /// The part ends with this name; `None`: with the last one.
    pub up_to: Option<DirectoryName>,
    /// The names, in their order.
    pub names: Vec<(DirectoryName, NameStamp)>,
}

/// What a host tells others about names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryItem {
    /// Names of the sender have changed, in this order.
    Changes(Vec<NameChange>),
    /// A part of the names of the sender.
    Range(NameRange),
    /// The sender wants all names of a host, as a snapshot with this number.
    Request {
        /// The host.
        to: HostId,
        /// The number.
        snapshot: u64,
    },
}

const CHANGES: u8 = 1;
const RANGE: u8 = 2;
const REQUEST: u8 = 3;
const NO_NAME: u8 = 0;

/// Names that one item has at most. Each takes at least four bytes.
const ITEM_NAMES_MAX: usize = 1 << 16;

impl DirectoryItem {
    /// Returns the names that clients of the sender have now, as far as the item says so.
    pub fn names(&self) -> impl Iterator<Item = &DirectoryName> {
        let (changes, range): (&[NameChange], &[(DirectoryName, NameStamp)]) = match self {
            Self::Changes(changes) => (changes, &[]),
            Self::Range(range) => (&[], &range.names),
            Self::Request { .. } => (&[], &[]),
        };
        let changed = changes.iter().filter(|change| change.stamp.is_some());
        changed.map(|change| &change.name).chain(range.iter().map(|(name, _)| name))
    }

    /// Returns the encoding.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Changes(changes) => {
                out.put_u8(CHANGES);
                put_length(&mut out, changes.len());
                for NameChange { name, stamp } in changes {
                    put_name(&mut out, Some(name));
                    out.put_u8(stamp.is_some().into());
                    stamp.iter().for_each(|stamp| put_stamp(&mut out, *stamp));
                }
            }
            Self::Range(NameRange { snapshot, after, up_to, names }) => {
                out.put_u8(RANGE);
                put_varint(&mut out, *snapshot);
                put_name(&mut out, after.as_ref());
                put_name(&mut out, up_to.as_ref());
                put_length(&mut out, names.len());
                for (name, stamp) in names {
                    put_name(&mut out, Some(name));
                    put_stamp(&mut out, *stamp);
                }
            }
            Self::Request { to, snapshot } => {
                out.put_u8(REQUEST);
                out.put_u32_le(to.0);
                put_varint(&mut out, *snapshot);
            }
        }
        out.into()
    }

    /// Reads an item.
    ///
    /// # Errors
    ///
    /// If the bytes are not an item of this version.
    pub fn decode(bytes: Bytes) -> Result<Self, InvalidMessage> {
        let mut fields = NameReader { fields: BodyReader(bytes), tenant: Tenant::shared() };
        let item = match fields.fields.u8()? {
            CHANGES => {
                let mut changes = Vec::new();
                for _ in 0..fields.fields.count(ITEM_NAMES_MAX)? {
                    let name = fields.required()?;
                    let stamp = match fields.fields.u8()? {
                        0 => None,
                        1 => Some(fields.stamp()?),
                        _ => return Err(InvalidMessage::Field("stamp")),
                    };
                    changes.push(NameChange { name, stamp });
                }
                Self::Changes(changes)
            }
            RANGE => Self::Range(fields.range()?),
            REQUEST => {
                let to = HostId(fields.fields.u32()?);
                Self::Request { to, snapshot: fields.fields.varint()? }
            }
            _ => return Err(InvalidMessage::Field("kind of names")),
        };
        fields.fields.end()?;
        Ok(item)
    }
}

fn put_name(out: &mut Vec<u8>, name: Option<&DirectoryName>) {
    let Some(DirectoryName { tenant, kind, text }) = name else { return out.put_u8(NO_NAME) };
    out.put_u8(kind.0);
    put_length(out, tenant.0.len());
    out.put_slice(tenant.0.as_bytes());
    put_length(out, text.as_str().len());
    out.put_slice(text.as_str().as_bytes());
}

fn put_stamp(out: &mut Vec<u8>, NameStamp { unix_ms, number }: NameStamp) {
    put_varint(out, unix_ms);
    put_varint(out, number);
}

/// Reads names. Those of one tenant share its text.
struct NameReader {
    fields: BodyReader,
    tenant: Tenant,
}

impl NameReader {
    fn name(&mut self) -> Result<Option<DirectoryName>, InvalidMessage> {
        let kind = match NameKind(self.fields.u8()?) {
            NameKind(NO_NAME) => return Ok(None),
            kind @ (NameKind::IDENT | NameKind::ALIAS | NameKind::UUID) => kind,
            _ => return Err(InvalidMessage::Field("kind of name")),
        };
        let tenant = self.fields.bytes()?;
        if *tenant != *self.tenant.0.as_bytes() {
            let text = str::from_utf8(&tenant).map_err(|_| InvalidMessage::Field("tenant"))?;
            self.tenant = Tenant(text.into());
        }
        let text = self.fields.bytes()?;
        let text = str::from_utf8(&text).map_err(|_| InvalidMessage::Field("name"))?;
        let text = Ident::new(text).map_err(|_| InvalidMessage::Field("name"))?;
        Ok(Some(DirectoryName { tenant: self.tenant.clone(), kind, text }))
    }

    fn required(&mut self) -> Result<DirectoryName, InvalidMessage> {
        self.name()?.ok_or(InvalidMessage::Field("kind of name"))
    }

    fn stamp(&mut self) -> Result<NameStamp, InvalidMessage> {
        Ok(NameStamp { unix_ms: self.fields.varint()?, number: self.fields.varint()? })
    }

    /// Reads a part of the names of a host, which must be in their order and within its ends.
    fn range(&mut self) -> Result<NameRange, InvalidMessage> {
        let snapshot = self.fields.varint()?;
        let (after, up_to) = (self.name()?, self.name()?);
        let mut names: Vec<(DirectoryName, NameStamp)> = Vec::new();
        for _ in 0..self.fields.count(ITEM_NAMES_MAX)? {
            let name = self.required()?;
            let before = names.last().map(|(name, _)| name).or(after.as_ref());
            if before.is_some_and(|before| *before >= name) {
                return Err(InvalidMessage::Field("order of names"));
            }
            names.push((name, self.stamp()?));
        }
        let end = names.last().map(|(name, _)| name).or(after.as_ref());
        if let (Some(end), Some(up_to)) = (end, &up_to)
            && end > up_to
        {
            return Err(InvalidMessage::Field("order of names"));
        }
        Ok(NameRange { snapshot, after, up_to, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DirectoryName {
        let text = Ident::new(text).unwrap();
        DirectoryName { tenant: Tenant("shop".into()), kind: NameKind::ALIAS, text }
    }

    fn stamped(text: &str) -> (DirectoryName, NameStamp) {
        (name(text), NameStamp { unix_ms: 1 << 40, number: 300 })
    }

    #[test]
    fn an_item_is_read_as_it_is_written() {
        let (first, stamp) = stamped("a");
        let other = DirectoryName { tenant: Tenant::shared(), kind: NameKind::IDENT, ..name("é") };
        let changes = vec![
            NameChange { name: first, stamp: Some(stamp) },
            NameChange { name: other, stamp: None },
        ];
        let names = vec![stamped("b"), stamped("c")];
        let range = NameRange { snapshot: 7, after: Some(name("a")), up_to: None, names };
        let up_to = Some(name("c"));
        for item in [
            DirectoryItem::Changes(changes),
            DirectoryItem::Range(NameRange { up_to, ..range.clone() }),
            DirectoryItem::Range(range),
            DirectoryItem::Range(NameRange::default()),
            DirectoryItem::Request { to: HostId(5), snapshot: u64::MAX },
        ] {
            let bytes = item.encode();
            assert_eq!(DirectoryItem::decode(bytes.clone()), Ok(item));
            for end in 0..bytes.len() {
                assert!(DirectoryItem::decode(bytes.slice(..end)).is_err(), "{end} bytes");
            }
        }
    }

    #[test]
    fn names_out_of_order_or_outside_of_their_part_are_refused() {
        let refused = |after: Option<&str>, names: &[&str], up_to: Option<&str>| {
            let names = names.iter().map(|text| stamped(text)).collect();
            let (after, up_to) = (after.map(name), up_to.map(name));
            let range = NameRange { snapshot: 1, after, up_to, names };
            DirectoryItem::decode(DirectoryItem::Range(range).encode()).is_err()
        };
        assert!(!refused(Some("a"), &["b", "c"], Some("c")));
        assert!(refused(Some("b"), &["b"], None), "before its beginning");
        assert!(refused(None, &["b", "b"], None), "twice");
        assert!(refused(None, &["b"], Some("a")), "after its end");
        assert!(refused(Some("b"), &[], Some("a")), "it ends before it begins");
    }
}

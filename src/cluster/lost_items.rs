//! Items that are lost, and which of them may have been for clients.
//!
//! A lost item leaves its number, which does not show what it was. Every host heals what it knows of the names and
//! watches of another one by itself, so clients learn only of items that may have been for them. Each item therefore
//! says how many numbers before it in its lane were of such items. What a receiver lacks between two items is the
//! difference. In place of the last item that a sender no longer has, it sends a *tombstone*, which says the same.

use bytes::{Buf, BufMut, Bytes};

use super::item::{BEFORE, ItemPart, LaneItem, TOMBSTONE, is_for_clients};
use super::wire::{BodyReader, InvalidMessage, put_length, put_varint, varint_bytes};

/// A number of lost items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostItems {
    /// All of them.
    pub all: u64,
    /// How many of these may have been for clients: publications, questions and commands. The rest are names, watched
    /// queries, records of requests and clients that move.
    pub for_clients: u64,
}

impl LostItems {
    /// Items of which nothing is known. They may have been for clients.
    #[must_use]
    pub fn unknown(all: u64) -> Self {
        Self { all, for_clients: all }
    }

    /// One item that may have been for clients.
    pub const FOR_CLIENTS: Self = Self { all: 1, for_clients: 1 };

    /// One item that was not.
    pub const OTHER: Self = Self { all: 1, for_clients: 0 };

    /// Returns the sums of both. The numbers come from other hosts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            all: self.all.saturating_add(other.all),
            for_clients: self.for_clients.saturating_add(other.for_clients),
        }
    }
}

/// What the first bytes of an item say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ItemHead {
    /// Whether it may be for clients; `None` if that is not known.
    pub(super) is_for_clients: Option<bool>,
    /// How many numbers before it in its lane were of items for clients.
    pub(super) before: Option<u64>,
}

impl ItemHead {
    /// Reads the head of an item, or of the first part of one.
    pub(super) fn of(body: &[u8]) -> Self {
        Self::read(BodyReader(body)).unwrap_or_default()
    }

    /// Returns the item as a lost one.
    pub(super) fn lost(self) -> LostItems {
        match self.is_for_clients {
            Some(false) => LostItems::OTHER,
            Some(true) | None => LostItems::FOR_CLIENTS,
        }
    }

    fn read(mut fields: BodyReader<&[u8]>) -> Result<Self, InvalidMessage> {
        let kind = fields.u8()?;
        if kind == TOMBSTONE {
            let Tombstone { is_for_clients, before } = Tombstone::decode(&mut fields)?;
            return Ok(Self { is_for_clients: Some(is_for_clients), before: Some(before) });
        }
        let is_for_clients = is_for_clients(kind);
        let is_counted = fields.u8().is_ok_and(|tag| tag == BEFORE);
        let before = match is_counted {
            true => Some(BodyReader(fields.slice()?).varint()?),
            false => None,
        };
        Ok(Self { is_for_clients, before })
    }
}

/// Appends what an item says about those before it, as its first field.
pub(super) fn put_before(out: &mut Vec<u8>, before: u64) {
    out.put_u8(BEFORE);
    put_length(out, varint_bytes(before));
    put_varint(out, before);
}

/// How many numbers of a lane were of items for clients, while its items pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClientNumbers {
    /// Up to the last item; `None` if that is not known.
    count: Option<u64>,
    /// Whether the last item was one. The other parts of a large item are as its first.
    is_last: Option<bool>,
}

impl ClientNumbers {
    /// Nothing has passed.
    pub(super) const NONE: Self = Self { count: Some(0), is_last: None };

    /// Returns the count.
    pub(super) fn count(self) -> Option<u64> {
        self.count
    }

    /// An item or a part of one passes, of which the beginning is enough.
    pub(super) fn pass(&mut self, part: ItemPart, body: &[u8]) -> ItemHead {
        let head = match part {
            ItemPart::Whole | ItemPart::First => ItemHead::of(body),
            ItemPart::More | ItemPart::Last => {
                ItemHead { is_for_clients: self.is_last, before: None }
            }
        };
        let (before, is) = (head.before.or(self.count), head.is_for_clients);
        self.count = before.zip(is).map(|(before, is)| before.saturating_add(u64::from(is)));
        self.is_last = is;
        ItemHead { before, ..head }
    }

    /// A number of items is lost. `next` is the one after them, if it is here.
    pub(super) fn lose(&mut self, lost: u64, next: Option<&LaneItem>) -> LostItems {
        let is_begin = |item: &&LaneItem| matches!(item.part, ItemPart::Whole | ItemPart::First);
        let before = next.filter(is_begin).and_then(|item| ItemHead::of(&item.body).before);
        let between = before.zip(self.count).and_then(|(before, count)| before.checked_sub(count));
        let for_clients = between.filter(|between| *between <= lost).unwrap_or(lost);
        *self = Self { count: before, is_last: None };
        LostItems { all: lost, for_clients }
    }
}

/// Stands for an item that its sender no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Whether the item may have been for clients.
    pub is_for_clients: bool,
    /// How many numbers before it in its lane were of such items.
    pub before: u64,
}

impl Tombstone {
    /// Returns the encoding as an item.
    #[must_use]
    pub fn encode(self) -> Bytes {
        let mut out = vec![TOMBSTONE, u8::from(self.is_for_clients)];
        put_varint(&mut out, self.before);
        out.into()
    }

    pub(super) fn decode<B: Buf>(fields: &mut BodyReader<B>) -> Result<Self, InvalidMessage> {
        let is_for_clients = match fields.u8()? {
            0 => false,
            1 => true,
            _ => return Err(InvalidMessage::Field("flag")),
        };
        let before = fields.varint()?;
        fields.end()?;
        Ok(Self { is_for_clients, before })
    }
}

#[cfg(test)]
mod tests {
    use super::super::item::{Fence, ItemBody};
    use super::*;

    fn item(part: ItemPart, body: Bytes) -> LaneItem {
        LaneItem { fence: Fence::default(), part, body }
    }

    fn pass(numbers: &mut ClientNumbers, item: &LaneItem) {
        numbers.pass(item.part, &item.body);
    }

    fn for_clients(before: u64) -> LaneItem {
        item(ItemPart::Whole, Tombstone { is_for_clients: true, before }.encode())
    }

    fn other(before: u64) -> LaneItem {
        item(ItemPart::Whole, Tombstone { is_for_clients: false, before }.encode())
    }

    #[test]
    fn what_is_lost_between_two_items_is_the_difference_of_their_counts() {
        let mut numbers = ClientNumbers::NONE;
        pass(&mut numbers, &for_clients(0));
        pass(&mut numbers, &item(ItemPart::Whole, ItemBody::ping(1)));
        let lost = |all, for_clients| LostItems { all, for_clients };
        assert_eq!(numbers.lose(5, Some(&other(3))), lost(5, 2));
        pass(&mut numbers, &other(3));
        assert_eq!(numbers.lose(4, Some(&for_clients(3))), lost(4, 0));
        // Nothing comes after it, so all may have been for clients. Then it is known again.
        assert_eq!(numbers.lose(2, None), lost(2, 2));
        assert_eq!(numbers.lose(1, Some(&for_clients(9))), lost(1, 1));
        assert_eq!(numbers.lose(3, Some(&for_clients(11))), lost(3, 2));
    }

    #[test]
    fn counts_that_cannot_be_true_are_ignored() {
        let mut numbers = ClientNumbers { count: Some(7), is_last: None };
        assert_eq!(numbers.lose(2, Some(&for_clients(6))), LostItems::unknown(2));
        assert_eq!(numbers.lose(2, Some(&for_clients(9))), LostItems::unknown(2));
        let of_newer_version = item(ItemPart::Whole, vec![73, 1].into());
        pass(&mut numbers, &of_newer_version);
        assert_eq!(numbers.count(), None);
    }

    #[test]
    fn each_part_of_a_large_item_counts() {
        let mut numbers = ClientNumbers::NONE;
        let parts = [ItemPart::First, ItemPart::More, ItemPart::Last];
        let first = Tombstone { is_for_clients: true, before: 0 }.encode();
        for part in parts {
            pass(&mut numbers, &item(part, first.clone()));
        }
        assert_eq!(numbers.count(), Some(3));
    }
}

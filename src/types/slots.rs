//! A compressed set of the slots of one worker.

use std::ops::Bound;

use roaring::RoaringBitmap;

use super::Slot;

/// A set of the slots of one worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotSet(pub RoaringBitmap);

impl SlotSet {
    /// Creates a set with one slot.
    #[must_use]
    pub fn one(slot: Slot) -> Self {
        Self(RoaringBitmap::from([slot.0]))
    }

    /// Returns the slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().map(Slot)
    }

    /// Returns the slots above this one in ascending order, or all slots.
    pub fn after(&self, last: Option<Slot>) -> impl Iterator<Item = Slot> + '_ {
        let first = last.map_or(Bound::Unbounded, |slot| Bound::Excluded(slot.0));
        self.0.range((first, Bound::Unbounded)).map(Slot)
    }

    /// Returns true if the slot is in the set.
    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.contains(slot.0)
    }

    /// Returns true if the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        Self(slots.into_iter().map(|slot| slot.0).collect())
    }
}

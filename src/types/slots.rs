//! A set of slots of one worker, compressed.

use roaring::RoaringBitmap;

use super::Slot;

/// A set of slots of one worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotSet(pub RoaringBitmap);

impl SlotSet {
    /// A set of one.
    #[must_use]
    pub fn one(slot: Slot) -> Self {
        Self(RoaringBitmap::from([slot.0]))
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().map(Slot)
    }

    /// Whether a slot is in it.
    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.contains(slot.0)
    }

    /// Whether it is empty.
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

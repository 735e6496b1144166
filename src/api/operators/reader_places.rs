//! The places of those who read a stream of publications or of events.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::types::limits::TAIL_READERS_MAX;

/// All places of one kind of stream.
#[derive(Debug, Default)]
pub(in crate::api) struct ReaderPlaces {
    taken: RefCell<[bool; TAIL_READERS_MAX]>,
    /// Readers so far.
    readers: Cell<u64>,
}

/// The place of a reader. It is free again once this is dropped.
#[derive(Debug)]
pub(in crate::api) struct ReaderPlace {
    places: Rc<ReaderPlaces>,
    index: u8,
    reader: u64,
}

impl ReaderPlaces {
    /// Takes a free place; `None` if there is none.
    pub(in crate::api) fn take(self: &Rc<Self>) -> Option<ReaderPlace> {
        let mut taken = self.taken.borrow_mut();
        let (index, place) = (0_u8..).zip(taken.iter_mut()).find(|(_, taken)| !**taken)?;
        *place = true;
        self.readers.set(self.readers.get() + 1);
        Some(ReaderPlace { places: Rc::clone(self), index, reader: self.readers.get() })
    }
}

impl ReaderPlace {
    /// Returns its position among the places.
    pub(in crate::api) fn index(&self) -> u8 {
        self.index
    }

    /// Returns the number of the reader, which no other reader of this process has.
    pub(in crate::api) fn reader(&self) -> u64 {
        self.reader
    }
}

impl Drop for ReaderPlace {
    fn drop(&mut self) {
        if let Some(place) = self.places.taken.borrow_mut().get_mut(usize::from(self.index)) {
            *place = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_free_after_its_reader() {
        let places = Rc::new(ReaderPlaces::default());
        let mut taken: Vec<_> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!(taken.len(), TAIL_READERS_MAX);
        drop(taken.swap_remove(3));
        let next = places.take().unwrap();
        assert_eq!((next.index(), next.reader()), (3, TAIL_READERS_MAX as u64 + 1));
        assert!(places.take().is_none());
    }
}

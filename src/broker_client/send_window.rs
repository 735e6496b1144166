//! The publications that the broker has not acknowledged yet (rule L4).

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::types::Number;
use crate::types::limits::{WINDOW_BYTES, WINDOW_PUBLICATIONS};

/// Unacknowledged publications, as the bytes that were sent on the link.
#[derive(Debug, Default)]
pub(crate) struct SendWindow {
    kept: VecDeque<Bytes>,
    /// Byte ranges of this turn's publications within the output of the turn.
    fresh: Vec<Range<usize>>,
    bytes: usize,
    /// Every number up to this one is acknowledged.
    acknowledged: u64,
}

impl SendWindow {
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let count = self.len();
        count == 0 || (count < WINDOW_PUBLICATIONS && self.bytes + bytes <= WINDOW_BYTES)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.fresh.is_empty()
    }

    /// Returns the number of unacknowledged publications.
    pub(crate) fn len(&self) -> u64 {
        (self.kept.len() + self.fresh.len()) as u64
    }

    /// Returns the number of the next publication.
    pub(crate) fn next_number(&self) -> Number {
        Number(self.acknowledged + self.len() + 1)
    }

    /// Adds a publication, given its byte range within the output of this turn.
    pub(crate) fn push(&mut self, place: Range<usize>) {
        self.bytes += place.len();
        self.fresh.push(place);
    }

    /// Keeps this turn's publications as slices of the output, without a copy.
    pub(crate) fn keep(&mut self, said: &Bytes) {
        self.kept.extend(self.fresh.drain(..).map(|place| said.slice(place)));
    }

    pub(crate) fn acknowledge(&mut self, up_to: Number) {
        while self.acknowledged < up_to.0 {
            let Some(publication) = self.kept.pop_front() else { return };
            self.bytes -= publication.len();
            self.acknowledged += 1;
        }
    }

    /// Appends all unacknowledged publications again, in order.
    pub(crate) fn repeat(&self, out: &mut BytesMut) {
        self.kept.iter().for_each(|publication| out.extend_from_slice(publication));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_by_count_and_by_bytes_but_takes_one_of_any_size() {
        let mut window = SendWindow::default();
        assert!(window.has_room(usize::MAX / 2));
        window.push(0..WINDOW_BYTES);
        assert!(!window.has_room(1));
        let mut window = SendWindow::default();
        for number in 1..=WINDOW_PUBLICATIONS {
            assert!(window.has_room(1));
            assert_eq!(window.next_number(), Number(number));
            window.push(0..1);
        }
        assert!(!window.has_room(1));
    }

    #[test]
    fn an_acknowledgement_makes_room_and_leaves_the_numbers_in_line() {
        let mut window = SendWindow::default();
        let said = Bytes::from_static(b"onetwothree");
        for place in [0..3, 3..6, 6..11] {
            window.push(place);
        }
        window.keep(&said);
        window.acknowledge(Number(2));
        let mut again = BytesMut::new();
        window.repeat(&mut again);
        assert_eq!(again, "three");
        assert_eq!(window.next_number(), Number(4));
        assert_eq!(window.bytes, 5);
    }
}

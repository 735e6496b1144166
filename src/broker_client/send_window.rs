//! The publications that the broker has not acknowledged yet (rule L4).

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::types::limits::{WINDOW_BYTES, WINDOW_PUBLICATIONS};
use crate::types::{Content, FramedPayload, Number};

/// Unacknowledged publications, as the bytes that were sent on the link.
#[derive(Debug, Default)]
pub(crate) struct SendWindow {
    /// The publications of earlier turns. All publications of a turn share one owner of their bytes, because an
    /// owner for each publication would cost more than writing it.
    kept: VecDeque<KeptTurn>,
    /// Byte ranges of this turn's publications within the output of the turn.
    fresh: Vec<Range<usize>>,
    /// Number of publications in `kept`.
    count: u64,
    bytes: usize,
    /// Every number up to this one is acknowledged.
    acknowledged: u64,
}

/// The publications of one turn.
#[derive(Debug)]
struct KeptTurn {
    /// The output of the turn.
    said: Bytes,
    /// The number of the first publication.
    first: u64,
    places: Vec<Range<usize>>,
    /// The number of acknowledged publications.
    acknowledged: usize,
    /// Payload of the last publication if it is large. It was sent after `said`.
    large: Option<Content<FramedPayload>>,
}

/// A publication that was sent and is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeptPublication<'a> {
    /// The output that contains it.
    Small(&'a [u8]),
    /// The content of a large one.
    Large(&'a Content<FramedPayload>),
}

impl KeptTurn {
    /// Returns the ranges of unacknowledged publications.
    fn open(&self) -> &[Range<usize>] {
        self.places.get(self.acknowledged..).unwrap_or_default()
    }

    /// Acknowledges up to `most` more publications. Returns their number and bytes.
    fn acknowledge(&mut self, most: u64) -> (u64, usize) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let open = self.open();
        let done = open.get(..most).unwrap_or(open);
        let (count, mut bytes) = (done.len(), done.iter().map(Range::len).sum());
        self.acknowledged += count;
        if self.open().is_empty() {
            bytes += self.large_bytes();
        }
        (count as u64, bytes)
    }

    fn large_bytes(&self) -> usize {
        self.large.as_ref().map_or(0, |content| content.payload.payload().len())
    }
}

impl SendWindow {
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let count = self.len();
        count == 0 || (count < WINDOW_PUBLICATIONS && self.bytes + bytes <= WINDOW_BYTES)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of unacknowledged publications.
    pub(crate) fn len(&self) -> u64 {
        self.count + self.fresh.len() as u64
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

    /// Keeps the publications of this turn so far. The last of them is large, and its payload follows.
    pub(crate) fn keep_large(&mut self, said: &Bytes, content: Content<FramedPayload>) {
        self.keep(said);
        if let Some(turn) = self.kept.back_mut() {
            self.bytes += content.payload.payload().len();
            turn.large = Some(content);
        }
    }

    /// Keeps this turn's publications. They share the bytes of the output, without a copy.
    pub(crate) fn keep(&mut self, said: &Bytes) {
        if self.fresh.is_empty() {
            return;
        }
        let places = std::mem::take(&mut self.fresh);
        let first = self.next_number().0;
        self.count += places.len() as u64;
        let (said, large) = (said.clone(), None);
        self.kept.push_back(KeptTurn { said, first, places, acknowledged: 0, large });
    }

    /// Returns the output of the publication with this number, if it was sent and is not acknowledged.
    pub(crate) fn get(&self, number: Number) -> Option<KeptPublication<'_>> {
        let turn = self.kept.partition_point(|turn| turn.first <= number.0).checked_sub(1)?;
        let turn = self.kept.get(turn)?;
        let place = usize::try_from(number.0 - turn.first).ok()?;
        if let Some(large) = turn.large.as_ref().filter(|_| place + 1 == turn.places.len()) {
            return Some(KeptPublication::Large(large));
        }
        turn.said.get(turn.places.get(place)?.clone()).map(KeptPublication::Small)
    }

    pub(crate) fn acknowledge(&mut self, up_to: Number) {
        while self.acknowledged < up_to.0
            && let Some(turn) = self.kept.front_mut()
        {
            let (count, bytes) = turn.acknowledge(up_to.0 - self.acknowledged);
            if turn.open().is_empty() {
                self.kept.pop_front();
            }
            self.acknowledged += count;
            self.count -= count;
            self.bytes -= bytes;
        }
    }

    /// Appends all unacknowledged publications again, in order.
    pub(crate) fn repeat(&self, out: &mut Vec<u8>) {
        for turn in &self.kept {
            let open = turn.open().iter().filter_map(|place| turn.said.get(place.clone()));
            open.for_each(|publication| out.extend_from_slice(publication));
            // Publications are acknowledged in order, so the last one is open.
            if let Some(large) = &turn.large {
                out.extend_from_slice(large.payload.payload());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PayloadForm;

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
        let mut again = Vec::new();
        window.repeat(&mut again);
        assert_eq!(again, b"three");
        assert_eq!(window.next_number(), Number(4));
        assert_eq!((window.bytes, window.len()), (5, 1));
    }

    #[test]
    fn an_acknowledgement_may_end_in_the_middle_of_a_later_turn() {
        let mut window = SendWindow::default();
        let turns: [&'static [u8]; 3] = [b"ab", b"cd", b"e"];
        for said in turns {
            (0..said.len()).for_each(|at| window.push(at..at + 1));
            window.keep(&Bytes::from_static(said));
        }
        let small = |number| match window.get(Number(number)) {
            Some(KeptPublication::Small(said)) => Some(said),
            _ => None,
        };
        assert_eq!(
            [0, 1, 3, 5, 6].map(small),
            [None, Some(&b"a"[..]), Some(&b"c"[..]), Some(&b"e"[..]), None,]
        );
        for (up_to, left) in [(1, "bcde"), (3, "de"), (3, "de"), (9, "")] {
            window.acknowledge(Number(up_to));
            let mut again = Vec::new();
            window.repeat(&mut again);
            assert_eq!(again, left.as_bytes());
            assert_eq!((window.len(), window.bytes), (left.len() as u64, left.len()));
        }
        assert!(window.is_empty());
        assert_eq!(window.next_number(), Number(6));
    }

    #[test]
    fn a_large_publication_counts_with_its_payload_and_is_repeated_with_it() {
        let mut window = SendWindow::default();
        window.push(0..1);
        window.push(1..3);
        let payload = FramedPayload::new(Bytes::from_static(b"headpayload"), 4);
        let content = Content { form: PayloadForm::Text, payload };
        window.keep_large(&Bytes::from_static(b"abc"), content);
        window.push(0..1);
        window.keep(&Bytes::from_static(b"d"));
        assert_eq!((window.len(), window.bytes), (3, 11));
        assert!(matches!(window.get(Number(1)), Some(KeptPublication::Small(b"a"))));
        assert!(matches!(window.get(Number(2)), Some(KeptPublication::Large(it))
            if it.payload.payload() == b"payload"));
        for (up_to, again, bytes) in [(1, "bcpayloadd", 10), (2, "d", 1), (3, "", 0)] {
            window.acknowledge(Number(up_to));
            let mut out = Vec::new();
            window.repeat(&mut out);
            assert_eq!((out.as_slice(), window.bytes), (again.as_bytes(), bytes));
        }
    }
}

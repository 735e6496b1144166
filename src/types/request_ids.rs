//! Numbers of requests that were accepted, so that one that is repeated is not carried out again (`tagcast.v1`).

use super::limits::REQUEST_IDS_BELOW;

/// Which of the latest requests of an instance were accepted: the one with the greatest number, and those of the
/// [`REQUEST_IDS_BELOW`] numbers below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedIds {
    latest: u64,
    /// Bit `n` is that of the number `latest - n`. The bit of the latest one is 0 if there is none.
    bits: [u64; 4],
}

/// What is known about the number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdNovelty {
    /// It was not accepted.
    New,
    /// It was accepted.
    Repeated,
    /// It is so far below the latest one that nothing is known about it.
    TooOld,
}

impl AcceptedIds {
    /// Creates it from its parts, as [`AcceptedIds::parts`] gives them.
    #[must_use]
    pub const fn from_parts(latest: u64, bits: [u64; 4]) -> Self {
        Self { latest, bits }
    }

    /// Returns the greatest number and the bits of those below, for a message.
    #[must_use]
    pub const fn parts(&self) -> (u64, [u64; 4]) {
        (self.latest, self.bits)
    }

    /// Returns true if no request was accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits == [0; 4]
    }

    /// Returns what is known about a number.
    #[must_use]
    pub fn judge(&self, id: u64) -> IdNovelty {
        if self.is_empty() || id > self.latest {
            return IdNovelty::New;
        }
        match self.latest - id {
            below if below > REQUEST_IDS_BELOW => IdNovelty::TooOld,
            below if self.bit(below) => IdNovelty::Repeated,
            _ => IdNovelty::New,
        }
    }

    /// Records that a request was accepted.
    pub fn insert(&mut self, id: u64) {
        if self.is_empty() {
            self.latest = id;
        } else if id > self.latest {
            self.shift(id - self.latest);
            self.latest = id;
        }
        if let Some((word, bit)) = self.word_mut(id) {
            *word |= bit;
        }
    }

    /// Records that a request was not accepted after all.
    pub fn remove(&mut self, id: u64) {
        if let Some((word, bit)) = self.word_mut(id) {
            *word &= !bit;
        }
    }

    /// Returns whether both have the same numbers. One that was removed again may have been the greatest.
    #[must_use]
    pub fn has_same(&self, other: &Self) -> bool {
        let latest = self.latest.max(other.latest);
        self.bits_below(latest) == other.bits_below(latest)
    }

    /// Returns the bits of the numbers below one that is not less than the latest.
    fn bits_below(mut self, latest: u64) -> [u64; 4] {
        self.shift(latest.saturating_sub(self.latest));
        self.bits
    }

    /// Returns its memory in bytes.
    #[must_use]
    pub const fn held() -> usize {
        size_of::<Self>()
    }

    fn bit(&self, below: u64) -> bool {
        self.bits.get(word_of(below)).is_some_and(|word| word >> (below % 64) & 1 == 1)
    }

    fn word_mut(&mut self, id: u64) -> Option<(&mut u64, u64)> {
        let below = self.latest.checked_sub(id)?;
        Some((self.bits.get_mut(word_of(below))?, 1 << (below % 64)))
    }

    /// Moves the bits to those of numbers that are further below.
    fn shift(&mut self, by: u64) {
        let (words, rest) = (word_of(by), by % 64);
        let former = self.bits;
        let word = |place: Option<usize>| place.and_then(|at| former.get(at)).copied().unwrap_or(0);
        for (place, bits) in self.bits.iter_mut().enumerate() {
            let high = word(place.checked_sub(words)) << rest;
            let below = place.checked_sub(words).and_then(|at| at.checked_sub(1));
            let low = if rest == 0 { 0 } else { word(below) >> (64 - rest) };
            *bits = high | low;
        }
    }
}

fn word_of(below: u64) -> usize {
    usize::try_from(below / 64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ids(accepted: &[u64]) -> AcceptedIds {
        let mut ids = AcceptedIds::default();
        accepted.iter().for_each(|id| ids.insert(*id));
        ids
    }

    /// V44.
    #[test]
    fn numbers_are_known_up_to_255_below_the_latest() {
        let ids = ids(&[1, 300, 45]);
        let judged = [1, 44, 45, 46, 299, 300, 301].map(|id| ids.judge(id));
        let (new, old) = (IdNovelty::New, IdNovelty::TooOld);
        assert_eq!(judged, [old, old, IdNovelty::Repeated, new, new, IdNovelty::Repeated, new]);
    }

    #[test]
    fn a_request_that_was_refused_is_new_again() {
        let mut ids = ids(&[0, 7]);
        ids.remove(7);
        assert_eq!([0, 7].map(|id| ids.judge(id)), [IdNovelty::Repeated, IdNovelty::New]);
        assert!(ids.has_same(&self::ids(&[0])) && ids != self::ids(&[0]));
        assert!(!ids.has_same(&self::ids(&[7])) && !ids.has_same(&AcceptedIds::default()));
        ids.remove(0);
        assert!(ids.is_empty() && ids.has_same(&AcceptedIds::default()));
        ids.insert(3);
        assert_eq!([3, 2].map(|id| ids.judge(id)), [IdNovelty::Repeated, IdNovelty::New]);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_numbers(all in prop::collection::vec(0_u64..700, 1..200)) {
            let (mut ids, mut naive) = (AcceptedIds::default(), BTreeSet::new());
            for id in all {
                let latest: u64 = naive.last().copied().unwrap_or_default();
                let expected = match () {
                    () if naive.contains(&id) && latest - id <= 255 => IdNovelty::Repeated,
                    () if latest.saturating_sub(id) > 255 => IdNovelty::TooOld,
                    () => IdNovelty::New,
                };
                prop_assert_eq!(ids.judge(id), expected, "{} of {:?}", id, &naive);
                if expected == IdNovelty::New {
                    ids.insert(id);
                    naive.insert(id);
                }
                let (latest, bits) = ids.parts();
                prop_assert_eq!(AcceptedIds::from_parts(latest, bits), ids);
            }
        }
    }
}

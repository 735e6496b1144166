//! Sort keys that bring possibly equal member names of an object together.

/// Half of the hash of a name together with the name's position, packed in one word. A million of these are
/// sorted in half the time that pairs take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hashed(u64);

impl Hashed {
    /// Combines the upper half of a hash with the position of the name.
    #[must_use]
    pub fn new(hash: u64, place: u32) -> Self {
        Self((hash & !u64::from(u32::MAX)) | u64::from(place))
    }

    /// Returns the same position with another hash.
    #[must_use]
    pub fn with(self, hash: u64) -> Self {
        Self::new(hash, self.place())
    }

    /// Returns the position of the name.
    #[must_use]
    pub fn place(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    /// Returns whether the two names may be equal, that is, whether their hash halves are equal.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_by_their_hashes_and_then_by_their_places() {
        let hash = |it: u64| it << 32 | 5;
        let mut names = [(9, 1), (7, 2), (9, 0)].map(|(it, place)| Hashed::new(hash(it), place));
        names.sort_unstable();
        assert_eq!(names.map(Hashed::place), [2, 0, 1]);
        let alike: Vec<usize> = names.chunk_by(Hashed::is_like).map(<[_]>::len).collect();
        assert_eq!(alike, [1, 2]);
        assert_eq!(Hashed::new(0, u32::MAX).with(u64::MAX).place(), u32::MAX);
    }
}

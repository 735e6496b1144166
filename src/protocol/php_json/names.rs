//! The member names of the objects that are being written, to find repeated names.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::edits::Edits;
use crate::json::Hashed;

/// The members of all open objects. Those of the innermost object are last.
#[derive(Debug, Default)]
pub(super) struct ObjectNames {
    /// Output offset of each member, which starts with its name. Offsets have four bytes, because an object
    /// may have a million members.
    starts: Vec<u32>,
    /// Scratch space: the members of one object, sorted by hash.
    sorted: Vec<Hashed>,
    /// Numbers of members whose names occurred before.
    repeated: Vec<u32>,
    /// Key of the hash, random so that clients cannot choose names with equal hashes.
    state: RandomState,
}

/// The position of an object's first member in `starts`.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameMark(usize);

/// Up to this number of members, comparing all pairs of names is faster than hashing them.
const FEW: usize = 8;

impl ObjectNames {
    pub(super) fn mark(&self) -> NameMark {
        NameMark(self.starts.len())
    }

    /// Adds a member whose name starts at this offset.
    pub(super) fn push(&mut self, start: u32) {
        self.starts.push(start);
    }

    /// Completes an object: if a name is repeated, the last value is moved to the position of the first.
    pub(super) fn close(&mut self, mark: NameMark, out: &[u8], edits: &mut Edits) {
        let object = Object { starts: self.starts.get(mark.0..).unwrap_or_default(), out };
        self.repeated.clear();
        if object.starts.len() < 2 {
            return;
        }
        let is_few = object.starts.len() <= FEW;
        let hash = |number| if is_few { 0 } else { self.state.hash_one(object.name(number)) };
        self.sorted.clear();
        self.sorted.extend(object.numbers().map(|number| Hashed::new(hash(number), number)));
        self.sorted.sort_unstable();
        for alike in self.sorted.chunk_by(Hashed::is_like) {
            object.join(alike, edits, &mut self.repeated);
        }
        self.repeated.sort_unstable();
        for number in &self.repeated {
            // The comma before the member is removed too.
            edits.remove(object.start(*number).saturating_sub(1)..object.end(*number));
        }
    }

    /// Returns whether PHP encodes the object that was just completed as a list, because its names
    /// are 0, 1, … If so, they are removed.
    pub(super) fn number(&self, mark: NameMark, out: &[u8], edits: &mut Edits) -> bool {
        let object = Object { starts: self.starts.get(mark.0..).unwrap_or_default(), out };
        let stay = || {
            let stays = |number: &u32| self.repeated.binary_search(number).is_err();
            object.numbers().filter(stays)
        };
        let is_place = |(place, number): (usize, u32)| {
            let name = object.name(number);
            let digits = name.get(1..name.len().saturating_sub(1)).unwrap_or_default();
            is_number(digits, place)
        };
        if !stay().enumerate().all(is_place) {
            return false;
        }
        stay().for_each(|number| edits.remove(object.start(number)..object.value(number).start));
        true
    }

    /// Removes the members of a completed object.
    pub(super) fn forget(&mut self, mark: NameMark) {
        self.starts.truncate(mark.0);
    }
}

/// An object that ends where `out` ends.
struct Object<'o> {
    starts: &'o [u32],
    out: &'o [u8],
}

impl<'o> Object<'o> {
    /// Joins members whose names have the same hash. They almost always have the same name.
    fn join(&self, alike: &[Hashed], edits: &mut Edits, repeated: &mut Vec<u32>) {
        let Some((first, rest)) = alike.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return;
        };
        let first = first.place();
        let (name, mut last, mut others) = (self.name(first), None, Vec::new());
        for other in rest {
            let number = other.place();
            if self.name(number) == name {
                repeated.push(number);
                last = Some(number);
            } else {
                others.push(*other);
            }
        }
        if let Some(last) = last {
            edits.replace(self.value(first), self.value(last));
        }
        self.join(&others, edits, repeated);
    }

    fn numbers(&self) -> Range<u32> {
        0..u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    fn start(&self, number: u32) -> u32 {
        self.starts.get(number as usize).copied().unwrap_or_default()
    }

    /// Returns the offset at which the value of a member ends.
    fn end(&self, number: u32) -> u32 {
        match self.starts.get(number as usize + 1) {
            Some(next) => next.saturating_sub(1),
            None => length(self.out),
        }
    }

    /// Returns a name as it is written, with its quotes.
    fn name(&self, number: u32) -> &'o [u8] {
        let rest = self.out.get(self.start(number) as usize..).unwrap_or_default();
        let mut length = 1;
        while let Some(byte) = rest.get(length) {
            match byte {
                b'"' => break,
                b'\\' => length += 2,
                _ => length += 1,
            }
        }
        rest.get(..=length).unwrap_or_default()
    }

    fn value(&self, number: u32) -> Range<u32> {
        let name = length(self.name(number));
        self.start(number).saturating_add(name).saturating_add(1)..self.end(number)
    }
}

/// Returns whether these are the digits of a number, without leading zeros.
fn is_number(digits: &[u8], number: usize) -> bool {
    let mut rest = number;
    let last_digits = digits.iter().rev().all(|digit| {
        let is_digit = usize::from(digit.wrapping_sub(b'0')) == rest % 10;
        rest /= 10;
        is_digit
    });
    let count = number.checked_ilog10().unwrap_or_default() as usize + 1;
    last_digits && digits.len() == count
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_digits_and_nothing_else() {
        for number in [0, 1, 9, 10, 19, 99, 100, 101, 12_345] {
            for other in [0, 1, 9, 10, 19, 99, 100, 101, 12_345] {
                let digits = other.to_string();
                assert_eq!(is_number(digits.as_bytes(), number), number == other);
            }
            assert!(!is_number(format!("0{number}").as_bytes(), number));
        }
        assert!(!is_number(b"", 0) && !is_number(b"x", 0) && !is_number(b"1x", 10));
    }
}

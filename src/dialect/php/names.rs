//! The names of the objects that are being written: which of them came before.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::edits::Edits;

/// A member: a part of the hash of its name, and where that was written. Eight bytes, because an
/// object may have a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    hash: u32,
    start: u32,
}

/// The members of all objects that are open, those of the inner ones last.
#[derive(Debug, Default)]
pub(super) struct Names {
    members: Vec<Member>,
    /// The members of one object, by their hashes.
    sorted: Vec<Member>,
    /// Where repeated names of one object were written.
    repeated: Vec<u32>,
    state: RandomState,
}

/// Where the members of an object begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(usize);

/// Whether the members of an object are numbered 0, 1, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    Yes,
    No,
}

impl Names {
    pub(super) fn mark(&self) -> Mark {
        Mark(self.members.len())
    }

    /// A name was written from this place to the end.
    pub(super) fn push(&mut self, out: &[u8], start: u32) {
        let name = out.get(start as usize..).unwrap_or_default();
        let [a, b, c, d, ..] = self.state.hash_one(name).to_ne_bytes();
        self.members.push(Member { hash: u32::from_ne_bytes([a, b, c, d]), start });
    }

    /// An object ends: of each name the last value stands at the first place.
    pub(super) fn close(&mut self, mark: Mark, out: &[u8], edits: &mut Edits) {
        let members = self.members.get(mark.0..).unwrap_or_default();
        self.repeated.clear();
        if members.len() > 1 {
            self.sorted.clear();
            self.sorted.extend_from_slice(members);
            self.sorted.sort_unstable();
            let object = Object { members, out };
            for alike in self.sorted.chunk_by(|one, next| one.hash == next.hash) {
                object.join(alike, (edits, &mut self.repeated));
            }
            self.repeated.sort_unstable();
            for start in &self.repeated {
                // The comma in front of it goes with it.
                edits.remove(start.saturating_sub(1)..object.value(*start).end);
            }
        }
    }

    /// Whether the object that ended last is a list to PHP; its names are left out then.
    pub(super) fn number(&self, mark: Mark, out: &[u8], edits: &mut Edits) -> Numbered {
        let members = self.members.get(mark.0..).unwrap_or_default();
        let object = Object { members, out };
        let stay = || {
            let stays = |start: &u32| self.repeated.binary_search(start).is_err();
            members.iter().map(|member| member.start).filter(stays)
        };
        let is_place = |(place, start): (usize, u32)| {
            object.name(start).strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""))
                == Some(place.to_string().as_bytes())
        };
        if !stay().enumerate().all(is_place) {
            return Numbered::No;
        }
        stay().for_each(|start| edits.remove(start..object.value(start).start));
        Numbered::Yes
    }

    /// Forgets the members of an object that ended.
    pub(super) fn forget(&mut self, mark: Mark) {
        self.members.truncate(mark.0);
    }
}

/// One object that ends where `out` does.
struct Object<'o> {
    members: &'o [Member],
    out: &'o [u8],
}

impl<'o> Object<'o> {
    /// Joins members whose names have the same hash; nearly always they are the same name.
    fn join(&self, alike: &[Member], (edits, repeated): (&mut Edits, &mut Vec<u32>)) {
        let Some((first, rest)) = alike.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return;
        };
        let name = self.name(first.start);
        let is_same = |member: &&Member| self.name(member.start) == name;
        let same = || rest.iter().filter(is_same).map(|member| member.start);
        if let Some(last) = same().next_back() {
            edits.replace(self.value(first.start), self.value(last));
            repeated.extend(same());
        }
        let others: Vec<Member> = rest.iter().filter(|member| !is_same(member)).copied().collect();
        self.join(&others, (edits, repeated));
    }

    /// A name as it was written, with its quotes.
    fn name(&self, start: u32) -> &'o [u8] {
        let rest = self.out.get(start as usize..).unwrap_or_default();
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

    /// The value of the member that begins here.
    fn value(&self, start: u32) -> Range<u32> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let first = start.saturating_add(length(self.name(start))).saturating_add(1);
        let next = self.members.partition_point(|member| member.start <= start);
        let end = match self.members.get(next) {
            Some(next) => next.start.saturating_sub(1),
            None => length(self.out),
        };
        first..end
    }
}

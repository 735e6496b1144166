//! The names of one host.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::name::{DirectoryName, NameRange, NameStamp};

/// Bytes of a name in an item in addition to its texts, about.
const ENCODED_NAME_BYTES: usize = 16;

/// The names of one host, and whether these are all.
#[derive(Debug, Default)]
pub(super) struct HostNames {
    names: BTreeMap<DirectoryName, NameStamp>,
    /// The snapshot of which every part until now has arrived.
    snapshot: Option<u64>,
    /// All names of the host are here.
    pub(super) is_complete: bool,
}

impl HostNames {
    pub(super) fn get(&self, name: &DirectoryName) -> Option<NameStamp> {
        self.names.get(name).copied()
    }

    /// Sets or removes a name. Returns the stamp that it had.
    pub(super) fn set(
        &mut self,
        name: &DirectoryName,
        stamp: Option<NameStamp>,
    ) -> Option<NameStamp> {
        match stamp {
            Some(stamp) => self.names.insert(name.clone(), stamp),
            None => self.names.remove(name),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&DirectoryName, NameStamp)> {
        self.names.iter().map(|(name, stamp)| (name, *stamp))
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Removes one name; `None` if there is none.
    pub(super) fn pop(&mut self) -> Option<DirectoryName> {
        self.names.pop_last().map(|(name, _)| name)
    }

    /// Returns the names in a part of the order that a range does not have.
    pub(super) fn superseded(&self, range: &NameRange) -> Vec<DirectoryName> {
        let from = range.after.as_ref().map_or(Unbounded, Excluded);
        let to = range.up_to.as_ref().map_or(Unbounded, Included);
        let mut new = range.names.iter().map(|(name, _)| name).peekable();
        let known = self.names.range((from, to)).map(|(name, _)| name);
        let is_new = |name: &&DirectoryName| {
            while new.next_if(|other| other < name).is_some() {}
            new.peek() != Some(name)
        };
        known.filter(is_new).cloned().collect()
    }

    /// Notes that a part of a snapshot was applied. Returns true if all names are here with it.
    pub(super) fn note_part(&mut self, range: &NameRange) -> bool {
        if range.after.is_none() {
            self.snapshot = Some(range.snapshot);
        }
        let ends = range.up_to.is_none() && self.snapshot == Some(range.snapshot);
        self.is_complete |= ends;
        ends
    }

    /// Notes that a part of a snapshot, or a change, may be missing.
    pub(super) fn note_gap(&mut self) {
        self.snapshot = None;
        self.is_complete = false;
    }

    /// Returns the part after a name that has about so many bytes.
    pub(super) fn part(
        &self,
        snapshot: u64,
        after: Option<DirectoryName>,
        bytes_max: usize,
    ) -> NameRange {
        let from = after.as_ref().map_or(Unbounded, Excluded);
        let (mut names, mut bytes, mut up_to) = (Vec::new(), 0, None);
        for (name, stamp) in self.names.range((from, Unbounded)) {
            if bytes >= bytes_max {
                up_to = names.last().map(|(name, _): &(DirectoryName, NameStamp)| name.clone());
                break;
            }
            bytes += ENCODED_NAME_BYTES + name.tenant.0.len() + name.text.as_str().len();
            names.push((name.clone(), *stamp));
        }
        NameRange { snapshot, after, up_to, names }
    }
}

//! The directory on one host: it tells others which names its clients have, and asks them for theirs.
//!
//! The host of a client owns its record, and no other host changes it. Changes travel on the common lane, in the order of
//! publications. A host that is new, or has missed something, asks for all names of another one. They come in parts, each
//! an item of the private lane: it replaces what was known of this part of the order of names. A fence puts it after
//! the changes that it includes and before those that it does not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

use super::name::{DirectoryItem, DirectoryName, NameChange, NameKind, NameRange, NameStamp};
use super::records::{DirectoryBounds, NameDirectory};
use super::requests::SnapshotRequests;
use crate::cluster::effect::ForwardReach;
use crate::types::limits::CLUSTER_DIRECTORY_ITEM_BYTES;
use crate::types::{HostId, JoinNumber};

/// Bytes of a change in addition to its texts, about.
const CHANGE_BYTES: usize = 16;

/// An item for other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedItem {
    /// The hosts that get it. The own host: the bridge only, which keeps a copy for the next broker.
    pub reach: ForwardReach,
    /// The encoded [`DirectoryItem`].
    pub body: Bytes,
}

/// Hosts to which all own names are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SnapshotReader {
    /// All: they may know names of an earlier broker.
    All,
    /// One that has asked, or the own bridge.
    One(HostId),
}

/// How far a reader has all own names.
#[derive(Clone, Debug)]
struct SnapshotProgress {
    snapshot: u64,
    after: Option<DirectoryName>,
}

/// The directory on one host.
#[derive(Debug)]
pub struct SharedDirectory {
    own: HostId,
    records: NameDirectory,
    /// Changes of own names that were not sent.
    changes: Vec<NameChange>,
    change_bytes: usize,
    readers: BTreeMap<SnapshotReader, SnapshotProgress>,
    requests: SnapshotRequests,
    /// Own names whose first client was not compared with their record, after the start of a broker.
    unchecked: BTreeSet<DirectoryName>,
    /// When clients have joined that are not the first ones with their idents, in milliseconds since 1970.
    joined: HashMap<JoinNumber, u64>,
    /// Other hosts have no names of this one but those in its record.
    is_published: bool,
}

impl SharedDirectory {
    /// Begins without names, in the first broker of a host.
    #[must_use]
    pub fn new(own: HostId, bounds: DirectoryBounds) -> Self {
        Self {
            own,
            records: NameDirectory::new(own, bounds),
            changes: Vec::new(),
            change_bytes: 0,
            readers: BTreeMap::new(),
            requests: SnapshotRequests::default(),
            unchecked: BTreeSet::new(),
            joined: HashMap::new(),
            is_published: true,
        }
    }

    /// Begins without names, in a broker after another one: other hosts may know names of clients that have left.
    #[must_use]
    pub fn of_later_broker(own: HostId, bounds: DirectoryBounds) -> Self {
        Self { is_published: false, ..Self::new(own, bounds) }
    }

    /// Returns what is known.
    #[must_use]
    pub fn records(&self) -> &NameDirectory {
        &self.records
    }

    /// Returns this host.
    #[must_use]
    pub fn own(&self) -> HostId {
        self.own
    }

    /// Frees the names of hosts that are gone, until `is_spent` returns true.
    pub fn free_dropped(&mut self, is_spent: &mut dyn FnMut() -> bool) -> ControlFlow<()> {
        self.records.free_dropped(is_spent)
    }

    // --- Own names ---

    /// A client with an ident has joined.
    pub fn joined(&mut self, number: JoinNumber, unix_ms: u64) {
        self.joined.insert(number, unix_ms);
    }

    /// A client has left.
    pub fn left(&mut self, number: JoinNumber) {
        self.joined.remove(&number);
    }

    /// The first client with an own name may be another one, or there may be none. Returns false if there is no room for
    /// the name, so that it is known on this host only.
    pub fn note_first(
        &mut self,
        name: &DirectoryName,
        first: Option<JoinNumber>,
        unix_ms: u64,
    ) -> bool {
        self.unchecked.remove(name);
        let before = self.records.stamp(self.own, name);
        if before.map(|stamp| stamp.number) == first.map(|number| number.0) {
            return true;
        }
        let stamp = first.map(|number| {
            // An alias is granted now, and a client comes from another host now.
            let is_ident = name.kind == NameKind::IDENT;
            let joined = if is_ident { self.joined.remove(&number) } else { None };
            // An earlier broker knew when it has joined: after the one that was first.
            let before = before.filter(|_| name.kind != NameKind::UUID);
            let known = before.map_or(unix_ms, |stamp| stamp.unix_ms);
            NameStamp { unix_ms: joined.unwrap_or(known), number: number.0 }
        });
        if !self.records.set(self.own, name, stamp) {
            return false;
        }
        self.change_bytes += CHANGE_BYTES + name.tenant.0.len() + name.text.as_str().len();
        self.changes.push(NameChange { name: name.clone(), stamp });
        true
    }

    /// Compares the record of an own name with its first client later, or before it is used.
    pub fn check_later(&mut self, name: DirectoryName) {
        self.unchecked.insert(name);
    }

    /// Returns whether the record of a name is still to be compared with its first client.
    #[must_use]
    pub fn is_unchecked(&self, name: &DirectoryName) -> bool {
        !self.unchecked.is_empty() && self.unchecked.contains(name)
    }

    /// Returns whether records are to be compared with clients, or to be freed.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.unchecked.is_empty() || self.records.has_dropped()
    }

    /// Returns a name whose record is to be compared with its first client.
    #[must_use]
    pub fn next_unchecked(&self) -> Option<DirectoryName> {
        self.unchecked.first().cloned()
    }

    /// A new broker knows its clients. What an earlier one has told others is to be compared with them.
    pub fn begin(&mut self) {
        let known = self.records.names_of(self.own).map(|(name, _)| name.clone());
        let known: Vec<DirectoryName> = known.collect();
        self.unchecked.extend(known);
        if !self.is_published {
            self.read_by(SnapshotReader::All, 0);
        }
    }

    fn read_by(&mut self, reader: SnapshotReader, snapshot: u64) {
        self.readers.insert(reader, SnapshotProgress { snapshot, after: None });
    }

    // --- Other hosts ---

    /// A host is live.
    pub fn host_live(&mut self, host: HostId, now: Duration) {
        self.records.add_host(host);
        if !self.records.is_complete(host) {
            self.requests.want(host, now);
        }
    }

    /// A host is gone. Its names count no longer.
    pub fn host_gone(&mut self, host: HostId) {
        self.records.drop_host(host);
        self.requests.forget(host);
        self.readers.remove(&SnapshotReader::One(host));
    }

    /// Items of a host will never arrive.
    pub fn note_gap(&mut self, host: HostId, now: Duration) {
        if host != self.own && self.records.is_live(host) {
            self.records.note_gap(host);
            self.requests.want_soon(host, now);
        }
    }

    /// A new bridge begins. It needs all names, to give them to the next broker.
    pub fn bridge_began(&mut self, now: Duration) {
        self.read_by(SnapshotReader::One(self.own), 0);
        let others: Vec<HostId> = self.records.hosts().filter(|host| *host != self.own).collect();
        others.into_iter().for_each(|host| self.requests.want(host, now));
    }

    /// The bridge announces what it has kept for a new broker.
    pub fn announced(&mut self, host: HostId, range: &NameRange) {
        self.records.add_host(host);
        let is_complete = self.records.replace(host, range);
        self.is_published |= is_complete && host == self.own;
    }

    /// Takes an item of another host. Returns the aliases that it has now.
    pub fn take(&mut self, from: HostId, item: DirectoryItem, now: Duration) -> Vec<DirectoryName> {
        if from == self.own || !self.records.is_live(from) {
            // A host that is back sends all its names again.
            return Vec::new();
        }
        match item {
            DirectoryItem::Changes(changes) => {
                let mut aliases = Vec::new();
                for NameChange { name, stamp } in changes {
                    self.records.set(from, &name, stamp);
                    if name.kind == NameKind::ALIAS && stamp.is_some() {
                        aliases.push(name);
                    }
                }
                aliases
            }
            DirectoryItem::Range(range) => {
                self.requests.note_part(from, range.snapshot, now);
                if self.records.replace(from, &range) {
                    self.requests.note_complete(from, range.snapshot);
                }
                let names = range.names.into_iter().map(|(name, _)| name);
                names.filter(|name| name.kind == NameKind::ALIAS).collect()
            }
            DirectoryItem::Request { to, snapshot } => {
                if to == self.own {
                    self.read_by(SnapshotReader::One(from), snapshot);
                }
                Vec::new()
            }
        }
    }

    // --- What is sent ---

    /// Returns whether changes wait that must be sent before the next publication.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Returns whether the changes that wait fill an item.
    #[must_use]
    pub fn fills_item(&self) -> bool {
        self.change_bytes >= CLUSTER_DIRECTORY_ITEM_BYTES
    }

    /// Returns the changes that wait.
    pub fn take_changes(&mut self) -> Option<SharedItem> {
        if self.changes.is_empty() {
            return None;
        }
        self.change_bytes = 0;
        let body = DirectoryItem::Changes(std::mem::take(&mut self.changes)).encode();
        Some(SharedItem { reach: self.reach_of_changes(), body })
    }

    fn reach_of_changes(&self) -> ForwardReach {
        let has_others = self.records.hosts().any(|host| host != self.own);
        if has_others { ForwardReach::All } else { ForwardReach::One(self.own) }
    }

    /// Returns the next part of own names that a reader lacks. The changes before it must have been sent. The caller
    /// sends the next part after this one was carried.
    pub fn next_part(&mut self) -> Option<SharedItem> {
        let (reader, progress) = self.readers.pop_first()?;
        let SnapshotProgress { snapshot, after } = progress;
        let range = self.records.part(self.own, snapshot, after, CLUSTER_DIRECTORY_ITEM_BYTES);
        let reach = match reader {
            SnapshotReader::All => self.reach_of_changes(),
            SnapshotReader::One(host) => ForwardReach::One(host),
        };
        match &range.up_to {
            Some(name) => {
                let after = Some(name.clone());
                self.readers.insert(reader, SnapshotProgress { snapshot, after });
            }
            None if reader == SnapshotReader::All => self.is_published = true,
            None => {}
        }
        Some(SharedItem { reach, body: DirectoryItem::Range(range).encode() })
    }

    /// Returns the next request for the names of another host.
    pub fn next_request(&mut self, now: Duration) -> Option<SharedItem> {
        let (to, snapshot) = self.requests.next(now)?;
        let body = DirectoryItem::Request { to, snapshot }.encode();
        Some(SharedItem { reach: ForwardReach::One(to), body })
    }

    /// Returns whether a reader lacks own names.
    #[must_use]
    pub fn has_parts(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Returns when [`SharedDirectory::next_request`] may have a request.
    #[must_use]
    pub fn request_due(&self) -> Option<Duration> {
        self.requests.due()
    }

    /// Returns whether everything is sent, and everything that was asked for is here.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.changes.is_empty()
            && self.readers.is_empty()
            && self.requests.is_idle()
            && self.unchecked.is_empty()
    }
}

//! The names of all hosts, and which host has the first client with a name.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow::{self, Break, Continue};

use smallvec::SmallVec;

use super::host_names::HostNames;
use super::name::{DirectoryName, NameKind, NameRange, NameStamp};
use crate::types::HostId;
use crate::types::limits::{CLUSTER_DIRECTORY_BYTES, CLUSTER_DIRECTORY_NAMES};

/// Memory of a name of a host in addition to its text, in bytes: its entries in both maps.
const RECORD_BYTES: usize = 200;

/// A host that has a client with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NameHolder {
    stamp: NameStamp,
    host: HostId,
    /// The time in which the host was live since ([`LiveHost::life`]).
    life: u32,
}

impl NameHolder {
    fn order(&self) -> (u64, HostId, u64) {
        (self.stamp.unix_ms, self.host, self.stamp.number)
    }
}

/// A live host.
#[derive(Debug)]
struct LiveHost {
    names: HostNames,
    idents: usize,
    aliases: usize,
    uuids: usize,
    /// Names from before it was gone have another number.
    life: u32,
}

/// How many names may be known.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryBounds {
    /// Names of all hosts. One that two hosts have counts twice.
    pub names: usize,
    /// Their memory in bytes, about.
    pub bytes: usize,
}

impl LiveHost {
    fn of(&mut self, kind: NameKind) -> &mut usize {
        match kind {
            NameKind::ALIAS => &mut self.aliases,
            NameKind::UUID => &mut self.uuids,
            _ => &mut self.idents,
        }
    }
}

impl Default for DirectoryBounds {
    fn default() -> Self {
        Self { names: CLUSTER_DIRECTORY_NAMES, bytes: CLUSTER_DIRECTORY_BYTES }
    }
}

/// How much is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryCounts {
    /// Idents of live hosts.
    pub idents: usize,
    /// Aliases of live hosts.
    pub aliases: usize,
    /// Clients of live hosts that their UUIDs do not name.
    pub uuids: usize,
    /// Names that had no room.
    pub refused: u64,
}

/// The names of all live hosts.
#[derive(Debug)]
pub struct NameDirectory {
    hosts: BTreeMap<HostId, LiveHost>,
    holders: HashMap<DirectoryName, SmallVec<[NameHolder; 1]>>,
    /// Names of hosts that are gone. They no longer count, and are removed in parts.
    dropped: VecDeque<(HostId, LiveHost)>,
    lives: u32,
    names: usize,
    bytes: usize,
    bounds: DirectoryBounds,
    refused: u64,
}

impl NameDirectory {
    /// Knows this host and no name.
    #[must_use]
    pub fn new(own: HostId, bounds: DirectoryBounds) -> Self {
        let mut directory = Self {
            hosts: BTreeMap::new(),
            holders: HashMap::new(),
            dropped: VecDeque::new(),
            lives: 0,
            names: 0,
            bytes: 0,
            bounds,
            refused: 0,
        };
        directory.add_host(own);
        directory
    }

    /// A host is live. Nothing changes if it was.
    pub fn add_host(&mut self, host: HostId) {
        if !self.hosts.contains_key(&host) {
            self.lives += 1;
            let life = self.lives;
            let names = HostNames::default();
            self.hosts.insert(host, LiveHost { names, idents: 0, aliases: 0, uuids: 0, life });
        }
    }

    /// A host is gone. Its names count no longer.
    pub fn drop_host(&mut self, host: HostId) {
        if let Some(gone) = self.hosts.remove(&host) {
            self.dropped.push_back((host, gone));
        }
    }

    /// Frees the names of hosts that are gone, until `is_spent` returns true, which is called after each.
    pub fn free_dropped(&mut self, is_spent: &mut dyn FnMut() -> bool) -> ControlFlow<()> {
        while let Some((host, gone)) = self.dropped.front_mut() {
            let (host, life) = (*host, gone.life);
            let Some(name) = gone.names.pop() else {
                self.dropped.pop_front();
                continue;
            };
            self.release(&name, host, life);
            if is_spent() {
                return Break(());
            }
        }
        Continue(())
    }

    /// Returns whether names of hosts that are gone are left.
    #[must_use]
    pub fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Returns whether a host is live.
    #[must_use]
    pub fn is_live(&self, host: HostId) -> bool {
        self.hosts.contains_key(&host)
    }

    /// Returns the live hosts.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> {
        self.hosts.keys().copied()
    }

    /// Returns whether all names of a host are known.
    #[must_use]
    pub fn is_complete(&self, host: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|live| live.names.is_complete)
    }

    /// Returns the host that has the first client with a name.
    #[must_use]
    pub fn first(&self, name: &DirectoryName) -> Option<HostId> {
        self.first_holder(name).map(|(_, host)| host)
    }

    /// Returns the host that has the first client with a name, and since when.
    #[must_use]
    pub fn first_holder(&self, name: &DirectoryName) -> Option<(NameStamp, HostId)> {
        self.live_holders(name).next()
    }

    /// Returns whether a client is not on the host that its UUID names.
    #[must_use]
    pub fn has_uuids(&self) -> bool {
        self.hosts.values().any(|live| live.uuids > 0)
    }

    /// Returns the host that has got a name last, and since when.
    #[must_use]
    pub fn last_holder(&self, name: &DirectoryName) -> Option<(NameStamp, HostId)> {
        self.live_holders(name).next_back()
    }

    fn live_holders(
        &self,
        name: &DirectoryName,
    ) -> impl DoubleEndedIterator<Item = (NameStamp, HostId)> {
        let is_live = |holder: &&NameHolder| {
            self.hosts.get(&holder.host).is_some_and(|live| live.life == holder.life)
        };
        let holders = self.holders.get(name).into_iter().flatten();
        holders.filter(is_live).map(|holder| (holder.stamp, holder.host))
    }

    /// Returns since when a host has a name.
    #[must_use]
    pub fn stamp(&self, host: HostId, name: &DirectoryName) -> Option<NameStamp> {
        self.hosts.get(&host)?.names.get(name)
    }

    /// Returns all names of a live host, in their order.
    pub fn names_of(&self, host: HostId) -> impl Iterator<Item = (&DirectoryName, NameStamp)> {
        self.hosts.get(&host).into_iter().flat_map(|live| live.names.iter())
    }

    /// Sets or removes a name of a live host. Returns false if there is no room for it.
    pub fn set(&mut self, host: HostId, name: &DirectoryName, stamp: Option<NameStamp>) -> bool {
        let bytes = RECORD_BYTES + name.text.as_str().len();
        let is_full = self.names >= self.bounds.names || self.bytes + bytes > self.bounds.bytes;
        let Some(live) = self.hosts.get_mut(&host) else { return true };
        if stamp.is_some() && is_full && live.names.get(name).is_none() {
            self.refused += 1;
            return false;
        }
        let (before, life) = (live.names.set(name, stamp), live.life);
        if before == stamp {
            return true;
        }
        *live.of(name.kind) += usize::from(stamp.is_some());
        *live.of(name.kind) -= usize::from(before.is_some());
        if before.is_some() {
            self.release(name, host, life);
        }
        if let Some(stamp) = stamp {
            self.names += 1;
            self.bytes += bytes;
            let holder = NameHolder { stamp, host, life };
            let holders = self.holders.entry(name.clone()).or_default();
            let at = holders.partition_point(|other| other.order() <= holder.order());
            holders.insert(at, holder);
        }
        true
    }

    fn release(&mut self, name: &DirectoryName, host: HostId, life: u32) {
        self.names -= 1;
        self.bytes -= RECORD_BYTES + name.text.as_str().len();
        let Some(holders) = self.holders.get_mut(name) else { return };
        holders.retain(|holder| (holder.host, holder.life) != (host, life));
        if holders.is_empty() {
            self.holders.remove(name);
        }
    }

    /// Replaces the names of a live host in a part of the order. Returns true if all its names are known with it.
    pub fn replace(&mut self, host: HostId, range: &NameRange) -> bool {
        let superseded = self.hosts.get(&host).map(|live| live.names.superseded(range));
        for name in superseded.into_iter().flatten() {
            self.set(host, &name, None);
        }
        for (name, stamp) in &range.names {
            self.set(host, name, Some(*stamp));
        }
        self.hosts.get_mut(&host).is_some_and(|live| live.names.note_part(range))
    }

    /// Notes that changes of a host are missing.
    pub fn note_gap(&mut self, host: HostId) {
        if let Some(live) = self.hosts.get_mut(&host) {
            live.names.note_gap();
        }
    }

    /// Returns the part of the names of a host after one of them that has about so many bytes.
    #[must_use]
    pub fn part(
        &self,
        host: HostId,
        snapshot: u64,
        after: Option<DirectoryName>,
        bytes_max: usize,
    ) -> NameRange {
        let live = self.hosts.get(&host);
        live.map(|live| live.names.part(snapshot, after, bytes_max)).unwrap_or_default()
    }

    /// Returns how much is known.
    #[must_use]
    pub fn counts(&self) -> DirectoryCounts {
        let idents = self.hosts.values().map(|live| live.idents).sum();
        let aliases = self.hosts.values().map(|live| live.aliases).sum();
        let uuids = self.hosts.values().map(|live| live.uuids).sum();
        DirectoryCounts { idents, aliases, uuids, refused: self.refused }
    }

    /// Checks that each fact that is stored twice is the same in both places; for tests.
    ///
    /// # Errors
    ///
    /// A description of the first disagreement.
    pub fn check(&self) -> Result<(), String> {
        let held: usize = self.holders.values().map(SmallVec::len).sum();
        let dropped: usize = self.dropped.iter().map(|(_, gone)| gone.names.len()).sum();
        let known: usize = self.hosts.values().map(|live| live.names.len()).sum();
        let DirectoryCounts { idents, aliases, uuids, .. } = self.counts();
        if held != known + dropped || held != self.names || known != idents + aliases + uuids {
            return Err(format!("{held} holders, {known} names, {dropped} dropped: {self:?}"));
        }
        for (host, live) in &self.hosts {
            for (name, stamp) in live.names.iter() {
                let holder = NameHolder { stamp, host: *host, life: live.life };
                if !self.holders.get(name).is_some_and(|holders| holders.contains(&holder)) {
                    return Err(format!("{name:?} of {host} has no holder"));
                }
            }
        }
        Ok(())
    }
}

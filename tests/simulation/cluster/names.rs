//! Named clients of a host, and its part of the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tagcast::cluster::{
    Arrival, BridgeCore, DirectoryBounds, DirectoryItem, DirectoryName, NameKind, SharedDirectory,
};
use tagcast::types::{HostId, Ident, JoinNumber, Tenant};

use super::host::Host;

/// Names that clients may have.
pub const NAMES: usize = 6;

/// The named clients of a host.
#[derive(Debug)]
pub struct HostClients {
    pub directory: SharedDirectory,
    /// The clients with each name, by the numbers of their joins.
    pub clients: BTreeMap<usize, BTreeMap<u64, u64>>,
    joins: u64,
    /// Publications to a name that no host was known to have.
    pub sent_to_all: BTreeSet<u64>,
    begun: Option<Instant>,
}

pub fn name(index: usize) -> DirectoryName {
    let text = Ident::new(&format!("name-{index}")).unwrap();
    DirectoryName { tenant: Tenant::shared(), kind: NameKind::IDENT, text }
}

impl HostClients {
    pub fn new(host: HostId) -> Self {
        Self {
            directory: SharedDirectory::new(host, DirectoryBounds::default()),
            clients: BTreeMap::new(),
            joins: 0,
            sent_to_all: BTreeSet::new(),
            begun: None,
        }
    }

    /// Returns what is left when the whole host dies: what is known about its publications.
    pub fn renewed(&self, host: HostId) -> Self {
        Self { sent_to_all: self.sent_to_all.clone(), ..Self::new(host) }
    }

    fn since(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.begun.get_or_insert(now))
    }

    /// A client joins, at this time in milliseconds.
    pub fn join(&mut self, index: usize, client: u64, unix_ms: u64) {
        self.joins += 1;
        self.clients.entry(index).or_default().insert(self.joins, client);
        self.directory.joined(JoinNumber(self.joins), unix_ms);
        self.check(&name(index), unix_ms);
    }

    /// The first client with a name leaves.
    pub fn leave(&mut self, index: usize, unix_ms: u64) {
        let first = self.clients.get_mut(&index).and_then(BTreeMap::pop_first);
        if let Some((number, _)) = first {
            self.directory.left(JoinNumber(number));
            self.check(&name(index), unix_ms);
        }
    }

    fn check(&mut self, checked: &DirectoryName, unix_ms: u64) {
        let index = (0..NAMES).find(|index| name(*index) == *checked).unwrap();
        let first = self.clients.get(&index).and_then(|it| it.keys().next().copied());
        assert!(self.directory.note_first(checked, first.map(JoinNumber), unix_ms));
    }

    /// Returns the first client here with a name.
    pub fn first_here(&self, index: usize) -> Option<u64> {
        self.clients.get(&index)?.values().next().copied()
    }

    /// Returns the host with the first client of all.
    pub fn first(&self, index: usize) -> Option<HostId> {
        self.directory.records().first(&name(index))
    }

    pub fn host_live(&mut self, host: HostId, now: Instant) {
        let now = self.since(now);
        self.directory.host_live(host, now);
    }

    pub fn host_gone(&mut self, host: HostId) {
        self.directory.host_gone(host);
    }

    pub fn note_gap(&mut self, host: HostId, now: Instant) {
        let now = self.since(now);
        self.directory.note_gap(host, now);
    }

    pub fn bridge_began(&mut self, hosts: impl Iterator<Item = HostId>, now: Instant) {
        let now = self.since(now);
        hosts.for_each(|host| self.directory.host_live(host, now));
        self.directory.bridge_began(now);
    }

    pub fn take(&mut self, arrival: &Arrival, now: Instant) {
        let now = self.since(now);
        let item = DirectoryItem::decode(arrival.publication.payload.clone()).unwrap();
        self.directory.take(arrival.taken.host, item, now);
    }

    /// The broker is a new one. The bridge tells it what it has kept.
    pub fn replace_directory(&mut self, host: HostId, bridge: Option<&BridgeCore>) {
        self.directory = SharedDirectory::of_later_broker(host, DirectoryBounds::default());
        for names in bridge.iter().flat_map(|bridge| bridge.announced_names()) {
            self.directory.announced(names.host, &names.range);
        }
    }

    pub fn is_idle(&self) -> bool {
        self.directory.is_idle()
    }
}

impl Host {
    /// A new broker knows its clients.
    pub fn begin_names(&mut self, now: Instant) {
        let Some(names) = &mut self.names else { return };
        let known: Vec<usize> = names.clients.keys().copied().collect();
        known.into_iter().for_each(|index| names.directory.check_later(name(index)));
        names.directory.begin();
        let unix_ms = u64::try_from(names.since(now).as_millis()).unwrap();
        while let Some(unchecked) = names.directory.next_unchecked() {
            names.check(&unchecked, unix_ms);
        }
        self.send_changes(now);
    }

    /// Returns the client of this host that gets what is published here to a name.
    pub fn own_client(&self, index: usize) -> Option<u64> {
        let names = self.names.as_ref()?;
        let is_own = names.first(index).is_none_or(|host| host == self.id);
        names.first_here(index).filter(|_| is_own)
    }

    pub fn send_changes(&mut self, _now: Instant) {
        let changes = self.names.as_mut().and_then(|names| names.directory.take_changes());
        changes.into_iter().for_each(|item| self.push_item(item));
    }

    /// Sends what others do not know about names, at the end of a turn.
    pub fn send_names(&mut self, now: Instant) {
        self.send_changes(now);
        let is_carried = !self.has_directory_items();
        let Some(names) = &mut self.names else { return };
        let since = names.since(now);
        let part = if is_carried { names.directory.next_part() } else { None };
        let request = names.directory.next_request(since);
        part.into_iter().chain(request).for_each(|item| self.push_item(item));
    }
}

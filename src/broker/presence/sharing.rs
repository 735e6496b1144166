//! Watched queries of this host that others evaluate, and what these send.
//!
//! All hosts know which queries are watched on one of them. A host that is live gets all of them, and answers with
//! everything. Changes follow in the order of the lanes. When something may be missing, everything is sent again: after a
//! gap, when a host is live again, and when it has another broker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::PresenceTable;
use super::audience::{AudienceCoverage, AudienceKind};
use super::hosts::WatchingHost;
use super::remote::{PartChange, SharedQuery, earlier_state, look_on_hosts};
use super::space::WatchedQuery;
use crate::cluster::ForwardReach;
use crate::link::hosts_presence::{HostsPresence, SharedWatch, SharedWatchChange, WatchSession};
use crate::types::limits::{
    CLUSTER_DIRECTORY_PAUSE, CLUSTER_PRESENCE_BYTES, CLUSTER_PRESENCE_ITEM_BYTES,
    CLUSTER_WATCHES_BYTES, CLUSTER_WATCHES_MAX, PRESENCE_MEMBERS,
};
use crate::types::{HostId, WatchListing, WatchMode};

/// Bytes of a query in an item in addition to its texts, about.
const WATCH_BYTES: usize = 64;

/// What a broker shares with other hosts.
#[derive(Debug)]
pub(in crate::broker) struct SharedPresence {
    pub(super) own: HostId,
    session: WatchSession,
    /// How long a new watcher waits for the parts of other hosts.
    pub(super) timeout: Duration,
    pub(super) live: BTreeSet<HostId>,
    /// Hosts that get all watches of this one, when, and whether theirs are requested.
    resyncs: BTreeMap<HostId, DueResync>,
    /// Changes of own watches that were not sent.
    changes: VecDeque<SharedWatchChange>,
    /// Own watches that are shared, and their bytes.
    watches: usize,
    bytes: usize,
    /// A watch had no room.
    is_full: bool,
    /// Memory of the members of other hosts.
    member_bytes: usize,
    /// Parts of hosts that are gone, by the time at which they end.
    leaving: BTreeSet<(Duration, u64, HostId)>,
    /// Hosts that watch clients of this one.
    pub(super) watching: BTreeMap<HostId, WatchingHost>,
    /// Items for other hosts.
    pub(super) out: VecDeque<(ForwardReach, HostsPresence)>,
}

/// A host gets all watches of this one.
#[derive(Clone, Copy, Debug)]
struct DueResync {
    at: Duration,
    /// Something of that host may be missing here, too.
    is_request: bool,
}

impl SharedPresence {
    fn resync(&mut self, host: HostId, resync: DueResync) {
        let DueResync { at, is_request } = resync;
        let due = self.resyncs.entry(host).or_insert(resync);
        due.at = due.at.min(at);
        due.is_request |= is_request;
    }

    /// Sends a host all watches at a time, and requests its own.
    fn request(&mut self, host: HostId, at: Duration) {
        self.resync(host, DueResync { at, is_request: true });
    }

    /// Returns when something is to be sent or ends.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let is_pending = self.watching.values().any(WatchingHost::has_pending);
        let pending = is_pending.then_some(Duration::ZERO);
        let leaving = self.leaving.first().map(|(at, ..)| *at);
        pending.into_iter().chain(leaving).min()
    }

    /// Returns when all watches are to be sent to a host.
    pub(in crate::broker) fn resync_due(&self) -> Option<Duration> {
        self.resyncs.values().map(|due| due.at).min()
    }
}

/// Shares watches from now on.
pub(in crate::broker) fn begin(
    presence: &mut PresenceTable,
    own: HostId,
    session: u64,
    timeout: Duration,
) {
    if let Some(shared) = &mut presence.shared {
        shared.timeout = timeout;
        return;
    }
    presence.shared = Some(Box::new(SharedPresence {
        own,
        session: WatchSession(session),
        timeout,
        live: BTreeSet::new(),
        resyncs: BTreeMap::new(),
        changes: VecDeque::new(),
        watches: 0,
        bytes: 0,
        is_full: false,
        member_bytes: 0,
        leaving: BTreeSet::new(),
        watching: BTreeMap::new(),
        out: VecDeque::new(),
    }));
    let queries: Vec<u64> = presence.queries.keys().copied().collect();
    queries.into_iter().for_each(|query| share(presence, query, Duration::ZERO));
}

/// Returns what other hosts are to list for the watchers of a query. Numbers are exact as long as there are few.
fn wanted(watched: &WatchedQuery) -> Option<WatchListing> {
    let modes = watched.audiences.iter().filter_map(|(kind, _)| match kind {
        AudienceKind::Clients(mode) => Some(*mode),
        AudienceKind::Hosts(_) => None,
    });
    let listings = modes.map(|mode| match mode {
        WatchMode::Count => WatchListing { most: PRESENCE_MEMBERS, is_shown: false },
        WatchMode::Members(most) => {
            WatchListing { most: most.max(PRESENCE_MEMBERS), is_shown: true }
        }
    });
    listings.reduce(union)
}

fn union(one: WatchListing, other: WatchListing) -> WatchListing {
    WatchListing { most: one.most.max(other.most), is_shown: one.is_shown || other.is_shown }
}

fn bytes_of(watched: &WatchedQuery) -> usize {
    WATCH_BYTES + watched.tenant.0.len() + watched.filter.held()
}

fn host_watch(number: u64, watched: &WatchedQuery, listing: WatchListing) -> SharedWatch {
    let (tenant, query) = (watched.tenant.clone(), watched.filter.clone());
    SharedWatch { number, tenant, query, listing }
}

/// Names a query to other hosts that a client of this one watches, if they do not know it as it is wanted.
pub(super) fn share(presence: &mut PresenceTable, query: u64, now: Duration) {
    let PresenceTable { shared: Some(shared), queries, .. } = presence else { return };
    let Some(watched) = queries.get_mut(&query) else { return };
    let Some(mut listing) = wanted(watched) else { return };
    let bytes = bytes_of(watched);
    match watched.shared.as_deref_mut() {
        Some(known) => {
            listing = union(known.listing, listing);
            if listing == known.listing {
                return;
            }
            known.listing = listing;
        }
        None => {
            if shared.watches >= CLUSTER_WATCHES_MAX || shared.bytes + bytes > CLUSTER_WATCHES_BYTES
            {
                shared.is_full = true;
                return;
            }
            shared.watches += 1;
            shared.bytes += bytes;
            watched.shared = Some(Box::new(SharedQuery::new(listing, now)));
        }
    }
    shared.changes.push_back(SharedWatchChange::Begin(host_watch(query, watched, listing)));
}

/// No client of this host watches a query any more.
pub(super) fn unshare(presence: &mut PresenceTable, query: u64) {
    let PresenceTable { shared: Some(shared), queries, .. } = presence else { return };
    let Some(watched) = queries.get_mut(&query) else { return };
    let bytes = bytes_of(watched);
    if let Some(known) = watched.shared.take() {
        shared.watches -= 1;
        shared.bytes -= bytes;
        shared.member_bytes -= known.bytes();
        shared.changes.push_back(SharedWatchChange::End(query));
    }
}

/// Returns what is known of the members of a query on live hosts.
pub(super) fn coverage(
    shared: Option<&SharedPresence>,
    watched: &WatchedQuery,
) -> AudienceCoverage {
    let Some(shared) = shared else { return AudienceCoverage::default() };
    match &watched.shared {
        Some(known) => known.coverage(&shared.live),
        None => {
            AudienceCoverage { is_partial: !shared.live.is_empty(), ..AudienceCoverage::default() }
        }
    }
}

/// Returns until when new watchers of a query wait for the parts of other hosts.
pub(super) fn awaited_until(
    shared: Option<&SharedPresence>,
    watched: &WatchedQuery,
    now: Duration,
) -> Option<Duration> {
    let (shared, known) = (shared?, watched.shared.as_deref()?);
    let until = known.since + shared.timeout;
    let is_awaited = now < until && shared.live.iter().any(|host| known.awaits(*host));
    is_awaited.then_some(until)
}

/// A host is live: new, or back, or there is another bridge.
pub(in crate::broker) fn host_live(presence: &mut PresenceTable, host: HostId, now: Duration) {
    let PresenceTable { shared: Some(shared), queries, .. } = presence else { return };
    if host == shared.own {
        return;
    }
    shared.live.insert(host);
    shared.request(host, now);
    let known = queries.values_mut().filter_map(|watched| watched.shared.as_mut());
    known.for_each(|known| known.host_live(host));
}

/// A host is gone. Its clients stay members for a while.
pub(in crate::broker) fn host_gone(presence: &mut PresenceTable, host: HostId, now: Duration) {
    let PresenceTable { shared: Some(shared), queries, audiences, .. } = presence else { return };
    if !shared.live.remove(&host) {
        return;
    }
    shared.resyncs.remove(&host);
    shared.watching.entry(host).or_default().end();
    for (query, watched) in queries.iter_mut() {
        if let Some(known) = watched.shared.as_deref_mut() {
            let bytes = known.bytes();
            let ends_at = known.host_gone(host, now);
            shared.leaving.extend(ends_at.map(|at| (at, *query, host)));
            shared.member_bytes = shared.member_bytes - bytes + known.bytes();
        }
        // New watchers wait for it no longer, and there may be nothing missing without it.
        audiences.hasten(watched.clients_audiences(), now);
    }
}

/// Items of a host will never arrive.
pub(in crate::broker) fn note_gap(presence: &mut PresenceTable, host: HostId, now: Duration) {
    if let Some(shared) = &mut presence.shared
        && shared.live.contains(&host)
    {
        // More gaps may follow.
        shared.request(host, now + CLUSTER_DIRECTORY_PAUSE);
    }
}

/// Takes an item of another host.
pub(in crate::broker) fn take(
    presence: &mut PresenceTable,
    from: HostId,
    item: HostsPresence,
    now: Duration,
) {
    let Some(shared) = presence.shared.as_mut() else { return };
    if !shared.live.contains(&from) {
        // When it is back, everything is sent again.
        return;
    }
    match item {
        HostsPresence::Watches { to, session, is_request, watches } => {
            if to != shared.own {
                return;
            }
            let watching = shared.watching.entry(from).or_default();
            let is_other = watching.replace(session, watches);
            if is_request {
                shared.resync(from, DueResync { at: now, is_request: false });
            } else if is_other {
                // It has another broker, which knows nothing of this host.
                shared.request(from, now);
            }
        }
        HostsPresence::Changes { session, changes } => {
            let watching = shared.watching.entry(from).or_default();
            watching.change(session, changes);
        }
        HostsPresence::Part { to, session, number, counts, news } => {
            if (to, session) == (shared.own, shared.session) {
                let part = OfHost { host: from, query: number };
                change_part(presence, part, PartChange::News(counts, news), now);
            }
        }
    }
}

/// The part of a host in a query.
#[derive(Clone, Copy)]
struct OfHost {
    host: HostId,
    query: u64,
}

/// Changes the part of a host, and notes for the watchers which members look different with that.
fn change_part(presence: &mut PresenceTable, part: OfHost, change: PartChange, now: Duration) {
    let OfHost { host, query } = part;
    let PresenceTable { shared: Some(shared), queries, spaces, audiences, .. } = presence else {
        return;
    };
    let Some(watched) = queries.get_mut(&query) else { return };
    let Some(space) = spaces.get(&watched.tenant) else { return };
    let Some(known) = watched.shared.as_deref() else { return };
    let (bytes, affected) = (known.bytes(), known.affected(host, &change));
    let looks = |watched: &WatchedQuery| -> Vec<Option<u64>> {
        affected.iter().map(|client| look_on_hosts(space, watched, *client)).collect()
    };
    let before = looks(watched);
    if let Some(known) = watched.shared.as_deref_mut() {
        let room = CLUSTER_PRESENCE_BYTES.saturating_sub(shared.member_bytes);
        known.change(host, change, room);
        shared.member_bytes = shared.member_bytes - bytes + known.bytes();
    }
    let after = looks(watched);
    for (client, (before, after)) in affected.iter().zip(before.into_iter().zip(after)) {
        if let Some(earlier) = earlier_state(before, after) {
            // Their host has collected them.
            audiences.note(watched.clients_audiences(), *client, earlier, now);
        }
    }
    audiences.hasten(watched.clients_audiences(), now);
}

/// Ends the parts of hosts that are gone, one in each call. Returns whether there was one.
pub(super) fn end_one_part(presence: &mut PresenceTable, now: Duration) -> bool {
    let Some(shared) = &mut presence.shared else { return false };
    let Some((at, query, host)) = shared.leaving.first().copied().filter(|it| it.0 <= now) else {
        return false;
    };
    shared.leaving.pop_first();
    change_part(presence, OfHost { host, query }, PartChange::End(at), now);
    true
}

/// Returns the next item for other hosts.
pub(in crate::broker) fn next_item(
    presence: &mut PresenceTable,
) -> Option<(ForwardReach, HostsPresence)> {
    let shared = presence.shared.as_mut()?;
    if !shared.changes.is_empty() {
        let (mut bytes, mut changes) = (0, Vec::new());
        while bytes < CLUSTER_PRESENCE_ITEM_BYTES
            && let Some(change) = shared.changes.pop_front()
        {
            bytes += WATCH_BYTES;
            if let SharedWatchChange::Begin(watch) = &change {
                bytes += watch.query.held();
            }
            changes.push(change);
        }
        let session = shared.session;
        return Some((ForwardReach::All, HostsPresence::Changes { session, changes }));
    }
    shared.out.pop_front()
}

/// Returns the item with all watches for a host that gets them now. The changes before it must have been sent.
pub(in crate::broker) fn next_resync(
    presence: &mut PresenceTable,
    now: Duration,
) -> Option<(ForwardReach, HostsPresence)> {
    let PresenceTable { shared: Some(shared), queries, .. } = presence else { return None };
    let due = shared.resyncs.iter().find(|(_, due)| due.at <= now);
    let (to, DueResync { is_request, .. }) = due.map(|(host, due)| (*host, *due))?;
    shared.resyncs.remove(&to);
    let watches = queries.iter().filter_map(|(number, watched)| {
        let listing = watched.shared.as_ref()?.listing;
        Some(host_watch(*number, watched, listing))
    });
    let (watches, session) = (watches.collect(), shared.session);
    let item = HostsPresence::Watches { to, session, is_request, watches };
    Some((ForwardReach::One(to), item))
}

/// Returns whether a watch had no room since the last call.
pub(in crate::broker) fn take_full(presence: &mut PresenceTable) -> bool {
    presence.shared.as_mut().is_some_and(|shared| std::mem::take(&mut shared.is_full))
}

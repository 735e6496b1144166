//! Other hosts that watch clients of this one.
//!
//! A host is one more watcher of a query, in audiences of their own, so that a slow bridge delays no news for clients of
//! this host. What a host watches is applied in parts, since each query is evaluated.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::audience::{AudienceKind, AudienceUpdate, EarlierState, NewWatch, WatchingHostPart};
use super::news::{AudienceLinks, MemberLook};
use super::space::WatchedQuery;
use super::{PlacedWatch, PresenceTable};
use crate::cluster::ForwardReach;
use crate::index::Index;
use crate::link::hosts_presence::{
    HostMember, HostsPresence, PartNews, SharedWatch, SharedWatchChange, WatchSession,
};
use crate::types::limits::{
    CLUSTER_PRESENCE_ITEM_BYTES, CLUSTER_WATCHES_BYTES, CLUSTER_WATCHES_MAX, PRESENCE_COLLECTED,
};
use crate::types::{
    ClientUuid, ConnectionRef, HostId, PresenceCounts, Slot, WatchScope, WatchTerms, WorkerId,
};

/// Bytes of a member in an item in addition to what is seen of it.
const MEMBER_BYTES: usize = 40;
/// Bytes of a client that has left.
const LEFT_BYTES: usize = 16;

/// Changes of one host that wait to be applied. A host that sends more loses some until it sends all its watches.
const PENDING_MAX: usize = 4 * CLUSTER_WATCHES_MAX;
/// Their bytes.
const PENDING_BYTES_MAX: usize = 4 * CLUSTER_WATCHES_BYTES;

/// What a host watches on this one.
#[derive(Debug, Default)]
pub(super) struct WatchingHost {
    /// Its broker, which has numbered the watches.
    session: Option<WatchSession>,
    pending: VecDeque<PendingWatch>,
    /// Bytes of the watches that wait, about.
    bytes: usize,
}

/// A change that is not applied yet.
#[derive(Debug)]
enum PendingWatch {
    Begin(Box<SharedWatch>),
    End(u64),
    /// Ends all that have other numbers.
    EndOthers(BTreeSet<u64>),
}

impl WatchingHost {
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The host is gone.
    pub(super) fn end(&mut self) {
        (self.session, self.bytes) = (None, 0);
        self.pending = [PendingWatch::EndOthers(BTreeSet::new())].into();
    }

    /// Takes all watches of the host. Returns whether they are of another broker than before.
    pub(super) fn replace(&mut self, session: WatchSession, watches: Vec<SharedWatch>) -> bool {
        let is_other = self.session.is_some_and(|before| before != session);
        if self.session == Some(session) {
            self.pending.clear();
        } else {
            self.end();
        }
        (self.session, self.bytes) = (Some(session), 0);
        let numbers = watches.iter().map(|watch| watch.number).collect();
        watches.into_iter().for_each(|watch| self.begin(watch));
        self.pending.push_back(PendingWatch::EndOthers(numbers));
        is_other
    }

    /// Takes changes. Those of another broker mean nothing.
    pub(super) fn change(&mut self, session: WatchSession, changes: Vec<SharedWatchChange>) {
        if self.session != Some(session) {
            return;
        }
        for change in changes {
            match change {
                SharedWatchChange::Begin(watch) => self.begin(watch),
                SharedWatchChange::End(number) => {
                    if self.pending.len() < PENDING_MAX {
                        self.pending.push_back(PendingWatch::End(number));
                    }
                }
            }
        }
    }

    /// Adds a watch, unless the host has more than it may have.
    fn begin(&mut self, watch: SharedWatch) {
        self.bytes += watch.query.held();
        if self.pending.len() < PENDING_MAX && self.bytes <= PENDING_BYTES_MAX {
            self.pending.push_back(PendingWatch::Begin(Box::new(watch)));
        }
    }
}

/// The place of a host among watchers.
fn place_of(host: HostId) -> ConnectionRef {
    ConnectionRef { worker: WorkerId::BRIDGE, slot: Slot(host.0) }
}

/// Applies what other hosts watch, until `is_spent` returns true, which is called after each change.
pub(super) fn apply_pending(
    presence: &mut PresenceTable,
    index: &Index,
    now: Duration,
    is_spent: &mut dyn FnMut() -> bool,
) -> ControlFlow<()> {
    loop {
        let Some(shared) = &mut presence.shared else { return Continue(()) };
        let next = shared.watching.iter_mut().find_map(|(host, watching)| {
            let next = watching.pending.pop_front()?;
            if watching.pending.is_empty() {
                watching.bytes = 0;
            }
            Some((*host, next))
        });
        let Some((host, change)) = next else { return Continue(()) };
        match change {
            PendingWatch::Begin(watch) => begin(presence, index, OfOtherHost { host, now }, *watch),
            PendingWatch::End(number) => presence.unwatch(place_of(host), number),
            PendingWatch::EndOthers(numbers) => end_others(presence, host, &numbers),
        }
        if is_spent() {
            return Break(());
        }
    }
}

/// Ends the watches of a host with other numbers, after this change.
fn end_others(presence: &mut PresenceTable, host: HostId, numbers: &BTreeSet<u64>) {
    let placed = presence.watches.get(&place_of(host)).into_iter().flatten();
    let others = placed.map(|watch| watch.id).filter(|id| !numbers.contains(id));
    let others: Vec<PendingWatch> = others.map(PendingWatch::End).collect();
    if let Some(shared) = &mut presence.shared
        && let Some(watching) = shared.watching.get_mut(&host)
    {
        others.into_iter().for_each(|end| watching.pending.push_front(end));
    }
}

#[derive(Clone, Copy)]
struct OfOtherHost {
    host: HostId,
    now: Duration,
}

/// A host watches a query, or gets everything again.
fn begin(presence: &mut PresenceTable, index: &Index, of: OfOtherHost, watch: SharedWatch) {
    let OfOtherHost { host, now } = of;
    let SharedWatch { number, tenant, query, listing } = watch;
    let (place, kind) = (place_of(host), AudienceKind::Hosts(listing));
    let placed = presence.watches.get(&place).map_or(&[][..], Vec::as_slice);
    let before = placed.iter().find(|it| it.id == number).map(|it| it.audience);
    if let Some(audience) = before
        && let Some(of_audience) = presence.audiences.get(audience).filter(|it| it.kind == kind)
        && let Some(watched) = presence.queries.get(&of_audience.query)
        && (&watched.tenant, &watched.filter) == (&tenant, &query)
    {
        return presence.audiences.refresh(audience, place, now);
    }
    let is_full = before.is_none() && placed.len() >= CLUSTER_WATCHES_MAX;
    let found = if is_full { None } else { presence.query_of(index, &tenant, &query).ok() };
    if let Some(found) = found {
        let audience = presence.audience_of(found, kind);
        let (mode, is_once, scope) = (kind.mode(), false, WatchScope::Any);
        let terms = WatchTerms { query, mode, is_once, scope };
        presence.audiences.add_watch(audience, place, NewWatch { id: number, terms: &terms, now });
        // The one with the other listing ends after that, so the query stays.
        presence.unwatch(place, number);
        presence.watches.entry(place).or_default().push(PlacedWatch {
            id: number,
            audience,
            scope,
        });
        return;
    }
    presence.unwatch(place, number);
    if let Some(shared) = &mut presence.shared
        && let Some(session) = shared.watching.get(&host).and_then(|watching| watching.session)
    {
        let (counts, news) = (PresenceCounts::default(), PartNews::Refused);
        let part = HostsPresence::Part { to: host, session, number, counts, news };
        shared.out.push_back((ForwardReach::One(host), part));
    }
}

/// Sends the hosts of an audience their news, unless the bridge has no room.
pub(super) fn send_parts(
    presence: &mut PresenceTable,
    index: &Index,
    number: u64,
    now: Duration,
    links: &dyn AudienceLinks,
) {
    let PresenceTable { audiences, queries, spaces, terms, shared, .. } = presence;
    if !links.has_room(WorkerId::BRIDGE) {
        return audiences.put_off(number, now + PRESENCE_COLLECTED);
    }
    let Some(audience) = audiences.get_mut(number) else { return };
    let AudienceKind::Hosts(listing) = audience.kind else { return };
    let Some(query) = queries.get(&audience.query) else { return };
    let (Some(space), Some(shared)) = (spaces.get(&query.tenant), shared.as_deref_mut()) else {
        return;
    };
    let counts = query.counts();
    let (update, is_long) = audience.take_update(counts, Default::default(), now);
    let look = MemberLook { index, terms, space, elsewhere: None };
    let parts = PartsOfMembers { look: &look, query, is_shown: listing.is_shown };
    let hosts = audience.take_hosts();
    let settled = parts.settled(update);
    let has_fresh = hosts.iter().any(|host| host.is_fresh);
    let fresh = match has_fresh {
        true if is_long => vec![PartNews::Long],
        true => parts.all(),
        false => Vec::new(),
    };
    for WatchingHostPart { host, number, is_fresh } in hosts {
        let Some(session) = shared.watching.get(&host).and_then(|watching| watching.session) else {
            continue;
        };
        let news = if is_fresh { &fresh } else { &settled };
        for news in news {
            let news = news.clone();
            let part = HostsPresence::Part { to: host, session, number, counts, news };
            shared.out.push_back((ForwardReach::One(host), part));
        }
    }
}

/// Members as other hosts get them, in items that are not too long.
struct PartsOfMembers<'a> {
    look: &'a MemberLook<'a>,
    query: &'a WatchedQuery,
    is_shown: bool,
}

impl PartsOfMembers<'_> {
    fn settled(&self, update: AudienceUpdate) -> Vec<PartNews> {
        match update {
            AudienceUpdate::Nothing => Vec::new(),
            AudienceUpdate::Counts | AudienceUpdate::AllCounts => vec![PartNews::Counts],
            AudienceUpdate::TooMany => vec![PartNews::Long],
            AudienceUpdate::All => self.all(),
            AudienceUpdate::Changed { clients, has_other_counts } => {
                let changed = self.changed(clients);
                let is_nothing = changed.is_empty() && has_other_counts;
                if is_nothing { vec![PartNews::Counts] } else { changed }
            }
        }
    }

    fn member(&self, client: ClientUuid) -> Option<HostMember> {
        let mut member = self.look.host_member(self.query, client)?;
        if !self.is_shown {
            member.look.info = None;
            (member.look.tags, member.look.shows_uuid) = Default::default();
        }
        Some(member)
    }

    fn all(&self) -> Vec<PartNews> {
        let clients = self.look.clients(self.query);
        let members = clients.filter_map(|client| self.member(client));
        let lists = in_pieces(members.collect());
        let last = lists.len() - 1;
        let lists = lists.into_iter().enumerate();
        let piece =
            |(at, members)| PartNews::All { members, is_first: at == 0, is_last: at == last };
        lists.map(piece).collect()
    }

    fn changed(&self, clients: Vec<(ClientUuid, EarlierState)>) -> Vec<PartNews> {
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for (client, before) in clients {
            match (self.member(client), before) {
                (Some(member), EarlierState::Absent | EarlierState::OtherMember) => {
                    joined.push(member);
                }
                (None, EarlierState::Member | EarlierState::OtherMember) => left.push(client),
                (Some(_), EarlierState::Member) | (None, EarlierState::Absent) => {}
            }
        }
        let mut news: Vec<PartNews> = left
            .chunks(CLUSTER_PRESENCE_ITEM_BYTES / LEFT_BYTES)
            .map(|left| PartNews::Changed { joined: Vec::new(), left: left.to_vec() })
            .collect();
        let joined = in_pieces(joined).into_iter().filter(|joined| !joined.is_empty());
        news.extend(joined.map(|joined| PartNews::Changed { joined, left: Vec::new() }));
        news
    }
}

/// Divides a list into pieces that fit in an item. There is one at least.
fn in_pieces(members: Vec<HostMember>) -> Vec<Vec<HostMember>> {
    let (mut pieces, mut bytes) = (vec![Vec::new()], 0);
    for member in members {
        bytes += MEMBER_BYTES + member.look.held();
        if bytes > CLUSTER_PRESENCE_ITEM_BYTES {
            bytes = MEMBER_BYTES + member.look.held();
            pieces.push(Vec::new());
        }
        pieces.last_mut().into_iter().for_each(|piece| piece.push(member.clone()));
    }
    pieces
}

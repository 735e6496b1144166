//! Members of a watched query on other hosts: one part for each host.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::mem::take;
use std::time::Duration;

use super::audience::{AudienceCoverage, EarlierState};
use super::members::appearance_elsewhere;
use super::space::{WatchedQuery, WatchedSpace};
use crate::link::hosts_presence::{HostMember, PartNews};
use crate::types::limits::PRESENCE_LINGER;
use crate::types::{ClientUuid, HostId, PresenceCounts, PresentMember, WatchListing};

/// Memory of a member in addition to what is seen of it, in bytes.
const MEMBER_BYTES: usize = size_of::<RemoteMember>() + 48;

/// A query that other hosts evaluate for this one.
#[derive(Debug)]
pub(super) struct SharedQuery {
    pub(super) listing: WatchListing,
    /// When it was named to other hosts.
    pub(super) since: Duration,
    parts: BTreeMap<HostId, HostPart>,
}

/// The members on one host.
#[derive(Debug, Default)]
struct HostPart {
    state: PartState,
    counts: PresenceCounts,
    members: HashMap<ClientUuid, RemoteMember>,
    /// A list that is not complete, and its memory.
    staged: Vec<HostMember>,
    staged_bytes: usize,
    /// When it ends, because its host is gone.
    ends_at: Option<Duration>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PartState {
    /// The host has not said anything.
    #[default]
    Awaited,
    /// The list has all members.
    Listed,
    /// There are too many for a list.
    Long,
    /// The host does not evaluate the query.
    Refused,
}

/// A change of the part of a host.
#[derive(Debug)]
pub(super) enum PartChange {
    News(PresenceCounts, PartNews),
    /// It is gone, and this is the time at which its part ends.
    End(Duration),
}

/// A member on another host.
#[derive(Debug)]
struct RemoteMember {
    look: PresentMember,
    user: Option<u64>,
    linger_ms: u32,
    /// What others see of it, in short.
    appearance: u64,
}

impl HostPart {
    fn insert(&mut self, member: HostMember) {
        let HostMember { look, user, linger_ms } = member;
        self.remove(look.client);
        self.bytes += MEMBER_BYTES + look.held();
        let appearance = appearance_elsewhere(&look);
        self.members.insert(look.client, RemoteMember { look, user, linger_ms, appearance });
    }

    fn remove(&mut self, client: ClientUuid) {
        if let Some(member) = self.members.remove(&client) {
            self.bytes -= MEMBER_BYTES + member.look.held();
        }
    }

    fn become_long(&mut self) {
        self.state = PartState::Long;
        (self.members, self.bytes) = (HashMap::new(), 0);
        (self.staged, self.staged_bytes) = (Vec::new(), 0);
    }

    fn stage(&mut self, members: Vec<HostMember>) {
        let bytes = members.iter().map(|member| MEMBER_BYTES + member.look.held());
        self.staged_bytes += bytes.sum::<usize>();
        self.staged.extend(members);
    }

    /// Returns how long its members stay when its host is gone.
    fn linger(&self) -> Duration {
        let longest = self.members.values().map(|member| member.linger_ms).max();
        longest.map_or(PRESENCE_LINGER, |longest| Duration::from_millis(longest.into()))
    }

    /// Returns the clients that news may change.
    fn affected(&self, news: &PartNews) -> BTreeSet<ClientUuid> {
        let of = |member: &HostMember| member.look.client;
        let known = self.members.keys().copied();
        match news {
            PartNews::Counts | PartNews::All { is_last: false, .. } => BTreeSet::new(),
            PartNews::Long | PartNews::Refused => known.collect(),
            PartNews::All { members, .. } => {
                known.chain(self.staged.iter().chain(members).map(of)).collect()
            }
            PartNews::Changed { joined, left } => {
                joined.iter().map(of).chain(left.iter().copied()).collect()
            }
        }
    }

    /// Applies news, with a bound for the members and the bytes of a list.
    fn apply(&mut self, news: PartNews, most: u32, room: usize) {
        match news {
            PartNews::Counts => {}
            PartNews::Long => self.become_long(),
            PartNews::Refused => {
                self.become_long();
                self.state = PartState::Refused;
            }
            PartNews::All { members, is_first, is_last } => {
                // A list that is complete replaces what is here.
                let room = room + self.bytes + self.staged_bytes;
                if is_first {
                    (self.staged, self.staged_bytes) = (Vec::new(), 0);
                }
                self.stage(members);
                if self.staged.len() > most as usize || self.staged_bytes > room {
                    self.become_long();
                } else if is_last {
                    (self.members, self.bytes, self.staged_bytes) = (HashMap::new(), 0, 0);
                    take(&mut self.staged).into_iter().for_each(|member| self.insert(member));
                    self.state = PartState::Listed;
                }
            }
            PartNews::Changed { joined, left } => {
                if self.state == PartState::Listed {
                    left.into_iter().for_each(|client| self.remove(client));
                    let before = self.bytes;
                    joined.into_iter().for_each(|member| self.insert(member));
                    let is_full = self.bytes.saturating_sub(before) > room;
                    if self.members.len() > most as usize || is_full {
                        self.become_long();
                    }
                }
            }
        }
    }
}

impl SharedQuery {
    pub(super) fn new(listing: WatchListing, since: Duration) -> Self {
        Self { listing, since, parts: BTreeMap::new() }
    }

    /// Returns what is seen of a member on another host, in short.
    pub(super) fn look_of(&self, client: ClientUuid) -> Option<u64> {
        self.member(client).map(|member| member.appearance)
    }

    fn member(&self, client: ClientUuid) -> Option<&RemoteMember> {
        self.parts.values().find_map(|part| part.members.get(&client))
    }

    /// Returns what watchers see of a member on another host.
    pub(super) fn present(&self, client: ClientUuid) -> Option<PresentMember> {
        self.member(client).map(|member| member.look.clone())
    }

    /// Returns the listed members. One that several hosts have occurs more than once.
    pub(super) fn members(&self) -> impl Iterator<Item = &PresentMember> {
        let members = self.parts.values().flat_map(|part| part.members.values());
        members.map(|member| &member.look)
    }

    /// Returns whether a host has not said anything yet.
    pub(super) fn awaits(&self, host: HostId) -> bool {
        self.parts.get(&host).is_none_or(|part| part.state == PartState::Awaited)
    }

    /// Returns what is known of the members on live hosts.
    pub(super) fn coverage(&self, live: &BTreeSet<HostId>) -> AudienceCoverage {
        let state = |host| self.parts.get(host).map(|part| part.state);
        let is_known = |host| matches!(state(host), Some(PartState::Listed | PartState::Long));
        AudienceCoverage {
            is_partial: !live.iter().all(is_known),
            has_long_part: self.has_long_part(),
        }
    }

    fn has_long_part(&self) -> bool {
        self.parts.values().any(|part| part.state == PartState::Long)
    }

    /// Returns the memory of all members, those of lists that are not complete included.
    pub(super) fn bytes(&self) -> usize {
        self.parts.values().map(|part| part.bytes + part.staged_bytes).sum()
    }

    /// Returns the clients that a change of a part may concern.
    pub(super) fn affected(&self, host: HostId, change: &PartChange) -> BTreeSet<ClientUuid> {
        let part = self.parts.get(&host);
        match (change, part) {
            (PartChange::News(_, news), Some(part)) => part.affected(news),
            (PartChange::News(_, news), None) => HostPart::default().affected(news),
            (PartChange::End(at), Some(part)) if part.ends_at == Some(*at) => {
                part.members.keys().copied().collect()
            }
            (PartChange::End(_), _) => BTreeSet::new(),
        }
    }

    /// Changes the part of a host, with a bound for the bytes of all lists together.
    pub(super) fn change(&mut self, host: HostId, change: PartChange, room: usize) {
        match change {
            PartChange::News(counts, news) => {
                let part = self.parts.entry(host).or_default();
                if !matches!(news, PartNews::All { is_last: false, .. }) {
                    part.counts = counts;
                }
                part.apply(news, self.listing.most, room);
            }
            PartChange::End(at) => {
                if self.parts.get(&host).is_some_and(|part| part.ends_at == Some(at)) {
                    self.parts.remove(&host);
                }
            }
        }
    }

    /// A host is gone. Returns when its part ends.
    pub(super) fn host_gone(&mut self, host: HostId, now: Duration) -> Option<Duration> {
        let part = self.parts.get_mut(&host)?;
        (part.staged, part.staged_bytes) = (Vec::new(), 0);
        part.ends_at = Some(now + part.linger());
        part.ends_at
    }

    /// A host is back. Its part is what it was, until the host sends it again.
    pub(super) fn host_live(&mut self, host: HostId) {
        self.parts.get_mut(&host).into_iter().for_each(|part| part.ends_at = None);
    }
}

/// Returns how many clients and users of all hosts match a query. A client or a user of several hosts counts once, if
/// all hosts have listed their members and there are few enough for a list.
pub(super) fn counts_of_hosts(space: &WatchedSpace, watched: &WatchedQuery) -> PresenceCounts {
    let own = watched.counts();
    let Some(shared) = watched.shared.as_deref() else { return own };
    let mut all = own;
    for part in shared.parts.values() {
        // The numbers are of another host.
        all.clients = all.clients.saturating_add(part.counts.clients);
        all.users = all.users.saturating_add(part.counts.users);
    }
    if all == own || all.clients > u64::from(shared.listing.most) || shared.has_long_part() {
        return all;
    }
    let (mut all, mut clients, mut users) = (own, HashSet::new(), HashSet::new());
    for member in shared.parts.values().flat_map(|part| part.members.values()) {
        let client = member.look.client;
        if is_member_here(space, watched, client) || !clients.insert(client) {
            continue;
        }
        all.clients += 1;
        let is_known = |digest| {
            let here = space.user_of_digest(digest);
            here.is_some_and(|user| watched.has_user(user))
        };
        all.users += match member.user {
            None => 1,
            Some(digest) => u64::from(!is_known(digest) && users.insert(digest)),
        };
    }
    all
}

/// Returns whether a client of this host matches a query.
pub(super) fn is_member_here(
    space: &WatchedSpace,
    watched: &WatchedQuery,
    client: ClientUuid,
) -> bool {
    space.number_of(client).is_some_and(|number| watched.members.contains(number))
}

/// Returns what is seen of a member on any host, in short. `None`: it does not match.
pub(super) fn look_on_hosts(
    space: &WatchedSpace,
    watched: &WatchedQuery,
    client: ClientUuid,
) -> Option<u64> {
    let here = is_member_here(space, watched, client).then(|| space.number_of(client)).flatten();
    let here = here.and_then(|number| space.member(number)).map(|member| member.appearance);
    here.or_else(|| watched.shared.as_ref()?.look_of(client))
}

/// Returns what a client was for watchers before a change of its look, if it has changed.
pub(super) fn earlier_state(before: Option<u64>, after: Option<u64>) -> Option<EarlierState> {
    match (before, after) {
        (before, after) if before == after => None,
        (None, _) => Some(EarlierState::Absent),
        (Some(_), Some(_)) => Some(EarlierState::OtherMember),
        (Some(_), None) => Some(EarlierState::Member),
    }
}

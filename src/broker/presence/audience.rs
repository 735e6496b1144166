//! The watchers of one query in one mode, and what they have not been sent yet.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use smallvec::SmallVec;

use crate::types::limits::{PRESENCE_COLLECTED, PRESENCE_COUNT_EVERY};
use crate::types::{
    ClientUuid, ConnectionRef, HostId, PresenceCounts, SlotSet, WatchListing, WatchMode,
    WatchTerms, WorkerId,
};

/// A watch that begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct NewWatch<'a> {
    /// Its number within its client.
    pub(in crate::broker) id: u64,
    pub(in crate::broker) terms: &'a WatchTerms,
    /// Time since any fixed moment.
    pub(in crate::broker) now: Duration,
}

/// Those who get the same news of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudienceKind {
    /// Clients of this host. They learn of the members on all hosts.
    Clients(WatchMode),
    /// Other hosts. They learn of the members on this one.
    Hosts(WatchListing),
}

impl AudienceKind {
    pub(super) fn mode(self) -> WatchMode {
        match self {
            Self::Clients(mode) => mode,
            Self::Hosts(listing) => WatchMode::Members(listing.most),
        }
    }

    pub(super) fn is_of_clients(self) -> bool {
        matches!(self, Self::Clients(_))
    }
}

/// The watchers of one query that get the same news.
#[derive(Debug)]
pub(super) struct QueryAudience {
    /// Number of the query.
    pub(super) query: u64,
    pub(super) kind: AudienceKind,
    watchers: BTreeMap<ConnectionRef, SmallVec<[AudienceWatch; 1]>>,
    /// Changes since the last news, and whether the client was a member then. Without a list there are none.
    pending: HashMap<ClientUuid, EarlierState>,
    list: ListState,
    /// Clients of some hosts were missing when everything was sent.
    is_partial: bool,
    sent: PresenceCounts,
    sent_at: Option<Duration>,
    /// When the next news are sent, if there are some.
    pub(super) due: Option<Duration>,
}

/// What watchers know of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListState {
    /// All of them, without what is pending.
    Known,
    /// Too many have changed: the list is sent again.
    Outdated,
    /// There were too many for a list.
    TooLong,
}

#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
#[derive(Clone, Copy, Debug)]
struct AudienceWatch {
    id: u64,
    is_once: bool,
    /// It has got nothing yet.
    is_fresh: bool,
}

/// What a client that has changed was in the last news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EarlierState {
    Absent,
    /// Shown as it was then.
    Member,
    /// Shown as it was then, and it looks different now.
    OtherMember,
}

/// Watchers on one worker: those that know the earlier state, and new ones.
#[derive(Debug, Default)]
pub(super) struct AudiencePart {
    pub(super) settled: SlotSet,
    pub(super) fresh: SlotSet,
}

/// What is known of the members of a query on other hosts.
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AudienceCoverage {
    /// Those of a live host are not known.
    pub(super) is_partial: bool,
    /// A host has too many for a list.
    pub(super) has_long_part: bool,
}

/// A host that watches a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct WatchingHostPart {
    pub(super) host: HostId,
    /// Number of the query there.
    pub(super) number: u64,
    pub(super) is_fresh: bool,
}

/// What is sent to the watchers that know the earlier state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AudienceUpdate {
    Nothing,
    Counts,
    /// The counts, in place of everything.
    AllCounts,
    /// All members.
    All,
    TooMany,
    /// These clients have changed, and perhaps the numbers.
    Changed {
        clients: Vec<(ClientUuid, EarlierState)>,
        has_other_counts: bool,
    },
}

impl QueryAudience {
    pub(super) fn new(query: u64, kind: AudienceKind) -> Self {
        Self {
            query,
            kind,
            watchers: BTreeMap::new(),
            pending: HashMap::new(),
            list: ListState::Known,
            is_partial: false,
            sent: PresenceCounts::default(),
            sent_at: None,
            due: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Adds a watch. It gets everything with the next news. Returns their time, if it was not known before.
    pub(super) fn add(&mut self, place: ConnectionRef, watch: NewWatch<'_>) -> Option<Duration> {
        let NewWatch { id, terms, now } = watch;
        let watch = AudienceWatch { id, is_once: terms.is_once, is_fresh: true };
        self.watchers.entry(place).or_default().push(watch);
        let pause = match self.kind.mode() {
            WatchMode::Count => Duration::ZERO,
            WatchMode::Members(_) => PRESENCE_COLLECTED,
        };
        let due = self.sent_at.map_or(now, |at| now.max(at + pause));
        self.become_due(due)
    }

    /// Returns the time if the audience had none before.
    fn become_due(&mut self, at: Duration) -> Option<Duration> {
        if self.due.is_some() {
            return None;
        }
        self.due = Some(at);
        self.due
    }

    /// Removes a watch.
    pub(super) fn remove(&mut self, place: ConnectionRef, id: u64) {
        if let Some(watches) = self.watchers.get_mut(&place) {
            watches.retain(|watch| watch.id != id);
            if watches.is_empty() {
                self.watchers.remove(&place);
            }
        }
    }

    /// Returns when news may be sent, at a time or after it.
    pub(super) fn next_news(&self, at: Duration) -> Duration {
        let every = match self.kind.mode() {
            WatchMode::Count => PRESENCE_COUNT_EVERY,
            WatchMode::Members(_) => PRESENCE_COLLECTED,
        };
        self.sent_at.map_or(at, |sent| at.max(sent + every))
    }

    /// Notes that a client has changed, and what it was before that. The news are due at a time, or after it. Returns
    /// their time, if it was not known before.
    pub(super) fn note(
        &mut self,
        client: ClientUuid,
        before: EarlierState,
        at: Duration,
    ) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        let is_new = self.become_due(self.next_news(at));
        let WatchMode::Members(most) = self.kind.mode() else { return is_new };
        if self.list != ListState::Known {
            return is_new;
        }
        let earlier = self.pending.entry(client).or_insert(before);
        if *earlier == EarlierState::Member && before != EarlierState::Member {
            // It has come again, or looks different.
            *earlier = EarlierState::OtherMember;
        }
        if self.pending.len() > most as usize {
            self.pending.clear();
            self.list = ListState::Outdated;
        }
        is_new
    }

    /// Sends everything again to the watcher at a place.
    pub(super) fn refresh(&mut self, place: ConnectionRef) {
        let watches = self.watchers.get_mut(&place).into_iter().flatten();
        watches.for_each(|watch| watch.is_fresh = true);
    }

    /// Returns whether a watcher has got nothing yet.
    pub(super) fn has_fresh(&self) -> bool {
        self.watchers.values().flatten().any(|watch| watch.is_fresh)
    }

    /// Returns the workers of the watchers.
    pub(super) fn workers(&self) -> impl Iterator<Item = WorkerId> + '_ {
        let mut last = None;
        let workers = self.watchers.keys().map(|place| place.worker);
        workers.filter(move |worker| last.replace(*worker) != Some(*worker))
    }

    /// Returns what the watchers get now, and whether new ones get no list because it would be too long.
    pub(super) fn take_update(
        &mut self,
        counts: PresenceCounts,
        coverage: AudienceCoverage,
        now: Duration,
    ) -> (AudienceUpdate, bool) {
        let has_other_counts = self.sent != counts;
        (self.sent, self.sent_at, self.due) = (counts, Some(now), None);
        let is_completed = self.is_partial && !coverage.is_partial;
        let other_counts =
            || if has_other_counts { AudienceUpdate::Counts } else { AudienceUpdate::Nothing };
        let WatchMode::Members(most) = self.kind.mode() else {
            let update = if is_completed { AudienceUpdate::AllCounts } else { other_counts() };
            self.is_partial = coverage.is_partial && (self.is_partial || self.has_fresh());
            return (update, false);
        };
        if is_completed && self.list == ListState::Known {
            self.list = ListState::Outdated;
        }
        let (most, before) = (u64::from(most), self.list);
        let is_long = coverage.has_long_part
            || match before {
                ListState::TooLong => counts.clients * 10 >= most * 9,
                ListState::Known | ListState::Outdated => counts.clients > most,
            };
        self.list = if is_long { ListState::TooLong } else { ListState::Known };
        let pending = std::mem::take(&mut self.pending);
        let update = match (before, is_long) {
            (ListState::TooLong, true) if !is_completed => other_counts(),
            (_, true) => AudienceUpdate::TooMany,
            (ListState::TooLong | ListState::Outdated, false) => AudienceUpdate::All,
            (ListState::Known, false) if pending.is_empty() => other_counts(),
            (ListState::Known, false) => {
                let clients = pending.into_iter().collect();
                AudienceUpdate::Changed { clients, has_other_counts }
            }
        };
        let is_all = matches!(update, AudienceUpdate::All | AudienceUpdate::TooMany);
        self.is_partial = coverage.is_partial && (self.is_partial || is_all || self.has_fresh());
        (update, is_long)
    }

    /// Returns the hosts that watch. None is new from now on.
    pub(super) fn take_hosts(&mut self) -> Vec<WatchingHostPart> {
        let mut hosts = Vec::new();
        for (place, watches) in &mut self.watchers {
            let host = HostId(place.slot.0);
            for watch in watches {
                let (number, is_fresh) = (watch.id, std::mem::take(&mut watch.is_fresh));
                hosts.push(WatchingHostPart { host, number, is_fresh });
            }
        }
        hosts
    }

    /// Returns the watchers by worker. None is new from now on. Those that wanted one answer are removed; `ended` is
    /// called for each.
    pub(super) fn take_parts(
        &mut self,
        mut ended: impl FnMut(ConnectionRef, u64),
    ) -> BTreeMap<WorkerId, AudiencePart> {
        let mut parts: BTreeMap<WorkerId, AudiencePart> = BTreeMap::new();
        self.watchers.retain(|place, watches| {
            let part = parts.entry(place.worker).or_default();
            // A client with an earlier watch of the same gets everything again.
            let is_fresh = watches.iter().any(|watch| watch.is_fresh);
            let slots = if is_fresh { &mut part.fresh } else { &mut part.settled };
            slots.0.insert(place.slot.0);
            watches.retain(|watch| {
                watch.is_fresh = false;
                if watch.is_once {
                    ended(*place, watch.id);
                }
                !watch.is_once
            });
            !watches.is_empty()
        });
        parts
    }
}

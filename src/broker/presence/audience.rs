//! The watchers of one query in one mode, and what they have not been sent yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use smallvec::SmallVec;

use crate::types::limits::{PRESENCE_COLLECTED, PRESENCE_COUNT_EVERY};
use crate::types::{
    ClientUuid, ConnectionRef, PresenceCounts, SlotSet, WatchMode, WatchTerms, WorkerId,
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

/// All audiences, and when they get their next news.
#[derive(Debug, Default)]
pub(super) struct Audiences {
    all: BTreeMap<u64, QueryAudience>,
    due: BTreeSet<(Duration, u64)>,
}

impl Audiences {
    pub(super) fn get(&self, number: u64) -> Option<&QueryAudience> {
        self.all.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut QueryAudience> {
        self.all.get_mut(&number)
    }

    pub(super) fn insert(&mut self, number: u64, audience: QueryAudience) {
        self.all.insert(number, audience);
    }

    /// Removes an audience.
    pub(super) fn remove(&mut self, number: u64) {
        if let Some(at) = self.all.remove(&number).and_then(|audience| audience.due) {
            self.due.remove(&(at, number));
        }
    }

    /// Adds a watch to an audience.
    pub(super) fn add_watch(&mut self, number: u64, place: ConnectionRef, watch: NewWatch<'_>) {
        let due = self.all.get_mut(&number).and_then(|audience| audience.add(place, watch));
        self.due.extend(due.map(|at| (at, number)));
    }

    /// Notes that a client of a query has changed, and what it was before.
    pub(super) fn note(
        &mut self,
        numbers: impl Iterator<Item = u64>,
        client: ClientUuid,
        before: EarlierState,
        now: Duration,
    ) {
        for number in numbers {
            let audience = self.all.get_mut(&number);
            let due = audience.and_then(|audience| audience.note(client, before, now));
            self.due.extend(due.map(|at| (at, number)));
        }
    }

    /// Puts the news of an audience off.
    pub(super) fn put_off(&mut self, number: u64, until: Duration) {
        if let Some(audience) = self.all.get_mut(&number) {
            audience.due = Some(until);
            self.due.insert((until, number));
        }
    }

    /// Returns when the next news are due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes an audience whose news are due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<u64> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.pop_first().map(|(_, number)| number)
    }
}

/// The watchers of one query in one mode.
#[derive(Debug)]
pub(super) struct QueryAudience {
    /// Number of the query.
    pub(super) query: u64,
    pub(super) mode: WatchMode,
    watchers: BTreeMap<ConnectionRef, SmallVec<[AudienceWatch; 1]>>,
    /// Changes since the last news, and whether the client was a member then. Without a list there are none.
    pending: HashMap<ClientUuid, EarlierState>,
    list: ListState,
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

/// What is sent to the watchers that know the earlier state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AudienceUpdate {
    Nothing,
    Counts,
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
    pub(super) fn new(query: u64, mode: WatchMode) -> Self {
        Self {
            query,
            mode,
            watchers: BTreeMap::new(),
            pending: HashMap::new(),
            list: ListState::Known,
            sent: PresenceCounts::default(),
            sent_at: None,
            due: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Adds a watch. It gets everything with the next news. Returns their time, if it was not known before.
    fn add(&mut self, place: ConnectionRef, watch: NewWatch<'_>) -> Option<Duration> {
        let NewWatch { id, terms, now } = watch;
        let watch = AudienceWatch { id, is_once: terms.is_once, is_fresh: true };
        self.watchers.entry(place).or_default().push(watch);
        let pause = match self.mode {
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

    /// Notes that a client has changed, and what it was before that. Returns the time of the next news, if it was not
    /// known before.
    fn note(
        &mut self,
        client: ClientUuid,
        before: EarlierState,
        now: Duration,
    ) -> Option<Duration> {
        let every = match self.mode {
            WatchMode::Count => PRESENCE_COUNT_EVERY,
            WatchMode::Members(_) => PRESENCE_COLLECTED,
        };
        if self.is_empty() {
            return None;
        }
        let collected = now + PRESENCE_COLLECTED;
        let due = self.sent_at.map_or(collected, |at| collected.max(at + every));
        let is_new = self.become_due(due);
        let WatchMode::Members(most) = self.mode else { return is_new };
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
        now: Duration,
    ) -> (AudienceUpdate, bool) {
        let has_other_counts = self.sent != counts;
        (self.sent, self.sent_at, self.due) = (counts, Some(now), None);
        let other_counts =
            || if has_other_counts { AudienceUpdate::Counts } else { AudienceUpdate::Nothing };
        let WatchMode::Members(most) = self.mode else { return (other_counts(), false) };
        let (most, before) = (u64::from(most), self.list);
        let is_long = match before {
            ListState::TooLong => counts.clients * 10 >= most * 9,
            ListState::Known | ListState::Outdated => counts.clients > most,
        };
        self.list = if is_long { ListState::TooLong } else { ListState::Known };
        let pending = std::mem::take(&mut self.pending);
        let update = match (before, is_long) {
            (ListState::TooLong, true) => other_counts(),
            (_, true) => AudienceUpdate::TooMany,
            (ListState::TooLong | ListState::Outdated, false) => AudienceUpdate::All,
            (ListState::Known, false) if pending.is_empty() => other_counts(),
            (ListState::Known, false) => {
                let clients = pending.into_iter().collect();
                AudienceUpdate::Changed { clients, has_other_counts }
            }
        };
        (update, is_long)
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

//! All audiences, and when they get their next news.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::audience::{EarlierState, NewWatch, QueryAudience};
use crate::types::{ClientUuid, ConnectionRef};

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

    /// Notes that a client of a query has changed, and what it was before. The news are due at this time.
    pub(super) fn note(
        &mut self,
        numbers: impl Iterator<Item = u64>,
        client: ClientUuid,
        before: EarlierState,
        at: Duration,
    ) {
        for number in numbers {
            let audience = self.all.get_mut(&number);
            let due = audience.and_then(|audience| audience.note(client, before, at));
            self.due.extend(due.map(|at| (at, number)));
        }
    }

    /// Looks at the numbers of audiences as soon as they may get news.
    pub(super) fn hasten(&mut self, numbers: impl Iterator<Item = u64>, now: Duration) {
        for number in numbers {
            let Some(audience) = self.all.get_mut(&number).filter(|it| !it.is_empty()) else {
                continue;
            };
            let at = audience.next_news(now);
            if audience.due.is_none_or(|due| due > at) {
                let before = audience.due.replace(at);
                before.into_iter().for_each(|due| _ = self.due.remove(&(due, number)));
                self.due.insert((at, number));
            }
        }
    }

    /// Sends everything again to a host.
    pub(super) fn refresh(&mut self, number: u64, place: ConnectionRef, now: Duration) {
        self.all.get_mut(&number).into_iter().for_each(|audience| audience.refresh(place));
        self.hasten([number].into_iter(), now);
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

//! Which publications of other hosts two brokers have had, for clients that move from one to the other.
//!
//! Every host gets the common lane of each other one in the same order, but not at the same moment. The host that hands a
//! client over says how far it has taken each lane (its *extent*). The other one lets the client wait until it has taken
//! as much: otherwise it would deliver again what the client has already received. It then replays what it has taken
//! after the extent, and needs to have stored all of that.

use std::collections::{BTreeMap, VecDeque};

use super::journal::Journal;
use crate::cluster::{
    BridgeEpoch, CarriedPublication, CommonPlace, HostRun, LaneKey, PassedPublication,
    PassedSources, TakenLanes, TakenTable,
};
use crate::types::limits::CLUSTER_FORMER_RUNS_MAX;
use crate::types::{Generation, HostId, Number, RecoveryReason, WorkerId, WorkerIncarnation};

/// A publication in the common lane of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryOrigin {
    pub(super) host: HostId,
    /// The run of the host. It means nothing for the own host.
    pub(super) run: HostRun,
    /// The worker that received it from its publisher.
    pub(super) source: WorkerIncarnation,
    /// Its number within that worker.
    pub(super) number: Number,
    /// The last mark in the lane before it. What comes after a later mark comes after the publication, too.
    pub(super) mark: Option<(Generation, Number)>,
}

impl EntryOrigin {
    /// Returns whether a host that has passed these has passed the publication, or has begun the lane after it.
    fn is_among(&self, passed: &PassedSources) -> bool {
        let mark = passed.last_of(WorkerId::MOVES);
        passed.has(self.source, self.number) || mark > self.mark
    }
}

/// What a host missed in a lane.
#[derive(Clone, Copy, Debug)]
enum MissedPart {
    /// Nothing has arrived after it.
    Open,
    /// It is before this publication.
    Before(EntryOrigin),
}

/// The beginning of the journals of this broker.
#[derive(Clone, Debug)]
struct JournalsBegun {
    /// What was taken before, and is not stored.
    taken: Vec<(HostId, CommonPlace)>,
    /// The mark of this host between what it had forwarded before and what it stores.
    mark: Option<(WorkerIncarnation, Number)>,
}

/// What a broker knows of the common lanes, in addition to how far it has taken them.
#[derive(Debug, Default)]
pub(super) struct LanePlaces {
    /// The epoch of each host of which something was taken that no earlier bridge had sent.
    settled: BTreeMap<HostId, BridgeEpoch>,
    /// Runs that were replaced, the oldest first.
    former_runs: BTreeMap<HostId, VecDeque<HostRun>>,
    /// Where the lanes of present runs were begun.
    starts: BTreeMap<HostId, (BridgeEpoch, u64)>,
    missed: BTreeMap<HostId, MissedPart>,
    /// How many gaps there were.
    gaps: BTreeMap<HostId, u64>,
    begun: Option<JournalsBegun>,
    /// The last mark of this host.
    pub(super) own_mark: Option<(Generation, Number)>,
}

impl LanePlaces {
    /// A host is live. Returns whether it is a new run, of which nothing was taken.
    pub(super) fn note_live(
        &mut self,
        host: HostId,
        taken: &TakenLanes,
        before: Option<&TakenLanes>,
    ) -> bool {
        if before.is_some_and(|before| before.run == taken.run) {
            return false;
        }
        if let Some(before) = before {
            let former = self.former_runs.entry(host).or_default();
            former.push_back(before.run);
            if former.len() > CLUSTER_FORMER_RUNS_MAX {
                former.pop_front();
            }
        }
        self.settled.remove(&host);
        self.missed.remove(&host);
        self.starts.insert(host, (taken.epoch, taken.common.number));
        true
    }

    /// Notes something that was taken of a common lane. Returns what it is there.
    pub(super) fn note_taken<B>(
        &mut self,
        table: &TakenTable,
        taken: &PassedPublication,
        publication: &CarriedPublication<B>,
    ) -> Option<EntryOrigin> {
        let PassedPublication { host, epoch, point, source, number } = *taken;
        let lanes = table.get(host).filter(|_| point.lane == LaneKey::COMMON)?;
        let mark = lanes.common.sources.last_of(WorkerId::MOVES);
        let origin = EntryOrigin { host, run: lanes.run, source, number, mark };
        if !publication.is_repeated {
            self.settled.insert(host, epoch);
        }
        if let Some(missed @ MissedPart::Open) = self.missed.get_mut(&host) {
            *missed = MissedPart::Before(origin);
        }
        Some(origin)
    }

    /// Returns what a publication of this host is in its common lane.
    pub(super) fn own(
        &self,
        host: HostId,
        source: WorkerIncarnation,
        number: Number,
    ) -> EntryOrigin {
        EntryOrigin { host, run: HostRun(0), source, number, mark: self.own_mark }
    }

    /// Items of a host will never arrive.
    pub(super) fn note_gap(&mut self, host: HostId) {
        self.missed.insert(host, MissedPart::Open);
        *self.gaps.entry(host).or_default() += 1;
    }

    /// Returns how many gaps there were in the lanes of a host.
    pub(super) fn gaps_of(&self, host: HostId) -> u64 {
        self.gaps.get(&host).copied().unwrap_or_default()
    }

    /// The journals begin.
    pub(super) fn journals_begin(&mut self, table: &TakenTable) {
        self.begun = Some(JournalsBegun { taken: self.extent(table), mark: None });
    }

    /// This host may have forwarded something before the journals begin. It is before this mark.
    pub(super) fn mark_begin(&mut self, source: WorkerIncarnation, number: Number) {
        if let Some(begun) = &mut self.begun {
            begun.mark.get_or_insert((source, number));
        }
    }

    /// Returns how far the lanes of all hosts were taken.
    pub(super) fn extent(&self, table: &TakenTable) -> Vec<(HostId, CommonPlace)> {
        let place = |(host, lanes): (HostId, &TakenLanes)| {
            let is_settled = self.settled.get(&host) == Some(&lanes.epoch);
            (host, CommonPlace { is_settled, ..lanes.common_place() })
        };
        table.iter().map(place).collect()
    }
}

/// Where a client that has moved here was before, and what it has received there.
#[derive(Debug)]
pub(super) struct FormerExtent {
    /// The host that has handed it over. What came from its common lane before the record was received there.
    pub(super) from: HostId,
    pub(super) taken: Vec<(HostId, CommonPlace)>,
    /// The journal of the space when the record came.
    pub(super) epoch: u32,
    pub(super) head: u64,
    /// Gaps in the lanes of that host until then.
    pub(super) gaps: u64,
}

/// The lanes as this host has taken them.
#[derive(Clone, Copy)]
pub(super) struct OwnPlaces<'a> {
    pub(super) host: HostId,
    pub(super) table: &'a TakenTable,
    pub(super) places: &'a LanePlaces,
    /// Whether a host is known, and whether it is live.
    pub(super) is_live: &'a dyn Fn(HostId) -> Option<bool>,
}

impl OwnPlaces<'_> {
    /// Returns the age of a run of a host: more is later. `None`: it is not known.
    fn age(&self, host: HostId, run: HostRun) -> Option<usize> {
        if self.table.get(host).is_some_and(|lanes| lanes.run == run) {
            return Some(usize::MAX);
        }
        self.places.former_runs.get(&host)?.iter().position(|former| *former == run)
    }
}

impl FormerExtent {
    fn place(&self, host: HostId) -> Option<&CommonPlace> {
        self.taken.iter().find(|(it, _)| *it == host).map(|(_, place)| place)
    }

    /// Returns whether this host has taken everything that the client may have received on the other one. Nothing more
    /// arrives of hosts that are forgotten.
    pub(super) fn is_reached(&self, own: OwnPlaces<'_>) -> bool {
        let others = self.taken.iter().filter(|(it, _)| *it != own.host && *it != self.from);
        let mut known = others.filter(|(it, _)| (own.is_live)(*it).is_some());
        known.all(|(host, place)| {
            let lanes = own.table.get(*host).filter(|lanes| lanes.run == place.run);
            match lanes {
                Some(lanes) => lanes.common_place().has(place),
                None => own.age(*host, place.run).is_some(),
            }
        })
    }

    /// Returns whether the client has received a stored publication on the other host, or would have: it has had
    /// everything up to its extent.
    pub(super) fn has(&self, own: OwnPlaces<'_>, number: u64, origin: &EntryOrigin) -> bool {
        let host = origin.host;
        if host == self.from {
            return number <= self.head;
        }
        // What a host has sent that the other one does not know was not for its clients.
        let Some(place) = self.place(host) else { return (own.is_live)(host) != Some(true) };
        if host == own.host || origin.run == place.run {
            return origin.is_among(&place.sources);
        }
        own.age(host, origin.run) < own.age(host, place.run)
    }

    /// Checks that the journal has everything that this host has taken after the extent.
    ///
    /// # Errors
    ///
    /// Why it has not.
    pub(super) fn check(
        &self,
        own: OwnPlaces<'_>,
        journal: &Journal,
    ) -> Result<(), RecoveryReason> {
        if journal.position().epoch != self.epoch {
            return Err(RecoveryReason::Lost);
        }
        let mut dropped = journal.dropped();
        if !dropped.all(|(number, origin)| self.has(own, number, origin)) || !self.has_begun(own) {
            return Err(RecoveryReason::Evicted);
        }
        if self.place(own.host).is_none() || own.places.gaps_of(self.from) != self.gaps {
            return Err(RecoveryReason::Gap);
        }
        let mut hosts = own.table.iter().map(|(host, _)| host).filter(|host| *host != self.from);
        match hosts.all(|host| self.is_whole(own, host)) {
            true => Ok(()),
            false => Err(RecoveryReason::Gap),
        }
    }

    /// Returns whether the other host has taken everything that this one had before its journals began.
    fn has_begun(&self, own: OwnPlaces<'_>) -> bool {
        let Some(JournalsBegun { taken, mark }) = &own.places.begun else { return true };
        let has_mark = |(source, number)| {
            self.place(own.host).is_some_and(|place| place.sources.has(source, number))
        };
        let mut taken = taken.iter().filter(|(host, _)| *host != self.from && *host != own.host);
        mark.is_none_or(has_mark)
            && taken.all(|(host, before)| {
                let Some(place) = self.place(*host) else {
                    return (own.is_live)(*host) != Some(true);
                };
                match place.run == before.run {
                    true => place.has(before),
                    false => own.age(*host, before.run) < own.age(*host, place.run),
                }
            })
    }

    /// Returns whether nothing of a live host is missing here that the client has not received on the other one.
    fn is_whole(&self, own: OwnPlaces<'_>, host: HostId) -> bool {
        if (own.is_live)(host) != Some(true) {
            return true;
        }
        let is_missed = match own.places.missed.get(&host) {
            None => false,
            Some(MissedPart::Open) => true,
            Some(MissedPart::Before(next)) => !self.has(own, 0, next),
        };
        // A lane begins with a hello.
        let start = own.places.starts.get(&host).filter(|(_, number)| *number > 1);
        let is_begun = start.is_none_or(|(epoch, number)| {
            let run = own.table.get(host).map(|lanes| lanes.run);
            let place = self.place(host).filter(|place| Some(place.run) == run);
            place.is_some_and(|it| it.epoch > *epoch || it.epoch == *epoch && it.number >= *number)
        });
        is_begun && !is_missed
    }
}

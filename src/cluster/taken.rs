//! How far the lanes of other hosts were taken. The broker keeps it for the next bridge.

use std::collections::BTreeMap;

use super::envelope::{BridgeEpoch, HostRun};
use super::item::{LaneKey, LanePoint};
use super::lanes_in::PassedSources;
use crate::types::{HostId, Number, WorkerIncarnation};

/// A place in one lane of another host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenLane {
    /// The last number that was passed on, or lost.
    pub number: u64,
    /// The last publication of each worker.
    pub sources: PassedSources,
}

/// The numbers of two lanes at one moment of their sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneStart {
    /// Of the common lane.
    pub common: u64,
    /// Of the private lane to this host.
    pub private: u64,
    /// How often the sender has forgotten this host.
    pub forgotten: u64,
}

/// The places in the lanes of another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenLanes {
    /// The run of the host.
    pub run: HostRun,
    /// The life of its bridge that the numbers belong to.
    pub epoch: BridgeEpoch,
    /// The lane to all hosts.
    pub common: TakenLane,
    /// The number of the private lane that comes before the common lane goes on: a fence of an item that was not taken.
    pub common_after: u64,
    /// The lane to this host.
    pub private: TakenLane,
    /// How often this host has forgotten the run ([`ListedHost::forgotten`](super::ListedHost::forgotten)).
    pub forgotten: u64,
    /// How often the run had forgotten this host when it listed it last.
    pub listed: u64,
}

impl TakenLanes {
    /// Returns the places of a host whose lanes are taken from now on: the private lane to this host from its start,
    /// and the common lane after this number, once so much of the private lane was taken.
    #[must_use]
    pub fn begin(run: HostRun, epoch: BridgeEpoch, start: LaneStart) -> Self {
        let common = TakenLane { number: start.common, ..TakenLane::default() };
        Self {
            run,
            epoch,
            common,
            common_after: start.private,
            private: TakenLane::default(),
            forgotten: 0,
            listed: start.forgotten,
        }
    }
}

/// A publication of another host that was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedPublication {
    /// The host.
    pub host: HostId,
    /// The life of its bridge.
    pub epoch: BridgeEpoch,
    /// The place in its lane.
    pub point: LanePoint,
    /// The worker that accepted the publication.
    pub source: WorkerIncarnation,
    /// Its number within that worker.
    pub number: Number,
}

/// How far the lanes of all other hosts were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenTable(BTreeMap<HostId, TakenLanes>);

impl TakenTable {
    /// Sets the places of a host.
    pub fn set(&mut self, host: HostId, taken: TakenLanes) {
        self.0.insert(host, taken);
    }

    /// Notes a publication that was passed on.
    pub fn note(&mut self, taken: &PassedPublication) {
        let Some(lanes) = self.0.get_mut(&taken.host) else { return };
        if lanes.epoch != taken.epoch {
            lanes.epoch = taken.epoch;
            // The numbers of the new epoch begin here. Sources continue: what was sent again may have been taken.
            lanes.common.number = 0;
            lanes.common_after = 0;
            lanes.private.number = 0;
        }
        let lane = match taken.point.lane {
            LaneKey::COMMON => &mut lanes.common,
            _ => &mut lanes.private,
        };
        lane.number = taken.point.number;
        lane.sources.note(taken.source, taken.number);
    }

    /// Notes that nothing is kept for a host any longer.
    pub fn note_forgotten(&mut self, host: HostId) {
        if let Some(lanes) = self.0.get_mut(&host) {
            lanes.forgotten += 1;
        }
    }

    /// Returns the places by host.
    pub fn iter(&self) -> impl Iterator<Item = (HostId, &TakenLanes)> {
        self.0.iter().map(|(host, lanes)| (*host, lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Generation, WorkerId};

    #[test]
    fn another_epoch_has_other_numbers_and_the_same_sources() {
        let (host, run) = (HostId(1), HostRun(2));
        let source = WorkerIncarnation { worker: WorkerId(0), generation: Generation(1) };
        let taken = |epoch, lane, number| PassedPublication {
            host,
            epoch: BridgeEpoch(epoch),
            point: LanePoint { lane: LaneKey(lane), number },
            source,
            number: Number(number),
        };
        let mut table = TakenTable::default();
        let start = LaneStart { common: 40, private: 3, forgotten: 0 };
        table.set(host, TakenLanes::begin(run, BridgeEpoch(1), start));
        table.note(&taken(1, 0, 41));
        table.note(&taken(1, 9, 7));
        table.note(&taken(2, 9, 1));
        let (_, lanes) = table.iter().next().unwrap();
        assert_eq!(
            (lanes.epoch, lanes.common.number, lanes.private.number),
            (BridgeEpoch(2), 0, 1)
        );
        assert!(lanes.common.sources.has(source, Number(41)));
        assert!(lanes.private.sources.has(source, Number(7)));
        table.note(&PassedPublication { host: HostId(3), ..taken(1, 0, 1) });
        assert_eq!(table.iter().count(), 1, "a host that is not known");
    }
}

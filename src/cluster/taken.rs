//! How far the lanes of other hosts were taken. The broker keeps it for the next bridge.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};

use super::envelope::{BridgeEpoch, HostRun};
use super::item::{LaneKey, LanePoint};
use super::lanes_in::PassedSources;
use super::wire::{BodyReader, InvalidMessage, put_varint};
use crate::types::{HostId, Number, WorkerIncarnation};

/// A place in one lane of another host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenLane {
    /// The last number that was passed on, or lost.
    pub number: u64,
    /// The last publication of each worker.
    pub sources: PassedSources,
}

/// A place in the common lane of a host, as another host tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonPlace {
    /// The run of the host.
    pub run: HostRun,
    /// The life of its bridge that the number belongs to.
    pub epoch: BridgeEpoch,
    /// The last number that was passed on.
    pub number: u64,
    /// Something of this epoch was passed on that no earlier bridge had, so that what is sent again came before.
    pub is_settled: bool,
    /// The last publication of each worker.
    pub sources: PassedSources,
}

impl CommonPlace {
    /// Returns whether everything was taken that another host has taken of the same run. Numbers alone show that only if
    /// the other host is past what a new bridge sends again at the beginning of its epoch.
    #[must_use]
    pub fn has(&self, other: &Self) -> bool {
        let is_present = other.is_settled && self.epoch == other.epoch;
        let is_there = is_present && self.number >= other.number;
        self.run == other.run && (is_there || self.sources.include(&other.sources))
    }

    /// Appends the encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.run.0);
        out.put_u32_le(self.epoch.0);
        put_varint(out, self.number);
        out.put_u8(u8::from(self.is_settled));
        self.sources.encode(out);
    }

    /// Reads the output of [`CommonPlace::encode`].
    ///
    /// # Errors
    ///
    /// If the bytes are not such an output.
    pub fn decode(bytes: Bytes) -> Result<Self, InvalidMessage> {
        let mut fields = BodyReader(bytes);
        let (run, epoch) = (HostRun(fields.u64()?), BridgeEpoch(fields.u32()?));
        let (number, is_settled) = (fields.varint()?, fields.u8()? == 1);
        let sources = PassedSources::decode(&mut fields)?;
        fields.end()?;
        Ok(Self { run, epoch, number, is_settled, sources })
    }
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
    /// Returns the place in the common lane. Whether it [is settled](CommonPlace::is_settled) is not known.
    #[must_use]
    pub fn common_place(&self) -> CommonPlace {
        let Self { run, epoch, .. } = *self;
        let TakenLane { number, sources } = self.common.clone();
        CommonPlace { run, epoch, number, is_settled: false, sources }
    }

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

    /// Returns the places of a host.
    #[must_use]
    pub fn get(&self, host: HostId) -> Option<&TakenLanes> {
        self.0.get(&host)
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

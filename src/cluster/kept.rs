//! The encoding of what a broker keeps for the next bridge, for the link between the two.

use bytes::{BufMut, Bytes};

use super::effect::KeptForBridge;
use super::envelope::{BridgeEpoch, HostRun};
use super::hello::EpochEnds;
use super::lanes_in::PassedSources;
use super::taken::{TakenLane, TakenLanes, TakenTable};
use super::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::HostId;
use crate::types::limits::CLUSTER_HOSTS_MAX;

impl KeptForBridge {
    /// Appends the encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::from(self.is_complete));
        put_length(out, self.taken.iter().count());
        for (host, lanes) in self.taken.iter() {
            out.put_u32_le(host.0);
            put_lanes(out, lanes);
        }
        self.ends.encode(out);
    }

    /// Reads the output of [`KeptForBridge::encode`].
    ///
    /// # Errors
    ///
    /// If the bytes are not such an output.
    pub fn decode(bytes: Bytes) -> Result<Self, InvalidMessage> {
        let mut fields = BodyReader(bytes);
        let is_complete = fields.u8()? == 1;
        let mut taken = TakenTable::default();
        for _ in 0..fields.count(2 * CLUSTER_HOSTS_MAX)? {
            let host = HostId(fields.u32()?);
            taken.set(host, read_lanes(&mut fields)?);
        }
        let ends = EpochEnds::decode(&mut fields)?;
        fields.end()?;
        Ok(Self { is_complete, taken, ends })
    }
}

impl TakenLanes {
    /// Appends the encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_lanes(out, self);
    }

    /// Reads the output of [`TakenLanes::encode`].
    ///
    /// # Errors
    ///
    /// If the bytes are not such an output.
    pub fn decode(bytes: Bytes) -> Result<Self, InvalidMessage> {
        let mut fields = BodyReader(bytes);
        let lanes = read_lanes(&mut fields)?;
        fields.end()?;
        Ok(lanes)
    }
}

fn put_lanes(out: &mut Vec<u8>, lanes: &TakenLanes) {
    let TakenLanes { run, epoch, common, common_after, private, forgotten, listed } = lanes;
    out.put_u64_le(run.0);
    out.put_u32_le(epoch.0);
    put_varint(out, *common_after);
    put_varint(out, *forgotten);
    put_varint(out, *listed);
    for lane in [common, private] {
        put_varint(out, lane.number);
        lane.sources.encode(out);
    }
}

fn read_lanes(fields: &mut BodyReader) -> Result<TakenLanes, InvalidMessage> {
    let (run, epoch) = (HostRun(fields.u64()?), BridgeEpoch(fields.u32()?));
    let (common_after, forgotten, listed) = (fields.varint()?, fields.varint()?, fields.varint()?);
    let (common, private) = (read_lane(fields)?, read_lane(fields)?);
    Ok(TakenLanes { run, epoch, common, common_after, private, forgotten, listed })
}

fn read_lane(fields: &mut BodyReader) -> Result<TakenLane, InvalidMessage> {
    Ok(TakenLane { number: fields.varint()?, sources: PassedSources::decode(fields)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::item::{LaneKey, LanePoint};
    use super::*;
    use crate::types::{Generation, Number, WorkerId, WorkerIncarnation};

    fn lane(seed: u64) -> TakenLane {
        let mut sources = PassedSources::default();
        for worker in 0..u16::try_from(seed % 5).unwrap() {
            let generation = Generation(u32::from(worker) + 3);
            sources.note(WorkerIncarnation { worker: WorkerId(worker), generation }, Number(seed));
        }
        TakenLane { number: seed / 3, sources }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_as_it_is_written(seeds in prop::collection::vec(any::<u64>(), 0..6)) {
            let mut kept = KeptForBridge { is_complete: seeds.len() % 2 == 0, ..KeptForBridge::default() };
            for (at, seed) in (1..).zip(&seeds) {
                let (run, epoch) = (HostRun(*seed), BridgeEpoch(at));
                let (common, private) = (lane(*seed), lane(seed / 7));
                let (common_after, forgotten, listed) = (seed / 5, seed % 9, seed % 4);
                let lanes = TakenLanes { run, epoch, common, common_after, private, forgotten, listed };
                let mut bytes = Vec::new();
                lanes.encode(&mut bytes);
                prop_assert_eq!(TakenLanes::decode(bytes.into()), Ok(lanes.clone()));
                kept.taken.set(HostId(at), lanes);
                kept.ends.note(epoch, &[LanePoint { lane: LaneKey(at), number: *seed }]);
            }
            let mut bytes = Vec::new();
            kept.encode(&mut bytes);
            let short = Bytes::copy_from_slice(&bytes[..bytes.len() - 1]);
            prop_assert!(KeptForBridge::decode(short).is_err());
            prop_assert_eq!(KeptForBridge::decode(bytes.into()), Ok(kept));
        }
    }
}

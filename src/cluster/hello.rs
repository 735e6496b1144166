//! How far the lanes of earlier epochs were carried: the content of a hello.

use std::collections::BTreeMap;

use bytes::BufMut;

use super::envelope::BridgeEpoch;
use super::item::{LaneKey, LanePoint};
use super::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::limits::{CLUSTER_EPOCHS, CLUSTER_HOSTS_MAX};

/// [`CLUSTER_EPOCHS`] as a difference of epochs.
const EPOCHS: u32 = 8;
const _: () = assert!(EPOCHS as usize == CLUSTER_EPOCHS, "the same number");

/// The last number of each lane of one epoch. A lane that is not listed has no items.
pub type LaneEnds = BTreeMap<LaneKey, u64>;

/// How far the lanes of the last eight epochs of a run were carried. What comes after these numbers is sent again
/// in a later epoch. The broker keeps it for the next bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochEnds(BTreeMap<BridgeEpoch, LaneEnds>);

impl EpochEnds {
    /// Notes how far lanes of an epoch were carried.
    pub fn note(&mut self, epoch: BridgeEpoch, points: &[LanePoint]) {
        let ends = self.0.entry(epoch).or_default();
        for point in points {
            let end = ends.entry(point.lane).or_default();
            *end = point.number.max(*end);
        }
        while self.0.len() > CLUSTER_EPOCHS {
            self.0.pop_first();
        }
    }

    /// Adds the epochs between those that are known and the present one: nothing was carried in them.
    pub(super) fn fill(&mut self, present: BridgeEpoch) {
        let Some((first, _)) = self.0.first_key_value() else { return };
        let oldest = present.0.saturating_sub(EPOCHS);
        for epoch in first.0.max(oldest)..present.0 {
            self.note(BridgeEpoch(epoch), &[]);
        }
    }

    /// Returns the ends of an epoch. `None` if it is older than the last eight.
    #[must_use]
    pub fn of(&self, epoch: BridgeEpoch) -> Option<&LaneEnds> {
        self.0.get(&epoch)
    }

    /// Forgets a lane to a run that will never return.
    pub fn close(&mut self, lane: LaneKey) {
        for ends in self.0.values_mut() {
            ends.remove(&lane);
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_length(out, self.0.len());
        for (epoch, ends) in &self.0 {
            put_varint(out, u64::from(epoch.0));
            put_length(out, ends.len());
            for (lane, number) in ends {
                out.put_u32_le(lane.0);
                put_varint(out, *number);
            }
        }
    }

    /// Reads the ends. Bytes that follow are those of a newer version, and are skipped.
    pub(super) fn decode(fields: &mut BodyReader) -> Result<Self, InvalidMessage> {
        let mut all = BTreeMap::new();
        for _ in 0..fields.count(CLUSTER_EPOCHS)? {
            let epoch = u32::try_from(fields.varint()?);
            let epoch = epoch.map_err(|_| InvalidMessage::Field("epoch"))?;
            let mut ends = LaneEnds::new();
            // The common lane, and one to each host.
            for _ in 0..fields.count(CLUSTER_HOSTS_MAX + 1)? {
                let lane = LaneKey(fields.u32()?);
                ends.insert(lane, fields.varint()?);
            }
            all.insert(BridgeEpoch(epoch), ends);
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(lane: u32, number: u64) -> LanePoint {
        LanePoint { lane: LaneKey(lane), number }
    }

    #[test]
    fn the_ends_of_eight_epochs_are_kept_and_never_go_back() {
        let mut ends = EpochEnds::default();
        for epoch in 1..=10 {
            ends.note(BridgeEpoch(epoch), &[point(0, 5), point(9, 1)]);
            ends.note(BridgeEpoch(epoch), &[point(0, 4), point(9, 2)]);
        }
        assert_eq!(ends.of(BridgeEpoch(2)), None);
        let kept = LaneEnds::from([(LaneKey(0), 5), (LaneKey(9), 2)]);
        assert_eq!(ends.of(BridgeEpoch(3)), Some(&kept));
        ends.fill(BridgeEpoch(13));
        assert_eq!(ends.of(BridgeEpoch(4)), None);
        assert_eq!(ends.of(BridgeEpoch(12)), Some(&LaneEnds::new()), "nothing was carried");
        ends.close(LaneKey(9));
        assert_eq!(ends.of(BridgeEpoch(10)), Some(&LaneEnds::from([(LaneKey(0), 5)])));
        let mut bytes = Vec::new();
        ends.encode(&mut bytes);
        let mut fields = BodyReader(bytes.into());
        assert_eq!(EpochEnds::decode(&mut fields), Ok(ends));
        assert!(fields.is_empty());
    }
}

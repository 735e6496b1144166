//! Items of a lane, and how they are written in a batch.

mod body;

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

pub(super) use self::body::{BEFORE, PING, PONG, TOMBSTONE, is_for_clients};
pub use self::body::{ItemBody, ItemFault};
pub use super::lane_key::{LaneKey, LanePoint};
use super::wire::{BodyReader, InvalidMessage, put_length, put_varint, varint_bytes};
use crate::types::limits::{CLUSTER_HOSTS_MAX, CLUSTER_PART_BYTES_MAX};

/// Orders an item relative to other lanes of its sender: it comes after each of these points. An item of a private
/// lane names the common item before it, an item of the common lane those private lanes that have moved since
/// the common item before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence(pub SmallVec<[LanePoint; 1]>);

impl Fence {
    /// Returns the number that the fence names for a lane, or 0.
    #[must_use]
    pub fn number_in(&self, lane: LaneKey) -> u64 {
        self.0.iter().find(|point| point.lane == lane).map_or(0, |point| point.number)
    }
}

/// How much of an item a lane's number is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemPart {
    /// The whole item.
    Whole,
    /// The first part of a large item. The next number has the next part.
    First,
    /// A part between the first and the last.
    More,
    /// The last part of a large item.
    Last,
}

/// An item or a part of one, as it is in a batch. Its number follows from its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneItem {
    /// What it comes after.
    pub fence: Fence,
    /// How much of the item it is.
    pub part: ItemPart,
    /// The bytes of an [`ItemBody`], or a part of them.
    pub body: Bytes,
}

/// An item whose body is elsewhere, in two pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemFrame<'a> {
    pub(super) fence: &'a [LanePoint],
    pub(super) part: ItemPart,
    pub(super) body: [&'a [u8]; 2],
}

impl ItemFrame<'_> {
    /// Appends the item, preceded by its length.
    pub(super) fn encode(&self, lane: LaneKey, out: &mut Vec<u8>) {
        let Self { fence, part, body: [head, rest] } = self;
        let common = fence.iter().find(|point| point.lane == LaneKey::COMMON);
        let common = common.map_or(0, |point| point.number);
        let point_bytes = |point: &LanePoint| 4 + varint_bytes(point.number);
        let fence_bytes = match lane {
            LaneKey::COMMON => {
                let points: usize = fence.iter().map(point_bytes).sum();
                varint_bytes(fence.len() as u64) + points
            }
            _ => varint_bytes(common),
        };
        put_length(out, 1 + fence_bytes + head.len() + rest.len());
        out.put_u8(match part {
            ItemPart::Whole => 0,
            ItemPart::First => 1,
            ItemPart::More => 2,
            ItemPart::Last => 3,
        });
        if lane == LaneKey::COMMON {
            put_length(out, fence.len());
            for point in *fence {
                out.put_u32_le(point.lane.0);
                put_varint(out, point.number);
            }
        } else {
            put_varint(out, common);
        }
        out.put_slice(head);
        out.put_slice(rest);
    }

    /// Returns how many bytes [`ItemFrame::encode`] appends, at most.
    pub(super) fn bytes_max(&self) -> usize {
        let [head, rest] = self.body;
        16 + 14 * self.fence.len() + head.len() + rest.len()
    }
}

impl LaneItem {
    /// Appends the item, preceded by its length.
    pub(super) fn encode(&self, lane: LaneKey, out: &mut Vec<u8>) {
        let frame = ItemFrame { fence: &self.fence.0, part: self.part, body: [&self.body, &[]] };
        frame.encode(lane, out);
    }

    pub(super) fn decode(lane: LaneKey, bytes: Bytes) -> Result<Self, InvalidMessage> {
        let mut fields = BodyReader(bytes);
        let part = match fields.u8()? {
            0 => ItemPart::Whole,
            1 => ItemPart::First,
            2 => ItemPart::More,
            3 => ItemPart::Last,
            _ => return Err(InvalidMessage::Field("part")),
        };
        let mut fence = Fence::default();
        if lane == LaneKey::COMMON {
            for _ in 0..fields.count(CLUSTER_HOSTS_MAX)? {
                let lane = LaneKey(fields.u32()?);
                fence.0.push(LanePoint { lane, number: fields.varint()? });
            }
        } else {
            fence.0.push(LanePoint { lane: LaneKey::COMMON, number: fields.varint()? });
        }
        if fields.0.len() > CLUSTER_PART_BYTES_MAX {
            return Err(InvalidMessage::Field("part"));
        }
        Ok(Self { fence, part, body: fields.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::envelope::HostRun;

    #[test]
    fn the_key_of_a_private_lane_is_never_that_of_the_common_lane() {
        assert_eq!(LaneKey::private(HostRun(5 << 32)), LaneKey(1));
        assert_eq!(LaneKey::private(HostRun(5 << 32 | 77)), LaneKey(77));
    }
}

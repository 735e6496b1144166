//! Items that other hosts have requested again.

use std::collections::VecDeque;
use std::time::Instant;

use super::item::LaneKey;
use super::lanes_out::LanesOut;
use super::message::ClusterMessage;
use crate::types::HostId;
use crate::types::limits::{
    CLUSTER_REPAIR_BYTES_MAX, CLUSTER_REPAIR_PART, CLUSTER_REPAIR_RATE, CLUSTER_REPAIRS_MAX,
};

/// A range that a host has requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repair {
    pub(super) to: HostId,
    pub(super) lane: LaneKey,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Bytes that may still be sent for this request.
    bytes_left: usize,
    /// The end of what is lost, whose tombstone was sent.
    lost: Option<u64>,
}

impl Repair {
    pub(super) fn new(to: HostId, lane: LaneKey, first: u64, last: u64) -> Self {
        Self { to, lane, first, last, bytes_left: CLUSTER_REPAIR_BYTES_MAX, lost: None }
    }
}

/// A message to a host that has requested items.
#[derive(Debug)]
pub(super) struct RepairMessage {
    pub(super) to: HostId,
    pub(super) lane: LaneKey,
    pub(super) body: Vec<u8>,
    pub(super) items: u64,
}

/// Open requests of other hosts, at most one for each host and lane, and what may be sent for them.
#[derive(Debug)]
pub(super) struct Repairs {
    open: VecDeque<Repair>,
    /// Bytes that may be sent now.
    allowance: u64,
    refilled: Instant,
}

impl Repairs {
    pub(super) fn new(now: Instant) -> Self {
        let allowance = CLUSTER_REPAIR_BYTES_MAX as u64;
        Self { open: VecDeque::new(), allowance, refilled: now }
    }

    /// Adds a request. A later one of a host for a lane takes the place of the earlier one. One too many is
    /// ignored: its host repeats it.
    pub(super) fn request(&mut self, repair: Repair) {
        let is_same = |it: &&mut Repair| (it.to, it.lane) == (repair.to, repair.lane);
        let count = self.open.len();
        if let Some(earlier) = self.open.iter_mut().find(is_same) {
            *earlier = repair;
        } else if count < CLUSTER_REPAIRS_MAX {
            self.open.push_back(repair);
        }
    }

    /// Forgets the requests of a host.
    pub(super) fn remove(&mut self, host: HostId) {
        self.open.retain(|repair| repair.to != host);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Notes bytes that were sent for the first time: a part of them may be sent again.
    pub(super) fn note_sent(&mut self, bytes: usize) {
        self.refill(bytes as u64 / (CLUSTER_REPAIR_PART - 1));
    }

    fn refill(&mut self, bytes: u64) {
        self.allowance = (self.allowance + bytes).min(CLUSTER_REPAIR_BYTES_MAX as u64);
    }

    /// Returns the next message, the requests in turn.
    pub(super) fn next(&mut self, lanes: &LanesOut, now: Instant) -> Option<RepairMessage> {
        let since = now.saturating_duration_since(self.refilled);
        let earned = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let earned = earned.saturating_mul(CLUSTER_REPAIR_RATE) / 1_000_000;
        if earned > 0 {
            self.refilled = now;
            self.refill(earned);
        }
        while self.allowance > 0
            && let Some(repair) = self.open.pop_front()
        {
            if let Some(message) = self.message(repair, lanes) {
                return Some(message);
            }
        }
        None
    }

    fn message(&mut self, mut repair: Repair, lanes: &LanesOut) -> Option<RepairMessage> {
        let Repair { to, lane, first, last, .. } = repair;
        if let Some(up_to) = repair.lost {
            let body = ClusterMessage::Lost { lane, up_to }.encode();
            return Some(RepairMessage { to, lane, body, items: 0 });
        }
        let lost = lanes.lost_up_to(lane);
        if let Some(repeat) = lanes.repeat(lane, first, last) {
            let bytes = repeat.body.len();
            self.allowance = self.allowance.saturating_sub(bytes as u64);
            repair.first = repeat.next;
            repair.bytes_left = repair.bytes_left.saturating_sub(bytes);
            if repair.first <= last && repair.bytes_left > 0 {
                self.open.push_back(repair);
            }
            return Some(RepairMessage { to, lane, body: repeat.body, items: repeat.next - first });
        }
        if first > lost {
            return None;
        }
        if lost < last {
            self.open.push_back(Repair { first: lost + 1, ..repair });
        }
        // With the tombstone before it, the receiver knows how many of the lost items were for clients.
        self.open.push_front(Repair { lost: Some(lost), ..repair });
        let body = lanes.tombstone(lane)?;
        Some(RepairMessage { to, lane, body, items: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::item::ItemBody;
    use super::super::replay_buffer::ReplayBounds;
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary time for a test")]
    fn start(bytes: usize) -> (LanesOut, Repairs, Instant) {
        let now = Instant::now();
        let bounds = ReplayBounds { bytes, ..ReplayBounds::default() };
        let mut lanes = LanesOut::new(bounds, &[1], now);
        for _ in 0..60 {
            lanes.append(LaneKey::COMMON, [&[5; 50_000][..], &[]], now);
        }
        (lanes, Repairs::new(now), now)
    }

    fn request(first: u64, last: u64) -> Repair {
        Repair::new(HostId(2), LaneKey::COMMON, first, last)
    }

    #[test]
    fn an_answer_has_at_most_a_mebibyte_and_a_rate() {
        let (lanes, mut repairs, now) = start(usize::MAX);
        repairs.request(request(2, 61));
        let sent = |repairs: &mut Repairs, now| -> u64 {
            std::iter::from_fn(|| repairs.next(&lanes, now)).map(|it| it.items).sum()
        };
        let first = sent(&mut repairs, now);
        assert!((20..=21).contains(&first), "{first}");
        assert!(repairs.is_empty(), "the rest is requested again");
        repairs.request(request(2 + first, 61));
        assert_eq!(sent(&mut repairs, now), 0, "too much was sent again");
        let later = now + Duration::from_millis(16);
        assert!((5..=6).contains(&sent(&mut repairs, later)), "16 MiB a second");
        repairs.note_sent(300_000);
        assert!((2..=3).contains(&sent(&mut repairs, later)), "a third of what is sent once");
    }

    #[test]
    fn what_is_not_kept_is_answered_as_lost() {
        let (lanes, mut repairs, now) = start(120_000);
        repairs.request(request(2, 61));
        let next = |repairs: &mut Repairs| {
            let message = repairs.next(&lanes, now)?;
            ClusterMessage::decode(message.body.into()).ok()
        };
        let Some(ClusterMessage::Batch(batch)) = next(&mut repairs) else { panic!() };
        let item = batch.items[0].body.clone();
        assert!(matches!(ItemBody::decode(item), Ok(ItemBody::Lost(_))), "{batch:?}");
        assert_eq!((batch.first, batch.items.len()), (59, 1));
        let lost = ClusterMessage::Lost { lane: LaneKey::COMMON, up_to: 59 };
        assert_eq!(next(&mut repairs), Some(lost));
        let Some(ClusterMessage::Batch(batch)) = next(&mut repairs) else { panic!() };
        assert_eq!((batch.first, batch.items.len()), (60, 1));
    }

    #[test]
    fn requests_are_bounded_and_a_later_one_replaces_the_earlier() {
        let (_, mut repairs, _) = start(usize::MAX);
        repairs.request(request(2, 61));
        repairs.request(request(40, 61));
        assert_eq!(repairs.open.len(), 1);
        for host in 0..2000 {
            repairs.request(Repair { to: HostId(host), ..request(1, 2) });
        }
        assert_eq!(repairs.open.len(), CLUSTER_REPAIRS_MAX);
        repairs.remove(HostId(2));
        assert_eq!(repairs.open.len(), CLUSTER_REPAIRS_MAX - 1);
    }
}

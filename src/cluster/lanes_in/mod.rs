//! The lanes of one other host: its items in its order, gaps, and the change to another epoch.

mod held;
mod lane;
mod repair_timer;

use std::time::Instant;

use bytes::Bytes;

pub use self::held::HeldBounds;
pub(super) use self::held::HeldMemory;
pub(super) use self::lane::Hole;
pub use self::lane::PassedSources;
use self::lane::{LaneIn, LaneStep};
use self::repair_timer::RepairTimer;
use super::carried::CarriedPublication;
use super::envelope::BridgeEpoch;
use super::hello::EpochEnds;
use super::item::{ItemBody, ItemFault, LaneItem, LaneKey, LanePoint};
use super::lost_items::{ItemHead, LostItems};
use super::taken::TakenLanes;

/// Why items of a lane will never be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GapReason {
    /// Their sender no longer has them.
    ReplayBuffer,
    /// The bridge of their sender was replaced.
    Epoch,
    /// Their sender is gone, or has not sent to this host for a while.
    HostGone,
    /// A large item exceeds the memory for one.
    Memory,
    /// They are of a version that this host does not understand.
    Version,
    /// Their sender had no bridge for so long that it did not keep them.
    NotSent,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::ReplayBuffer,
        Self::Epoch,
        Self::HostGone,
        Self::Memory,
        Self::Version,
        Self::NotSent,
    ];

    /// Returns the word for this reason in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReplayBuffer => "replay_buffer",
            Self::Epoch => "epoch",
            Self::HostGone => "host_gone",
            Self::Memory => "memory",
            Self::Version => "version",
            Self::NotSent => "not_sent",
        }
    }
}

/// What another host has sent, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// A publication, with its place.
    Publication { epoch: BridgeEpoch, point: LanePoint, publication: CarriedPublication },
    /// Items are missing. `None` if their number is not known.
    Gap { lost: Option<LostItems>, reason: GapReason },
    /// A publication that has been passed on before.
    Repeated,
    /// A ping, with its number.
    Ping { lane: LaneKey, number: u64 },
    /// The answer to a ping.
    Pong { lane: LaneKey, number: u64 },
}

/// A request for items, of the present epoch or the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneRequest {
    pub(super) epoch: BridgeEpoch,
    pub(super) lane: LaneKey,
    pub(super) hole: Hole,
}

/// The lanes of one run of another host to this host.
#[derive(Debug)]
pub(super) struct LanesIn {
    epoch: BridgeEpoch,
    /// A later epoch, whose hello has not arrived.
    awaited: Option<BridgeEpoch>,
    hello_timer: RepairTimer,
    common: LaneIn,
    /// The number of the private lane that comes before the common lane goes on.
    common_after: u64,
    private: LaneIn,
    /// Bytes that both lanes hold.
    held: usize,
    bounds: HeldBounds,
}

impl LanesIn {
    /// Continues lanes after the places that were taken. `private` is the lane to this host.
    pub(super) fn new(taken: &TakenLanes, private: LaneKey, bounds: HeldBounds) -> Self {
        let (common, own) = (&taken.common, &taken.private);
        let mut lanes = Self {
            epoch: taken.epoch,
            awaited: None,
            hello_timer: RepairTimer::default(),
            common: LaneIn::new(LaneKey::COMMON, common.number, common.sources.clone()),
            common_after: taken.common_after,
            private: LaneIn::new(private, own.number, own.sources.clone()),
            held: 0,
            bounds,
        };
        lanes.note_numbers(0, taken.common_after);
        lanes
    }

    pub(super) fn epoch(&self) -> BridgeEpoch {
        self.epoch
    }

    /// Returns the lanes' places, for the next bridge of this host.
    pub(super) fn taken(&self, taken: &mut TakenLanes) {
        taken.epoch = self.epoch;
        taken.common.number = self.common.passed();
        taken.common.sources = self.common.sources.clone();
        taken.common_after = self.common_after;
        taken.private.number = self.private.passed();
        taken.private.sources = self.private.sources.clone();
    }

    /// Returns how many items wait for earlier ones.
    pub(super) fn held_items(&self) -> usize {
        self.common.held.len() + self.private.held.len()
    }

    /// Returns whether items are missing, as far as is known.
    pub(super) fn is_behind(&self) -> bool {
        let lacks = |lane: &LaneIn| lane.next <= lane.known;
        self.awaited.is_some() || lacks(&self.common) || lacks(&self.private)
    }

    /// Returns how many items are known that were not passed on.
    pub(super) fn behind(&self) -> u64 {
        let lacks = |lane: &LaneIn| (lane.known + 1).saturating_sub(lane.next);
        lacks(&self.common) + lacks(&self.private)
    }

    /// Returns whether a message of an epoch is about the present one. Notes a later one.
    pub(super) fn is_present(&mut self, epoch: BridgeEpoch) -> bool {
        if epoch > self.awaited.unwrap_or(self.epoch) {
            self.awaited = Some(epoch);
            self.hello_timer = RepairTimer::default();
        }
        epoch == self.epoch
    }

    /// The sender's lanes reach these numbers.
    pub(super) fn note_numbers(&mut self, common: u64, private: u64) {
        self.common.known = self.common.known.max(common);
        self.private.known = self.private.known.max(private);
    }

    /// The sender no longer has items up to a number.
    pub(super) fn lose(&mut self, lane: LaneKey, up_to: u64) {
        if let Some(lane) = self.lane(lane) {
            lane.lose(up_to);
        }
    }

    fn lane(&mut self, lane: LaneKey) -> Option<&mut LaneIn> {
        match lane {
            LaneKey::COMMON => Some(&mut self.common),
            lane if lane == self.private.key => Some(&mut self.private),
            _ => None,
        }
    }

    /// Takes an item of the present epoch. Returns false if it is not needed, or there is no room for it.
    pub(super) fn offer(&mut self, point: LanePoint, item: LaneItem, total: &mut usize) -> bool {
        let private = self.private.key;
        let (to_common, to_private) =
            (item.fence.number_in(LaneKey::COMMON), item.fence.number_in(private));
        // A number that a fence names exists, so it is requested if it does not arrive.
        self.note_numbers(to_common, to_private);
        let mut memory = HeldMemory { bounds: self.bounds, host: &mut self.held, total };
        match point.lane {
            LaneKey::COMMON => self.common.offer(point.number, item, &mut memory),
            lane if lane == private => self.private.offer(point.number, item, &mut memory),
            _ => false,
        }
    }

    /// Begins a later epoch with its hello, the first item of its common lane. What was carried in earlier epochs
    /// is passed on or is a gap. What was not carried is sent again.
    pub(super) fn begin_epoch(
        &mut self,
        epoch: BridgeEpoch,
        hello: &EpochEnds,
        total: &mut usize,
    ) -> Vec<Passed> {
        let mut passed = Vec::new();
        // The loop ends at the first epoch that the hello does not know, so it has at most a few turns.
        for earlier in self.epoch.0..epoch.0 {
            let ends = hello.of(BridgeEpoch(earlier));
            if let Some(ends) = ends {
                let end = |lane| ends.get(&lane).copied().unwrap_or(0);
                let private = end(self.private.key);
                let mut memory = HeldMemory { bounds: self.bounds, host: &mut self.held, total };
                self.common.cut_after(end(LaneKey::COMMON), &mut memory);
                self.private.cut_after(private, &mut memory);
                self.common.pass_over_hello();
                self.finish(GapReason::Epoch, total, &mut passed);
            }
            // Nothing of what was carried waits for something that was not.
            let left = self.held_items() as u64;
            if ends.is_some() && left > 0 {
                let lost = Some(LostItems::unknown(left));
                passed.push(Passed::Gap { lost, reason: GapReason::Epoch });
            }
            let mut memory = HeldMemory { bounds: self.bounds, host: &mut self.held, total };
            self.common.restart(&mut memory);
            self.private.restart(&mut memory);
            self.common_after = 0;
            if ends.is_none() {
                passed.push(Passed::Gap { lost: None, reason: GapReason::Epoch });
                break;
            }
        }
        self.epoch = epoch;
        self.awaited = self.awaited.filter(|awaited| *awaited > epoch);
        passed
    }

    /// Passes on all that is held, and counts what is missing.
    pub(super) fn finish(
        &mut self,
        reason: GapReason,
        total: &mut usize,
        passed: &mut Vec<Passed>,
    ) {
        loop {
            self.pass(usize::MAX, total, passed);
            let mut memory = HeldMemory { bounds: self.bounds, host: &mut self.held, total };
            let lost = self.common.skip_hole(&mut memory).and(self.private.skip_hole(&mut memory));
            if lost.all == 0 {
                return;
            }
            passed.push(Passed::Gap { lost: Some(lost), reason });
        }
    }

    /// Passes on the items whose turn it is, up to a number. Returns how many.
    pub(super) fn pass(
        &mut self,
        most: usize,
        total: &mut usize,
        passed: &mut Vec<Passed>,
    ) -> usize {
        let mut count = 0;
        while count < most {
            let mut memory = HeldMemory { bounds: self.bounds, host: &mut self.held, total };
            let lost = self.common.skip_lost(&mut memory).and(self.private.skip_lost(&mut memory));
            if lost.all > 0 {
                let reason = GapReason::ReplayBuffer;
                passed.push(Passed::Gap { lost: Some(lost), reason });
            }
            let may_go_on = self.common_after < self.private.next;
            let lane = if may_go_on && self.common.is_ready_after(&self.private) {
                &mut self.common
            } else if self.private.is_ready_after(&self.common) {
                &mut self.private
            } else {
                return count;
            };
            let number = lane.next;
            if let Some(step) = lane.step(&mut memory) {
                let item = understood(lane, self.epoch, number, step);
                item.into_iter().for_each(|item| add(passed, item));
            }
            count += 1;
        }
        count
    }

    /// Gives all memory back. The lanes are not used after that.
    pub(super) fn release(&mut self, total: &mut usize) {
        let mut memory = HeldMemory { bounds: self.bounds, host: &mut self.held, total };
        self.common.restart(&mut memory);
        self.private.restart(&mut memory);
    }

    /// Returns the requests that are due. `jitter` returns random numbers.
    pub(super) fn due_requests(
        &mut self,
        now: Instant,
        jitter: &mut impl FnMut() -> u64,
    ) -> Vec<LaneRequest> {
        let mut requests = Vec::new();
        let first = self.awaited.map(|_| 1);
        if self.hello_timer.due(first, now, jitter())
            && let Some(epoch) = self.awaited
        {
            let hole = Hole { first: 1, last: 1 };
            requests.push(LaneRequest { epoch, lane: LaneKey::COMMON, hole });
        }
        let epoch = self.epoch;
        if self.awaited.is_some() {
            // The bridge of the present epoch is dead.
            return requests;
        }
        for lane in [&mut self.common, &mut self.private] {
            let due = lane.due_request(now, jitter());
            requests.extend(due.map(|hole| LaneRequest { epoch, lane: lane.key, hole }));
        }
        requests
    }

    /// Returns when a request may be due.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let timers = [self.hello_timer, self.common.timer, self.private.timer];
        timers.iter().filter_map(RepairTimer::wake_at).min()
    }
}

/// Adds what has passed. Lost items and the tombstone after them are one gap.
fn add(passed: &mut Vec<Passed>, item: Passed) {
    if let Some(Passed::Gap { lost: Some(before), reason }) = passed.last_mut()
        && let Passed::Gap { lost: Some(last), reason: of_last } = &item
        && reason == of_last
    {
        *before = before.and(*last);
        return;
    }
    passed.push(item);
}

/// Returns what an item of a lane is.
fn understood(
    lane: &mut LaneIn,
    epoch: BridgeEpoch,
    number: u64,
    step: LaneStep,
) -> Option<Passed> {
    let gap = |lost, reason| Some(Passed::Gap { lost: Some(lost), reason });
    let body: Bytes = match step {
        LaneStep::Item(body) => body,
        LaneStep::Part => return None,
        LaneStep::TooLarge => return gap(LostItems::FOR_CLIENTS, GapReason::Memory),
    };
    let lost_item = ItemHead::of(&body).lost();
    match ItemBody::decode(body) {
        Ok(ItemBody::Publication(publication)) => {
            let CarriedPublication { source, number: of_source, .. } = publication;
            if publication.is_repeated && lane.sources.has(source, of_source) {
                return Some(Passed::Repeated);
            }
            lane.sources.note(source, of_source);
            let point = LanePoint { lane: lane.key, number };
            Some(Passed::Publication { epoch, point, publication })
        }
        Ok(ItemBody::Missing(lost)) => gap(lost, GapReason::NotSent),
        Ok(ItemBody::Lost(_)) => gap(lost_item, GapReason::ReplayBuffer),
        Ok(ItemBody::Ping(number)) => Some(Passed::Ping { lane: lane.key, number }),
        Ok(ItemBody::Pong(number)) => Some(Passed::Pong { lane: lane.key, number }),
        Ok(ItemBody::Hello(_) | ItemBody::Skipped) => None,
        Err(ItemFault::Unknown(_) | ItemFault::Invalid(_)) => gap(lost_item, GapReason::Version),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cluster::envelope::HostRun;
    use crate::cluster::item::{Fence, ItemPart};
    use crate::cluster::taken::LaneStart;

    const OWN: LaneKey = LaneKey(2);

    fn item(after_common: u64, body: Bytes) -> LaneItem {
        let after = LanePoint { lane: LaneKey::COMMON, number: after_common };
        LaneItem { fence: Fence([after].into_iter().collect()), part: ItemPart::Whole, body }
    }

    #[test]
    fn what_comes_after_a_hello_that_never_arrived_is_not_lost() {
        let taken = TakenLanes::begin(HostRun(1), BridgeEpoch(1), LaneStart::default());
        let mut lanes = LanesIn::new(&taken, OWN, HeldBounds::default());
        let (mut total, mut passed) = (0, Vec::new());
        // An item that stands for three publications, which is easily told from others.
        let three = item(1, ItemBody::missing(LostItems::unknown(3)));
        assert!(lanes.offer(LanePoint { lane: OWN, number: 1 }, three, &mut total));
        lanes.pass(usize::MAX, &mut total, &mut passed);
        assert_eq!(passed, [], "it waits for the hello");
        let mut hello = EpochEnds::default();
        hello.note(BridgeEpoch(1), &[LanePoint { lane: OWN, number: 2 }]);
        let passed = lanes.begin_epoch(BridgeEpoch(2), &hello, &mut total);
        let gap = |items, reason| Passed::Gap { lost: Some(LostItems::unknown(items)), reason };
        assert_eq!(passed, [gap(3, GapReason::NotSent), gap(1, GapReason::Epoch)]);
        assert_eq!((lanes.held_items(), total), (0, 0));
    }
}

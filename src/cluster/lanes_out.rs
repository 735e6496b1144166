//! The lanes of this host: numbers, fences, and batches of what was not sent yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::envelope::UnsealedMessage;
use super::item::{ItemFrame, ItemPart, LaneKey, LanePoint};
use super::message::{BATCH_HEAD_BYTES, batch_head};
use super::replay_buffer::{ReplayBounds, ReplayBuffer};
use crate::types::limits::{
    CLUSTER_BODY_BYTES_MAX, CLUSTER_PART_BYTES_MAX, CLUSTER_SMALL_BATCHES,
    CLUSTER_SMALL_BATCHES_MIN, CLUSTER_UNCONFIRMED_BYTES_MAX,
};

/// A lane of this host in the present epoch.
#[derive(Debug, Default)]
struct LaneOut {
    /// The last number.
    last: u64,
    /// The last number that the NATS server has taken.
    confirmed: u64,
    /// The next batch that is not full is not sent before.
    next_small: Option<Instant>,
}

/// A batch that is not full. Its items have consecutive numbers.
#[derive(Debug)]
struct OpenBatch {
    /// Order of its first item.
    first_order: u64,
    next_number: u64,
    message: UnsealedMessage,
}

/// A batch that is ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReadyBatch {
    pub(super) lane: LaneKey,
    pub(super) message: UnsealedMessage,
}

/// All lanes of this host.
#[derive(Debug)]
pub(super) struct LanesOut {
    buffer: ReplayBuffer,
    lanes: BTreeMap<LaneKey, LaneOut>,
    /// Private lanes that have moved since the last item of the common lane, with their last numbers.
    moved: BTreeMap<LaneKey, u64>,
    /// The first item of the common lane, encoded. It is never dropped.
    hello: Vec<u8>,
    open: BTreeMap<LaneKey, OpenBatch>,
    /// Order of the last item that is in a batch.
    batched: u64,
    /// Order of the last item that the NATS server has taken.
    confirmed: u64,
    /// Items that were dropped before the NATS server had taken them.
    evicted_unconfirmed: u64,
}

impl LanesOut {
    /// Creates the lanes of an epoch, which begin with its hello.
    pub(super) fn new(bounds: ReplayBounds, hello: &[u8], now: Instant) -> Self {
        let (mut encoded, body) = (Vec::new(), [hello, &[]]);
        ItemFrame { fence: &[], part: ItemPart::Whole, body }.encode(LaneKey::COMMON, &mut encoded);
        let mut lanes = Self {
            buffer: ReplayBuffer::new(bounds),
            lanes: BTreeMap::from([(LaneKey::COMMON, LaneOut::default())]),
            moved: BTreeMap::new(),
            hello: encoded,
            open: BTreeMap::new(),
            batched: 0,
            confirmed: 0,
            evicted_unconfirmed: 0,
        };
        lanes.append(LaneKey::COMMON, body, now);
        lanes
    }

    /// Opens a private lane. A lane that is open continues.
    pub(super) fn open_lane(&mut self, lane: LaneKey) {
        self.lanes.entry(lane).or_default();
    }

    /// Ends a lane to a run that never returns.
    pub(super) fn close_lane(&mut self, lane: LaneKey) {
        self.lanes.remove(&lane);
        self.moved.remove(&lane);
        self.open.remove(&lane);
        self.buffer.close(lane);
    }

    /// Numbers an item, whose body is two pieces, in parts if it is large. Returns its last point.
    pub(super) fn append(&mut self, lane: LaneKey, body: [&[u8]; 2], now: Instant) -> LanePoint {
        let [head, rest] = body;
        let number = if head.len() + rest.len() <= CLUSTER_PART_BYTES_MAX {
            self.append_part(lane, ItemPart::Whole, body, now)
        } else {
            self.append_parts(lane, &body.concat(), now)
        };
        self.skip_dropped();
        LanePoint { lane, number }
    }

    /// Returns the number of the last part.
    fn append_parts(&mut self, lane: LaneKey, body: &[u8], now: Instant) -> u64 {
        let parts = body.chunks(CLUSTER_PART_BYTES_MAX);
        let (mut number, count) = (0, parts.len());
        for (place, chunk) in (1..).zip(parts) {
            let part = match place {
                1 => ItemPart::First,
                place if place == count => ItemPart::Last,
                _ => ItemPart::More,
            };
            number = self.append_part(lane, part, [chunk, &[]], now);
        }
        number
    }

    fn append_part(
        &mut self,
        lane: LaneKey,
        part: ItemPart,
        body: [&[u8]; 2],
        now: Instant,
    ) -> u64 {
        let points: SmallVec<[LanePoint; 1]> = if lane == LaneKey::COMMON {
            let moved = std::mem::take(&mut self.moved);
            moved.into_iter().map(|(lane, number)| LanePoint { lane, number }).collect()
        } else {
            let number = self.last_of(LaneKey::COMMON);
            std::iter::once(LanePoint { lane: LaneKey::COMMON, number }).collect()
        };
        let of_lane = self.lanes.entry(lane).or_default();
        of_lane.last += 1;
        let number = of_lane.last;
        if lane != LaneKey::COMMON {
            self.moved.insert(lane, number);
        }
        let item = ItemFrame { fence: &points, part, body };
        self.buffer.push(lane, number, item, now);
        number
    }

    /// Returns the last number of a lane.
    pub(super) fn last_of(&self, lane: LaneKey) -> u64 {
        self.lanes.get(&lane).map_or(0, |lane| lane.last)
    }

    /// Returns the last number of a lane that other hosts can be expected to have, or to request. What was dropped
    /// will never be sent, so it is included.
    pub(super) fn confirmed_of(&self, lane: LaneKey) -> u64 {
        let confirmed = self.lanes.get(&lane).map_or(0, |lane| lane.confirmed);
        confirmed.max(self.buffer.dropped_up_to(lane))
    }

    /// Returns the order of the last item.
    pub(super) fn last_order(&self) -> u64 {
        self.buffer.last()
    }

    /// Returns the order of the last item that the NATS server has taken, or that was dropped.
    pub(super) fn confirmed_order(&self) -> u64 {
        self.confirmed
    }

    /// Returns the order up to which all items were returned by [`LanesOut::next_batch`].
    pub(super) fn sent_order(&self) -> u64 {
        let first_open = self.open.values().map(|batch| batch.first_order).min();
        first_open.map_or(self.batched, |first| first - 1)
    }

    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer.bytes()
    }

    pub(super) fn evicted_unconfirmed(&self) -> u64 {
        self.evicted_unconfirmed
    }

    /// The NATS server has taken everything up to this order.
    pub(super) fn confirm(&mut self, order: u64) {
        for order in self.confirmed + 1..=order {
            if let Some(numbered) = self.buffer.get(order)
                && let Some(lane) = self.lanes.get_mut(&numbered.lane)
            {
                lane.confirmed = numbered.number;
            }
        }
        self.confirmed = self.confirmed.max(order);
    }

    /// Everything that was not confirmed is sent again, because the connection was lost.
    pub(super) fn rewind(&mut self) {
        self.open.clear();
        self.batched = self.confirmed;
    }

    /// Drops items that are too old.
    pub(super) fn expire(&mut self, now: Instant) {
        self.buffer.expire(now);
        self.skip_dropped();
    }

    fn skip_dropped(&mut self) {
        let dropped = self.buffer.first() - 1;
        self.evicted_unconfirmed += dropped.saturating_sub(self.confirmed);
        self.confirmed = self.confirmed.max(dropped);
        self.batched = self.batched.max(dropped);
    }

    /// Returns the next batch: a full one, or one whose lane may send a small one now.
    pub(super) fn next_batch(&mut self, now: Instant, pause: Duration) -> Option<ReadyBatch> {
        while self.may_send_more()
            && let Some(numbered) = self.buffer.get(self.batched + 1)
        {
            let (lane, number) = (numbered.lane, numbered.number);
            let fits = |batch: &OpenBatch| {
                let bytes = batch.message.body_bytes() + numbered.encoded_bytes();
                number == batch.next_number && bytes <= CLUSTER_BODY_BYTES_MAX
            };
            if self.open.get(&lane).is_some_and(|batch| !fits(batch)) {
                let full = self.open.remove(&lane)?;
                return Some(ReadyBatch { lane, message: full.message });
            }
            self.batched += 1;
            if self.lanes.contains_key(&lane) {
                let first_order = self.batched;
                let batch = self.open.entry(lane).or_insert_with(|| OpenBatch {
                    first_order,
                    next_number: number,
                    message: new_batch(lane, number),
                });
                batch.message.append(self.buffer.encoding(numbered));
                batch.next_number += 1;
            }
        }
        self.next_small(now, pause)
    }

    /// Returns whether more may be sent before the NATS server has confirmed what was sent.
    fn may_send_more(&self) -> bool {
        let sent = self.buffer.bytes_up_to(self.batched);
        let confirmed = self.buffer.bytes_up_to(self.confirmed);
        sent - confirmed < CLUSTER_UNCONFIRMED_BYTES_MAX as u64
    }

    fn next_small(&mut self, now: Instant, pause: Duration) -> Option<ReadyBatch> {
        let is_due = |lane: &LaneKey| {
            let next = self.lanes.get(lane).and_then(|lane| lane.next_small);
            next.is_none_or(|next| next <= now)
        };
        let lane = self.open.keys().copied().find(is_due)?;
        let batch = self.open.remove(&lane)?;
        if let Some(of_lane) = self.lanes.get_mut(&lane) {
            of_lane.next_small = Some(now + pause);
        }
        Some(ReadyBatch { lane, message: batch.message })
    }

    /// Returns when the next small batch may be sent, if there is one.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.open.keys().filter_map(|lane| self.lanes.get(lane)?.next_small).min()
    }

    /// Returns a batch of kept items from a number on, and the number after it. `None` if the item is not kept.
    pub(super) fn repeat(&self, lane: LaneKey, first: u64, last: u64) -> Option<Repeat> {
        let mut body = batch_head(lane, first);
        let mut next = first;
        while next <= last
            && let Some(item) = self.kept(lane, next)
            && (next == first || body.len() + item.len() <= CLUSTER_BODY_BYTES_MAX)
        {
            body.extend_from_slice(item);
            next += 1;
        }
        (next > first).then_some(Repeat { body, next })
    }

    /// Returns the encoding of an item.
    fn kept(&self, lane: LaneKey, number: u64) -> Option<&[u8]> {
        let kept = self.buffer.find(lane, number).map(|numbered| self.buffer.encoding(numbered));
        let is_hello = lane == LaneKey::COMMON && number == 1;
        kept.or(if is_hello { Some(&self.hello) } else { None })
    }

    /// Returns how many numbers of a lane were of items for clients.
    pub(super) fn numbers_for_clients(&self, lane: LaneKey) -> u64 {
        self.buffer.numbers_for_clients(lane)
    }

    /// Returns a batch with what stands for the last item of a lane that is not kept any more.
    pub(super) fn tombstone(&self, lane: LaneKey) -> Option<Vec<u8>> {
        let (number, body) = (self.lost_up_to(lane), self.buffer.tombstone(lane)?.encode());
        let mut batch = batch_head(lane, number);
        let body = [&body[..], &[]];
        ItemFrame { fence: &[], part: ItemPart::Whole, body }.encode(lane, &mut batch);
        Some(batch)
    }

    /// Returns the last number of a lane that is not kept any more, or 0.
    pub(super) fn lost_up_to(&self, lane: LaneKey) -> u64 {
        self.buffer.dropped_up_to(lane)
    }
}

/// Items that are sent again.
#[derive(Debug)]
pub(super) struct Repeat {
    pub(super) body: Vec<u8>,
    /// The number after them.
    pub(super) next: u64,
}

fn new_batch(lane: LaneKey, first: u64) -> UnsealedMessage {
    let mut message = UnsealedMessage::default();
    message.append(&batch_head(lane, first));
    message
}

/// Returns the pause between two small batches of a lane, so that hosts together send no more than
/// [`CLUSTER_SMALL_BATCHES`] a second to each host.
pub(super) fn pause_between_small_batches(other_hosts: usize) -> Duration {
    let other_hosts = u32::try_from(other_hosts.max(1)).unwrap_or(u32::MAX);
    let rate = (CLUSTER_SMALL_BATCHES / other_hosts).max(CLUSTER_SMALL_BATCHES_MIN);
    Duration::from_secs(1) / rate
}

const _: () = assert!(
    BATCH_HEAD_BYTES + CLUSTER_PART_BYTES_MAX < CLUSTER_BODY_BYTES_MAX,
    "each part fits a batch"
);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::item::LaneItem;
    use super::super::message::ClusterMessage;
    use super::*;

    const PRIVATE: LaneKey = LaneKey(7);
    const NO_PAUSE: Duration = Duration::ZERO;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary time for a test")]
    fn start(bounds: ReplayBounds) -> (LanesOut, Instant) {
        let now = Instant::now();
        let mut lanes = LanesOut::new(bounds, b"hello", now);
        lanes.open_lane(PRIVATE);
        (lanes, now)
    }

    /// The body of an item with at most 200,000 bytes.
    fn bytes(count: usize) -> [&'static [u8]; 2] {
        let (head, rest) = [5; 200_000][..count].split_at(count / 3);
        [head, rest]
    }

    /// Returns everything that may be sent now, as lane, first number and items.
    fn sent(lanes: &mut LanesOut, now: Instant) -> Vec<(LaneKey, u64, Vec<LaneItem>)> {
        let mut all = Vec::new();
        while let Some(batch) = lanes.next_batch(now, NO_PAUSE) {
            let body = Bytes::copy_from_slice(batch.message.body());
            assert!(body.len() <= CLUSTER_BODY_BYTES_MAX, "{} bytes", body.len());
            let Ok(ClusterMessage::Batch(read)) = ClusterMessage::decode(body) else {
                panic!("not a batch");
            };
            all.push((read.lane, read.first, read.items));
        }
        all
    }

    #[test]
    fn items_of_a_lane_are_joined_and_fences_name_the_other_lane() {
        let (mut lanes, now) = start(ReplayBounds::default());
        for lane in [PRIVATE, PRIVATE, LaneKey::COMMON, LaneKey::COMMON, PRIVATE] {
            lanes.append(lane, bytes(3), now);
        }
        let batches = sent(&mut lanes, now);
        let fences = |batch: &(LaneKey, u64, Vec<LaneItem>), lane| -> Vec<u64> {
            batch.2.iter().map(|item| item.fence.number_in(lane)).collect()
        };
        let [common, private] = &batches[..] else { panic!("{batches:?}") };
        assert_eq!((common.0, common.1), (LaneKey::COMMON, 1));
        assert_eq!(fences(common, PRIVATE), [0, 2, 0], "the hello, and two items");
        assert_eq!((private.0, private.1), (PRIVATE, 1));
        assert_eq!(fences(private, LaneKey::COMMON), [1, 1, 3]);
        assert_eq!(lanes.sent_order(), lanes.last_order());
    }

    #[test]
    fn a_large_item_is_sent_in_parts_that_fit_a_message() {
        let (mut lanes, now) = start(ReplayBounds::default());
        let point = lanes.append(LaneKey::COMMON, bytes(200_000), now);
        assert_eq!(point.number, 1 + 4);
        let items: Vec<LaneItem> =
            sent(&mut lanes, now).into_iter().flat_map(|(_, _, items)| items).collect();
        let parts: Vec<ItemPart> = items.iter().map(|item| item.part).collect();
        use ItemPart::{First, Last, More, Whole};
        assert_eq!(parts, [Whole, First, More, More, Last]);
        assert_eq!(items.iter().map(|item| item.body.len()).sum::<usize>(), 5 + 200_000);
    }

    #[test]
    fn no_more_than_16_mib_are_sent_without_a_confirmation() {
        let (mut lanes, now) = start(ReplayBounds::default());
        for _ in 0..24 * 20 {
            lanes.append(LaneKey::COMMON, bytes(50_000), now);
        }
        let count = |lanes: &mut LanesOut| -> usize {
            let items = sent(lanes, now).into_iter().flat_map(|(_, _, items)| items);
            items.map(|item| item.body.len()).sum()
        };
        let first = count(&mut lanes);
        assert!(first.abs_diff(CLUSTER_UNCONFIRMED_BYTES_MAX) < 500_000, "{first}");
        assert_eq!(count(&mut lanes), 0);
        lanes.confirm(lanes.sent_order());
        assert_eq!(first + count(&mut lanes), 5 + 24 * 20 * 50_000);
    }

    #[test]
    fn small_batches_are_paced_and_full_ones_are_not() {
        let (mut lanes, now) = start(ReplayBounds::default());
        let pause = pause_between_small_batches(100);
        assert_eq!(pause, Duration::from_millis(5));
        assert_eq!(pause_between_small_batches(0), Duration::from_micros(50));
        assert!(lanes.next_batch(now, pause).is_some(), "the hello");
        lanes.append(LaneKey::COMMON, bytes(10), now);
        assert_eq!(lanes.next_batch(now, pause), None);
        assert_eq!(lanes.sent_order(), 1, "an open batch is not sent");
        assert_eq!(lanes.wake_at(), Some(now + pause));
        lanes.append(PRIVATE, bytes(10), now);
        assert!(lanes.next_batch(now, pause).is_some_and(|batch| batch.lane == PRIVATE));
        for _ in 0..3 {
            lanes.append(LaneKey::COMMON, bytes(50_000), now);
        }
        assert!(lanes.next_batch(now, pause).is_some(), "the first is full");
        assert!(lanes.next_batch(now, pause).is_some(), "the second is full");
        assert_eq!(lanes.next_batch(now, pause), None);
        assert!(lanes.next_batch(now + pause, pause).is_some());
    }

    #[test]
    fn what_was_not_confirmed_is_sent_again_after_a_reconnect() {
        let (mut lanes, now) = start(ReplayBounds::default());
        for _ in 0..4 {
            lanes.append(LaneKey::COMMON, bytes(10), now);
        }
        assert_eq!(sent(&mut lanes, now).len(), 1);
        lanes.confirm(3);
        assert_eq!(lanes.confirmed_of(LaneKey::COMMON), 3);
        lanes.rewind();
        let again = sent(&mut lanes, now);
        assert_eq!(
            again.iter().map(|(_, first, items)| (*first, items.len())).next(),
            Some((4, 2))
        );
    }

    #[test]
    fn items_beyond_the_replay_buffer_are_lost_and_the_hello_never() {
        let bounds = ReplayBounds { bytes: 3_000, ..ReplayBounds::default() };
        let (mut lanes, now) = start(bounds);
        for _ in 0..20 {
            lanes.append(LaneKey::COMMON, bytes(1_000), now);
        }
        let lost = lanes.lost_up_to(LaneKey::COMMON);
        assert!(lost > 15, "{lost}");
        assert_eq!(lanes.confirmed_of(LaneKey::COMMON), lost, "it will never be sent");
        assert_eq!(lanes.evicted_unconfirmed(), lost);
        assert!(lanes.buffer_bytes() <= 3_000);
        assert_eq!(lanes.repeat(LaneKey::COMMON, 1, 21).map(|it| it.next), Some(2), "the hello");
        assert!(lanes.repeat(LaneKey::COMMON, 2, 21).is_none());
        assert_eq!(lanes.repeat(LaneKey::COMMON, lost + 1, 99).map(|it| it.next), Some(22));
        let first = sent(&mut lanes, now).first().map(|(_, first, _)| *first);
        assert_eq!(first, Some(lost + 1));
    }

    #[test]
    fn a_closed_lane_is_not_sent_and_names_no_fence() {
        let (mut lanes, now) = start(ReplayBounds::default());
        lanes.append(PRIVATE, bytes(10), now);
        lanes.close_lane(PRIVATE);
        lanes.append(LaneKey::COMMON, bytes(10), now);
        let batches = sent(&mut lanes, now);
        let [(lane, 1, items)] = &batches[..] else { panic!("{batches:?}") };
        assert_eq!((*lane, items.len()), (LaneKey::COMMON, 2));
        assert!(items.iter().all(|item| item.fence.0.is_empty()));
        assert_eq!(lanes.sent_order(), lanes.last_order());
    }
}

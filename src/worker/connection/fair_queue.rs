//! Queue that decides which connection is served next: the one with the least work done for it. A
//! connection that sends little never waits for all of those that send without a pause.
//!
//! The algorithm is start-time fair queueing. Work is counted in virtual time. The current virtual
//! time is the start of the work that was served last. New work of a connection starts at the
//! current virtual time, or at the end of the connection's earlier work if that is later; in the
//! second case the connection is ahead of the others. All busy senders therefore advance at the
//! same rate. A connection that uses less than half of its fair share waits for at most one other
//! connection, whatever the number of busy senders.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt::Debug;

use crate::broker_client::window_turns::WaiterQueue;
use crate::types::limits::{LIGHT_BURST, WORK_AHEAD_MAX, WORK_FORGOTTEN};
use crate::worker::clock::Moment;

/// Point in virtual time, in bytes of work.
type Virtual = u64;

/// Share of the worker's time that a connection uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) enum Weight {
    /// Less than its fair share.
    Light,
    /// Its fair share or more, or a large message is about to be processed.
    Heavy,
}

/// Virtual clock of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::worker) struct WorkClock {
    now: Virtual,
    /// Latest end of any work served so far.
    end: Virtual,
    /// Real time of the last turn, in milliseconds.
    seen: u64,
}

impl WorkClock {
    /// Advances to the earliest start of the work that is being served or waits. Publishers that
    /// wait for the send window must be included. Otherwise a new client would be queued after all
    /// of them.
    pub(in crate::worker) fn advance_to(&mut self, start: Virtual) {
        self.now = self.now.max(start);
    }

    /// Returns the latest point at which new work of a connection may start.
    pub(in crate::worker) fn most(self) -> Virtual {
        self.now.saturating_add(WORK_AHEAD_MAX)
    }

    /// Starts a turn. Past work is forgotten over time, but only while no connection waits. A
    /// worker with little processor time would otherwise soon treat all waiting connections as
    /// equal.
    pub(in crate::worker) fn turn(&mut self, now: Moment, waiting: usize) {
        let millis = now.micros() / 1000;
        if waiting == 0 {
            let forgotten = millis.saturating_sub(self.seen).saturating_mul(WORK_FORGOTTEN);
            self.now = self.now.saturating_add(forgotten).min(self.end).max(self.now);
        }
        self.seen = millis;
    }
}

/// End of the work that was done for one connection. Each connection holds one, so it has only four
/// bytes: the lower bits of the virtual time in units of 64 bytes. They wrap around after 256 GiB
/// of work.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::worker) struct Usage(u32);

const UNIT_BITS: u32 = 6;

fn units(work: Virtual) -> u32 {
    u32::try_from((work >> UNIT_BITS) & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

impl Usage {
    /// Records work for the connection. Bytes of work are counted instead of time, because a clock
    /// also counts time that other processes use.
    pub(in crate::worker) fn note(&mut self, start: Virtual, work: usize, clock: &mut WorkClock) {
        let work = u64::try_from(work).unwrap_or(u64::MAX);
        let end = start.saturating_add(work).min(clock.most());
        clock.end = clock.end.max(end);
        self.0 = units(end);
    }

    /// Returns the start of the connection's next work.
    pub(in crate::worker) fn start(self, clock: WorkClock) -> Virtual {
        clock.now.saturating_add(self.ahead(clock))
    }

    /// Returns the current weight of the connection.
    pub(in crate::worker) fn weight(self, clock: WorkClock) -> Weight {
        if self.ahead(clock) <= LIGHT_BURST { Weight::Light } else { Weight::Heavy }
    }

    /// Returns how far the connection is ahead of the others, in bytes of work.
    fn ahead(self, clock: WorkClock) -> u64 {
        let ahead = u64::from(self.0.wrapping_sub(units(clock.now))) << UNIT_BITS;
        // A distance above the maximum means that the point is in the past.
        if ahead > WORK_AHEAD_MAX { 0 } else { ahead }
    }
}

/// Position in a queue. The least position is served next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) struct QueueKey {
    /// Expected end of the work: its start, plus the connection's distance ahead of the others. The
    /// estimate assumes that it needs as much work as last time. A connection that is not ahead
    /// therefore comes first among those with the same start.
    end: Virtual,
    /// Sequence number. It orders entries with the same end.
    number: u64,
    weight: Weight,
    pub(in crate::worker) start: Virtual,
}

/// Waiting entry, ordered by its position only.
#[derive(Debug)]
struct Entry<T> {
    key: Reverse<QueueKey>,
    waiter: T,
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Entry<T> {}

/// Waiting connections in two queues, by weight.
#[derive(Debug)]
pub(in crate::worker) struct FairQueue<T> {
    light: BinaryHeap<Entry<T>>,
    heavy: BinaryHeap<Entry<T>>,
    last_number: u64,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { light: BinaryHeap::new(), heavy: BinaryHeap::new(), last_number: 0 }
    }
}

impl<T: Debug> WaiterQueue for FairQueue<T> {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> FairQueue<T> {
    fn queue(&mut self, weight: Weight) -> &mut BinaryHeap<Entry<T>> {
        match weight {
            Weight::Light => &mut self.light,
            Weight::Heavy => &mut self.heavy,
        }
    }

    pub(in crate::worker) fn push(
        &mut self,
        waiter: T,
        start: Virtual,
        weight: Weight,
        clock: WorkClock,
    ) {
        self.last_number += 1;
        let ahead = match weight {
            Weight::Light => start.saturating_sub(clock.now),
            Weight::Heavy => start.saturating_sub(clock.now).max(LIGHT_BURST),
        };
        let end = start.saturating_add(ahead);
        self.put_back(waiter, QueueKey { end, number: self.last_number, weight, start });
    }

    /// Removes the next entry of one queue and returns it with the start of its work.
    pub(in crate::worker) fn pop(&mut self, weight: Weight) -> Option<(T, Virtual)> {
        let Entry { key, waiter } = self.queue(weight).pop()?;
        Some((waiter, key.0.start))
    }

    /// Removes the next entry of both queues and returns it with its position.
    pub(in crate::worker) fn pop_first(&mut self) -> Option<(T, QueueKey)> {
        let first = |line: &BinaryHeap<Entry<T>>| line.peek().map(|entry| entry.key.0);
        let weight = match (first(&self.light), first(&self.heavy)) {
            (Some(light), Some(heavy)) if heavy < light => Weight::Heavy,
            (Some(_), _) => Weight::Light,
            (None, _) => Weight::Heavy,
        };
        let Entry { key, waiter } = self.queue(weight).pop()?;
        Some((waiter, key.0))
    }

    /// Returns the earliest start of waiting work, or `Virtual::MAX` if the queue is empty.
    pub(in crate::worker) fn next_start(&self) -> Virtual {
        let next = [self.light.peek(), self.heavy.peek()].into_iter().flatten();
        next.map(|entry| entry.key.0.start).min().unwrap_or(Virtual::MAX)
    }

    /// Puts an entry back at its position.
    pub(in crate::worker) fn put_back(&mut self, waiter: T, key: QueueKey) {
        self.queue(key.weight).push(Entry { key: Reverse(key), waiter });
    }

    pub(in crate::worker) fn has(&self, weight: Weight) -> bool {
        match weight {
            Weight::Light => !self.light.is_empty(),
            Weight::Heavy => !self.heavy.is_empty(),
        }
    }

    pub(in crate::worker) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(in crate::worker) fn len(&self) -> usize {
        self.light.len() + self.heavy.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use std::time::Duration;

    /// Work of a small message.
    const MESSAGE: usize = 600;

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    /// Model of a worker that is always busy: `flooders` that never pause, each served for `share`
    /// messages, and one client that sends occasionally.
    struct Busy {
        clock: WorkClock,
        queue: FairQueue<usize>,
        usage: Vec<Usage>,
    }

    impl Busy {
        fn new(flooders: usize) -> Self {
            let usage = vec![Usage::default(); flooders + 1];
            let mut busy = Self { clock: WorkClock::default(), queue: FairQueue::default(), usage };
            (1..=flooders).for_each(|who| busy.push(who));
            busy
        }

        fn push(&mut self, who: usize) {
            let usage = self.usage[who];
            let (start, weight) = (usage.start(self.clock), usage.weight(self.clock));
            self.queue.push(who, start, weight, self.clock);
        }

        fn serve(&mut self, messages: usize) -> usize {
            self.serve_each(|_| messages)
        }

        fn serve_each(&mut self, messages: impl Fn(usize) -> usize) -> usize {
            let (who, key) = self.queue.pop_first().unwrap();
            self.clock.advance_to(key.start);
            let work = messages(who) * MESSAGE;
            self.usage[who].note(key.start, work, &mut self.clock);
            who
        }
    }

    #[test]
    fn a_quiet_client_is_served_next_whatever_the_others_send() {
        let mut busy = Busy::new(600);
        for _ in 0..600 {
            let who = busy.serve(100);
            busy.push(who);
        }
        for round in 0..200 {
            for _ in 0..90 + round {
                let who = busy.serve(100);
                assert_ne!(who, 0);
                busy.push(who);
            }
            // The messages that it sent while waiting arrive at once.
            busy.push(0);
            assert_eq!(busy.usage[0].weight(busy.clock), Weight::Light, "in round {round}");
            assert_eq!(busy.serve(8), 0, "in round {round}");
        }
    }

    proptest! {
        /// All busy senders advance at the same rate, whatever their share per turn is.
        #[test]
        fn connections_that_never_pause_get_even_parts(
            shares in prop::collection::vec(1_usize..150, 2..20),
        ) {
            let mut busy = Busy::new(shares.len());
            let mut done = vec![0; shares.len() + 1];
            for _ in 0..shares.len() * 400 {
                let who = busy.serve_each(|who| shares[who - 1]);
                done[who] += shares[who - 1];
                busy.push(who);
            }
            let most = done.iter().skip(1).max().unwrap();
            let least = done.iter().skip(1).min().unwrap();
            // Tolerance: one share ahead or behind, plus the rounding to units of 64 bytes.
            prop_assert!(most - least <= 4 * 150, "{done:?}");
        }
    }

    #[test]
    fn one_large_message_delays_its_sender_by_one_round() {
        let mut busy = Busy::new(10);
        busy.push(0);
        while busy.serve(100) != 0 {}
        busy.usage[0].note(busy.clock.now, usize::MAX, &mut busy.clock);
        busy.push(0);
        let ahead = busy.usage[0].start(busy.clock) - busy.clock.now;
        assert_eq!(ahead, WORK_AHEAD_MAX);
    }

    #[test]
    fn work_is_forgotten_only_while_no_client_waits() {
        let mut clock = WorkClock::default();
        let mut usage = Usage::default();
        clock.turn(at(1000), 0);
        usage.note(clock.now, usize::MAX, &mut clock);
        clock.turn(at(5000), 1);
        assert_eq!(usage.weight(clock), Weight::Heavy, "others waited all the time");
        clock.turn(at(5010), 0);
        assert_eq!(usage.weight(clock), Weight::Heavy);
        clock.turn(at(5110), 0);
        assert_eq!(usage.weight(clock), Weight::Light);
        clock.turn(at(900_000), 0);
        assert_eq!(clock.now, clock.end, "and there is no more to forget");
    }

    #[test]
    fn a_client_that_comes_begins_with_the_least_of_all_that_wait() {
        let (clock, mut queue) = (WorkClock::default(), FairQueue::default());
        assert_eq!(queue.next_start(), u64::MAX);
        queue.push(1, 9_000, Weight::Light, clock);
        queue.push(2, 50_000, Weight::Heavy, clock);
        assert_eq!(queue.next_start(), 9_000);
        assert_eq!(queue.pop(Weight::Light), Some((1, 9_000)));
        assert_eq!(queue.next_start(), 50_000);
    }

    #[test]
    fn equal_clients_are_served_in_order_of_arrival() {
        let (clock, mut queue) = (WorkClock::default(), FairQueue::default());
        for number in 0..3 {
            queue.push(number, 5, Weight::Light, clock);
            queue.push(10 + number, 7, Weight::Heavy, clock);
        }
        queue.push(20, 3, Weight::Heavy, clock);
        let (first, key) = queue.pop_first().unwrap();
        queue.put_back(first, key);
        assert_eq!(queue.len(), 7);
        let all: Vec<i32> = std::iter::from_fn(|| queue.pop_first()).map(|it| it.0).collect();
        assert_eq!(all, [0, 1, 2, 20, 10, 11, 12]);
        queue.push(7, 1, Weight::Heavy, clock);
        assert_eq!((queue.pop(Weight::Light), queue.pop(Weight::Heavy)), (None, Some((7, 1))));
        assert!(queue.is_empty());
    }
}

//! Tracks the deliveries of a run: published, arrived, lost, duplicated and out of order.

use std::collections::VecDeque;

use super::latency::Latencies;
use super::stamp::Stamp;

/// The publications of one publisher and their expected recipients.
#[derive(Debug)]
pub(super) struct PublishedStream {
    /// Number of recipients of one publication.
    fan: u32,
    /// For each client, the number of the next publication that it should receive from this
    /// publisher.
    awaited: Vec<u64>,
    /// Difference between the numbers of two consecutive publications to the same client. It equals
    /// the number of groups, because publications go to the groups in turn.
    step: u64,
    /// Publications in order, starting with number `first`, the oldest that has not reached all
    /// recipients.
    flying: VecDeque<Flight>,
    first: u64,
    /// Number of publications that have not reached all recipients.
    in_flight: usize,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    left: u32,
    due: u64,
}

/// Counters of a run over all streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunCounts {
    pub(super) published: u64,
    pub(super) delivered: u64,
    /// Deliveries that arrived twice or after a later one.
    pub(super) disordered: u64,
    /// Messages that do not match any publication.
    pub(super) foreign: u64,
}

/// Tracks publications and deliveries of all streams.
#[derive(Debug)]
pub(super) struct DeliveryTracker {
    pub(super) streams: Vec<PublishedStream>,
    pub(super) counts: RunCounts,
    pub(super) latencies: Latencies,
}

impl PublishedStream {
    /// Creates a stream whose publications go to the groups in turn. `member_of` yields the group
    /// of each client, or None for a client without a group.
    pub(super) fn new(
        groups: usize,
        fan: usize,
        member_of: impl Iterator<Item = Option<usize>>,
    ) -> Self {
        let step = groups as u64;
        let awaited = member_of.map(|group| group.map_or(u64::MAX, |group| group as u64)).collect();
        let fan = u32::try_from(fan).unwrap_or(u32::MAX);
        Self { fan, awaited, step, flying: VecDeque::new(), first: 0, in_flight: 0 }
    }

    /// Returns the number of the next publication.
    pub(super) fn next_number(&self) -> u64 {
        self.first + self.flying.len() as u64
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn publish(&mut self, due: u64) {
        self.flying.push_back(Flight { left: self.fan, due });
        self.in_flight += 1;
    }

    /// Records one more delivery of a publication and returns the time at which that publication
    /// was due.
    fn arrived(&mut self, number: u64) -> Option<u64> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let flight = self.flying.get_mut(at)?;
        let due = flight.due;
        flight.left = flight.left.saturating_sub(1);
        if flight.left == 0 {
            self.in_flight = self.in_flight.saturating_sub(1);
            while self.flying.front().is_some_and(|first| first.left == 0) {
                self.flying.pop_front();
                self.first += 1;
            }
        }
        Some(due)
    }
}

impl DeliveryTracker {
    pub(super) fn new(streams: Vec<PublishedStream>) -> Self {
        Self { streams, counts: RunCounts::default(), latencies: Latencies::new() }
    }

    /// Records a publication that was due at `due`.
    pub(super) fn publish(&mut self, stream: usize, due: u64) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.publish(due);
            self.counts.published += 1;
        }
    }

    /// Records a message that a client received.
    pub(super) fn deliver(&mut self, client: usize, stamp: Stamp, now: u64, counted: Timed) {
        let stream = self.streams.get_mut(usize::from(stamp.stream));
        let Some((stream, awaited)) = stream.and_then(|stream| {
            let awaited = stream.awaited.get(client).copied()?;
            (awaited != u64::MAX).then_some((stream, awaited))
        }) else {
            self.counts.foreign += 1;
            return;
        };
        if stamp.number < awaited {
            self.counts.disordered += 1;
            return;
        }
        if let Some(place) = stream.awaited.get_mut(client) {
            *place = stamp.number + stream.step;
        }
        let Some(due) = stream.arrived(stamp.number) else {
            self.counts.foreign += 1;
            return;
        };
        self.counts.delivered += 1;
        if counted == Timed::Yes {
            self.latencies.record(now.saturating_sub(due));
        }
    }

    /// Returns the number of publications of all streams that have not reached all recipients.
    pub(super) fn in_flight(&self) -> usize {
        self.streams.iter().map(PublishedStream::in_flight).sum()
    }

    /// Returns the number of missing deliveries. Call it after the last delivery has arrived.
    pub(super) fn lost(&self) -> u64 {
        let flying = self.streams.iter().flat_map(|stream| &stream.flying);
        flying.map(|flight| u64::from(flight.left)).sum()
    }
}

/// Says which latencies count for the result of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(groups: usize) -> DeliveryTracker {
        let members = (0..4).map(|client| Some(client % groups));
        DeliveryTracker::new(vec![PublishedStream::new(groups, 4 / groups, members)])
    }

    fn deliver(tracker: &mut DeliveryTracker, client: usize, number: u64) {
        tracker.deliver(client, Stamp { stream: 0, number }, 10, Timed::Yes);
    }

    #[test]
    fn all_that_arrives_in_order_leaves_nothing_open() {
        let mut tracker = tracker(2);
        (0..4).for_each(|_| tracker.publish(0, 0));
        assert_eq!(tracker.in_flight(), 4);
        for (client, number) in [(0, 0), (2, 0), (0, 2), (1, 1), (3, 1), (1, 3), (3, 3), (2, 2)] {
            deliver(&mut tracker, client, number);
        }
        assert_eq!((tracker.in_flight(), tracker.lost()), (0, 0));
        assert_eq!(
            tracker.counts,
            RunCounts { published: 4, delivered: 8, ..RunCounts::default() }
        );
    }

    #[test]
    fn what_is_lost_doubled_overtaken_or_foreign_is_counted() {
        let mut tracker = tracker(1);
        (0..3).for_each(|_| tracker.publish(0, 0));
        deliver(&mut tracker, 0, 0);
        deliver(&mut tracker, 0, 0); // a duplicate
        deliver(&mut tracker, 1, 1); // 0 is missing
        deliver(&mut tracker, 1, 0); // out of order
        deliver(&mut tracker, 2, 7); // never published
        let unknown = Stamp { stream: 9, number: 0 };
        tracker.deliver(0, unknown, 0, Timed::Yes);
        let RunCounts { delivered, disordered, foreign, .. } = tracker.counts;
        assert_eq!((delivered, disordered, foreign), (2, 2, 2));
        assert_eq!(tracker.lost(), 12 - 2);
    }
}

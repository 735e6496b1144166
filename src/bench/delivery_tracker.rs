//! The deliveries of a run: what was published, what has arrived, and whether anything was lost,
//! doubled or overtaken.

use std::collections::VecDeque;

use super::latency::Latencies;
use super::stamp::Stamp;

/// What one publisher publishes, and who is to get it.
#[derive(Debug)]
pub(super) struct PublishedStream {
    /// Recipients of one publication.
    fan: u32,
    /// The next publication of this publisher that each client is to get.
    awaited: Vec<u64>,
    /// By how many the numbers of what one client gets differ: publications go round the groups.
    step: u64,
    /// Publications that have not arrived everywhere, beginning with the number `first`.
    flying: VecDeque<Flight>,
    first: u64,
    /// How many of them have not arrived everywhere.
    in_flight: usize,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    left: u32,
    due: u64,
}

/// Counts of a run, all streams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunCounts {
    pub(super) published: u64,
    pub(super) delivered: u64,
    /// Deliveries that came after a later one, or twice.
    pub(super) disordered: u64,
    /// Messages that no publisher sent.
    pub(super) foreign: u64,
}

/// What was published and what has arrived.
#[derive(Debug)]
pub(super) struct DeliveryTracker {
    pub(super) streams: Vec<PublishedStream>,
    pub(super) counts: RunCounts,
    pub(super) latencies: Latencies,
}

impl PublishedStream {
    /// A stream whose publications go to all of these groups in turn; a client that is in none of
    /// them has `None`.
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

    /// The number of the publication that comes next.
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

    /// When a publication was due that has arrived once more.
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

    /// A publication leaves, or was to leave at `due`.
    pub(super) fn publish(&mut self, stream: usize, due: u64) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.publish(due);
            self.counts.published += 1;
        }
    }

    /// A client got a message.
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

    /// Publications of all streams that have not arrived everywhere.
    pub(super) fn in_flight(&self) -> usize {
        self.streams.iter().map(PublishedStream::in_flight).sum()
    }

    /// Deliveries that never came, once nothing comes any more.
    pub(super) fn lost(&self) -> u64 {
        let flying = self.streams.iter().flat_map(|stream| &stream.flying);
        flying.map(|flight| u64::from(flight.left)).sum()
    }
}

/// Whether the latencies of a stream are what the run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(groups: usize) -> DeliveryTracker {
        let members = (0..4).map(|client| Some(client % groups));
        DeliveryTracker::new(vec![PublishedStream::new(groups, 4 / groups, members)])
    }

    fn deliver(ledger: &mut DeliveryTracker, client: usize, number: u64) {
        ledger.deliver(client, Stamp { stream: 0, number }, 10, Timed::Yes);
    }

    #[test]
    fn all_that_arrives_in_order_leaves_nothing_open() {
        let mut books = ledger(2);
        (0..4).for_each(|_| books.publish(0, 0));
        assert_eq!(books.in_flight(), 4);
        for (client, number) in [(0, 0), (2, 0), (0, 2), (1, 1), (3, 1), (1, 3), (3, 3), (2, 2)] {
            deliver(&mut books, client, number);
        }
        assert_eq!((books.in_flight(), books.lost()), (0, 0));
        assert_eq!(books.counts, RunCounts { published: 4, delivered: 8, ..RunCounts::default() });
    }

    #[test]
    fn what_is_lost_doubled_overtaken_or_foreign_is_counted() {
        let mut books = ledger(1);
        (0..3).for_each(|_| books.publish(0, 0));
        deliver(&mut books, 0, 0);
        deliver(&mut books, 0, 0); // twice
        deliver(&mut books, 1, 1); // without 0
        deliver(&mut books, 1, 0); // too late
        deliver(&mut books, 2, 7); // never sent
        let stranger = Stamp { stream: 9, number: 0 };
        books.deliver(0, stranger, 0, Timed::Yes);
        let RunCounts { delivered, disordered, foreign, .. } = books.counts;
        assert_eq!((delivered, disordered, foreign), (2, 2, 2));
        assert_eq!(books.lost(), 12 - 2);
    }
}

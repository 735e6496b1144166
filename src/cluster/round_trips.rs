//! How long messages to another host take, and how far its clock is off, from the heartbeats of both.
//!
//! A heartbeat returns the time of the last one of the other host, and how long ago it arrived. That gives a round trip
//! without a message of its own (RFC 5905 §8). The shortest of the last trips has waited least, so it tells most.

use std::collections::VecDeque;

/// Trips that are kept: those of two seconds.
const TRIPS_KEPT: usize = 8;

/// The four times of a round trip, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TripTimes {
    /// This host sent its heartbeat, by its clock.
    pub(super) sent: u64,
    /// How long the other host held it.
    pub(super) held: u64,
    /// The other host sent its own, by its clock.
    pub(super) returned: u64,
    /// That one arrived here, by the clock of this host.
    pub(super) arrived: u64,
}

/// A round trip to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoundTrip {
    /// How long the messages of both directions took, in microseconds.
    pub(super) micros: u64,
    /// How far the other clock is ahead, in microseconds.
    pub(super) ahead: i64,
}

/// The last round trips to a host.
#[derive(Debug, Default)]
pub(super) struct RoundTrips(VecDeque<RoundTrip>);

impl RoundTrips {
    /// Adds a trip. `None` if its times are impossible: a clock was set meanwhile.
    pub(super) fn add(&mut self, times: TripTimes) -> Option<RoundTrip> {
        let TripTimes { sent, held, returned, arrived } = times;
        let micros = arrived.checked_sub(sent)?.checked_sub(held)?;
        let middle = arrived - micros / 2;
        let ahead = i64::try_from(i128::from(returned) - i128::from(middle)).ok()?;
        let trip = RoundTrip { micros, ahead };
        self.0.push_back(trip);
        if self.0.len() > TRIPS_KEPT {
            self.0.pop_front();
        }
        Some(trip)
    }

    /// Returns the shortest of the last trips.
    pub(super) fn shortest(&self) -> Option<RoundTrip> {
        self.0.iter().min_by_key(|trip| trip.micros).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_764_345_600_000_000;

    proptest! {
        /// The clock of the other host is off by `ahead`, and both ways take any time.
        #[test]
        fn the_error_of_a_clock_is_at_most_half_of_the_shortest_trip(
            ahead in -3_600_000_000_i64..3_600_000_000,
            trips in proptest::collection::vec((0_u64..50_000, 0_u64..400_000, 0_u64..50_000), 1..20),
        ) {
            let mut kept = RoundTrips::default();
            for (there, held, back) in &trips {
                let other = (NOW + there + held).saturating_add_signed(ahead);
                let arrived = NOW + there + held + back;
                kept.add(TripTimes { sent: NOW, held: *held, returned: other, arrived });
            }
            let last = trips.iter().rev().take(TRIPS_KEPT);
            let shortest = last.map(|(there, _, back)| there + back).min().unwrap();
            let trip = kept.shortest().unwrap();
            prop_assert_eq!(trip.micros, shortest);
            prop_assert!(trip.ahead.abs_diff(ahead) <= shortest / 2 + 1, "{:?}", trip);
        }
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_gives_no_trip() {
        let mut kept = RoundTrips::default();
        let times = TripTimes { sent: NOW, held: 5, returned: NOW, arrived: NOW - 1 };
        assert_eq!(kept.add(times), None);
        assert_eq!(kept.add(TripTimes { arrived: NOW + 4, ..times }), None, "held for longer");
        assert_eq!(kept.shortest(), None);
    }
}

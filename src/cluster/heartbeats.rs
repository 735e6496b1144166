//! Own heartbeats: when they are due, and which have come back.

use std::time::Instant;

use crate::types::limits::{
    CLUSTER_HEARTBEAT, CLUSTER_HEARTBEAT_AFTER_BURST, CLUSTER_SILENT_BEATS,
};

/// The heartbeats of this host.
#[derive(Debug)]
pub(super) struct OwnHeartbeats {
    /// Number of the last heartbeat.
    number: u64,
    /// Number of the last interval.
    beat: u64,
    next: Instant,
    /// When a heartbeat after a burst is due.
    after_burst: Option<Instant>,
    /// Number of the last heartbeat that has come back.
    returned: u64,
    /// The interval when the connection was made, or when the last heartbeat came back.
    returned_beat: u64,
}

impl OwnHeartbeats {
    pub(super) fn new(now: Instant) -> Self {
        Self { number: 0, beat: 0, next: now, after_burst: None, returned: 0, returned_beat: 0 }
    }

    /// A connection was made. What was sent on the last one does not come back.
    pub(super) fn connected(&mut self, now: Instant) {
        self.next = now;
        self.returned_beat = self.beat;
    }

    /// Items were sent.
    pub(super) fn note_sent(&mut self, now: Instant) {
        self.after_burst = Some(now + CLUSTER_HEARTBEAT_AFTER_BURST);
    }

    /// Returns whether a heartbeat is due, and counts it.
    pub(super) fn due(&mut self, now: Instant) -> bool {
        let is_beat = self.next <= now;
        if is_beat {
            self.beat += 1;
            // Intervals that a stopped process has missed are not made up for.
            self.next = now + CLUSTER_HEARTBEAT;
        }
        let is_due = is_beat || self.after_burst.is_some_and(|at| at <= now);
        if is_due {
            self.after_burst = None;
        }
        is_due
    }

    /// Returns the number of a heartbeat that is sent now.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn beat(&self) -> u64 {
        self.beat
    }

    /// An own heartbeat has come back. Returns its interval if it is newer than the last one.
    pub(super) fn returned(&mut self, number: u64, beat: u64) -> Option<u64> {
        let is_newer = number > self.returned && number <= self.number;
        if !is_newer {
            return None;
        }
        self.returned = number;
        self.returned_beat = self.returned_beat.max(beat);
        Some(beat)
    }

    /// Returns whether own heartbeats do not come back.
    pub(super) fn are_missing(&self) -> bool {
        self.beat.saturating_sub(self.returned_beat) > CLUSTER_SILENT_BEATS
    }

    pub(super) fn wake_at(&self) -> Instant {
        self.after_burst.map_or(self.next, |at| at.min(self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an arbitrary time for a test")]
    fn a_heartbeat_follows_a_burst_and_counts_no_interval() {
        let now = Instant::now();
        let mut beats = OwnHeartbeats::new(now);
        assert!(beats.due(now) && !beats.due(now));
        assert_eq!((beats.next_number(), beats.beat()), (1, 1));
        beats.note_sent(now);
        let after = now + CLUSTER_HEARTBEAT_AFTER_BURST;
        assert_eq!(beats.wake_at(), after);
        assert!(beats.due(after) && !beats.due(after));
        assert_eq!((beats.next_number(), beats.beat()), (2, 1));
        assert_eq!(beats.returned(2, 1), Some(1));
        assert_eq!(beats.returned(2, 1), None, "twice");
        assert_eq!(beats.returned(9, 9), None, "never sent");
        for beat in 1..=4 {
            assert!(!beats.are_missing());
            assert!(beats.due(now + CLUSTER_HEARTBEAT * beat));
        }
        assert!(!beats.are_missing());
        assert!(beats.due(now + CLUSTER_HEARTBEAT * 5) && beats.are_missing());
        beats.connected(now);
        assert!(!beats.are_missing());
    }
}

//! When a lane requests what it lacks.

use std::time::{Duration, Instant};

use crate::types::limits::{
    CLUSTER_REPAIR_PAUSE, CLUSTER_REPAIR_RETRY, CLUSTER_REPAIR_WAIT, CLUSTER_REPAIR_WAIT_MAX,
};

/// The request of one lane. At most one is open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum RepairTimer {
    /// Nothing is missing.
    #[default]
    Idle,
    /// Something is missing. It may only have been overtaken.
    Waiting {
        /// The first number that is missing.
        first: u64,
        /// When it is requested.
        until: Instant,
    },
    /// A range was requested.
    Open {
        /// Its first number.
        first: u64,
        /// When it is requested again.
        until: Instant,
    },
}

impl RepairTimer {
    /// Returns whether what is missing from `first` on is to be requested now. `jitter` is a random number.
    pub(super) fn due(&mut self, first: Option<u64>, now: Instant, jitter: u64) -> bool {
        let Some(first) = first else {
            *self = Self::Idle;
            return false;
        };
        let is_due = match *self {
            Self::Idle => {
                *self = Self::Waiting { first, until: now + wait(jitter) };
                return false;
            }
            Self::Waiting { first: before, until } => {
                if first != before {
                    // Late items arrive by themselves.
                    *self = Self::Waiting { first, until: now + wait(jitter) };
                    return false;
                }
                until <= now
            }
            Self::Open { first: before, .. } if first != before => {
                // An answer arrives. It may end before the last missing number, and the rest is requested then.
                *self = Self::Open { first, until: now + CLUSTER_REPAIR_PAUSE };
                return false;
            }
            Self::Open { until, .. } => until <= now,
        };
        if is_due {
            *self = Self::Open { first, until: now + CLUSTER_REPAIR_RETRY };
        }
        is_due
    }

    /// Returns when [`RepairTimer::due`] may return true.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self {
            Self::Idle => None,
            Self::Waiting { until, .. } | Self::Open { until, .. } => Some(*until),
        }
    }
}

fn wait(jitter: u64) -> Duration {
    let span = u64::try_from((CLUSTER_REPAIR_WAIT_MAX - CLUSTER_REPAIR_WAIT).as_micros());
    CLUSTER_REPAIR_WAIT + Duration::from_micros(jitter % span.unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an arbitrary time for a test")]
    fn one_request_is_open_and_the_rest_follows_its_answer() {
        let now = Instant::now();
        let mut timer = RepairTimer::default();
        assert!(!timer.due(Some(5), now, 7), "it may only have been overtaken");
        assert!(!timer.due(Some(5), now + CLUSTER_REPAIR_WAIT / 2, 7));
        let asked = now + CLUSTER_REPAIR_WAIT_MAX;
        assert!(timer.due(Some(5), asked, 7));
        assert!(!timer.due(Some(5), asked + CLUSTER_REPAIR_RETRY / 2, 7), "it is open");
        let answered = asked + CLUSTER_REPAIR_RETRY / 2;
        assert!(!timer.due(Some(9), answered, 7), "the answer arrives");
        assert!(timer.due(Some(9), answered + CLUSTER_REPAIR_PAUSE, 7), "the rest");
        let late = asked + CLUSTER_REPAIR_RETRY * 2;
        assert!(timer.due(Some(9), late, 7), "no answer has come");
        assert!(!timer.due(None, late, 7));
        assert!(!timer.due(Some(20), late, 7), "another hole waits first");
    }

    #[test]
    fn hosts_wait_between_30_and_80_milliseconds() {
        for jitter in [0, 1, 49_999, 50_000, u64::MAX] {
            let wait = wait(jitter);
            assert!((CLUSTER_REPAIR_WAIT..CLUSTER_REPAIR_WAIT_MAX).contains(&wait), "{wait:?}");
        }
    }
}

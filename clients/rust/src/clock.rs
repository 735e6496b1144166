//! Time and chance. Everything else gets them as arguments.

use std::future::pending;
use std::time::{Duration, Instant};

use crate::testing::TestClock;

/// Bits of a random number that a `f64` holds exactly.
const FRACTION_BITS: u32 = 53;

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The clock of the system, or one that a test moves.
#[derive(Clone, Debug, Default)]
pub(crate) enum Clock {
    #[default]
    System,
    Test(TestClock),
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the clock")]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Test(clock) => clock.now(),
        }
    }

    /// A random number from 0 to 1, 1 excluded.
    pub(crate) fn random(&self) -> f64 {
        match self {
            // Without a source of random numbers all clients wait for the longest pause, which is never wrong.
            Self::System => getrandom::u64().map_or(1.0, fraction),
            Self::Test(clock) => clock.random(),
        }
    }

    /// Waits until this time; without one, for ever.
    pub(crate) async fn sleep_until(&self, deadline: Option<Instant>) {
        match (self, deadline) {
            (Self::System, Some(deadline)) => tokio::time::sleep_until(deadline.into()).await,
            (Self::System, None) => pending().await,
            (Self::Test(clock), deadline) => clock.sleep_until(deadline).await,
        }
    }
}

/// A time after another one. What is further away than any program runs is a century away.
pub(crate) fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or_else(|| now + CENTURY)
}

/// A random duration below `longest`.
pub(crate) fn jittered(longest: Duration, random: f64) -> Duration {
    longest.mul_f64(random.clamp(0.0, 1.0))
}

#[expect(clippy::cast_precision_loss, reason = "the numbers have 53 bits")]
fn fraction(random: u64) -> f64 {
    (random >> (u64::BITS - FRACTION_BITS)) as f64 / (1_u64 << FRACTION_BITS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_fractions_are_below_one() {
        assert!(fraction(0).abs() < f64::EPSILON);
        assert!(fraction(u64::MAX) < 1.0);
        let now = Clock::System.now();
        assert_eq!(later(now, Duration::MAX), now + CENTURY);
        assert_eq!(jittered(Duration::from_secs(1), 0.5), Duration::from_millis(500));
    }
}

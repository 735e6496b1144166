//! The clock of the load generator.

use std::time::{Duration, Instant};

/// Counts nanoseconds since the start of a run. A count takes 8 bytes, an `Instant` 16.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunClock(Instant);

impl RunClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the generator reads the clock")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns nanoseconds since the start. The count overflows after more than 500 years.
    pub(super) fn nanos(&self) -> u64 {
        nanos(self.0.elapsed())
    }
}

/// Converts a duration to nanoseconds.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

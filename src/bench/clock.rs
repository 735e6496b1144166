//! Time as the load generator counts it.

use std::time::{Duration, Instant};

/// Counts from the start of a run, in nanoseconds: a word, where an `Instant` is two.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunClock(Instant);

impl RunClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the generator reads the clock")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start; there are enough of them for five hundred years.
    pub(super) fn nanos(&self) -> u64 {
        nanos(self.0.elapsed())
    }
}

/// A length of time in nanoseconds.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

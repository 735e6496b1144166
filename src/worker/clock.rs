//! Time as a worker counts it: microseconds since it began; eight bytes instead of sixteen.

use std::time::{Duration, Instant, SystemTime};

/// A point in the life of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The beginning.
    pub const START: Self = Self(0);
    /// Further away than anything.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// The moment that is so much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// The time from now until this moment; zero when it has passed.
    pub(super) fn until_then(self, now: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(now.0))
    }

    /// The time since the beginning, in microseconds.
    pub(super) fn micros(self) -> u64 {
        self.0
    }

    /// The time since the beginning.
    pub(super) fn time(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// The second that it lies in.
    pub(super) fn second(self) -> u32 {
        u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX)
    }
}

/// The time since 1970, as calendars count it; a clock that stands before it counts as 1970.
pub(super) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The one place where a worker reads the clock that never goes back.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the worker's shell reads the clock, here alone")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the beginning, for a [`TurnBudget`](crate::types::TurnBudget).
    pub(super) fn time(&self) -> Duration {
        self.0.elapsed()
    }

    pub(super) fn now(&self) -> Moment {
        Moment(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

//! Time in a worker: microseconds since its start. It needs eight bytes instead of sixteen.

use std::time::{Duration, Instant, SystemTime};

use crate::types::TurnBudget;
use crate::types::limits::TURN_PART;

/// Point in time, counted from the start of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Start of the worker.
    pub const START: Self = Self(0);
    /// Later than all other times.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// Returns the point in time `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// Returns the time from `now` until this point. Zero if it has passed.
    pub(super) fn until_then(self, now: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(now.0))
    }

    /// Returns the microseconds since the worker's start.
    pub(super) fn micros(self) -> u64 {
        self.0
    }

    /// Returns the time since the worker's start.
    pub(super) fn time(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Returns the full seconds since the worker's start.
    pub(super) fn second(self) -> u32 {
        u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX)
    }
}

/// Returns the time since 1970. Zero if the system clock is set to an earlier date.
pub(super) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Monotonic clock and the time of the current turn. No other part of a worker reads the clock.
#[derive(Debug)]
pub(super) struct TurnClock {
    started: Instant,
    now: Moment,
    has_more: bool,
}

impl TurnClock {
    #[expect(clippy::disallowed_methods, reason = "the worker's shell reads the clock, here alone")]
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), now: Moment::START, has_more: false }
    }

    /// Starts a turn.
    pub(super) fn begin_turn(&mut self) {
        (self.now, self.has_more) = (self.read(), false);
    }

    /// Returns the time at which the turn started.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Returns the current time, which is later than [`Self::now`] in a long turn.
    pub(super) fn read(&self) -> Moment {
        Moment(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Returns the current time since the worker's start, for a [`TurnBudget`].
    pub(super) fn time(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the time budget of the next kind of work in this turn.
    pub(super) fn part(&self) -> TurnBudget {
        TurnBudget::new(self.time(), TURN_PART)
    }

    /// Returns true if the budget is used up. The rest of the work is then done in the next turn,
    /// which follows at once.
    pub(super) fn is_over(&mut self, part: TurnBudget) -> bool {
        let is_over = part.is_spent(self.time());
        self.has_more |= is_over;
        is_over
    }

    /// Returns true if work was left for the next turn and no event will announce it.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }
}

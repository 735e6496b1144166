//! Time as a worker counts it: microseconds since it began; eight bytes instead of sixteen.

use std::time::{Duration, Instant, SystemTime};

use crate::types::TurnBudget;
use crate::types::limits::TURN_PART;

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

/// The time since 1970, as calendars count it; zero for a clock that is set to an earlier time.
pub(super) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The one place where a worker reads the clock that never goes back, and the time of its turn.
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

    /// A turn begins now.
    pub(super) fn begin_turn(&mut self) {
        (self.now, self.has_more) = (self.read(), false);
    }

    /// The moment at which the turn began.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// The moment as it is: a turn may be long.
    pub(super) fn read(&self) -> Moment {
        Moment(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The time since the beginning, for a [`TurnBudget`].
    pub(super) fn time(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time that the next kind of work may take of this turn.
    pub(super) fn part(&self) -> TurnBudget {
        TurnBudget::new(self.time(), TURN_PART)
    }

    /// Whether that time is over; what is left then is done in the next turn, which comes at once.
    pub(super) fn is_over(&mut self, part: TurnBudget) -> bool {
        let is_over = part.is_spent(self.time());
        self.has_more |= is_over;
        is_over
    }

    /// Whether something was left for the next turn that no event will announce.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }
}

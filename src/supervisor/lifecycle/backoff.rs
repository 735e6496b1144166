//! How long to wait before a dead child is replaced.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::types::limits::{RESTART_PAUSE_MAX, RESTART_PAUSE_MIN, RESTART_WINDOW, RESTARTS_FREE};

/// Remembers the deaths of one role.
#[derive(Debug, Default)]
pub struct Backoff {
    /// The last deaths, oldest first; never more than [`RESTARTS_FREE`] and one.
    deaths: VecDeque<Instant>,
    /// The last pause, while pauses follow each other.
    pause: Option<Duration>,
}

impl Backoff {
    /// Notes a death and says how long its successor waits: nothing for the first ones within
    /// [`RESTART_WINDOW`], then from [`RESTART_PAUSE_MIN`] doubling to [`RESTART_PAUSE_MAX`].
    pub fn died(&mut self, now: Instant) -> Duration {
        let recent = |death: &Instant| now.saturating_duration_since(*death) < RESTART_WINDOW;
        self.deaths.retain(recent);
        self.deaths.push_back(now);
        if self.deaths.len() <= RESTARTS_FREE {
            self.pause = None;
            return Duration::ZERO;
        }
        self.deaths.pop_front();
        let pause = self.pause.map_or(RESTART_PAUSE_MIN, |last| last * 2).min(RESTART_PAUSE_MAX);
        self.pause = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs a moment to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn five_deaths_in_a_minute_are_free_and_then_pauses_double() {
        let (mut backoff, mut now) = (Backoff::default(), start());
        let mut pauses = Vec::new();
        for _ in 0..13 {
            let pause = backoff.died(now);
            pauses.push(pause.as_millis());
            now += pause + Duration::from_millis(1);
        }
        assert_eq!(pauses, [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn a_quiet_minute_is_forgiven() {
        let (mut backoff, now) = (Backoff::default(), start());
        for _ in 0..9 {
            backoff.died(now);
        }
        assert_eq!(backoff.died(now + RESTART_WINDOW), Duration::ZERO);
    }

    #[test]
    fn rare_deaths_are_always_free() {
        let (mut backoff, now) = (Backoff::default(), start());
        for n in 0..100 {
            assert_eq!(backoff.died(now + n * Duration::from_secs(13)), Duration::ZERO);
        }
    }
}

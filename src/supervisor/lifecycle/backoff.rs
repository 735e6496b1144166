//! The delay before a crashed child is restarted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::types::limits::{RESTART_PAUSE_MAX, RESTART_PAUSE_MIN, RESTART_WINDOW, RESTARTS_FREE};

/// The recent crashes of one role.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Times of the last crashes, oldest first; at most [`RESTARTS_FREE`] + 1.
    deaths: VecDeque<Instant>,
    /// The last delay. None while restarts are immediate.
    pause: Option<Duration>,
}

impl Backoff {
    /// Records a crash and returns the delay of the restart. The first [`RESTARTS_FREE`] crashes
    /// within [`RESTART_WINDOW`] cause no delay. After that the delay doubles from
    /// [`RESTART_PAUSE_MIN`] to [`RESTART_PAUSE_MAX`].
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

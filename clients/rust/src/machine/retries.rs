//! When a client whose connection is lost connects again.

use std::time::{Duration, Instant};

use crate::clock::jittered;
use crate::options::{Backoff, TokenReason};
use crate::status::NORMAL;

/// Close codes (`docs/protocol-v1.md`).
const UNAUTHORIZED: u16 = 4009;
const TOKEN_EXPIRED: u16 = 4110;
/// The longest pause after the server has asked to come back at once.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The longest pause that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Attempts after which the pause does not double any more; it has long reached its bound.
const DOUBLINGS_MAX: u32 = 16;

#[derive(Debug)]
pub(super) struct Retries {
    backoff: Backoff,
    /// Attempts since a connection was stable.
    attempt: u32,
    online_at: Option<Instant>,
    /// Whether another token was already tried since the last `welcome`.
    is_refreshed: bool,
}

impl Retries {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self { backoff, attempt: 0, online_at: None, is_refreshed: false }
    }

    pub(super) const fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(super) const fn online(&mut self, now: Instant) {
        self.online_at = Some(now);
        self.is_refreshed = false;
    }

    /// The connection is lost, or the attempt has failed.
    pub(super) fn lost(&mut self, now: Instant) {
        // A connection that dies at once must not reset the pauses.
        let is_stable = |since| now.duration_since(since) >= self.backoff.stable;
        if self.online_at.take().is_some_and(is_stable) {
            self.attempt = 0;
        }
    }

    /// Whether another token may help after this Close; once for each connection that was online.
    pub(super) fn refresh(&mut self, code: u16) -> Option<TokenReason> {
        let reason = match code {
            UNAUTHORIZED => TokenReason::Refused,
            TOKEN_EXPIRED => TokenReason::Expired,
            _ => return None,
        };
        (!std::mem::replace(&mut self.is_refreshed, true)).then_some(reason)
    }

    /// The pause before the next attempt. Full jitter: clients that lost the same server do not return in the same
    /// moment.
    pub(super) fn pause(&mut self, code: u16, wanted: Option<Duration>, random: f64) -> Duration {
        self.attempt = self.attempt.saturating_add(1);
        if let Some(wanted) = wanted {
            return wanted.min(RETRY_AFTER_MAX);
        }
        if (4200..4300).contains(&code) {
            return jittered(AT_ONCE, random);
        }
        let factor = 1 << self.attempt.min(DOUBLINGS_MAX);
        jittered(self.backoff.min.saturating_mul(factor).min(self.backoff.max), random)
    }

    pub(super) const fn reset(&mut self) {
        *self = Self::new(self.backoff);
    }
}

/// Whether a client does not come back after this Close.
pub(super) fn is_final(code: u16) -> bool {
    code == NORMAL || (4000..4100).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// V182.
    #[test]
    fn pauses_grow_to_their_bound_and_are_spread_by_chance() {
        let mut retries = Retries::new(Backoff::default());
        let longest: Vec<u128> =
            (0..8).map(|_| retries.pause(1006, None, 1.0).as_millis()).collect();
        assert_eq!(longest, [1000, 2000, 4000, 8000, 16000, 20000, 20000, 20000]);
        assert_eq!(retries.pause(1006, None, 0.0), Duration::ZERO);
        assert_eq!(retries.pause(4200, None, 0.5), Duration::from_millis(500));
        let wanted = Some(Duration::from_millis(700));
        assert_eq!(retries.pause(4200, wanted, 0.5), Duration::from_millis(700));
        assert_eq!(retries.pause(4200, Some(Duration::MAX), 0.5), RETRY_AFTER_MAX);
    }

    /// V182.
    #[test]
    fn a_thousand_clients_do_not_come_back_in_the_same_moment() {
        let chance = Clock::System;
        let mut counts = [0; 10];
        for _ in 0..1000 {
            let pause = Retries::new(Backoff::default()).pause(1006, None, chance.random());
            counts[usize::try_from(pause.as_millis() / 100).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (1..200).contains(count)), "{counts:?}");
    }

    #[test]
    fn any_number_of_attempts_is_possible() {
        let mut retries = Retries::new(Backoff { max: Duration::MAX, ..Backoff::default() });
        retries.attempt = u32::MAX;
        assert!(retries.pause(1006, None, 0.5) > Duration::from_secs(1));
    }
}

//! Circuit breaker of a backend: pauses events while the backend does not answer. It reads no
//! clock; the caller passes the time.

use std::time::Duration;

/// Consecutive failures that open the breaker.
const FAILURES_MAX: u32 = 5;
/// First pause of an open breaker. The pause doubles after each failed probe.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause of an open breaker.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Circuit breaker of one backend.
#[derive(Debug, Default)]
pub struct CircuitBreaker(BreakerState);

#[derive(Debug)]
enum BreakerState {
    /// Events are sent. `failures` counts the consecutive failures.
    Closed { failures: u32 },
    /// No events are sent before `until`. `pause` is the length of this pause.
    Open { until: Duration, pause: Duration },
    /// One event is in flight as a probe. Its outcome closes or reopens the breaker. `pause` was
    /// the last pause.
    Probing { pause: Duration },
}

impl Default for BreakerState {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Answer of the breaker: may this event be sent?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerDecision {
    /// The event may be sent.
    Yes,
    /// The event may be sent as a probe. Its outcome decides whether other events may follow.
    AsProbe,
    /// The event may not be sent, because the breaker is open.
    No,
}

/// State change that a recorded outcome caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerTransition {
    /// The state did not change.
    None,
    /// The breaker opened for this pause.
    Opened(Duration),
    /// The breaker closed, because the backend answers again.
    Closed,
}

impl CircuitBreaker {
    /// Decides whether an event may be sent at the time `now`.
    pub fn admit(&mut self, now: Duration) -> BreakerDecision {
        match self.0 {
            BreakerState::Closed { .. } => BreakerDecision::Yes,
            BreakerState::Open { until, pause } if until <= now => {
                self.0 = BreakerState::Probing { pause };
                BreakerDecision::AsProbe
            }
            BreakerState::Open { .. } | BreakerState::Probing { .. } => BreakerDecision::No,
        }
    }

    /// Returns true while it is not closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.0, BreakerState::Closed { .. })
    }

    /// Records that the backend answered. Closes the breaker.
    pub fn record_success(&mut self) -> BreakerTransition {
        let before = std::mem::take(&mut self.0);
        if matches!(before, BreakerState::Closed { .. }) {
            BreakerTransition::None
        } else {
            BreakerTransition::Closed
        }
    }

    /// Records that the backend did not answer. While the breaker is not closed, only the failure
    /// of a probe counts: the other events were sent before the breaker opened.
    pub fn record_failure(
        &mut self,
        admitted: BreakerDecision,
        now: Duration,
    ) -> BreakerTransition {
        let pause = match (&mut self.0, admitted) {
            (BreakerState::Closed { failures }, _) => {
                *failures += 1;
                if *failures < FAILURES_MAX {
                    return BreakerTransition::None;
                }
                PAUSE_MIN
            }
            (BreakerState::Probing { pause }, BreakerDecision::AsProbe) => {
                (*pause * 2).min(PAUSE_MAX)
            }
            (BreakerState::Probing { .. } | BreakerState::Open { .. }, _) => {
                return BreakerTransition::None;
            }
        };
        self.0 = BreakerState::Open { until: now + pause, pause };
        BreakerTransition::Opened(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    fn opened() -> CircuitBreaker {
        let mut breaker = CircuitBreaker::default();
        for _ in 1..FAILURES_MAX {
            assert_eq!(
                breaker.record_failure(BreakerDecision::Yes, AT(10)),
                BreakerTransition::None
            );
        }
        assert_eq!(
            breaker.record_failure(BreakerDecision::Yes, AT(10)),
            BreakerTransition::Opened(AT(1))
        );
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let mut breaker = CircuitBreaker::default();
        for _ in 0..3 {
            for _ in 1..FAILURES_MAX {
                assert_eq!(
                    breaker.record_failure(BreakerDecision::Yes, AT(1)),
                    BreakerTransition::None
                );
            }
            assert_eq!(breaker.record_success(), BreakerTransition::None);
        }
        assert_eq!(opened().admit(AT(10)), BreakerDecision::No);
    }

    #[test]
    fn one_probe_decides_and_the_pause_doubles_up_to_half_a_minute() {
        let mut breaker = opened();
        let mut now = AT(10);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(
                breaker.admit(now + AT(pause) - Duration::from_millis(1)),
                BreakerDecision::No
            );
            now += AT(pause);
            assert_eq!(breaker.admit(now), BreakerDecision::AsProbe);
            assert_eq!(breaker.admit(now), BreakerDecision::No, "a second probe");
            assert_eq!(
                breaker.record_failure(BreakerDecision::Yes, now),
                BreakerTransition::None,
                "an old event"
            );
            assert_eq!(
                breaker.record_failure(BreakerDecision::AsProbe, now),
                BreakerTransition::Opened(AT((2 * pause).min(30)))
            );
        }
        now += AT(30);
        assert_eq!(breaker.admit(now), BreakerDecision::AsProbe);
        assert_eq!(breaker.record_success(), BreakerTransition::Closed);
        assert_eq!(breaker.admit(now), BreakerDecision::Yes);
        assert_eq!(breaker.record_failure(BreakerDecision::Yes, now), BreakerTransition::None);
    }
}

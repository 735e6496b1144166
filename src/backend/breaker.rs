//! When a backend that does not answer is left alone for a while. No clock: the caller says what time
//! it is.

use std::time::Duration;

/// Failures in a row that open a breaker.
const FAILURES_MAX: u32 = 5;
/// How long it stays open at first; twice as long after each probe that failed.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long it stays open at the most.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The breaker of one backend.
#[derive(Debug, Default)]
pub struct Breaker(State);

#[derive(Debug)]
enum State {
    /// Events are sent; so many failed in a row.
    Closed { failures: u32 },
    /// Nothing is sent until then.
    Open { until: Duration, pause: Duration },
    /// One event is under way, and its fate decides.
    Probing { pause: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Whether an event may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It may.
    Yes,
    /// It may, and decides whether others may.
    AsProbe,
    /// It may not: the backend is left alone.
    No,
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The backend is left alone for so long.
    Opened(Duration),
    /// The backend answers again.
    Closed,
}

impl Breaker {
    /// Asks whether an event may be sent.
    pub fn admit(&mut self, now: Duration) -> Admitted {
        match self.0 {
            State::Closed { .. } => Admitted::Yes,
            State::Open { until, pause } if until <= now => {
                self.0 = State::Probing { pause };
                Admitted::AsProbe
            }
            State::Open { .. } | State::Probing { .. } => Admitted::No,
        }
    }

    /// The backend answered.
    pub fn answered(&mut self) -> Change {
        let before = std::mem::take(&mut self.0);
        if matches!(before, State::Closed { .. }) { Change::None } else { Change::Closed }
    }

    /// It did not. What was sent before the breaker opened says nothing new then.
    pub fn failed(&mut self, admitted: Admitted, now: Duration) -> Change {
        let pause = match (&mut self.0, admitted) {
            (State::Closed { failures }, _) => {
                *failures += 1;
                if *failures < FAILURES_MAX {
                    return Change::None;
                }
                PAUSE_MIN
            }
            (State::Probing { pause }, Admitted::AsProbe) => (*pause * 2).min(PAUSE_MAX),
            (State::Probing { .. } | State::Open { .. }, _) => return Change::None,
        };
        self.0 = State::Open { until: now + pause, pause };
        Change::Opened(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            assert_eq!(breaker.failed(Admitted::Yes, AT(10)), Change::None);
        }
        assert_eq!(breaker.failed(Admitted::Yes, AT(10)), Change::Opened(AT(1)));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..FAILURES_MAX {
                assert_eq!(breaker.failed(Admitted::Yes, AT(1)), Change::None);
            }
            assert_eq!(breaker.answered(), Change::None);
        }
        assert_eq!(opened().admit(AT(10)), Admitted::No);
    }

    #[test]
    fn one_probe_decides_and_the_pause_doubles_up_to_half_a_minute() {
        let mut breaker = opened();
        let mut now = AT(10);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.admit(now + AT(pause) - Duration::from_millis(1)), Admitted::No);
            now += AT(pause);
            assert_eq!(breaker.admit(now), Admitted::AsProbe);
            assert_eq!(breaker.admit(now), Admitted::No, "a second probe");
            assert_eq!(breaker.failed(Admitted::Yes, now), Change::None, "an old event");
            assert_eq!(
                breaker.failed(Admitted::AsProbe, now),
                Change::Opened(AT((2 * pause).min(30)))
            );
        }
        now += AT(30);
        assert_eq!(breaker.admit(now), Admitted::AsProbe);
        assert_eq!(breaker.answered(), Change::Closed);
        assert_eq!(breaker.admit(now), Admitted::Yes);
        assert_eq!(breaker.failed(Admitted::Yes, now), Change::None);
    }
}

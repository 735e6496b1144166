//! A time limit for one kind of work within one turn of an event loop.

use std::time::Duration;

use super::limits::{CLOCK_WORK, UNIT_WORK};

/// A time budget for units of work, such as messages, sockets or deliveries.
///
/// The event loop checks the budget after each unit, so at least one unit is always processed. Once
/// the budget is spent, the remaining units wait for the next turn. The budget does not read a
/// clock: the time is an argument, counted from the start of the loop's clock.
///
/// ```
/// use std::time::Duration;
/// use tagcast::types::TurnBudget;
///
/// let mut now = Duration::from_millis(7);
/// let mut budget = TurnBudget::new(now, Duration::from_millis(1));
/// assert!(!budget.is_spent(now));
/// // A small unit does not justify reading the clock.
/// assert!(!budget.is_spent_after(10, || unreachable!("ten bytes of work")));
/// now += Duration::from_millis(1);
/// assert!(budget.is_spent_after(100_000, || now));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnBudget {
    until: Duration,
    /// Work done since the clock was last read, in bytes.
    unchecked: usize,
}

impl TurnBudget {
    /// Creates a budget that starts now.
    #[must_use]
    pub fn new(now: Duration, time: Duration) -> Self {
        Self { until: now.saturating_add(time), unchecked: 0 }
    }

    /// Returns true if the time is over.
    #[must_use]
    pub fn is_spent(&self, now: Duration) -> bool {
        now >= self.until
    }

    /// Returns true if the time is over after another unit of this many bytes. Reads the clock only
    /// after at least [`CLOCK_WORK`] bytes of work.
    pub fn is_spent_after(&mut self, bytes: usize, now: impl FnOnce() -> Duration) -> bool {
        self.unchecked = self.unchecked.saturating_add(bytes).saturating_add(UNIT_WORK);
        if self.unchecked < CLOCK_WORK {
            return false;
        }
        let is_spent = self.is_spent(now());
        if !is_spent {
            self.unchecked = 0;
        }
        is_spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        /// For units of any cost and size, the work stops at most one clock reading after the
        /// budget, and the first unit is always processed.
        #[test]
        fn work_ends_within_one_look_at_the_clock_of_the_budget(
            time in 0_u64..5_000,
            units in prop::collection::vec((0_usize..20_000, 0_u64..400), 1..400),
        ) {
            let mut now = Duration::from_secs(3);
            let end = now + Duration::from_micros(time);
            let mut budget = TurnBudget::new(now, Duration::from_micros(time));
            let mut late = Vec::new();
            for (bytes, cost) in units {
                now += Duration::from_micros(cost);
                if now >= end {
                    late.push(bytes + UNIT_WORK);
                }
                if budget.is_spent_after(bytes, || now) {
                    prop_assert!(now >= end, "it is spent when the time is over, and not before");
                    break;
                }
                let unseen: usize = late.iter().sum();
                prop_assert!(unseen < CLOCK_WORK, "{unseen} bytes of work past the end");
            }
        }

        #[test]
        fn what_is_spent_stays_spent(bytes in prop::collection::vec(0_usize..100, 1..50)) {
            let mut budget = TurnBudget::new(Duration::ZERO, Duration::ZERO);
            prop_assert!(budget.is_spent_after(CLOCK_WORK, || Duration::ZERO));
            for bytes in bytes {
                prop_assert!(budget.is_spent_after(bytes, || Duration::ZERO));
            }
        }
    }
}

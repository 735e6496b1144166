//! Rate limit for log lines that clients can cause. Suppressed lines are counted.

use std::time::Duration;

use super::clock::Moment;
use crate::types::limits::REJECTION_LINES_PER_SECOND;

/// Length of a counting window.
const WINDOW: Duration = Duration::from_secs(1);

/// Rate limit for one kind of line.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogThrottle {
    /// End of the current window.
    until: Moment,
    left: u32,
    unshown: u64,
}

impl Default for LogThrottle {
    fn default() -> Self {
        Self { until: Moment::START, left: 0, unshown: 0 }
    }
}

impl LogThrottle {
    /// Returns true if a line may be written, and counts it as suppressed otherwise.
    pub(super) fn admits(&mut self, now: Moment) -> bool {
        if now >= self.until {
            (self.until, self.left) = (now.after(WINDOW), REJECTION_LINES_PER_SECOND);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.unshown += 1;
                false
            }
        }
    }

    /// Returns the number of suppressed lines once their window is over, and resets it. `None` if
    /// there are none.
    pub(super) fn unshown(&mut self, now: Moment) -> Option<u64> {
        let is_over = self.unshown > 0 && now >= self.until;
        is_over.then(|| std::mem::take(&mut self.unshown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_others_are_counted_once() {
        let mut throttle = LogThrottle::default();
        let shown = (0..REJECTION_LINES_PER_SECOND + 7).filter(|_| throttle.admits(Moment::START));
        assert_eq!(shown.count(), REJECTION_LINES_PER_SECOND as usize);
        assert_eq!(throttle.unshown(Moment::START), None);
        let next = Moment::START.after(WINDOW);
        assert_eq!(throttle.unshown(next), Some(7));
        assert!(throttle.admits(next) && throttle.unshown(next.after(WINDOW)).is_none());
    }
}

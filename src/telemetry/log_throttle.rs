//! Rate limit for log lines that clients can cause. Suppressed lines are counted.

use std::time::Duration;

/// Rate limit for one kind of line. Times are counted from any fixed moment.
#[derive(Clone, Copy, Debug)]
pub struct LogThrottle {
    /// Length of a counting window.
    window: Duration,
    /// Lines of a window.
    lines: u32,
    /// End of the current window.
    until: Duration,
    left: u32,
    unshown: u64,
}

impl LogThrottle {
    /// Allows so many lines in each window.
    #[must_use]
    pub const fn new(lines: u32, window: Duration) -> Self {
        Self { window, lines, until: Duration::ZERO, left: 0, unshown: 0 }
    }

    /// Returns true if a line may be written, and counts it as suppressed otherwise.
    pub fn admits(&mut self, now: Duration) -> bool {
        if now >= self.until {
            (self.until, self.left) = (now.saturating_add(self.window), self.lines);
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

    /// Returns the number of suppressed lines once their window is over, and resets it. `None` if there
    /// are none. The line that says so counts as one of the next window.
    pub fn unshown(&mut self, now: Duration) -> Option<u64> {
        if self.unshown == 0 || now < self.until {
            return None;
        }
        (self.until, self.left) = (now.saturating_add(self.window), self.lines.saturating_sub(1));
        self.take_unshown()
    }

    /// Returns the number of suppressed lines, for a last line at the end of a process.
    pub fn take_unshown(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.unshown)).filter(|unshown| *unshown > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn a_window_has_so_many_lines_and_the_others_are_counted_once() {
        let mut throttle = LogThrottle::new(3, WINDOW);
        let start = Duration::from_secs(5);
        assert_eq!((0..10).filter(|_| throttle.admits(start)).count(), 3);
        assert_eq!(throttle.unshown(start), None);
        let next = start + WINDOW;
        assert_eq!(throttle.unshown(next), Some(7));
        assert_eq!((0..3).filter(|_| throttle.admits(next)).count(), 2, "one line was written");
        assert_eq!(throttle.take_unshown(), Some(1));
        assert_eq!((throttle.take_unshown(), throttle.unshown(next + WINDOW)), (None, None));
    }
}

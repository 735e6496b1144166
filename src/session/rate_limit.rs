//! A bucket for cheap things: as many in a second as allowed, then no more until the next one.

/// Counts what came in the current second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimiter {
    second: u32,
    count: u32,
}

impl RateLimiter {
    /// Whether one more is allowed in this second; seconds are counted from any fixed moment.
    #[must_use]
    pub fn admits(&mut self, second: u32, allowed: u32) -> bool {
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_quota_waits_for_the_next_second() {
        let mut quota = RateLimiter::default();
        assert!((0..3).all(|_| quota.admits(7, 3)));
        assert!(!quota.admits(7, 3));
        assert!(quota.admits(8, 3));
    }
}

//! Rate limit for cheap requests: a fixed number per second.

/// Number of requests in the current second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimiter {
    second: u32,
    count: u32,
}

impl RateLimiter {
    /// Counts a request and returns true if it is within the limit. `second` is counted from any
    /// fixed time.
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

//! Limits of rates: of requests and publications.

use std::time::Duration;

/// Addresses with a bucket of their own for `limitRequestsPerIP`: about 8 MiB. Further addresses share one.
pub const ADDRESS_BUCKETS_MAX: usize = 65_536;
/// How often the buckets of addresses that have paused are removed.
pub const ADDRESS_SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Interval between two log lines of a worker about publishers that wait for a limit.
pub const THROTTLE_LOG_EVERY: Duration = Duration::from_secs(60);

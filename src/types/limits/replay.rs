//! Limits of what is kept of requests that must not take effect twice.

use std::time::Duration;

/// How long the id of a publication is kept, by default: longer than a backend repeats a request.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(300);
/// Ids of publications that are kept, by default: 660 a second for five minutes, and some 30 MB in each of
/// two processes.
pub const IDEMPOTENCY_MAX: usize = 200_000;
/// Maximum bytes of the id of a publication.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Minimum interval between two log lines about ids that were forgotten early.
pub const IDS_EVICTED_LOG_EVERY: Duration = Duration::from_secs(60);
/// Records in one message of the link: a few dozen kilobytes.
pub const REPLAY_PIECE_RECORDS: usize = 1024;
/// The broker tells an API process more records only while fewer bytes wait for its link.
pub const REPLAY_PENDING_BYTES_MAX: usize = 256 * 1024;
/// Expired records that the broker removes at once: more than arrive between two of its heartbeats.
pub const REPLAY_EXPIRED_MAX: usize = 10_000;

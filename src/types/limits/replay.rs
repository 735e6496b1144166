//! Limits of what is kept of requests that must not take effect twice.

/// Records in one message of the link: a few dozen kilobytes.
pub const REPLAY_PIECE_RECORDS: usize = 1024;
/// The broker tells an API process more records only while fewer bytes wait for its link.
pub const REPLAY_PENDING_BYTES_MAX: usize = 256 * 1024;
/// Expired records that the broker removes at once: more than arrive between two of its heartbeats.
pub const REPLAY_EXPIRED_MAX: usize = 10_000;

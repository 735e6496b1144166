//! The unit in which work for tenants is counted.

use super::limits::WORK_BYTES;

/// Returns the work of one send of a payload of this many bytes: 1, and 1 more for each [`WORK_BYTES`].
#[must_use]
pub fn send_work(bytes: usize) -> u64 {
    1 + u64::try_from(bytes / WORK_BYTES).unwrap_or(u64::MAX >> 1)
}

//! Lanes of a host, and places in them.

use super::envelope::HostRun;

/// Identifies a lane of one sender: the common lane, or the private lane to one run of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey(pub u32);

impl LaneKey {
    /// The lane to all hosts.
    pub const COMMON: Self = Self(0);

    /// Returns the private lane to a run: its last 32 bits, which are random.
    #[must_use]
    pub fn private(run: HostRun) -> Self {
        let [.., a, b, c, d] = run.0.to_be_bytes();
        Self(u32::from_be_bytes([a, b, c, d]).max(1))
    }
}

/// A place in a lane. Lanes are numbered from 1 in each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanePoint {
    /// The lane.
    pub lane: LaneKey,
    /// The number of an item in it.
    pub number: u64,
}

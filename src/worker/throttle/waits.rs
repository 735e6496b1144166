//! Counters of the waits of publishers.

use std::time::Duration;

/// How often a connection had to wait, and for how long altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct WaitTotals {
    pub(in crate::worker) waits: u64,
    pub(in crate::worker) waited: Duration,
}

/// The waits for limits and for throttled tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct AllWaits {
    pub(in crate::worker) limits: WaitTotals,
    pub(in crate::worker) tenants: WaitTotals,
}

impl AllWaits {
    /// Returns the time of all waits together.
    pub(in crate::worker) fn waited(self) -> Duration {
        self.limits.waited + self.tenants.waited
    }

    pub(super) fn of(&mut self, waiting: Waiting) -> &mut WaitTotals {
        match waiting {
            Waiting::ForLimit => &mut self.limits,
            Waiting::ForTenant => &mut self.tenants,
        }
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    ForLimit,
    ForTenant,
}

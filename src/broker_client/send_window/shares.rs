//! What each tenant has in the send window.

use std::collections::{HashMap, VecDeque};
use std::ops::{AddAssign, SubAssign};

use crate::types::Tenant;

/// Publications of a window, or the most that it may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowUse {
    /// Their number.
    pub(crate) count: u64,
    /// Their bytes.
    pub(crate) bytes: usize,
}

impl AddAssign for WindowUse {
    fn add_assign(&mut self, more: Self) {
        self.count += more.count;
        self.bytes += more.bytes;
    }
}

impl SubAssign for WindowUse {
    fn sub_assign(&mut self, less: Self) {
        self.count -= less.count;
        self.bytes -= less.bytes;
    }
}

/// The publications of a window by tenant.
///
/// They are acknowledged in order, so runs of one tenant are counted: a publication of the same tenant as the
/// last one costs a comparison and two additions.
#[derive(Debug)]
pub(crate) struct WindowShares {
    /// The last run. It is empty if the window is.
    last: TenantRun,
    /// The runs before it, in order. None of them is empty.
    earlier: VecDeque<TenantRun>,
    /// The sums of those runs.
    sums: HashMap<Tenant, WindowUse>,
}

/// Publications of one tenant that follow each other.
#[derive(Debug)]
struct TenantRun {
    tenant: Tenant,
    used: WindowUse,
}

impl Default for WindowShares {
    fn default() -> Self {
        let last = TenantRun { tenant: Tenant::shared(), used: WindowUse::default() };
        Self { last, earlier: VecDeque::new(), sums: HashMap::new() }
    }
}

impl WindowShares {
    /// Counts a publication.
    #[inline]
    pub(crate) fn push(&mut self, tenant: &Tenant, bytes: usize) {
        if self.last.tenant != *tenant {
            self.begin_run(tenant.clone());
        }
        self.last.used += WindowUse { count: 1, bytes };
    }

    fn begin_run(&mut self, tenant: Tenant) {
        let new = TenantRun { tenant, used: WindowUse::default() };
        let run = std::mem::replace(&mut self.last, new);
        if run.used.count > 0 {
            *self.sums.entry(run.tenant.clone()).or_default() += run.used;
            self.earlier.push_back(run);
        }
    }

    /// Adds bytes to the last publication.
    pub(crate) fn add_to_last(&mut self, bytes: usize) {
        self.last.used.bytes += bytes;
    }

    /// Returns the number of the first publications that are of one tenant.
    #[inline]
    pub(crate) fn first_run(&self) -> u64 {
        self.earlier.front().unwrap_or(&self.last).used.count
    }

    /// Removes the first publications, which are of one tenant.
    #[inline]
    pub(crate) fn acknowledge(&mut self, done: WindowUse) {
        let Some(first) = self.earlier.front_mut() else {
            self.last.used -= done;
            return;
        };
        first.used -= done;
        if let Some(sum) = self.sums.get_mut(&first.tenant) {
            *sum -= done;
            if sum.count == 0 {
                self.sums.remove(&first.tenant);
            }
        }
        if first.used.count == 0 {
            self.earlier.pop_front();
        }
    }

    /// Returns what a tenant has in the window.
    pub(crate) fn of(&self, tenant: &Tenant) -> WindowUse {
        let mut used = self.sums.get(tenant).copied().unwrap_or_default();
        if self.last.tenant == *tenant {
            used += self.last.used;
        }
        used
    }

    #[cfg(test)]
    pub(crate) fn runs(&self) -> usize {
        self.earlier.len() + 1
    }
}

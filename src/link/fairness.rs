//! Messages about the work of tenants and their throttles, and about the limits of applications.

use crate::types::{ChargedAmount, Tenant};

/// Work that a worker has done for a tenant since its last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkReport {
    /// The tenant.
    pub tenant: Tenant,
    /// The work, in [units](crate::types::limits::WORK_BYTES).
    pub done: u64,
}

/// Whether the publishers of a tenant are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantThrottle {
    /// The tenant.
    pub tenant: Tenant,
    /// Its publishers are not read from now on.
    pub is_throttled: bool,
}

/// What a process has accepted of an application whose publications are limited, since its last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationCharge {
    /// Key of the application; empty on a server without applications.
    pub application: Box<str>,
    /// What was accepted.
    pub amount: ChargedAmount,
}

//! Messages about the work of tenants and their throttles.

use crate::types::Tenant;

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

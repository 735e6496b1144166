//! What was published in each tenant.

use std::collections::HashMap;

use super::resolve_cache::KnownRoute;
use crate::types::Tenant;

/// Publications of a tenant since the broker started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TenantTraffic {
    /// Publications that were resolved.
    pub(super) publications: u64,
    /// Their recipients.
    pub(super) deliveries: u64,
}

impl TenantTraffic {
    fn add(&mut self, other: Self) {
        self.publications += other.publications;
        self.deliveries += other.deliveries;
    }
}

/// The traffic of all tenants. A route counts its own publications while the cache keeps it, so that most
/// publications need no lookup of their tenant.
#[derive(Debug, Default)]
pub(super) struct TrafficByTenant(HashMap<Tenant, TenantTraffic>);

impl TrafficByTenant {
    /// Adds what a route has counted.
    pub(super) fn take_from(&mut self, route: &mut KnownRoute) {
        let counted = std::mem::take(&mut route.traffic);
        if counted == TenantTraffic::default() {
            return;
        }
        match self.0.get_mut(&route.tenant) {
            Some(traffic) => traffic.add(counted),
            None => drop(self.0.insert(route.tenant.clone(), counted)),
        }
    }

    /// Returns the traffic of a tenant.
    pub(super) fn of(&self, tenant: &Tenant) -> TenantTraffic {
        self.0.get(tenant).copied().unwrap_or_default()
    }
}

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
pub(super) struct TrafficByTenant {
    all: HashMap<Tenant, TenantTraffic>,
    /// The last two tenants of this turn, the last one second.
    recent: [Option<Tenant>; 2],
}

impl TrafficByTenant {
    /// Adds what a route has counted.
    pub(super) fn take_from(&mut self, route: &mut KnownRoute) {
        let counted = std::mem::take(&mut route.traffic);
        if counted == TenantTraffic::default() {
            return;
        }
        match self.all.get_mut(&route.tenant) {
            Some(traffic) => traffic.add(counted),
            None => drop(self.all.insert(route.tenant.clone(), counted)),
        }
        let [before, last] = &mut self.recent;
        if last.as_ref() != Some(&route.tenant) {
            *before = last.replace(route.tenant.clone());
        }
    }

    /// Returns the last two tenants that have published since the last call.
    pub(super) fn take_recent(&mut self) -> [Option<Tenant>; 2] {
        std::mem::take(&mut self.recent)
    }

    /// Returns the traffic of a tenant.
    pub(super) fn of(&self, tenant: &Tenant) -> TenantTraffic {
        self.all.get(tenant).copied().unwrap_or_default()
    }
}

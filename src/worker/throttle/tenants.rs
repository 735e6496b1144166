//! Publishers that wait because their tenant is throttled.

use std::collections::{HashMap, VecDeque};

use super::super::clock::Moment;
use super::{Throttle, ThrottledConnection};
use crate::link::fairness::TenantThrottle;
use crate::types::{Slot, Tenant};

/// The connections that wait, by tenant.
#[derive(Debug, Default)]
pub(super) struct TenantWaiters {
    waiting: HashMap<Tenant, VecDeque<ThrottledConnection>>,
    /// The tenant of the last publication of a connection, if that is not its own: messages may have
    /// credentials.
    publishers: HashMap<Slot, Tenant>,
}

impl TenantWaiters {
    /// Records the tenant of a publication. `own` is that of its connection.
    #[inline]
    pub(super) fn note_publication(&mut self, slot: Slot, tenant: &Tenant, own: &Tenant) {
        if tenant != own {
            self.publishers.insert(slot, tenant.clone());
        } else if !self.publishers.is_empty() {
            self.publishers.remove(&slot);
        }
    }

    /// Returns the tenant of the last publication of a connection, if that is not its own.
    pub(super) fn tenant_of(&self, slot: Slot) -> Option<&Tenant> {
        self.publishers.get(&slot)
    }

    pub(super) fn push(&mut self, tenant: Tenant, connection: ThrottledConnection) {
        self.waiting.entry(tenant).or_default().push_back(connection);
    }

    /// Removes the connections that wait for this tenant.
    pub(super) fn release(&mut self, tenant: &Tenant) -> VecDeque<ThrottledConnection> {
        self.waiting.remove(tenant).unwrap_or_default()
    }

    /// Removes the connections that wait for any tenant.
    pub(super) fn release_all(&mut self) -> impl Iterator<Item = ThrottledConnection> {
        std::mem::take(&mut self.waiting).into_values().flatten()
    }

    /// Forgets a connection that has ended.
    pub(super) fn forget(&mut self, slot: Slot) {
        if !self.publishers.is_empty() {
            self.publishers.remove(&slot);
        }
    }
}

impl Throttle {
    /// Records the tenant of a publication. `own` is that of its connection.
    #[inline]
    pub(in crate::worker) fn note_publication(
        &mut self,
        slot: Slot,
        tenant: &Tenant,
        own: &Tenant,
    ) {
        self.tenants.note_publication(slot, tenant, own);
    }

    /// Returns the tenant of the last publication of a connection, if that is not its own.
    pub(in crate::worker) fn tenant_of(&self, slot: Slot) -> Option<&Tenant> {
        self.tenants.tenant_of(slot)
    }

    /// A throttle begins or ends. When it ends, the publishers of the tenant may be read again.
    pub(in crate::worker) fn on_throttle(&mut self, throttle: &TenantThrottle, now: Moment) {
        if !throttle.is_throttled {
            self.release_tenant(&throttle.tenant, now);
        }
    }

    /// The publishers of a tenant may be read again.
    pub(super) fn release_tenant(&mut self, tenant: &Tenant, now: Moment) {
        let mut waiting = self.tenants.release(tenant);
        if !waiting.is_empty() {
            self.released.append(&mut waiting);
            self.due = Some(now);
        }
    }

    /// The publishers of all tenants may be read again, because the link that throttled them has ended.
    pub(in crate::worker) fn release_tenants(&mut self, now: Moment) {
        self.released.extend(self.tenants.release_all());
        if !self.released.is_empty() {
            self.due = Some(now);
        }
    }
}

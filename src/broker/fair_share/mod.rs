//! Which tenants must wait: work that was given out to workers, by tenant, and the throttles that follow.
//!
//! Nothing is counted before two tenants have published within a second. From then on every worker reports
//! what it has done. A death of a worker removes what it had. Counts start afresh with each broker.

use std::collections::HashMap;
use std::time::Duration;

use smallvec::SmallVec;
use tracing::info;

use crate::link::fairness::{TenantThrottle, WorkReport};
use crate::telemetry::LogThrottle;
use crate::types::limits::{FAIR_SHARE_RECENT, FAIR_SHARE_WORK, THROTTLE_LOG_EVERY};
use crate::types::{Tenant, WorkerId};

/// A throttle is lifted at this part of the work at which it begins.
const LIFTED_AT: u64 = 4;
/// Reports leave out less than this part of that work. All workers together must leave out less than the
/// part at which a throttle is lifted, and there are at most 256 of them.
const REPORTED_FROM: u64 = 1024;

/// The work of all tenants.
#[derive(Debug)]
pub(super) struct FairShare {
    /// Work at which a tenant is throttled; 0 for no throttles.
    limit: u64,
    is_counting: bool,
    /// Tenants with work that is not done, or with a throttle.
    loads: HashMap<Tenant, TenantLoad>,
    /// Tenants whose work has changed since the last decision.
    changed: Vec<Tenant>,
    throttled: Vec<Tenant>,
    /// The two tenants that have published last, the last one first.
    latest: [Option<RecentPublisher>; 2],
    /// How often a tenant was throttled.
    throttles: u64,
    log: LogThrottle,
}

/// When a tenant has published last.
#[derive(Debug)]
struct RecentPublisher {
    tenant: Tenant,
    at: Duration,
}

/// Work of one tenant.
#[derive(Debug, Default)]
pub(super) struct TenantLoad {
    /// Work that was given to each worker and is not done.
    by_worker: SmallVec<[(WorkerId, u64); 4]>,
    is_changed: bool,
}

impl TenantLoad {
    /// Counts work that is given to a worker.
    pub(super) fn give(&mut self, worker: WorkerId, work: u64) {
        match self.by_worker.iter_mut().find(|(known, _)| *known == worker) {
            Some((_, given)) => *given = given.saturating_add(work),
            None => self.by_worker.push((worker, work)),
        }
    }

    fn done(&mut self, worker: WorkerId, work: u64) {
        self.by_worker.retain(|(known, given)| {
            if *known == worker {
                *given = given.saturating_sub(work);
            }
            *given > 0
        });
    }

    fn total(&self) -> u64 {
        self.by_worker.iter().fold(0, |sum, (_, given)| sum.saturating_add(*given))
    }
}

impl Default for FairShare {
    fn default() -> Self {
        Self {
            limit: FAIR_SHARE_WORK,
            is_counting: false,
            loads: HashMap::new(),
            changed: Vec::new(),
            throttled: Vec::new(),
            latest: [None, None],
            throttles: 0,
            log: LogThrottle::new(1, THROTTLE_LOG_EVERY),
        }
    }
}

impl FairShare {
    /// Sets the work at which a tenant is throttled; 0 for no throttles.
    pub(super) fn limit(&mut self, work: u64) {
        self.limit = work;
    }

    /// Returns from how much work on a worker must report, once work is counted.
    pub(super) fn reported_from(&self) -> Option<u64> {
        self.is_counting.then(|| (self.limit / REPORTED_FROM).max(1))
    }

    /// Returns the tenants that are throttled.
    pub(super) fn throttled(&self) -> &[Tenant] {
        &self.throttled
    }

    /// Returns how often a tenant was throttled.
    pub(super) fn throttles(&self) -> u64 {
        self.throttles
    }

    /// Returns the account of a tenant that publishes; `None` while nothing is counted.
    #[inline]
    pub(super) fn load(&mut self, tenant: &Tenant) -> Option<&mut TenantLoad> {
        if !self.is_counting {
            return None;
        }
        Some(changed(&mut self.loads, &mut self.changed, tenant))
    }

    /// Counts what a worker has done.
    pub(super) fn on_report(&mut self, worker: WorkerId, WorkReport { tenant, done }: &WorkReport) {
        if self.loads.contains_key(tenant) {
            changed(&mut self.loads, &mut self.changed, tenant).done(worker, *done);
        }
    }

    /// Removes what a worker had not done, because its link has ended.
    pub(super) fn forget_worker(&mut self, worker: WorkerId) {
        let Self { loads, changed, .. } = self;
        for (tenant, load) in loads {
            load.done(worker, u64::MAX);
            if !std::mem::replace(&mut load.is_changed, true) {
                changed.push(tenant.clone());
            }
        }
    }

    /// Records that a tenant has published.
    pub(super) fn note_publisher(&mut self, tenant: &Tenant, now: Duration) {
        let [last, other] = &mut self.latest;
        match last {
            Some(last) if last.tenant == *tenant => last.at = now,
            _ => {
                let new = RecentPublisher { tenant: tenant.clone(), at: now };
                *other = last.replace(new);
            }
        }
    }

    /// Returns true once: when two tenants have published within a second, and nothing was counted before.
    pub(super) fn begins_to_count(&mut self, now: Duration) -> bool {
        let is_recent =
            |it: &Option<RecentPublisher>| it.as_ref().is_some_and(|it| it.is_recent(now));
        let begins = !self.is_counting && self.limit > 0 && self.latest.iter().all(is_recent);
        self.is_counting |= begins;
        begins
    }

    /// Returns whether another tenant publishes, or would if it were not throttled too.
    fn is_contended(&self, tenant: &Tenant, now: Duration) -> bool {
        let mut latest = self.latest.iter().flatten();
        latest.any(|it| it.tenant != *tenant && it.is_recent(now))
            || self.throttled.iter().any(|other| other != tenant)
    }

    /// Returns the throttles that begin or end now.
    pub(super) fn decide(&mut self, now: Duration) -> Vec<TenantThrottle> {
        let mut orders = Vec::new();
        self.lift_where(Self::is_drained, &mut orders);
        for tenant in std::mem::take(&mut self.changed) {
            let is_throttled = self.throttled.contains(&tenant);
            let Some(load) = self.loads.get_mut(&tenant) else { continue };
            load.is_changed = false;
            let total = load.total();
            if total == 0 && !is_throttled {
                self.loads.remove(&tenant);
            } else if self.limit > 0
                && total > self.limit
                && !is_throttled
                && self.is_contended(&tenant, now)
            {
                self.throttle(&tenant, total, now);
                orders.push(TenantThrottle { tenant, is_throttled: true });
            }
        }
        self.lift_where(|share, tenant| !share.is_contended(tenant, now), &mut orders);
        orders
    }

    fn is_drained(&self, tenant: &Tenant) -> bool {
        let total = self.loads.get(tenant).map_or(0, TenantLoad::total);
        total <= self.limit / LIFTED_AT || self.limit == 0
    }

    fn lift_where(
        &mut self,
        is_over: impl Fn(&Self, &Tenant) -> bool,
        orders: &mut Vec<TenantThrottle>,
    ) {
        for tenant in self.throttled.clone() {
            if is_over(self, &tenant) {
                self.lift(&tenant);
                orders.push(TenantThrottle { tenant, is_throttled: false });
            }
        }
    }

    fn throttle(&mut self, tenant: &Tenant, work: u64, now: Duration) {
        self.throttled.push(tenant.clone());
        self.throttles += 1;
        if self.log.admits(now) {
            info!(
                event = "tenant_throttled",
                tenant = &*tenant.0,
                work,
                "a tenant uses more than its share while others publish, its publishers wait"
            );
        }
    }

    fn lift(&mut self, tenant: &Tenant) {
        self.throttled.retain(|it| it != tenant);
        if self.loads.get(tenant).is_some_and(|it| it.by_worker.is_empty() && !it.is_changed) {
            self.loads.remove(tenant);
        }
    }
}

impl RecentPublisher {
    fn is_recent(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) <= FAIR_SHARE_RECENT
    }
}

fn changed<'a>(
    loads: &'a mut HashMap<Tenant, TenantLoad>,
    changed: &mut Vec<Tenant>,
    tenant: &Tenant,
) -> &'a mut TenantLoad {
    let load = loads.entry(tenant.clone()).or_default();
    if !std::mem::replace(&mut load.is_changed, true) {
        changed.push(tenant.clone());
    }
    load
}

#[cfg(test)]
mod tests;

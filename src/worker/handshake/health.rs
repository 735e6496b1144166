//! Health endpoints on the addresses of the WebSockets. The worker answers them without the API
//! process, so a load balancer's check does not depend on it.

use crate::types::limits::OUTAGE_TOLERATED;
use crate::types::{Pressure, Readiness};
use crate::worker::clock::Moment;
use crate::worker::context::Context;

/// Returns whether this worker takes traffic.
pub(super) fn readiness(context: &Context) -> Readiness {
    let now = context.clock.now();
    if !context.stage.is_serving() {
        return Readiness::Draining;
    }
    if context.unlinked_since.is_some_and(|since| since.after(OUTAGE_TOLERATED) <= now) {
        return Readiness::BrokerUnavailable;
    }
    let is_long = |since: Moment| since.after(OUTAGE_TOLERATED) <= now;
    if context.settings.needs_cluster && context.hosts.reach.readiness(is_long) != Readiness::Ready
    {
        return Readiness::ClusterUnavailable;
    }
    match context.memory.pressure() {
        Pressure::None => Readiness::Ready,
        _ => Readiness::MemoryPressure,
    }
}

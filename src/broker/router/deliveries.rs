//! Deliveries: a publication on its way to the workers of its recipients.

use super::Router;
use crate::broker::other_hosts::SoleRecipient;
use crate::broker::resolve_cache::{KnownRoute, WorkerTarget};
use crate::broker::tracking::BegunTracking;
use crate::link::message::{Deliver, ToWorker};
use crate::types::{Content, Number, ReplayPosition, Sequence, WorkerIncarnation, send_work};

/// A publication whose recipients are resolved.
#[derive(Clone, Copy)]
pub(super) struct ResolvedDelivery<'a> {
    pub(super) source: WorkerIncarnation,
    pub(super) number: Number,
    pub(super) content: Content<&'a [u8]>,
    /// Its position, if its space stores publications.
    pub(super) at: Option<ReplayPosition>,
}

/// Sends a publication to the workers of its recipients.
#[inline]
pub(super) fn deliver(
    router: &mut Router,
    route: &KnownRoute,
    ResolvedDelivery { source, number, content, at }: ResolvedDelivery<'_>,
    tracking: Option<&BegunTracking>,
) -> SoleRecipient {
    let Router { workers, fair_share, .. } = router;
    let (tenant, targets) = (&route.tenant, route.targets());
    let mut load = fair_share.load(tenant);
    let sequence = Sequence(router.last_sequence);
    for WorkerTarget { worker, target, clients } in targets {
        if let Some(member) = workers.get_mut(worker) {
            if let Some(load) = &mut load {
                load.give(*worker, clients.saturating_mul(send_work(content.payload.len())));
            }
            member.switch_to(tenant);
            if let Some(BegunTracking { tracking, .. }) = tracking {
                member.out.send(&ToWorker::Track(*tracking));
            }
            if let Some(at) = at {
                member.out.send(&ToWorker::At(at));
            }
            // The worker of the publisher keeps the content until the acknowledgement.
            let content = (member.source != source).then_some(content);
            member.out.deliver(&Deliver { source, number, sequence, target: *target, content });
        }
    }
    match targets.is_empty() {
        true => SoleRecipient::Elsewhere,
        false => SoleRecipient::Here,
    }
}

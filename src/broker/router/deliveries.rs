//! Deliveries: a publication on its way to the workers of its recipients.

use super::Router;
use super::publications::CommandId;
use crate::broker::other_hosts::SoleRecipient;
use crate::broker::resolve_cache::{KnownRoute, WorkerTarget};
use crate::broker::tracking::BegunTracking;
use crate::link::message::{Deliver, ToWorker};
use crate::types::{Content, Sequence, send_work};

/// Sends a publication to the workers of its recipients.
#[inline]
pub(super) fn deliver(
    router: &mut Router,
    CommandId { source, number }: CommandId,
    route: &mut KnownRoute,
    content: Content<&[u8]>,
    tracking: Option<&BegunTracking>,
) -> SoleRecipient {
    let Router { index, resolve_cache, workers, fair_share, .. } = router;
    let (tenant, targets) = route.targets(resolve_cache, index, workers);
    let mut load = fair_share.load(tenant);
    let sequence = Sequence(router.last_sequence);
    for WorkerTarget { worker, target, clients } in &targets.by_worker {
        if let Some(member) = workers.get_mut(worker) {
            if let Some(load) = &mut load {
                load.give(*worker, clients.saturating_mul(send_work(content.payload.len())));
            }
            member.switch_to(tenant);
            if let Some(BegunTracking { tracking, .. }) = tracking {
                member.out.send(&ToWorker::Track(*tracking));
            }
            // The worker of the publisher keeps the content until the acknowledgement.
            let content = (member.source != source).then_some(content);
            member.out.deliver(&Deliver { source, number, sequence, target: *target, content });
        }
    }
    match targets.by_worker.is_empty() {
        true => SoleRecipient::Elsewhere,
        false => SoleRecipient::Here,
    }
}

//! The loss of the link to the broker.

use tracing::info;

use super::context::Context;
use crate::broker_client::LinkLoss;
use crate::link::control::ChildEvent;
use crate::types::WorkerIncarnation;

/// Reports a lost link. The supervisor decides whether the broker is dead (rule L1).
pub(super) fn report(context: &mut Context, source: WorkerIncarnation, lost: &LinkLoss) {
    info!(
        event = "broker_link_lost",
        broker = lost.broker.0,
        error = %lost.error,
        "link to the broker lost"
    );
    drop(context.poller.forget(lost.link.ready()));
    let now = context.clock.now();
    context.unlinked_since = Some(now);
    context.throttle.release_tenants(now);
    let event = ChildEvent::LinkLost { peer: source, broker: lost.broker };
    if let Err(error) = context.supervisor.try_report(event) {
        info!(event = "supervisor_send_failed", %error, "failed to send to supervisor");
    }
}

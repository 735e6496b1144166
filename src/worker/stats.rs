//! Counters of a worker, for the supervisor.

use super::connection::Connection;
use super::connection::table::ConnectionTable;
use super::context::Context;
use crate::types::{ProcessCounts, WorkerCounts};

/// Returns the current counters. Waiting deliveries are summed up over all outboxes and not counted
/// incrementally, so the balance check of the counters can detect errors.
pub(super) fn counts(context: &Context, connections: &ConnectionTable) -> ProcessCounts {
    let counted = || connections.connections().map(|it| it.held() as u64).sum::<u64>();
    debug_assert_eq!(context.memory.held(), counted(), "what connections hold was noted");
    ProcessCounts::Worker(WorkerCounts {
        held: context.memory.held(),
        open: connections.count() as u64,
        published: context.broker.uplink.published(),
        unacknowledged: context.broker.uplink.unacknowledged(),
        waiting: connections.connections().map(Connection::waiting).sum(),
        ..context.stats
    })
}

//! What a worker has counted, for the supervisor.

use super::connection::Connection;
use super::connection::table::ConnectionTable;
use super::context::Context;
use crate::types::{ProcessCounts, WorkerCounts};

/// The counters of this moment. What waits is counted again here, so that they can be wrong.
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

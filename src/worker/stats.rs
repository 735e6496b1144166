//! Counters of a worker, for the supervisor.

use super::connection::Connection;
use super::connection::table::ConnectionTable;
use super::context::Context;
use crate::types::{ProcessCounts, WorkerCounts};

/// Returns the current counters. The sums over all connections are kept incrementally, because a worker
/// can have a million connections. Builds with assertions compare them with the connections.
pub(super) fn counts(context: &Context, connections: &ConnectionTable) -> ProcessCounts {
    let sum = |of: fn(&Connection) -> u64| connections.connections().map(of).sum::<u64>();
    debug_assert_eq!(
        context.memory.held(),
        sum(|it| it.held() as u64),
        "what connections hold was noted"
    );
    debug_assert_eq!(
        context.memory.waiting(),
        sum(Connection::waiting),
        "what waits for connections was noted"
    );
    let (throttled, waited) = context.throttle.waits();
    ProcessCounts::Worker(WorkerCounts {
        throttled,
        throttled_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        held: context.memory.held(),
        open: connections.count() as u64,
        published: context.broker.uplink.published(),
        unacknowledged: context.broker.uplink.unacknowledged(),
        waiting: context.memory.waiting(),
        ..context.stats
    })
}

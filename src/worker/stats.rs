//! What a worker has counted, for whoever asks.

use super::event_loop::EventLoop;
use crate::types::{ProcessCounts, WorkerCounts};

impl EventLoop {
    /// The books of this moment. What waits is counted here anew, so that they can be wrong.
    pub(super) fn counts(&self) -> ProcessCounts {
        let anew = || self.table.connections().map(|it| it.held() as u64).sum::<u64>();
        debug_assert_eq!(self.memory.held(), anew(), "what connections hold was noted");
        let outboxes = self.table.connections().filter_map(|it| it.outbox.as_ref());
        ProcessCounts::Worker(WorkerCounts {
            held: self.memory.held(),
            open: self.table.count() as u64,
            published: self.relay.uplink.published(),
            unacknowledged: self.relay.uplink.unacknowledged(),
            waiting: outboxes.map(|outbox| outbox.waiting()).sum(),
            ..self.books
        })
    }
}

//! What a worker has counted, for whoever asks.

use super::hub::Hub;
use crate::types::{Counts, WorkerCounts};

impl Hub {
    /// The books of this moment. What waits is counted here anew, so that they can be wrong.
    pub(super) fn counts(&self) -> Counts {
        let outboxes = self.table.connections().filter_map(|it| it.outbox.as_ref());
        Counts::Worker(WorkerCounts {
            open: self.table.count() as u64,
            published: self.relay.uplink.published(),
            unacknowledged: self.relay.uplink.unacknowledged(),
            waiting: outboxes.map(|outbox| outbox.waiting()).sum(),
            ..self.books
        })
    }
}

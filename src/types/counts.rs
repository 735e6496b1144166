//! The counters of a process, which balance at any moment.

use serde::{Deserialize, Serialize};

/// What a worker has counted since it began, and what it holds now.
///
/// `accepted = open + closed`, and `matched = delivered + missed + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCounts {
    /// Sockets that were accepted.
    pub accepted: u64,
    /// Sockets that are open now, in whatever phase.
    pub open: u64,
    /// Sockets that were closed.
    pub closed: u64,
    /// Bytes of memory that the connections hold: unfinished messages, outboxes, what waits.
    #[serde(default)]
    pub held: u64,
    /// WebSockets that were opened.
    pub opened: u64,
    /// Clients that were closed because they did not read.
    pub slow: u64,
    /// Clients that were closed because they held much while memory was scarce.
    #[serde(default)]
    pub shed: u64,
    /// Clients that were closed because nothing came from them.
    pub silent: u64,
    /// Messages of clients.
    pub messages: u64,
    /// Events for backends that were not handed over, and answers that were not obeyed.
    #[serde(default)]
    pub events_failed: u64,
    /// Publications that were given to the broker.
    pub published: u64,
    /// Publications that the broker holds unacknowledged (rule L4).
    pub unacknowledged: u64,
    /// Deliveries that the broker ordered: one for each publication and client.
    pub matched: u64,
    /// Deliveries that the kernel has taken whole.
    pub delivered: u64,
    /// Deliveries that came too late for their client: it was closed, with a reason.
    pub missed: u64,
    /// Deliveries that wait in an outbox.
    pub waiting: u64,
}

/// What a broker has counted since it began, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerCounts {
    /// Workers that are linked.
    pub workers: u64,
    /// Clients of all workers.
    pub clients: u64,
    /// Rows of the index: different tags that clients carry.
    pub rows: u64,
    /// Publications that were resolved.
    pub publications: u64,
}

/// What one process has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessCounts {
    /// A worker.
    Worker(WorkerCounts),
    /// A broker.
    Broker(BrokerCounts),
}

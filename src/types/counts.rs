//! Counters of a process, which balance at all times.

use serde::{Deserialize, Serialize};

use super::{ApplicationTable, BridgeCounts, ClusterReport, LabelledSeries};

/// The counters and gauges of a worker. Counters start with the process.
///
/// `accepted = open + closed + handed_over`, and `matched = delivered + missed + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCounts {
    /// Accepted sockets.
    pub accepted: u64,
    /// Sockets that are open now, in any phase.
    pub open: u64,
    /// Closed sockets.
    pub closed: u64,
    /// Sockets that were handed over to the API process.
    #[serde(default)]
    pub handed_over: u64,
    /// Bytes of memory that connections use now: unfinished messages, outboxes and queues.
    #[serde(default)]
    pub held: u64,
    /// Completed WebSocket handshakes.
    pub opened: u64,
    /// Clients closed because they did not read.
    pub slow: u64,
    /// Clients closed because they used much memory while memory was scarce.
    #[serde(default)]
    pub shed: u64,
    /// Clients closed because they sent nothing for too long.
    pub silent: u64,
    /// Messages from clients.
    pub messages: u64,
    /// Times that a publisher had to wait for a limit of publications.
    #[serde(default)]
    pub throttled: u64,
    /// Milliseconds that publishers waited for such limits, all together.
    #[serde(default)]
    pub throttled_ms: u64,
    /// Times that a publisher had to wait because its tenant used more than its share.
    #[serde(default)]
    pub fair_share_throttled: u64,
    /// Milliseconds that publishers waited for that, all together.
    #[serde(default)]
    pub fair_share_throttled_ms: u64,
    /// Webhook events that were not delivered, and webhook responses that were ignored as invalid.
    #[serde(default)]
    pub events_failed: u64,
    /// Publications sent to the broker.
    pub published: u64,
    /// Publications that the broker has not acknowledged yet (rule L4).
    pub unacknowledged: u64,
    /// Deliveries that the broker ordered, one per publication and client.
    pub matched: u64,
    /// Deliveries that the kernel accepted completely.
    pub delivered: u64,
    /// Deliveries to clients that were already closed.
    pub missed: u64,
    /// Deliveries that wait in an outbox now.
    pub waiting: u64,
}

/// The counters and gauges of a broker. Counters start with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerCounts {
    /// Connected workers.
    pub workers: u64,
    /// Clients of all workers.
    pub clients: u64,
    /// Rows of the index: distinct tags of all clients.
    pub rows: u64,
    /// Resolved publications.
    pub publications: u64,
    /// Tenants whose publishers wait because they used more than their share.
    #[serde(default)]
    pub throttled_tenants: u64,
    /// How often a tenant was throttled.
    #[serde(default)]
    pub tenant_throttles: u64,
}

/// What the API answered with 429 because of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitedCounts {
    /// Requests of an application.
    pub requests: u64,
    /// Requests of an address.
    pub requests_per_ip: u64,
    /// Publications of an application.
    pub publications: u64,
    /// Publications of an application with too many bytes.
    pub bytes: u64,
    /// Publications of a tenant that used more than its share.
    #[serde(default)]
    pub fair_share: u64,
}

impl RateLimitedCounts {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.requests_per_ip += other.requests_per_ip;
        self.publications += other.publications;
        self.bytes += other.bytes;
        self.fair_share += other.fair_share;
    }
}

/// Counters of the API process since its start, and its state now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiCounts {
    /// Connections that are open now.
    pub open: u64,
    /// Connections that were accepted or handed over.
    pub accepted: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that were answered with a status of 400 and above.
    pub refused: u64,
    /// Publications that were sent to the broker.
    pub published: u64,
    /// Publications that the broker has not acknowledged (rule L4).
    pub unacknowledged: u64,
    /// Requests and publications that were above a limit, by limit.
    #[serde(default)]
    pub rate_limited: RateLimitedCounts,
    /// Ids of publications that were forgotten before their time (rule L11).
    #[serde(default)]
    pub ids_evicted: u64,
}

impl WorkerCounts {
    /// Adds the counters of another worker, without its gauges.
    pub fn add_counters(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.closed += other.closed;
        self.handed_over += other.handed_over;
        self.opened += other.opened;
        self.slow += other.slow;
        self.shed += other.shed;
        self.silent += other.silent;
        self.messages += other.messages;
        self.throttled += other.throttled;
        self.throttled_ms += other.throttled_ms;
        self.fair_share_throttled += other.fair_share_throttled;
        self.fair_share_throttled_ms += other.fair_share_throttled_ms;
        self.events_failed += other.events_failed;
        self.published += other.published;
        self.matched += other.matched;
        self.delivered += other.delivered;
        self.missed += other.missed;
    }
}

impl ApiCounts {
    /// Adds the counters of another API process, without its gauges.
    pub fn add_counters(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.requests += other.requests;
        self.refused += other.refused;
        self.published += other.published;
        self.rate_limited.add(&other.rate_limited);
    }
}

/// The counters of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessCounts {
    /// Counters of a worker.
    Worker(WorkerCounts),
    /// Counters of a broker.
    Broker(BrokerCounts),
    /// The API process.
    Api(ApiCounts),
    /// The bridge to other hosts.
    Bridge(BridgeCounts),
}

/// What a process reports when the supervisor asks for its counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountReport {
    /// Counters and gauges that every role has a fixed number of.
    pub counts: ProcessCounts,
    /// Figures with labels.
    pub series: LabelledSeries,
    /// Figures of applications, if the supervisor asked for them.
    #[serde(default, skip_serializing_if = "ApplicationTable::is_empty")]
    pub applications: ApplicationTable,
    /// The largest outboxes of a worker, if the supervisor asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outboxes: Vec<OutboxFigures>,
    /// The hosts of the cluster, of a bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Box<ClusterReport>>,
}

/// An outbox: what waits for one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxFigures {
    /// First characters of the client's UUID. With the whole UUID a reader could publish to the client.
    pub client: String,
    /// Bytes that wait.
    pub bytes: u64,
    /// Milliseconds since its socket last took bytes.
    pub age_ms: u64,
}

impl CountReport {
    /// Creates the report of a process without applications and outboxes.
    #[must_use]
    pub fn of_process(counts: ProcessCounts, series: LabelledSeries) -> Self {
        let applications = ApplicationTable::default();
        Self { counts, series, applications, outboxes: Vec::new(), cluster: None }
    }
}

/// What the supervisor asks a process for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CountDetail {
    /// Figures of the process.
    #[default]
    Process,
    /// The same, and figures of each application.
    Applications,
    /// The same, and the largest outboxes.
    Outboxes,
}

impl CountDetail {
    /// Returns true if figures of applications are asked for.
    #[must_use]
    pub fn has_applications(self) -> bool {
        self >= Self::Applications
    }
}

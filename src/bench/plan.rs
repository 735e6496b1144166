//! The plan of a benchmark run.

use std::time::Duration;

/// Recipients of the publications of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every publication goes to all clients.
    All,
    /// Clients are split into this many groups. Publications go to the groups in turn.
    Groups(usize),
    /// Every publication goes to the same single client.
    One,
}

/// The pace of publications.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PublishPace {
    /// This many publications are in flight. The next one leaves when one has reached all
    /// recipients.
    InFlight(usize),
    /// This many publications per second. Latency counts from the time at which a publication was
    /// due, even if it leaves late.
    PerSecond(f64),
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After this many deliveries.
    Deliveries(u64),
}

/// A run with publications.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Connections that receive.
    pub clients: usize,
    /// Tags per client that no other client has.
    pub tags: usize,
    /// Recipients of the publications.
    pub audience: Audience,
    /// Pace of all publishers together.
    pub pace: PublishPace,
    /// Connections that publish.
    pub publishers: usize,
    /// Bytes of a message, without the envelope of the dialect.
    pub payload: usize,
    /// Additional publications to all clients, per second. Their latencies are not counted.
    pub fanout_rate: Option<f64>,
    /// Time before the counted part.
    pub warmup: Duration,
    /// End of the counted part.
    pub until: Until,
}

/// A run with idle connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleConnections {
    /// Number of connections.
    pub clients: usize,
    /// Tags per client.
    pub tags: usize,
    /// Concurrent handshakes.
    pub at_once: usize,
}

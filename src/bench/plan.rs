//! What is to be measured, and how.

use std::time::Duration;

/// Who gets what in a run with publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every publication goes to everyone.
    All,
    /// Clients are in so many groups, and publications go to one after the other.
    Groups(usize),
    /// Every publication goes to one and the same client of them.
    One,
}

/// How publications follow one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PublishPace {
    /// So many are on their way: the next one leaves when one has arrived everywhere.
    InFlight(usize),
    /// So many a second, each due at its time: one that leaves late counts from when it was due.
    PerSecond(f64),
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After so many deliveries.
    Deliveries(u64),
}

/// A run with publications.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Connections that receive.
    pub clients: usize,
    /// Tags of each that no other client carries.
    pub tags: usize,
    /// Who gets what.
    pub audience: Audience,
    /// How publications follow one another, all publishers together.
    pub pace: PublishPace,
    /// Connections that publish.
    pub publishers: usize,
    /// Bytes of a message, without what the dialect puts around it.
    pub payload: usize,
    /// Publications to all clients at the same time, per second; their latencies are not counted.
    pub beside: Option<f64>,
    /// What passes before anything is counted.
    pub warmup: Duration,
    /// When it ends.
    pub until: Until,
}

/// A run with connections only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleConnections {
    /// Connections.
    pub clients: usize,
    /// Tags of each.
    pub tags: usize,
    /// Handshakes at the same time.
    pub at_once: usize,
}

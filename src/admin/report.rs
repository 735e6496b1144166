//! Figures of a running server, for `tagcast top`.

use serde::{Deserialize, Serialize};

use crate::types::{MetricsSnapshot, OutboxFigures};

/// Figures of a running server at one moment. Counters are sums since its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReport {
    /// Time of the figures in milliseconds since 1970.
    pub at_ms: u64,
    /// Figures of processes and applications.
    pub figures: MetricsSnapshot,
    /// The largest outboxes, largest first.
    pub outboxes: Vec<OutboxFigures>,
    /// The last events, oldest first.
    pub events: Vec<ServerEvent>,
}

/// An event that an operator wants to know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEvent {
    /// Its time in seconds since 1970.
    pub at: u64,
    /// What happened.
    pub text: String,
}

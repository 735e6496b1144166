//! Figures and events of a running server, for `tagcast top` and the operator API.

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
    /// Its number, counted from 1 at the start of the server.
    pub id: u64,
    /// Its time in seconds since 1970.
    pub at: u64,
    /// What it is about.
    pub kind: ServerEventKind,
    /// The application that an operator has changed. None for the whole server.
    pub application: Option<String>,
    /// What happened.
    pub text: String,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerEventKind {
    /// All processes are ready.
    Ready,
    /// A process ended.
    ProcessExit,
    /// A worker is replaced in a rolling restart.
    WorkerReplaced,
    /// The configuration was read again.
    Reload,
    /// The server shuts down.
    Drain,
    /// Memory is scarce, or is no longer.
    Memory,
    /// Openings or credentials were refused.
    Refusals,
    /// The API answered with 429 because of a limit.
    RateLimited,
    /// Publishers had to wait.
    Throttles,
    /// An operator changed something.
    OperatorChange,
}

/// A position in the events of a server. Those of another start have other positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPosition {
    /// Start of the server in seconds since 1970.
    pub started_at: u64,
    /// The number of the event before this position.
    pub id: u64,
}

/// Events after a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    /// The position after the last of them.
    pub position: EventPosition,
    /// How many events after the requested position are not kept any more.
    pub missed: u64,
    /// The events, oldest first.
    pub events: Vec<ServerEvent>,
}

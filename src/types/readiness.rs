//! Whether a server takes traffic, as load balancers ask.

use serde::{Deserialize, Serialize};

/// Whether a server takes traffic, or the first reason why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    /// The server takes traffic.
    Ready,
    /// Some workers have not been ready yet since the start.
    Starting,
    /// The server, or the worker that was asked, closes its connections.
    Draining,
    /// There has been no link to a broker for [`OUTAGE_TOLERATED`](super::limits::OUTAGE_TOLERATED).
    BrokerUnavailable,
    /// Publications do not pass between this host and others, and `required` of `[cluster]` is on.
    ClusterUnavailable,
    /// Memory is scarce, and no connection is accepted.
    MemoryPressure,
    /// No worker is ready.
    NoWorkersReady,
}

impl Readiness {
    /// Returns `ok` or the reason, as health endpoints answer it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ok",
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::BrokerUnavailable => "broker_unavailable",
            Self::ClusterUnavailable => "cluster_unavailable",
            Self::MemoryPressure => "memory_pressure",
            Self::NoWorkersReady => "no_workers_ready",
        }
    }

    /// Returns this if it is a reason, otherwise the next.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        if self == Self::Ready { next } else { self }
    }
}

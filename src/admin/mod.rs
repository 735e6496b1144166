//! Admin requests to a running server and its answers: lines of JSON over the admin socket in the
//! state folder.

mod client;
mod cluster_table;
mod report;
mod socket_path;
mod status;

use serde::{Deserialize, Serialize};

pub use self::client::{AdminCall, AdminError, ask};
pub use self::cluster_table::{ClusterTable, Millis};
pub use self::report::{EventPage, EventPosition, ServerEvent, ServerEventKind, ServerReport};
pub use self::socket_path::{SOCKET_NAME, bind, is_running, probe};
pub use self::status::{Configuration, MemoryStatus, ProcessStatus, ServerStage, ServerStatus};

use crate::telemetry::LogLevel;
use crate::types::{ClusterReport, PingedHost, RevokedTokens};

/// Maximum bytes of a request, including the line break.
pub const REQUEST_BYTES_MAX: usize = 4096;

/// A request: one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminRequest {
    /// Report the state of the server.
    Status,
    /// Report the figures of all processes and applications, the largest outboxes and the last events.
    Figures,
    /// Report the hosts of the cluster, as this one sees them.
    Cluster,
    /// Ping other hosts of the cluster, once, through the lanes.
    Ping {
        /// Name or id of a host. None: all hosts.
        host: Option<Box<str>>,
    },
    /// Report the events after a position; without one, all that are kept.
    Events {
        /// The position.
        after: Option<EventPosition>,
    },
    /// Keep a change that an operator has made by the operator API, as an event.
    NoteChange {
        /// Key of the application. None for the whole server.
        application: Option<String>,
        /// The operator, and what was changed.
        text: String,
    },
    /// Reload the configuration.
    Reload,
    /// Shut down gracefully, as after SIGTERM.
    Drain,
    /// Restart the workers one at a time.
    RestartWorkers,
    /// Change the log level temporarily.
    LogLevel {
        /// The new level.
        level: LogLevel,
        /// Duration in seconds.
        seconds: u64,
    },
    /// Revoke connection tokens.
    RevokeTokens {
        /// Key of the application.
        application: Box<str>,
        /// Which of its tokens.
        tokens: RevokedTokens,
    },
}

/// An answer. Any number of [`AdminResponse::Progress`] lines are followed by exactly one other line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminResponse {
    /// The state of the server.
    Status(Box<ServerStatus>),
    /// Figures of the server.
    Figures(Box<ServerReport>),
    /// The hosts of the cluster.
    Cluster(Box<ClusterReport>),
    /// How other hosts of the cluster have answered a ping. Empty if there is none.
    Pinged(Vec<PingedHost>),
    /// Events of the server.
    Events(Box<EventPage>),
    /// Progress of the request, as text.
    Progress(String),
    /// Tokens are revoked on this host.
    Revoked {
        /// Hosts of the cluster, this one included; 0 if the others could not be asked.
        asked: u32,
        /// Those that have stored it, this one included.
        answered: u32,
    },
    /// The request succeeded; with lines to print.
    Done(Vec<String>),
    /// The request failed and changed nothing; with one line per reason.
    Failed(Vec<String>),
    /// The request is carried out, but some processes have not confirmed it; with one line for each.
    Unconfirmed(Vec<String>),
    /// There is no room for what the request adds.
    Full {
        /// How much there may be.
        limit: u64,
    },
}

impl AdminResponse {
    /// Returns true if no more answers follow.
    #[must_use]
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Progress(_))
    }
}

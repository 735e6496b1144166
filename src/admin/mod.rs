//! Requests of an operator to a running server, and its answers: lines of JSON over the admin
//! socket in the state folder.

mod client;
mod socket_path;
mod status;

use serde::{Deserialize, Serialize};

pub use self::client::{AdminCall, AdminError, ask};
pub use self::socket_path::{SOCKET_NAME, bind, is_running, probe};
pub use self::status::{Configuration, MemoryStatus, ProcessStatus, ServerStage, ServerStatus};

use crate::telemetry::LogLevel;

/// A request may have so many bytes, with the end of its line.
pub const REQUEST_BYTES_MAX: usize = 4096;

/// What is asked: one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminRequest {
    /// What runs, and how.
    Status,
    /// Read the configuration again.
    Reload,
    /// End in order; as SIGTERM.
    Drain,
    /// Replace the workers, one after the other.
    RestartWorkers,
    /// Log another level for a while.
    LogLevel {
        /// From which level up.
        level: LogLevel,
        /// For how long.
        seconds: u64,
    },
}

/// What is answered: any number of [`Answer::Progress`], then one other line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminResponse {
    /// What runs, and how.
    Status(Box<ServerStatus>),
    /// How far it is.
    Progress(String),
    /// It is done, with lines to print.
    Done(Vec<String>),
    /// It is not done, and nothing has changed: a line for each reason.
    Failed(Vec<String>),
}

impl AdminResponse {
    /// Whether more answers follow.
    #[must_use]
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Progress(_))
    }
}

//! Errors of a benchmark run.

use std::fmt;
use std::io;

use crate::client::ClientError;
use crate::config::Diagnostics;

/// The reason why a run has no result.
#[derive(Debug)]
pub enum BenchError {
    /// The URL of the server or the CA certificate is invalid.
    Client(ClientError),
    /// The server rejected a client; with the reason of the server.
    Refused(String),
    /// The server closed a connection during the run; with the reason of the server.
    Closed(String),
    /// The server did not answer for this many seconds; with the expected answer.
    Silent(u64, &'static str),
    /// The server to measure did not start.
    NotStarted(String),
    /// A template of another server is wrong.
    Template(Diagnostics),
    /// The server did not send the expected text after an opening.
    Unexpected {
        /// The expected text.
        expected: String,
        /// The last text that it sent, or an empty text.
        received: String,
    },
    /// The plan is impossible; with a plan that would work.
    Plan(String),
    /// A system call failed; with the step that failed.
    System(&'static str, io::Error),
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Refused(reason) => write!(f, "the server refused a client: {reason}"),
            Self::Closed(reason) => write!(f, "the server closed a connection: {reason}"),
            Self::Silent(seconds, what) => write!(f, "{what} did not come for {seconds} s"),
            Self::NotStarted(why) => write!(f, "the server did not start: {why}"),
            Self::Template(wrong) => wrong.fmt(f),
            Self::Unexpected { expected, received } if received.is_empty() => {
                write!(f, "the server sent nothing after an opening; expected `{expected}`")
            }
            Self::Unexpected { expected, received } => {
                write!(f, "the server sent `{received}` after an opening; expected `{expected}`")
            }
            Self::Plan(why) => f.write_str(why),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for BenchError {}

impl From<ClientError> for BenchError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Adds the failed step to an I/O error.
pub(super) trait At<T> {
    fn at(self, what: &'static str) -> Result<T, BenchError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, what: &'static str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::System(what, error.into()))
    }
}

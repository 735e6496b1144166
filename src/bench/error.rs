//! Why a run came to no result.

use std::fmt;
use std::io;

use crate::client::ClientError;

/// Why a run came to no result.
#[derive(Debug)]
pub enum BenchError {
    /// The server's URL, or whom to trust, does not do.
    Client(ClientError),
    /// The server did not let a client in; what it said.
    Refused(String),
    /// The server closed a connection while the run was on; what it said.
    Closed(String),
    /// The server said nothing for this many seconds; what was awaited.
    Silent(u64, &'static str),
    /// The server that was to be measured did not start.
    NotStarted(String),
    /// The plan cannot be carried out, and what could be.
    Plan(String),
    /// The system said no; at what.
    System(&'static str, io::Error),
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Refused(said) => write!(f, "the server let a client not in: {said}"),
            Self::Closed(said) => write!(f, "the server closed a connection: {said}"),
            Self::Silent(seconds, what) => write!(f, "{what} did not come for {seconds} s"),
            Self::NotStarted(why) => write!(f, "the server did not start: {why}"),
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

/// Names what was being done when the system said no.
pub(super) trait At<T> {
    fn at(self, what: &'static str) -> Result<T, BenchError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, what: &'static str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::System(what, error.into()))
    }
}

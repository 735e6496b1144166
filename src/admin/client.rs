//! Sends requests to a running server.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::socket_path::connect;
use super::{AdminRequest, AdminResponse};

/// Maximum wait for the answer to a status or reload request.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open request that yields answers.
#[derive(Debug)]
pub struct AdminCall {
    lines: BufReader<UnixStream>,
}

/// The reason for a failed request.
#[derive(Debug)]
pub enum AdminError {
    /// No server is running with this state folder.
    NotRunning {
        /// The state folder.
        folder: PathBuf,
    },
    /// The socket exists but cannot be used.
    Refused {
        /// The state folder.
        folder: PathBuf,
        /// The system error.
        error: io::Error,
    },
    /// The answer is truncated or invalid.
    NoAnswer(io::Error),
}

/// Sends a request to the server that uses this state folder.
///
/// # Errors
///
/// If no server is running there, or if it belongs to another user.
pub fn ask(folder: &Path, request: &AdminRequest) -> Result<AdminCall, AdminError> {
    let folder = folder.to_owned();
    let stream = match connect(&folder) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(AdminError::NotRunning { folder });
        }
        Err(error) => return Err(AdminError::Refused { folder, error }),
    };
    send(&stream, request).map_err(|error| AdminError::Refused { folder, error })?;
    Ok(AdminCall { lines: BufReader::new(stream) })
}

fn send(mut stream: &UnixStream, request: &AdminRequest) -> io::Result<()> {
    let patience = match request {
        AdminRequest::Status
        | AdminRequest::Figures
        | AdminRequest::Cluster
        | AdminRequest::Ping { .. }
        | AdminRequest::Events { .. }
        | AdminRequest::NoteChange { .. }
        | AdminRequest::Reload
        | AdminRequest::LogLevel { .. }
        | AdminRequest::RevokeTokens { .. } => Some(PATIENCE),
        // These requests take up to the drain time, which only the server knows.
        AdminRequest::Drain | AdminRequest::RestartWorkers => None,
    };
    stream.set_read_timeout(patience)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)
}

impl AdminCall {
    /// Reads the next answer. Returns None when the server has closed the connection.
    ///
    /// # Errors
    ///
    /// If the answer is truncated or invalid.
    pub fn next_answer(&mut self) -> Result<Option<AdminResponse>, AdminError> {
        let mut line = String::new();
        match self.lines.read_line(&mut line).map_err(AdminError::NoAnswer)? {
            0 => Ok(None),
            _ => serde_json::from_str(&line)
                .map(Some)
                .map_err(|error| AdminError::NoAnswer(error.into())),
        }
    }
}

impl AdminError {
    /// Returns true if the server is running but belongs to another user.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let denied = io::ErrorKind::PermissionDenied;
        matches!(self, Self::Refused { error, .. } if error.kind() == denied)
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { folder } => write!(
                f,
                "no server is running with the state folder {}; -i FILE names the configuration \
                 of another one",
                folder.display()
            ),
            Self::Refused { folder, .. } if self.is_forbidden() => write!(
                f,
                "permission denied on the admin socket in {}; run as its owner",
                folder.display()
            ),
            Self::Refused { folder, error } => {
                write!(f, "failed to use the admin socket in {}: {error}", folder.display())
            }
            Self::NoAnswer(error) => write!(f, "the server did not answer: {error}"),
        }
    }
}

impl std::error::Error for AdminError {}

//! Asking a running server.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::connect;
use super::{Answer, Request};

/// How long a server may take for a status or a reload.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers as they come.
#[derive(Debug)]
pub struct Asking {
    lines: BufReader<UnixStream>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NotAsked {
    /// No server runs with this state folder.
    NobodyThere {
        /// Where its socket would be.
        folder: PathBuf,
    },
    /// The socket cannot be used.
    Refused {
        /// Where it is.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The answer broke off, or is none.
    NoAnswer(io::Error),
}

/// Asks the server of a state folder.
///
/// # Errors
///
/// When no server runs there, or it is somebody else's.
pub fn ask(folder: &Path, request: Request) -> Result<Asking, NotAsked> {
    let folder = folder.to_owned();
    let stream = match connect(&folder) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(NotAsked::NobodyThere { folder });
        }
        Err(error) => return Err(NotAsked::Refused { folder, error }),
    };
    send(&stream, request).map_err(|error| NotAsked::Refused { folder, error })?;
    Ok(Asking { lines: BufReader::new(stream) })
}

fn send(mut stream: &UnixStream, request: Request) -> io::Result<()> {
    let patience = match request {
        Request::Status | Request::Reload | Request::LogLevel { .. } => Some(PATIENCE),
        // As long as the drain time, which only the server knows.
        Request::Drain | Request::RestartWorkers => None,
    };
    stream.set_read_timeout(patience)?;
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line)
}

impl Asking {
    /// The next answer; none when the server has ended the conversation.
    ///
    /// # Errors
    ///
    /// When it breaks off in the middle, or says something else.
    pub fn next_answer(&mut self) -> Result<Option<Answer>, NotAsked> {
        let mut line = String::new();
        match self.lines.read_line(&mut line).map_err(NotAsked::NoAnswer)? {
            0 => Ok(None),
            _ => serde_json::from_str(&line)
                .map(Some)
                .map_err(|error| NotAsked::NoAnswer(error.into())),
        }
    }
}

impl NotAsked {
    /// Whether it runs, and belongs to another user.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let denied = io::ErrorKind::PermissionDenied;
        matches!(self, Self::Refused { error, .. } if error.kind() == denied)
    }
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyThere { folder } => write!(
                f,
                "no server is running with the state folder {}; -i FILE names the configuration \
                 of another one",
                folder.display()
            ),
            Self::Refused { folder, error } => write!(
                f,
                "the server of the state folder {} cannot be asked: {error}; its owner can",
                folder.display()
            ),
            Self::NoAnswer(error) => write!(f, "the server did not answer: {error}"),
        }
    }
}

impl std::error::Error for NotAsked {}

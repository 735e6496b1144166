//! Why the server did not start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server did not start; the text says what would be right.
#[derive(Debug)]
pub enum StartError {
    /// A listening address is taken, not ours, or not to be resolved.
    Listen {
        /// As the configuration has it, or resolved.
        address: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The configuration names no address, or more than can be handed on.
    AddressCount {
        /// How many there are.
        count: usize,
    },
    /// The state folder cannot be made or used.
    StateFolder {
        /// Where it should be.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// Another server uses the state folder.
    AlreadyRunning {
        /// The lock that it holds.
        path: PathBuf,
        /// The file that it was started with, if there was one.
        ini: Option<PathBuf>,
    },
    /// The file with the key of the UUIDs cannot be read or made.
    UuidKeyFile {
        /// Which file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The push socket cannot be made.
    PushSocket {
        /// Where.
        path: PathBuf,
        /// The error of the system, or what is there.
        error: io::Error,
    },
    /// The file with the key of the UUIDs holds something else.
    UuidKeyWrong {
        /// Which file.
        path: PathBuf,
    },
    /// The log cannot be opened.
    Log(io::Error),
    /// The system refused something that every server needs.
    System {
        /// What was tried.
        what: &'static str,
        /// The error of the system.
        error: io::Error,
    },
}

impl StartError {
    /// What the process ends with: 78 (`EX_CONFIG`) where the configuration has to be mended or does
    /// not fit this machine, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UuidKeyWrong { .. }
            | Self::AddressCount { .. }
            | Self::Listen { .. }
            | Self::Log(_)
            | Self::StateFolder { .. }
            | Self::UuidKeyFile { .. }
            | Self::PushSocket { .. } => 78,
            _ => 1,
        }
    }

    pub(super) fn control_socket(error: io::Error) -> Self {
        Self::System { what: "the control socket", error }
    }

    pub(super) fn listen(address: SocketAddr, error: impl Into<io::Error>) -> Self {
        Self::Listen { address: address.to_string(), error: error.into() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: another program already does")
            }
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::PushSocket { path, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "another program reads from the push socket {}", path.display())
            }
            Self::PushSocket { path, error } => {
                write!(f, "failed to create the push socket {}: {error}", path.display())
            }
            Self::AddressCount { count: 0 } => write!(f, "no address to listen on is configured"),
            Self::AddressCount { count } => write!(f, "{count} addresses are too many"),
            Self::StateFolder { path, error } => {
                write!(f, "the state folder {} cannot be used: {error}", path.display())
            }
            Self::AlreadyRunning { path, ini } => {
                write!(f, "another server is running here: it holds the lock {}", path.display())?;
                let Some(ini) = ini else { return Ok(()) };
                let ini = ini.display();
                write!(f, "; it was started with {ini}. A second server needs its own stateDir")
            }
            Self::UuidKeyFile { path, error } => {
                write!(f, "the key file {} cannot be used: {error}", path.display())
            }
            Self::UuidKeyWrong { path } => write!(
                f,
                "the key file {} must hold 64 hexadecimal digits (32 bytes); remove it to get a \
                 new key, which makes all existing UUIDs invalid",
                path.display()
            ),
            Self::Log(error) => write!(f, "the log cannot be written: {error}"),
            Self::System { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

//! Errors of the start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The reason why the server did not start. The text says how to fix it.
#[derive(Debug)]
pub enum StartError {
    /// A listening address is in use, does not belong to this machine, or cannot be resolved.
    Listen {
        /// Address as it is configured or resolved.
        address: String,
        /// System error.
        error: io::Error,
    },
    /// The configuration has no addresses, or more than can be passed to a worker.
    AddressCount {
        /// Number of addresses.
        count: usize,
    },
    /// A descriptor that was passed at the start is not a listening socket.
    PassedDescriptor {
        /// Number of the descriptor.
        number: usize,
        /// What is wrong.
        error: io::Error,
    },
    /// A socket that was passed at the start belongs to no address of the configuration.
    PassedUnused {
        /// Its address, as it could be written in the configuration.
        address: String,
    },
    /// The state folder cannot be created or used.
    StateFolder {
        /// Path of the folder.
        path: PathBuf,
        /// System error.
        error: io::Error,
    },
    /// Another server is using the state folder.
    AlreadyRunning {
        /// Its lock file.
        path: PathBuf,
        /// Its configuration file. None if it has none.
        ini: Option<PathBuf>,
    },
    /// The key file of the UUIDs cannot be read or created.
    UuidKeyFile {
        /// Path of the file.
        path: PathBuf,
        /// System error.
        error: io::Error,
    },
    /// The push socket cannot be created.
    PushSocket {
        /// Path of the socket.
        path: PathBuf,
        /// System error, or the type of the existing file.
        error: io::Error,
    },
    /// The key file of the UUIDs does not contain a valid key.
    UuidKeyWrong {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file of the host id does not contain one.
    HostIdWrong {
        /// Path of the file.
        path: PathBuf,
    },
    /// The log cannot be opened.
    Log(io::Error),
    /// A system call that every server needs failed.
    System {
        /// The failed operation.
        what: &'static str,
        /// System error.
        error: io::Error,
    },
}

impl StartError {
    /// Returns the exit code: 78 (`EX_CONFIG`) if the configuration is wrong or does not fit this
    /// machine, otherwise 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UuidKeyWrong { .. }
            | Self::HostIdWrong { .. }
            | Self::AddressCount { .. }
            | Self::PassedDescriptor { .. }
            | Self::PassedUnused { .. }
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

    pub(super) fn unix(path: &Path, error: io::Error) -> Self {
        Self::Listen { address: format!("unix:{}", path.display()), error }
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
            Self::PassedDescriptor { number, error } => write!(
                f,
                "the descriptor {number} of LISTEN_FDS cannot be used: {error}. Use only \
                 ListenStream= in the socket unit"
            ),
            Self::PassedUnused { address } => write!(
                f,
                "a socket for {address} was passed at the start (LISTEN_FDS), but the configuration \
                 does not name it: add {address} to address, its https:// or unix: form to \
                 apiAddress, or remove it from the socket unit"
            ),
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
            Self::HostIdWrong { path } => write!(
                f,
                "the file {} must hold 8 hexadecimal digits, the id of this host; remove it to get a new id",
                path.display()
            ),
            Self::Log(error) => write!(f, "the log cannot be written: {error}"),
            Self::System { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

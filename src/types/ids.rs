//! Identifiers and counters, each with its own type so that they cannot be confused.

use std::fmt;

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

/// Number of a worker, from 0. A replacement process has the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// The number of the API process on the link. It publishes as a worker does, and has no clients.
    pub const API: Self = Self(u16::MAX);

    /// The number of the bridge on the link. It publishes what other hosts have published, and has no clients.
    pub const BRIDGE: Self = Self(u16::MAX - 1);

    /// The source of items that change the directory of names. No process has this number on the link.
    pub const DIRECTORY: Self = Self(u16::MAX - 2);

    /// The source of items about watched queries. No process has this number on the link.
    pub const WATCHES: Self = Self(u16::MAX - 3);

    /// The source of items about clients that move between hosts. No process has this number on the link.
    pub const MOVES: Self = Self(u16::MAX - 4);

    /// Returns whether this is the bridge, and not a worker.
    #[must_use]
    pub fn is_bridge(self) -> bool {
        self == Self::BRIDGE
    }

    /// Returns whether this is a worker, which has clients.
    #[must_use]
    pub fn has_clients(self) -> bool {
        self < Self::MOVES
    }

    /// Returns whether this is the API process, and not a worker.
    #[must_use]
    pub fn is_api(self) -> bool {
        self == Self::API
    }

    /// Returns the name of the process in logs, as the supervisor writes it: `worker 0`, `api` or `bridge`.
    #[must_use]
    pub fn role(self) -> String {
        match self {
            Self::API => "api".to_owned(),
            Self::BRIDGE => "bridge".to_owned(),
            worker => format!("worker {worker}"),
        }
    }
}

/// Number of a process among those that have had the same role. Each replacement of a worker or
/// broker has a higher generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u32);

/// One process of one worker. Publication numbers are counted per incarnation (rule L4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerIncarnation {
    /// Number of the worker.
    pub worker: WorkerId,
    /// Generation of its process.
    pub generation: Generation,
}

/// Index of a connection in the tables of its worker. A slot is reused only after the broker has
/// released it (rule L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl Slot {
    /// Not a connection: the worker itself is asking.
    pub const NONE: Self = Self(u32::MAX);
}

/// The location of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionRef {
    /// Worker that owns the socket.
    pub worker: WorkerId,
    /// Slot of the connection within that worker.
    pub slot: Slot,
}

/// Number of a join over all workers. The first client in connection order has the smallest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JoinNumber(pub u64);

/// Number of a publication among those of one worker incarnation, from 1 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(pub u64);

impl Number {
    /// Returns true for one of 64 publications, which is timed from its acceptance to its first write.
    #[must_use]
    pub const fn is_timed(self) -> bool {
        self.0.is_multiple_of(64)
    }
}

/// Number of a publication in the order of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// Identifier that the server assigns to a client: a random version 4 UUID.
///
/// On the wire it may carry a signature (see `auth`). This type has only the 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientUuid(pub [u8; 16]);

impl ClientUuid {
    /// Returns the canonical form of 36 characters in lower case.
    #[must_use]
    pub fn text(self) -> String {
        uuid::Uuid::from_bytes(self.0).to_string()
    }

    /// Returns the first eight characters: enough to find a client in a log, too few to address it.
    #[must_use]
    pub fn short(self) -> String {
        self.text().chars().take(8).collect()
    }
}

/// Shortens the UUID, so that no log contains a UUID that a reader could publish to.
impl fmt::Debug for ClientUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.short())
    }
}

/// Number of a configuration, counted from 1 at the start of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigNumber(pub u32);

/// A separate space of clients and publications.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(pub ArcStr);

impl Tenant {
    /// The tenant of all applications that name none.
    #[must_use]
    pub fn shared() -> Self {
        Self(ArcStr::new())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ConfigNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

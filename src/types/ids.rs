//! Identities and counts, each its own type so that none can be taken for another.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

/// A worker's seat: 0 for the first worker, the same number for the one that replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId(pub u16);

/// Counts the processes that had one role: a replaced worker or broker has a higher generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u32);

/// One life of one worker: what publication numbers are counted in (rule L4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerIncarnation {
    /// The seat.
    pub worker: WorkerId,
    /// Which process on that seat.
    pub generation: Generation,
}

/// The place of a connection in its worker's tables; reused after the broker allows it (rule L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl Slot {
    /// No connection: who asks from there is the worker itself.
    pub const NOBODY: Self = Self(u32::MAX);
}

/// Where a client is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionRef {
    /// The worker that owns the socket.
    pub worker: WorkerId,
    /// The connection within that worker.
    pub slot: Slot,
}

/// A count over the joins of all workers: "first in connection order" means the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JoinNumber(pub u64);

/// A publication's place in the line of its source; from 1, without holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(pub u64);

/// A publication's place in the line of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// The identity that the server gave to a client: a random version 4 UUID.
///
/// On the wire it may carry a signature (see `auth`); in here only the 16 bytes travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientUuid(pub [u8; 16]);

impl ClientUuid {
    /// The canonical 36 characters, in lower case.
    #[must_use]
    pub fn text(self) -> String {
        uuid::Uuid::from_bytes(self.0).to_string()
    }

    /// The first eight characters: enough to find a client in a log, too little to address it.
    #[must_use]
    pub fn short(self) -> String {
        self.text().chars().take(8).collect()
    }
}

/// Shortened, so that no log contains a UUID that a reader could publish to.
impl fmt::Debug for ClientUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.short())
    }
}

/// Counts the configurations that a server has had; the one that it began with is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigNumber(pub u32);

/// The space in which publications and clients see each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(pub Arc<str>);

impl Tenant {
    /// The space of all applications that name none.
    #[must_use]
    pub fn shared() -> Self {
        // One text for all: nearly every connection and publication names it.
        static SHARED: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        Self(Arc::clone(&SHARED))
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

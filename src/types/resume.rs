//! Names and numbers of clients that may resume (`tagcast.v1`).

use std::fmt;

/// Number of a connection of a client, counted from 1 over all connections that it has had. Each `welcome` has the
/// next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResumeGeneration(pub u32);

impl ResumeGeneration {
    /// Returns the number of the next connection.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Keyed digest of the name of an instance: one run of a client program. The name itself is not kept, because a
/// client that knows it takes over the connection of the instance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InstanceDigest(pub u64);

impl fmt::Debug for InstanceDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstanceDigest(…)")
    }
}

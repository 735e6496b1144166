//! How many bytes a process exchanges with brokers.

use super::BrokerClient;

/// Bytes on the link of a process to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkBytes {
    /// Bytes from the broker.
    pub read: u64,
    /// Bytes for the broker.
    pub written: u64,
}

impl LinkBytes {
    pub(super) fn add(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
    }
}

impl BrokerClient {
    /// Returns the bytes on all links so far.
    #[must_use]
    pub fn link_bytes(&self) -> LinkBytes {
        let mut all = self.lost_bytes;
        all.add(self.link.as_ref().map(|link| link.bytes).unwrap_or_default());
        all
    }
}

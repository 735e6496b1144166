//! Handshakes that are not answered yet: their number, and the memory of their heads, is bounded.

use crate::types::limits::{HANDSHAKES_MAX, HEADS_BYTES_MAX};
use crate::worker::connection::{Connection, Phase};

/// Handshakes that are not answered yet. Those that wait for a backend are not counted: others need
/// not wait for that.
#[derive(Debug, Default)]
pub(in crate::worker) struct HandshakeCount {
    count: usize,
}

impl HandshakeCount {
    /// A connection was accepted.
    pub(in crate::worker) fn begin(&mut self) {
        self.count += 1;
    }

    /// Moves a connection to another phase, and returns the one that it was in.
    pub(in crate::worker) fn advance(
        &mut self,
        connection: &mut Connection,
        phase: Phase,
    ) -> Phase {
        let was_pending = connection.is_handshaking();
        let before = std::mem::replace(&mut connection.phase, phase);
        match (was_pending, connection.is_handshaking()) {
            (true, false) => self.count -= 1,
            (false, true) => self.count += 1,
            _ => {}
        }
        before
    }

    pub(in crate::worker) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether no more connections are accepted for now.
    pub(in crate::worker) fn is_full(&self) -> bool {
        self.count >= HANDSHAKES_MAX
    }

    /// Bytes that each of the heads that are under way may have: their memory is bounded, however
    /// many there are and however long one may be.
    pub(in crate::worker) fn bytes_for_each(&self) -> usize {
        HEADS_BYTES_MAX / self.count.max(1)
    }
}

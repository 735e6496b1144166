//! Limits on pending handshakes: their number, and the memory of their request heads.

use crate::types::limits::{HANDSHAKES_MAX, HEADS_BYTES_MAX};
use crate::worker::connection::{Connection, Phase};

/// Number of pending handshakes. Those that wait for a backend do not count, so they do not delay
/// others.
#[derive(Debug, Default)]
pub(in crate::worker) struct HandshakeCount {
    count: usize,
}

impl HandshakeCount {
    /// Counts an accepted connection.
    pub(in crate::worker) fn begin(&mut self) {
        self.count += 1;
    }

    /// Moves a connection to another phase. Returns the previous phase.
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

    /// Returns true if no connection may be accepted now.
    pub(in crate::worker) fn is_full(&self) -> bool {
        self.count >= HANDSHAKES_MAX
    }

    /// Returns the most bytes that each incomplete request head may have. All heads share one
    /// memory limit, whatever their number.
    pub(in crate::worker) fn bytes_for_each(&self) -> usize {
        HEADS_BYTES_MAX / self.count.max(1)
    }
}

//! A message, or a control frame, that arrives in pieces.

use super::{Opcode, Violation};

/// Bytes gathered so far; text is judged as it arrives, not only when it is complete.
#[derive(Debug)]
pub(super) struct Assembly {
    opcode: Opcode,
    bytes: Vec<u8>,
    /// How many of the bytes are known to be UTF-8; the rest is the beginning of a character.
    checked: usize,
    /// Frames that have arrived whole.
    pieces: usize,
}

impl Assembly {
    pub(super) const fn new(opcode: Opcode) -> Self {
        Self { opcode, bytes: Vec::new(), checked: 0, pieces: 0 }
    }

    pub(super) const fn opcode(&self) -> Opcode {
        self.opcode
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes it could hold without asking for memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) const fn pieces(&self) -> usize {
        self.pieces
    }

    pub(super) const fn end_piece(&mut self) {
        self.pieces += 1;
    }

    /// Takes what has arrived of a piece.
    ///
    /// Room grows with what has arrived, at most twofold: a header that promises megabytes costs
    /// nothing until they come.
    pub(super) fn extend(&mut self, chunk: &[u8]) -> Result<(), Violation> {
        self.bytes.extend_from_slice(chunk);
        if self.opcode == Opcode::Text { self.check_text() } else { Ok(()) }
    }

    /// RFC 6455 §8.1, at the first wrong byte; a character cut in two waits for its other half.
    fn check_text(&mut self) -> Result<(), Violation> {
        let fresh = self.bytes.get(self.checked..).unwrap_or_default();
        match std::str::from_utf8(fresh) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_some() => return Err(Violation::BadUtf8),
            Err(error) => self.checked += error.valid_up_to(),
        }
        Ok(())
    }
}

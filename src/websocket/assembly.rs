//! Buffer of a message or control frame that arrives in several segments.

use super::{Opcode, Violation};

/// Bytes received so far. Text is validated as it arrives, not only when it is complete.
#[derive(Debug)]
pub(super) struct Assembly {
    opcode: Opcode,
    bytes: Vec<u8>,
    /// Length of the bytes that are known to be UTF-8. The rest is the beginning of a character.
    checked: usize,
    /// Number of complete fragments.
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

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the capacity in bytes.
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

    /// Appends received bytes of a fragment.
    ///
    /// The capacity is at most twice the received length. A header that announces megabytes
    /// allocates nothing until they arrive.
    pub(super) fn extend(&mut self, chunk: &[u8]) -> Result<(), Violation> {
        self.bytes.extend_from_slice(chunk);
        if self.opcode == Opcode::Text { self.check_text() } else { Ok(()) }
    }

    /// Validates new text up to the first invalid byte (RFC 6455 §8.1). An incomplete character at
    /// the end is valid so far.
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

//! Buffer of an incomplete message, and of the last message while it is borrowed.

use std::mem;

use crate::websocket::Violation;

/// Collects the parts of a message. Holds no heap memory between messages.
#[derive(Debug, Default)]
pub(super) struct MessageBuffer {
    incomplete: Vec<u8>,
    /// Last complete message. The caller borrows it.
    complete: Vec<u8>,
}

impl MessageBuffer {
    /// Creates an empty buffer.
    pub(super) const fn new() -> Self {
        Self { incomplete: Vec::new(), complete: Vec::new() }
    }

    /// Returns the bytes of the incomplete message.
    pub(super) fn incomplete(&self) -> &[u8] {
        &self.incomplete
    }

    /// Appends a part to the message.
    ///
    /// # Errors
    ///
    /// Fails if the message becomes longer than `bytes_max` bytes.
    pub(super) fn push(&mut self, part: &[u8], bytes_max: usize) -> Result<(), Violation> {
        if part.len() > bytes_max.saturating_sub(self.incomplete.len()) {
            return Err(Violation::TooBig { max: bytes_max });
        }
        self.incomplete.extend_from_slice(part);
        Ok(())
    }

    /// Completes the message and returns its bytes.
    pub(super) fn complete(&mut self) -> &[u8] {
        self.complete = mem::take(&mut self.incomplete);
        &self.complete
    }

    /// Returns the last complete message as text.
    ///
    /// # Errors
    ///
    /// Fails if it is not UTF-8.
    pub(super) fn text(&self) -> Result<&str, Violation> {
        std::str::from_utf8(&self.complete).map_err(|_| Violation::BadMessage)
    }

    /// Returns the number of buffered bytes.
    pub(super) fn bytes(&self) -> usize {
        self.incomplete.len() + self.complete.len()
    }

    /// Takes the memory of the last complete message.
    pub(super) fn take_message(&mut self) -> Vec<u8> {
        mem::take(&mut self.complete)
    }

    /// Frees the memory of the last complete message.
    pub(super) fn release_message(&mut self) {
        self.complete = Vec::new();
    }

    /// Frees all memory.
    pub(super) fn release(&mut self) {
        *self = Self::new();
    }
}

//! Chunked messages: the text frames between `bufferON` and `bufferOFF` form one message.
//!
//! All phpWebSocketServer clients until 2021-08-22 send long messages this way.

use super::SessionRules;
use crate::protocol::phpws::CompatFlag;

/// Chunks received so far.
#[derive(Debug, Default)]
pub struct Chunks {
    text: String,
    count: usize,
}

/// Error: the message has too many chunks or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl Chunks {
    /// Appends a chunk. With `DropChunks`, chunks beyond the limit are silently dropped.
    pub(super) fn push(
        &mut self,
        chunk: &str,
        rules: &SessionRules,
        bytes_max: usize,
    ) -> Result<(), Overflow> {
        let too_many = rules.chunks_max > 0 && self.count >= rules.chunks_max;
        if too_many && rules.protocols.phpws.switches.has(CompatFlag::DropChunks) {
            return Ok(());
        }
        if too_many || self.text.len() + chunk.len() > bytes_max {
            return Err(Overflow);
        }
        self.count += 1;
        self.text.push_str(chunk);
        Ok(())
    }

    /// Returns the total length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(super) fn whole(self) -> String {
        self.text
    }
}

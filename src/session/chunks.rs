//! Messages in chunks: what comes between `bufferON` and `bufferOFF` is one message.
//!
//! Every phpWebSocketServer client up to 2021-08-22 sends long messages this way.

use super::SessionRules;
use crate::protocol::phpws::CompatFlag;

/// The chunks so far.
#[derive(Debug, Default)]
pub struct Chunks {
    text: String,
    count: usize,
}

/// Too many chunks, or too many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl Chunks {
    /// Adds one, if it fits.
    pub(super) fn push(&mut self, chunk: &str, rules: &SessionRules) -> Result<(), Overflow> {
        let too_many = rules.chunks_max > 0 && self.count >= rules.chunks_max;
        if too_many && rules.protocols.phpws.switches.has(CompatFlag::DropChunks) {
            return Ok(());
        }
        if too_many || self.text.len() + chunk.len() > rules.message_bytes_max {
            return Err(Overflow);
        }
        self.count += 1;
        self.text.push_str(chunk);
        Ok(())
    }

    /// How many bytes they have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(super) fn whole(self) -> String {
        self.text
    }
}

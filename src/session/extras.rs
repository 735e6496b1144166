//! What only some connections have.

use std::sync::Arc;
use std::time::Duration;

use super::chunks::Chunks;
use crate::auth::VerifiedToken;
use crate::protocol::AckExtras;

/// What only some connections have.
#[derive(Debug, Default)]
pub struct SessionExtras {
    /// Additional members of the acknowledgements.
    pub words: AckExtras,
    /// Token that the client was admitted with.
    pub token: Option<Arc<SessionToken>>,
    /// The client knows that its token expires soon.
    pub is_warned: bool,
    /// Publications of another host were lost meanwhile, if known how many. The client learns of it after `recovery`.
    pub gap: Option<Option<u64>>,
    /// Incomplete message in chunks.
    pub(super) chunks: Option<Chunks>,
}

/// Token of a connection.
#[derive(Clone, Debug)]
pub struct SessionToken {
    /// The token.
    pub verified: VerifiedToken,
    /// Time at which a client of `tagcast.v1` is asked for the next token, on the clock of the worker.
    pub warns: Duration,
    /// Time at which the connection must end, on the same clock.
    pub ends: Duration,
}

impl SessionExtras {
    /// Creates what a client has at its opening.
    #[must_use]
    pub fn new(words: AckExtras, token: Option<Arc<SessionToken>>) -> Self {
        Self { words, token, ..Self::default() }
    }

    /// Returns a copy that handles one complete message on another thread.
    pub(super) fn for_one_message(&self) -> Self {
        Self { words: self.words.clone(), token: self.token.clone(), chunks: None, ..*self }
    }

    /// Returns the longest message in bytes by the token of the connection.
    pub(super) fn message_bytes_max(&self) -> Option<usize> {
        self.token.as_ref()?.verified.claims.limits.message
    }

    /// Returns the bytes on the heap.
    pub(super) fn held(&self) -> usize {
        let Self { words, token, chunks, .. } = self;
        chunks.as_ref().map_or(0, Chunks::bytes)
            + words.fyi.len()
            + words.uuid.as_ref().map_or(0, String::len)
            + token.as_ref().map_or(0, |token| token.verified.claims.held())
    }
}

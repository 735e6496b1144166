//! Rules that all sessions of a worker share.

use super::SessionExtras;
use crate::auth::uuid::Signer;
use crate::auth::{AuthBasis, Permissions};
use crate::protocol::ProtocolOptions;

/// Rules that all sessions of a worker share.
#[derive(Clone, Debug)]
pub struct SessionRules {
    /// Verifies the UUIDs that publishers send.
    pub signer: Signer,
    /// Rules about who may connect and publish.
    pub access: Permissions,
    /// Longest message in bytes, also in chunks.
    pub message_bytes_max: usize,
    /// Most chunks between `bufferON` and `bufferOFF`. 0 means no limit on their number.
    pub chunks_max: usize,
    /// Maximum topics of a client.
    pub topics_max: usize,
    /// Options of each protocol.
    pub protocols: ProtocolOptions,
}

impl SessionRules {
    /// Returns the rules for a thread that verifies no tokens.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { access: self.access.without_revocations(), ..self.clone() }
    }

    /// Returns the longest message in bytes of a connection. Its application and its token may lower the limit.
    #[must_use]
    pub fn message_bytes_max_of(&self, basis: AuthBasis, extras: Option<&SessionExtras>) -> usize {
        // Not a minimum over an array of both: the compiler turns that into 14 KB of shuffles, which took 8 %
        // of the time of a feedback.
        let own = self.access.message_bytes_max(basis).unwrap_or(usize::MAX);
        let of_token = extras.and_then(SessionExtras::message_bytes_max).unwrap_or(usize::MAX);
        self.message_bytes_max.min(own).min(of_token)
    }
}

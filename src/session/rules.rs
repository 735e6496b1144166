//! What is the same for all sessions of a worker.

use crate::auth::Permissions;
use crate::auth::uuid::Signer;
use crate::protocol::ProtocolOptions;

/// What is the same for all sessions of a worker.
#[derive(Debug)]
pub struct SessionRules {
    /// Reads the UUIDs that publishers name.
    pub signer: Signer,
    /// Who may open and who may publish.
    pub access: Permissions,
    /// The largest message in bytes, also when it came in chunks.
    pub message_bytes_max: usize,
    /// Chunks between `bufferON` and `bufferOFF`; 0 means as many as fit.
    pub chunks_max: usize,
    /// What the users of each protocol can choose.
    pub protocols: ProtocolOptions,
}

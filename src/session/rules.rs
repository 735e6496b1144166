//! What is the same for all sessions of a worker.

use std::borrow::Cow;

use crate::auth::Permissions;
use crate::auth::uuid::Signer;
use crate::protocol::gomoob::Messages;
use crate::types::{CloseCode, CloseReason, CompatFlags, Exclusivity};

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
    /// What phpWebSocketServer's users can choose.
    pub phpws: PhpwsRules,
    /// What Gomoob's users can choose.
    pub gomoob: GomoobRules,
}

/// `[phpws]`, as far as messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhpwsRules {
    /// Whether clients may give themselves an alias, and whether several may have one.
    pub aliases: Option<Exclusivity>,
    /// Ways of the original.
    pub switches: CompatFlags,
}

impl Default for PhpwsRules {
    fn default() -> Self {
        Self { aliases: Some(Exclusivity::Alone), switches: CompatFlags::default() }
    }
}

/// `[gomoob]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GomoobRules {
    /// What a message may be.
    pub messages: Messages,
    /// How recipients are found.
    pub matching: TagMatch,
    /// How a client is closed whose request is none, or not allowed.
    pub close: RefusalClose,
    /// Whether messages are written anew as PHP writes JSON.
    pub encoding: Encoding,
}

impl Default for GomoobRules {
    fn default() -> Self {
        Self {
            messages: Messages::Any,
            matching: TagMatch::Strict,
            close: RefusalClose::Policy,
            encoding: Encoding::AsItCame,
        }
    }
}

/// How the recipients of a request are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagMatch {
    /// They carry all tags.
    Strict,
    /// As Gomoob's server finds them.
    Legacy,
}

/// How a client is closed for what it may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClose {
    /// By 1008 with the reason.
    Policy,
    /// By 1000 without one.
    Legacy,
}

impl RefusalClose {
    /// The Close frame that says why.
    #[must_use]
    pub fn reason(self, why: Cow<'static, str>) -> CloseReason {
        match self {
            Self::Policy => CloseReason { code: CloseCode::POLICY, text: why },
            Self::Legacy => CloseReason::new(CloseCode::NORMAL, ""),
        }
    }
}

/// How JSON goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Byte for byte.
    AsItCame,
    /// As PHP would have written it.
    Php,
}

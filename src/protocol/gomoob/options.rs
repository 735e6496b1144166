//! What Gomoob's users can choose (`[gomoob]`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::protocol::Encoding;
use crate::types::{CloseCode, CloseReason, word_choices};

/// How requests are read, and how their messages are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GomoobOptions {
    /// What a message may be.
    pub messages: GomoobMessages,
    /// How recipients are found.
    pub matching: TagMatch,
    /// How a client is closed whose request is not valid, or not allowed.
    pub close: RefusalClose,
    /// How the JSON of messages is written.
    pub encoding: Encoding,
}

impl Default for GomoobOptions {
    fn default() -> Self {
        Self {
            messages: GomoobMessages::Any,
            matching: TagMatch::Strict,
            close: RefusalClose::Policy,
            encoding: Encoding::AsItCame,
        }
    }
}

word_choices! {
    /// What a message may be.
    GomoobMessages {
        /// Any JSON.
        Any = "any",
        /// A text, as in Gomoob's server without a message parser.
        String = "string",
        /// A text, or what the parser of Gomoob's documentation takes: an object with a `type`.
        Typed = "typed",
    }
    /// How the recipients of a request are found.
    TagMatch {
        /// They carry all tags.
        Strict = "strict",
        /// As Gomoob's server finds them.
        Legacy = "legacy",
    }
    /// How a client is closed for what it may not send.
    RefusalClose {
        /// By 1008 with the reason.
        Policy = "policy",
        /// By 1000 without one.
        Legacy = "legacy",
    }
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

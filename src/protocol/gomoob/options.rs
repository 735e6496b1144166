//! Options of Gomoob's protocol (`[gomoob]`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::protocol::Encoding;
use crate::types::{CloseCode, CloseReason, word_choices};

/// Options for parsing requests and publishing their messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GomoobOptions {
    /// Kind of messages that are accepted.
    pub messages: GomoobMessages,
    /// Method of finding recipients.
    pub matching: TagMatch,
    /// Close reason for a client whose request is invalid or not allowed.
    pub close: RefusalClose,
    /// Form in which the JSON of messages is written.
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
    /// Kinds of messages that requests may contain.
    GomoobMessages {
        /// Any JSON.
        Any = "any",
        /// A string, as in Gomoob's server without a message parser.
        String = "string",
        /// A string, or an object with a `type`, which the parser in Gomoob's documentation accepts.
        Typed = "typed",
    }
    /// Methods of finding the recipients of a request.
    TagMatch {
        /// A recipient carries all tags of the request.
        Strict = "strict",
        /// The method of Gomoob's server.
        Legacy = "legacy",
    }
    /// Close reasons for a client that sent a request that is invalid or not allowed.
    RefusalClose {
        /// 1008 with the reason as text.
        Policy = "policy",
        /// 1000 without a text.
        Legacy = "legacy",
    }
}

impl RefusalClose {
    /// Returns the content of the Close frame.
    #[must_use]
    pub fn reason(self, why: Cow<'static, str>) -> CloseReason {
        match self {
            Self::Policy => CloseReason { code: CloseCode::POLICY, text: why },
            Self::Legacy => CloseReason::new(CloseCode::NORMAL, ""),
        }
    }
}

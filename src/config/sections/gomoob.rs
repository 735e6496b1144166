//! `[gomoob]`: the switches of Gomoob's dialect.

use serde::{Deserialize, Serialize};

use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, choices, switch};

/// The switches of Gomoob's dialect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GomoobSettings {
    /// What a message may be.
    pub messages: GomoobMessages,
    /// How recipients are found.
    pub tag_match: TagMatching,
    /// How a client is closed for what it may not send.
    pub close_code: CloseForm,
    /// Whether messages are written anew as PHP writes JSON.
    pub php_reencode: bool,
    /// Whether clients choose their tags where nothing else decides about them.
    pub open_tags: OpenTags,
}

/// Whether clients choose their tags on paths that nothing is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenTags {
    /// They do.
    On,
    /// Only those that show key and secret.
    Off,
}

choices! {
    /// What a message of Gomoob's dialect may be.
    GomoobMessages {
        /// Any JSON.
        Any = "any",
        /// A text: a server without a message parser.
        String = "string",
        /// A text, or an object with a `type`: a server with the parser of Gomoob's documentation.
        Typed = "typed",
    }
}

choices! {
    /// How the recipients of a request are found.
    TagMatching {
        /// They carry all tags.
        Strict = "strict",
        /// As Gomoob's server finds them.
        Legacy = "legacy",
    }
}

choices! {
    /// How a client is closed for what it may not send.
    CloseForm {
        /// By 1008 with the reason.
        Policy = "policy",
        /// By 1000 without one.
        Legacy = "legacy",
    }
}

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>) -> GomoobSettings {
    let messages = given.read(("gomoob", "messages"), choice);
    let tag_match = given.read(("gomoob", "tagMatch"), choice);
    let close_code = given.read(("gomoob", "closeCode"), choice);
    let open_tags = given.read(("gomoob", "openTags"), switch).unwrap_or(true);
    GomoobSettings {
        messages: messages.unwrap_or(GomoobMessages::Any),
        tag_match: tag_match.unwrap_or(TagMatching::Strict),
        close_code: close_code.unwrap_or(CloseForm::Policy),
        open_tags: if open_tags { OpenTags::On } else { OpenTags::Off },
        php_reencode: given.or_default(("gomoob", "phpReencode"), switch),
    }
}

//! What a call of a resource causes.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::session::SessionRules;
use crate::types::{Address, Claim, CloseReason, PayloadForm, TagQuery, Tags, Tenant};
use crate::webhook::WebhookRequest;

/// What a call of a resource causes. A list on the heap that is used again: effects are large, and
/// would be copied from function to function.
pub type Effects = Vec<Effect>;

/// One thing that a resource wants done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// A text frame to the client.
    ReplyText(Payload),
    /// A binary frame to the client.
    ReplyBinary(Payload),
    /// A message to the client, as its protocol words it.
    Reply(String),
    /// A publication.
    Publish {
        /// In which space.
        tenant: Tenant,
        /// To whom.
        address: Address,
        /// How the payload is meant.
        form: PayloadForm,
        /// What.
        payload: Payload,
    },
    /// The client carries these tags from now on.
    Retag(Tags),
    /// Its acknowledgements say this from now on.
    Fyi(String),
    /// The client calls itself something, and its acknowledgements say so from now on.
    Register {
        /// What it wants to be reached by; nothing, where that is not for it.
        claim: Option<Claim>,
        /// What it said.
        said: String,
    },
    /// A line for the operator: the tags of its packets select nobody.
    IgnoredTags,
    /// A question about who is connected.
    QueryPresence {
        /// What they carry.
        query: TagQuery,
        /// The tag whose values are wanted.
        tag: Box<str>,
    },
    /// The same question, answered to the resource and not for the client.
    QueryResourcePresence {
        /// What the resource knows it by.
        about: u64,
        /// In which space.
        tenant: Tenant,
        /// What they carry.
        query: TagQuery,
        /// The tag whose values are wanted.
        tag: Box<str>,
    },
    /// An event for the backend of the resource.
    Post(WebhookRequest),
    /// The end of the connection.
    Close(CloseReason),
}

/// Where the bytes of an effect are.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    /// A part of the message that the resource was called with.
    Received(Range<usize>),
    /// Bytes of its own.
    Made(Vec<u8>),
}

impl Payload {
    /// The bytes, for a message that was received.
    #[must_use]
    pub fn bytes<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Received(place) => received.get(place.clone()).unwrap_or_default(),
            Self::Made(bytes) => bytes,
        }
    }
}

/// Why something was not published.
#[derive(Debug)]
pub enum NotPublished {
    /// It has no JSON.
    NotJson(serde_json::Error),
    /// It is larger than `maxMessage`.
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl fmt::Display for NotPublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "the message has no JSON: {error}"),
            Self::TooLarge { bytes } => write!(f, "{bytes} bytes are more than maxMessage"),
        }
    }
}

impl std::error::Error for NotPublished {}

/// A message that may be sent.
pub(super) fn json_of(
    message: &(impl Serialize + ?Sized),
    rules: &SessionRules,
) -> Result<String, NotPublished> {
    let json = serde_json::to_string(message).map_err(NotPublished::NotJson)?;
    if json.len() > rules.message_bytes_max {
        return Err(NotPublished::TooLarge { bytes: json.len() });
    }
    Ok(json)
}

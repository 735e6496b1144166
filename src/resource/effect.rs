//! Actions that a call of a resource requests.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::token_refresh::TokenRefresh;
use crate::auth::TokenError;
use crate::protocol::v1::{V1Error, V1RequestId};
use crate::session::SessionRules;
use crate::types::{
    Address, Claim, ClientFilter, CloseReason, FramedPayload, PayloadForm, TagEdit, Tenant,
    WatchTerms,
};
use crate::webhook::WebhookRequest;

/// Requested actions of one call, in order. The list is a reused heap allocation, because an effect
/// is large and would be copied between functions.
pub type Effects = Vec<Effect>;

/// One requested action.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Text frame for the client.
    ReplyText(Payload),
    /// Binary frame for the client.
    ReplyBinary(Payload),
    /// JSON message for the client, in the format of its protocol.
    Reply(String),
    /// Publication.
    Publish {
        /// Tenant of the recipients.
        tenant: Tenant,
        /// Recipients within the tenant.
        address: Address,
        /// Kind of the payload.
        form: PayloadForm,
        /// Bytes of the publication.
        payload: Payload,
        /// What limits it: the index of an application, if it was made for one.
        charged: Charge,
    },
    /// Change of the client's tags by its resource.
    Retag(TagEdit),
    /// Change of the client's tags by its new token.
    RetagByToken(TagEdit),
    /// New token of the connection.
    Refresh(Box<TokenRefresh>),
    /// Log line for the operator: the connection may not have a token that the client has shown.
    RefusedToken(Box<TokenError>),
    /// New `fyi` text of the client's acknowledgements.
    Fyi(String),
    /// Registration of an alias. Later acknowledgements repeat `said`.
    Register {
        /// Claim for the broker. `None` if the name is a signed UUID, which cannot be an alias.
        claim: Option<Claim>,
        /// Name that the client sent.
        said: String,
    },
    /// Log line for the operator: tags of this client's packets are ignored.
    IgnoredTags,
    /// Query for connected clients. The answer belongs to the client.
    QueryPresence {
        /// The clients that are counted.
        query: ClientFilter,
        /// Name of the tag whose values the query returns. Empty: none.
        tag: Box<str>,
    },
    /// Query for connected clients. The answer belongs to the resource.
    QueryResourcePresence {
        /// Value that the answer repeats.
        about: u64,
        /// Tenant of the counted clients.
        tenant: Tenant,
        /// The clients that are counted.
        query: ClientFilter,
        /// Name of the tag whose values the query returns. Empty: none.
        tag: Box<str>,
    },
    /// Event for the backend of the resource.
    Post(WebhookRequest),
    /// Part of a request of `tagcast.v1`.
    Request(RequestEffect),
    /// Close of the connection.
    Close(CloseReason),
}

/// What a request of `tagcast.v1` does in addition to a publication.
#[derive(Debug, PartialEq)]
pub enum RequestEffect {
    /// Begins the request with this number. If it was accepted before, its publication is not made again.
    Begin(V1RequestId),
    /// The broker counts the recipients of the publication that follows.
    CountNext,
    /// Drops an answer to a question that is not open.
    DropAnswer,
    /// The publication that follows is a question to one client.
    Ask {
        /// Number of the request.
        id: V1RequestId,
        /// Time for the answer.
        within: Duration,
    },
    /// Ends the request of the question before it. It is answered now if it was not asked.
    Asked(V1RequestId),
    /// Answers the request of the publication before it, when the broker has acknowledged that (rule L5).
    Acknowledge {
        /// Number of the request. `None`: only an error is answered.
        id: Option<V1RequestId>,
        /// Whether the answer has the number of recipients.
        is_reported: bool,
    },
    /// Changes tags of the client itself. The answer follows when the broker has applied the change.
    Tag {
        /// Number of the request.
        id: V1RequestId,
        /// The change.
        edit: TagEdit,
    },
    /// Watches a query.
    Watch {
        /// Number of the request, and of the watch.
        id: V1RequestId,
        /// The query.
        terms: Box<WatchTerms>,
    },
    /// Ends a watch.
    Unwatch {
        /// Number of the request.
        id: V1RequestId,
        /// Number of the watch.
        watch: V1RequestId,
    },
    /// Passes data to the resource of the path.
    Send {
        /// Number of the request.
        id: Option<V1RequestId>,
        /// Where the data are in the received message.
        data: Range<usize>,
    },
    /// Answers a ping of the client.
    Pong(Option<V1RequestId>),
    /// Counts a pong of the client.
    Alive,
    /// Answers with an error.
    Refuse {
        /// Number of the request.
        id: Option<V1RequestId>,
        /// The error.
        error: Box<V1Error>,
    },
}

impl Effect {
    /// Returns the bytes that the call has made for this action.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::ReplyText(payload)
            | Self::ReplyBinary(payload)
            | Self::Publish { payload, .. } => payload.held(),
            Self::Reply(text) | Self::Fyi(text) => text.len(),
            Self::Post(request) => request.body.len(),
            _ => 0,
        }
    }
}

/// The limits of publications that one counts towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charge {
    /// None: the server itself publishes.
    #[default]
    Nothing,
    /// Those of an application, by its index. `None`: those of a server without applications.
    Application(Option<u32>),
}

/// Location of an effect's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    /// Range of the message that the resource was called with.
    Received(Range<usize>),
    /// New bytes.
    Made(Vec<u8>),
    /// New bytes behind the header of a frame.
    Framed(FramedPayload),
}

impl Payload {
    /// Returns the payload with its frame, if there is one.
    #[must_use]
    pub fn framed(&self) -> Option<&FramedPayload> {
        match self {
            Self::Framed(framed) => Some(framed),
            Self::Received(_) | Self::Made(_) => None,
        }
    }

    /// Returns the new bytes that it holds.
    fn held(&self) -> usize {
        match self {
            Self::Received(_) => 0,
            Self::Made(bytes) => bytes.len(),
            Self::Framed(framed) => framed.frame().len(),
        }
    }

    /// Returns the bytes. `received` is the message that the resource was called with.
    #[must_use]
    pub fn bytes<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Received(place) => received.get(place.clone()).unwrap_or_default(),
            Self::Made(bytes) => bytes,
            Self::Framed(framed) => framed.payload(),
        }
    }
}

/// Reason why a message was not published.
#[derive(Debug)]
pub enum NotPublished {
    /// It cannot be serialized as JSON.
    NotJson(serde_json::Error),
    /// It is larger than `maxMessage`.
    TooLarge {
        /// Length in bytes.
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

/// Serializes a message and checks its size.
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

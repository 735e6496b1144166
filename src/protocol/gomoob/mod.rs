//! Gomoob's protocol: clients send requests with a message, tags and metadata, and receive bare messages.

mod options;
pub mod typed;

use std::borrow::Cow;
use std::ops::Range;

pub use self::options::{GomoobMessages, GomoobOptions, RefusalClose, TagMatch};
use super::{Cast, ProtocolSpec, plain, tags};
use crate::json;
use crate::json::{JsonMembers, NotJson, Scalar, JsonShape, pick};
use crate::types::{Content, Credentials, PayloadForm, Tag, TagQuery};

/// Properties of this protocol family.
pub const SPEC: ProtocolSpec = ProtocolSpec {
    render: Some(render),
    refusal_close: |options| options.gomoob.close,
    has_reports: true,
    ..ProtocolSpec::BARE
};

/// A request: a message for all clients that carry all of its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GomoobRequest<'a> {
    /// Byte range of the message's JSON within the text.
    pub message: Range<usize>,
    /// Tags that the recipients must carry.
    pub query: TagQuery,
    /// Key and secret in `metadata`; `None` if it contains neither.
    pub credentials: Option<Credentials<'a>>,
    /// New token of the connection, in `metadata`; empty if it is not a text.
    pub token: Option<Cow<'a, str>>,
    /// The JSON of `tags`.
    tags: &'a str,
}

/// Reason why a text is not a valid request, with the error text of Gomoob's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRequest(pub Cow<'static, str>);

impl<T: Into<Cow<'static, str>>> From<T> for InvalidRequest {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Parses a request. Its message may be any JSON.
///
/// # Errors
///
/// The first of Gomoob's checks that the request fails.
pub fn parse(text: &str) -> Result<GomoobRequest<'_>, InvalidRequest> {
    parse_with(text, GomoobMessages::Any)
}

/// Parses a request whose message must be of this kind.
///
/// # Errors
///
/// The same as [`parse`].
pub fn parse_with(text: &str, messages: GomoobMessages) -> Result<GomoobRequest<'_>, InvalidRequest> {
    let found = match pick(text, ["message", "tags", "metadata"]) {
        Ok(JsonShape::Object(found)) => found,
        Ok(JsonShape::Empty) => JsonMembers::default(),
        // In PHP, a list is an array whose keys are numbers.
        Ok(JsonShape::List) => return Err("Unexpected property '0' !".into()),
        Ok(JsonShape::Scalar) => return Err("The decoded JSON string is not an array !".into()),
        Ok(JsonShape::Null) | Err(NotJson) => {
            return Err("Failed to decode the provided JSON string !".into());
        }
    };
    if let Some(name) = found.other {
        return Err(format!("Unexpected property '{}' !", json::text(name)).into());
    }
    let [message, tags, metadata] = found.named;
    let message = message.ok_or("The 'message' property is mandatory !")?;
    messages.check(message)?;
    let Metadata { credentials, token } = metadata.map(read_metadata).transpose()?.unwrap_or_default();
    Ok(GomoobRequest {
        message: place(text, message),
        query: tags.map(tags::of_request).transpose()?.unwrap_or_default(),
        tags: tags.unwrap_or("{}"),
        credentials,
        token,
    })
}

impl GomoobRequest<'_> {
    /// Returns the tags in their order, which [`GomoobRequest::query`] does not keep. If a name occurs twice,
    /// the last value is used at the position of the first, as in PHP.
    #[must_use]
    pub fn tags_in_order(&self) -> Box<[Tag]> {
        tags::in_order(self.tags)
    }
}

const NOT_A_STRING: &str = "The 'message' property is not a string, you must configure a \
                            message parser to parse messages !";

impl GomoobMessages {
    fn check(self, message: &str) -> Result<(), InvalidRequest> {
        match self {
            Self::Any => Ok(()),
            _ if message.starts_with('"') => Ok(()),
            Self::String => Err(NOT_A_STRING.into()),
            Self::Typed => typed::check(message),
        }
    }
}

/// Returns the byte range of `part`, which must be a slice of `text`.
pub(super) fn place(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

/// Renders a publication in this protocol, which is the JSON of its message.
#[must_use]
pub fn render(content: Content<&[u8]>, _: Cast) -> Cow<'_, [u8]> {
    let (_, content) = content.split_headers();
    match content.form {
        PayloadForm::Message => Cow::Borrowed(content.payload),
        PayloadForm::Packet => Cow::Borrowed(message_of(content.payload)),
        PayloadForm::Text => Cow::Owned(plain::as_json(content.payload)),
        // Headers are not nested.
        PayloadForm::WithHeaders => Cow::Borrowed(NO_MESSAGE),
    }
}

/// Replaces the message of a packet that has none.
const NO_MESSAGE: &[u8] = b"null";

/// Returns the JSON of the message of a phpWebSocketServer packet; `null` if it has no message.
#[must_use]
pub fn message_of(packet: &[u8]) -> &[u8] {
    let shape = str::from_utf8(packet).map(|packet| pick(packet, ["message"]));
    let Ok(Ok(JsonShape::Object(members))) = shape else { return NO_MESSAGE };
    let [message] = members.named;
    message.map_or(NO_MESSAGE, str::as_bytes)
}

/// What the server reads of `metadata`.
#[derive(Default)]
struct Metadata<'a> {
    credentials: Option<Credentials<'a>>,
    token: Option<Cow<'a, str>>,
}

/// Reads the metadata. Only strings can prove anything.
fn read_metadata(metadata: &str) -> Result<Metadata<'_>, InvalidRequest> {
    let [key, secret, token] = match pick(metadata, ["key", "secret", "token"]) {
        Ok(JsonShape::Object(members)) => members.named,
        Ok(JsonShape::Empty | JsonShape::List) => [None; 3],
        _ => return Err("The 'metadata' property is not an array !".into()),
    };
    let token = token.map(|raw| text_of(raw).unwrap_or_default());
    if key.is_none() && secret.is_none() {
        return Ok(Metadata { credentials: None, token });
    }
    // A key that is missing or not a string matches no application.
    let key = key.and_then(text_of).unwrap_or_default();
    let credentials = Credentials { key, secret: secret.and_then(text_of) };
    Ok(Metadata { credentials: Some(credentials), token })
}

fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    Scalar::of(raw).text()
}

#[cfg(test)]
mod tests;

//! Gomoob's language: requests with a message, tags and metadata in, the bare message out.

mod options;
pub mod typed;

use std::borrow::Cow;
use std::ops::Range;

pub use self::options::{GomoobMessages, GomoobOptions, RefusalClose, TagMatch};
use super::{Cast, ProtocolSpec, plain, tags};
use crate::json;
use crate::json::{JsonMembers, NotJson, Scalar, JsonShape, pick};
use crate::types::{Content, Credentials, PayloadForm, Tag, TagQuery};

/// What this family answers.
pub const SPEC: ProtocolSpec = ProtocolSpec {
    render: Some(render),
    refusal_close: |options| options.gomoob.close,
    has_reports: true,
    ..ProtocolSpec::BARE
};

/// A request: a message for everyone who carries all these tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GomoobRequest<'a> {
    /// Where the JSON of the message stands in the text.
    pub message: Range<usize>,
    /// What the recipients must carry.
    pub query: TagQuery,
    /// What `metadata` proves, if it says anything about it.
    pub credentials: Option<Credentials<'a>>,
    /// The JSON of `tags`.
    tags: &'a str,
}

/// Why a text is no request, in the words that Gomoob's users know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRequest(pub Cow<'static, str>);

impl<T: Into<Cow<'static, str>>> From<T> for InvalidRequest {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Reads a request. A message may be any JSON.
///
/// # Errors
///
/// The first of the checks that it does not pass, in Gomoob's order.
pub fn parse(text: &str) -> Result<GomoobRequest<'_>, InvalidRequest> {
    parse_with(text, GomoobMessages::Any)
}

/// Reads a request with a message of this kind.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with(text: &str, messages: GomoobMessages) -> Result<GomoobRequest<'_>, InvalidRequest> {
    let found = match pick(text, ["message", "tags", "metadata"]) {
        Ok(JsonShape::Object(found)) => found,
        Ok(JsonShape::Empty) => JsonMembers::default(),
        // A list has numbers for names, as in PHP.
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
    Ok(GomoobRequest {
        message: place(text, message),
        query: tags.map(tags::of_request).transpose()?.unwrap_or_default(),
        tags: tags.unwrap_or("{}"),
        credentials: metadata.map(credentials).transpose()?.flatten(),
    })
}

impl GomoobRequest<'_> {
    /// The tags in their order, which [`Request::query`] does not keep: of one name given twice the
    /// last value stands at the first place, as in PHP.
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

/// Where a part stands in the text that it was taken out of.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

/// A publication in this language: the JSON of its message.
#[must_use]
pub fn render(content: &Content, _: Cast) -> Cow<'_, [u8]> {
    match content.form {
        PayloadForm::Message => Cow::Borrowed(&content.payload),
        PayloadForm::Packet => Cow::Borrowed(message_of(&content.payload)),
        PayloadForm::Text => Cow::Owned(plain::as_json(&content.payload)),
    }
}

/// What stands for the message of a packet that has none.
const NO_MESSAGE: &[u8] = b"null";

/// The JSON of the message of a packet of phpWebSocketServer; `null` when it has none.
#[must_use]
pub fn message_of(packet: &[u8]) -> &[u8] {
    let shape = str::from_utf8(packet).map(|packet| pick(packet, ["message"]));
    let Ok(Ok(JsonShape::Object(members))) = shape else { return NO_MESSAGE };
    let [message] = members.named;
    message.map_or(NO_MESSAGE, str::as_bytes)
}

/// Key and secret of the metadata; texts count, anything else proves nothing.
fn credentials(metadata: &str) -> Result<Option<Credentials<'_>>, InvalidRequest> {
    let [key, secret] = match pick(metadata, ["key", "secret"]) {
        Ok(JsonShape::Object(members)) => members.named,
        Ok(JsonShape::Empty | JsonShape::List) => [None; 2],
        _ => return Err("The 'metadata' property is not an array !".into()),
    };
    if key.is_none() && secret.is_none() {
        return Ok(None);
    }
    // A key that is missing or no text names no application.
    let key = key.map(Scalar::of).and_then(Scalar::text).unwrap_or_default();
    Ok(Some(Credentials { key, secret: secret.map(Scalar::of).and_then(Scalar::text) }))
}

#[cfg(test)]
mod tests;

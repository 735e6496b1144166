//! Gomoob's language: requests with a message, tags and metadata in, the bare message out.

pub mod typed;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Cast, plain, tags};
use crate::types::{Content, Credentials, Form, Tag, TagQuery};

/// A request: a message for everyone who carries all these tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Where the JSON of the message stands in the text.
    pub message: Range<usize>,
    /// What the recipients must carry.
    pub query: TagQuery,
    /// What `metadata` proves, if it says anything about it.
    pub credentials: Option<Credentials<'a>>,
}

/// What a message may be (`[gomoob] messages`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// Any JSON.
    Any,
    /// A text, as in Gomoob's server without a message parser.
    String,
    /// A text, or what Gomoob's own parser takes: an object with a `type`.
    Typed,
}

/// Why a text is no request, in the words that Gomoob's users know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRequest(pub Cow<'static, str>);

impl<T: Into<Cow<'static, str>>> From<T> for NoRequest {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Reads a request. A message may be any JSON.
///
/// # Errors
///
/// The first of the checks that it does not pass, in Gomoob's order.
pub fn parse(text: &str) -> Result<Request<'_>, NoRequest> {
    parse_with(text, Messages::Any)
}

/// Reads a request with a message of this kind.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with(text: &str, messages: Messages) -> Result<Request<'_>, NoRequest> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = match json.deserialize_any(RequestVisitor) {
        Ok(members) if json.end().is_ok() => members,
        _ => Members::None,
    };
    let members = match members {
        Members::None => return Err("Failed to decode the provided JSON string !".into()),
        Members::Scalar => return Err("The decoded JSON string is not an array !".into()),
        Members::Some(members) => members,
    };
    if let Some(name) = members.unexpected {
        return Err(format!("Unexpected property '{name}' !").into());
    }
    let message = members.message.ok_or("The 'message' property is mandatory !")?;
    messages.check(message.get())?;
    let query = members.tags.map(|raw| tags::of_request(raw.get()));
    let credentials = members.metadata.map(|raw| credentials(raw.get()));
    Ok(Request {
        message: place(text, message.get()),
        query: query.transpose()?.unwrap_or_default(),
        credentials: credentials.transpose()?.flatten(),
    })
}

/// The tags of a request in their order, which [`Request::query`] does not keep: of one name given
/// twice the last value stands at the first place, as in PHP. None for what is no request.
#[must_use]
pub fn tags_in_order(text: &str) -> Box<[Tag]> {
    let mut json = serde_json::Deserializer::from_str(text);
    match json.deserialize_any(RequestVisitor) {
        Ok(Members::Some(Found { tags: Some(raw), .. })) => tags::in_order(raw.get()),
        _ => Box::default(),
    }
}

const NOT_A_STRING: &str = "The 'message' property is not a string, you must configure a \
                            message parser to parse messages !";

impl Messages {
    fn check(self, message: &str) -> Result<(), NoRequest> {
        match self {
            Self::Any => Ok(()),
            _ if message.starts_with('"') => Ok(()),
            Self::String => Err(NOT_A_STRING.into()),
            Self::Typed => typed::rebuilt(message).map(drop),
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
        Form::Message => Cow::Borrowed(&content.payload),
        Form::PhpwsPacket => Cow::Borrowed(message_of(&content.payload)),
        Form::Text => Cow::Owned(plain::as_json(&content.payload)),
    }
}

/// What stands for the message of a packet that has none.
const NO_MESSAGE: &[u8] = b"null";

/// The JSON of the message of a packet of phpWebSocketServer; `null` when it has none.
#[must_use]
pub fn message_of(packet: &[u8]) -> &[u8] {
    /// Only the message: all other members are skipped.
    struct Packet<'a>(Option<&'a RawValue>);

    impl<'de: 'a, 'a> Deserialize<'de> for Packet<'a> {
        fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
            let members = json.deserialize_any(RequestVisitor)?;
            let Members::Some(members) = members else { return Ok(Self(None)) };
            Ok(Self(members.message))
        }
    }

    let message = serde_json::from_slice::<Packet<'_>>(packet).ok().and_then(|packet| packet.0);
    message.map_or(NO_MESSAGE, |message| message.get().as_bytes())
}

/// Key and secret of the metadata; texts count, anything else proves nothing.
fn credentials(metadata: &str) -> Result<Option<Credentials<'_>>, NoRequest> {
    let mut json = serde_json::Deserializer::from_str(metadata);
    let not_an_array = |_| NoRequest::from("The 'metadata' property is not an array !");
    let (key, secret) = json.deserialize_any(MetadataVisitor).map_err(not_an_array)?;
    if key.is_none() && secret.is_none() {
        return Ok(None);
    }
    // A key that is missing or no text names no application.
    let key = key.flatten().unwrap_or_default();
    Ok(Some(Credentials { key, secret: secret.flatten() }))
}

/// What a text is, as far as its shape goes.
enum Members<'a> {
    /// `null`, or no JSON.
    None,
    /// A number, a text, true or false.
    Scalar,
    Some(Found<'a>),
}

/// The members of an object; of one name given twice the last holds, as in PHP.
#[derive(Default)]
struct Found<'a> {
    message: Option<&'a RawValue>,
    tags: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
    /// The first one that a request does not have.
    unexpected: Option<String>,
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut found = Found::default();
        while let Some(name) = map.next_key::<CowText<'de>>()? {
            match name.0.as_ref() {
                "message" => found.message = Some(map.next_value()?),
                "tags" => found.tags = Some(map.next_value()?),
                "metadata" => found.metadata = Some(map.next_value()?),
                other => {
                    found.unexpected.get_or_insert_with(|| other.to_owned());
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Members::Some(found))
    }

    /// A list has numbers for names, as in PHP.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Members<'de>, A::Error> {
        let mut found = Found::default();
        while list.next_element::<IgnoredAny>()?.is_some() {
            found.unexpected = Some("0".to_owned());
        }
        Ok(Members::Some(found))
    }

    fn visit_unit<E: Error>(self) -> Result<Members<'de>, E> {
        Ok(Members::None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Members<'de>, E> {
        Ok(Members::Scalar)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Members<'de>, E> {
        Ok(Members::Scalar)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Members<'de>, E> {
        Ok(Members::Scalar)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Members<'de>, E> {
        Ok(Members::Scalar)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Members<'de>, E> {
        Ok(Members::Scalar)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct CowText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Key and secret: whether they are there, and the text where they are one.
type Proof<'a> = (Option<Option<Cow<'a, str>>>, Option<Option<Cow<'a, str>>>);

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Proof<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Proof<'de>, A::Error> {
        let mut proof = Proof::default();
        while let Some(name) = map.next_key::<CowText<'de>>()? {
            match name.0.as_ref() {
                "key" => proof.0 = Some(text(map.next_value()?)),
                "secret" => proof.1 = Some(text(map.next_value()?)),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(proof)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Proof<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Proof::default())
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<CowText<'_>>(raw.get()).ok().map(|text| text.0)
}

#[cfg(test)]
mod tests;

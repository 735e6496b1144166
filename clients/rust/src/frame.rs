//! Frames of `tagcast.v1`: what the client writes, and what it reads.

use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::machine::Topics;
use crate::status::RecoveryReason;
use crate::target::Tags;

/// The answer to a ping, and to `recovery`.
pub(crate) const PONG: &str = r#"{"op":"pong"}"#;
/// Ends the client.
pub(crate) const BYE: &str = r#"{"op":"bye"}"#;

/// The first frame of a connection.
#[derive(Serialize)]
pub(crate) struct Hello<'a> {
    pub(crate) op: &'static str,
    pub(crate) instance: &'a str,
    pub(crate) client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ident: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<&'a Tags>,
    #[serde(skip_serializing_if = "Topics::is_empty")]
    pub(crate) topics: &'a Topics,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resume: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rewind: Option<u32>,
}

/// What a frame of the server is, before its other members are read.
#[derive(Deserialize)]
pub(crate) struct FrameKind {
    pub(crate) op: String,
    #[serde(default)]
    pub(crate) id: Option<u64>,
    /// The position after this frame.
    #[serde(default, deserialize_with = "text_or_none")]
    pub(crate) at: Option<String>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "two independent members of a frame")]
pub(crate) struct Welcome {
    pub(crate) uuid: String,
    #[serde(default)]
    pub(crate) resumed: bool,
    /// `kept` or `lost`: whether the server knows which requests of this client it has carried out.
    #[serde(default)]
    pub(crate) ids: Option<String>,
    #[serde(default)]
    pub(crate) resume: Option<String>,
    #[serde(default)]
    pub(crate) tags: ReceivedTags,
    #[serde(default)]
    pub(crate) topics: Topics,
    #[serde(default)]
    pub(crate) recovering: bool,
    /// Seconds between pings; 0 without pings.
    #[serde(default)]
    pub(crate) ping: u64,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    #[serde(default)]
    pub(crate) limits: Limits,
}

#[derive(Default, Deserialize)]
pub(crate) struct Limits {
    /// Bytes of the largest message.
    #[serde(default)]
    pub(crate) message: Option<usize>,
}

#[derive(Deserialize)]
pub(crate) struct RecoveryFrame {
    #[serde(default)]
    pub(crate) recovered: bool,
    #[serde(default)]
    pub(crate) replayed: u64,
    #[serde(default)]
    pub(crate) missed: Option<u64>,
    #[serde(default)]
    pub(crate) reason: Option<RecoveryReason>,
}

#[derive(Deserialize)]
pub(crate) struct TagsFrame {
    pub(crate) tags: ReceivedTags,
    #[serde(default)]
    pub(crate) topics: Topics,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent members of a frame")]
pub(crate) struct PresenceFrame {
    /// The id of the request `watch`.
    pub(crate) watch: u64,
    /// Whether it replaces everything.
    #[serde(default)]
    pub(crate) sync: bool,
    #[serde(default)]
    pub(crate) count: u64,
    #[serde(default)]
    pub(crate) users: u64,
    #[serde(default)]
    pub(crate) members: Vec<MemberFrame>,
    /// Whether there are too many members for a list.
    #[serde(default)]
    pub(crate) more: bool,
    /// Whether the clients of a host are not known.
    #[serde(default)]
    pub(crate) partial: bool,
    #[serde(default)]
    pub(crate) joined: Vec<MemberFrame>,
    #[serde(default)]
    pub(crate) left: Vec<String>,
    /// The code that says why the watch has ended.
    #[serde(default)]
    pub(crate) end: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MemberFrame {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) user: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) tags: ReceivedTags,
    #[serde(default)]
    pub(crate) uuid: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct ByeFrame {
    pub(crate) code: u16,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<u64>,
}

/// Tags as the server writes them: values are texts, or numbers.
#[derive(Debug, Default)]
pub(crate) struct ReceivedTags(pub(crate) Tags);

impl<'de> Deserialize<'de> for ReceivedTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tags = std::collections::BTreeMap::<String, TagValue>::deserialize(deserializer)?;
        Ok(Self(tags.into_iter().map(|(name, value)| (name, value.0)).collect()))
    }
}

struct TagValue(String);

impl<'de> Deserialize<'de> for TagValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagValueVisitor)
    }
}

struct TagValueVisitor;

impl Visitor<'_> for TagValueVisitor {
    type Value = TagValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an integer")
    }

    fn visit_str<E>(self, text: &str) -> Result<TagValue, E> {
        Ok(TagValue(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<TagValue, E> {
        Ok(TagValue(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<TagValue, E> {
        Ok(TagValue(number.to_string()))
    }
}

/// `at` of an `error` may be a number, which is not a position.
fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Position {
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Position::deserialize(deserializer)? {
        Position::Text(text) => Some(text),
        Position::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_text() {
        let at = |text| serde_json::from_str::<FrameKind>(text).unwrap().at;
        assert_eq!(at(r#"{"op":"ping","at":"e.1"}"#).as_deref(), Some("e.1"));
        assert_eq!(at(r#"{"op":"error","at":5}"#), None);
        assert_eq!(at(r#"{"op":"ping"}"#), None);
    }

    #[test]
    fn values_of_tags_are_texts_or_integers() {
        let frame = r#"{"op":"tags","tags":{"a":"x","b":12,"c":-1}}"#;
        let tags = serde_json::from_str::<TagsFrame>(frame).unwrap().tags.0;
        let pairs: Vec<_> =
            tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("a", "x"), ("b", "12"), ("c", "-1")]);
    }
}

//! phpWebSocketServer's language: packets with an `opcode`, each acknowledged by `next`.

pub mod old;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use serde_json::value::RawValue;

use super::{Cast, plain};
use crate::types::{Content, Credentials, Form};

/// What acknowledges a message, as long as no application has set a `fyi`.
pub const NEXT: &str = r#"{"opcode":"next","fyi":""}"#;

/// What acknowledges a message once an application has something to say with it, or the client has
/// registered a UUID of its own.
#[must_use]
pub fn next_with(fyi: &str, uuid: Option<&str>) -> String {
    let fyi = serde_json::Value::from(fyi);
    match uuid {
        None => format!(r#"{{"opcode":"next","fyi":{fyi}}}"#),
        Some(uuid) => {
            let uuid = serde_json::Value::from(uuid);
            format!(r#"{{"opcode":"next","fyi":{fyi},"uuid":{uuid}}}"#)
        }
    }
}

/// What a client gets for what it may not do.
#[must_use]
pub fn error(why: &str) -> String {
    format!(r#"{{"opcode":"error","error":{}}}"#, serde_json::Value::from(why))
}

/// What a client gets that is one too many.
#[must_use]
pub fn close_because(why: &str) -> String {
    format!(r#"{{"opcode":"close","error":{}}}"#, serde_json::Value::from(why))
}

/// What a client gets whose path is not known.
pub const CLOSE: &str = r#"{"opcode":"close"}"#;
/// What a client gets while there is no broker to let it in.
pub const TRY_AGAIN: &str = r#"{"opcode":"close","error":"Try again later"}"#;
/// The payload of the server's pings; browser clients of this family look for none of its letters.
pub const PING: &[u8] = br#"{"opcode":"PING"}"#;
/// A text message that begins a message in chunks (clients up to 2021-08).
pub const BUFFER_ON: &str = "bufferON";
/// A text message that ends it.
pub const BUFFER_OFF: &str = "bufferOFF";

/// The first frame of every connection.
#[must_use]
pub fn ready(uuid: &str) -> String {
    format!(r#"{{"opcode":"ready","uuid":"{uuid}"}}"#)
}

/// What a packet asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The packet, byte for byte, to every other web-type client.
    Broadcast,
    /// The packet to the first client with this UUID or this ident.
    Feedback {
        /// The UUID as it was given.
        uuid: Option<Cow<'a, str>>,
        /// The ident as it was given.
        ident: Option<Cow<'a, str>>,
    },
    /// The packet back to its sender.
    Echo,
    /// The end of the connection.
    Quit,
    /// To be called what [`old::registered`] says (clients of 2019).
    Register,
    /// Nothing; in the original it ended the connection, as that was its word for bad JSON.
    JsonError,
    /// Nothing: JSON with an unknown opcode, with none, or that is no object.
    Nothing,
}

/// A packet, taken apart as far as the server cares.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it asks for.
    pub command: Command<'a>,
    /// Who it says it speaks for: `key` and `secret`, when both are there.
    pub credentials: Option<Credentials<'a>>,
    /// Whether it may be forwarded as it came.
    pub discretion: Discretion,
}

/// Whether a packet may be forwarded as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discretion {
    /// It holds nothing that is for the server alone.
    AsItCame,
    /// It holds a secret: only [`without_credentials`] may be forwarded.
    Stripped,
}

/// Reads a packet.
///
/// # Errors
///
/// When the text is no JSON.
pub fn parse(text: &str) -> Result<Packet<'_>, NotJson> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_any(PacketVisitor).map_err(|_| NotJson)?;
    json.end().map_err(|_| NotJson)?;
    let Members { opcode, uuid, ident, key, secret } = members;
    let opcode = opcode.and_then(Scalar::text).unwrap_or_default();
    let command = match opcode.as_ref() {
        "broadcast" => Command::Broadcast,
        "feedback" => Command::Feedback {
            uuid: uuid.and_then(Scalar::text),
            ident: ident.and_then(Scalar::decimal_or_text),
        },
        "echo" => Command::Echo,
        "quit" => Command::Quit,
        "uuid" => Command::Register,
        "jsonerror" => Command::JsonError,
        _ => Command::Nothing,
    };
    let discretion = if secret.is_some() { Discretion::Stripped } else { Discretion::AsItCame };
    // Either alone is a word of the application's own, and proves nothing.
    let credentials = key.zip(secret).map(|(key, secret)| Credentials {
        // What is no text names no application.
        key: key.decimal_or_text().unwrap_or_default(),
        secret: secret.decimal_or_text(),
    });
    Ok(Packet { command, credentials, discretion })
}

/// A packet without its `key` and `secret`; the values of all other members as they came.
#[must_use]
pub fn without_credentials(packet: &str) -> String {
    let mut stripped = String::with_capacity(packet.len());
    for (name, value) in serde_json::from_str::<RawMembers<'_>>(packet).unwrap_or_default().0 {
        if name == "key" || name == "secret" {
            continue;
        }
        stripped.push(if stripped.is_empty() { '{' } else { ',' });
        stripped.push_str(&serde_json::Value::from(name.as_ref()).to_string());
        stripped.push(':');
        stripped.push_str(value.get());
    }
    if stripped.is_empty() {
        stripped.push('{');
    }
    stripped.push('}');
    stripped
}

/// The members of an object in their order, their values as they were written.
#[derive(Default)]
struct RawMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct RawVisitor;

        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(members)
            }
        }

        json.deserialize_map(RawVisitor).map(Self)
    }
}

/// A text that is no JSON; clients of this family are closed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// A publication in this language. A packet goes on as it came; a bare message is wrapped.
#[must_use]
pub fn render(content: &Content, cast: Cast) -> Cow<'_, [u8]> {
    match content.form {
        Form::PhpwsPacket => Cow::Borrowed(&content.payload),
        Form::Message => Cow::Owned(packet_of(&content.payload, cast)),
        Form::Text => Cow::Owned(packet_of(&plain::as_json(&content.payload), cast)),
    }
}

fn packet_of(message: &[u8], cast: Cast) -> Vec<u8> {
    let head: &[u8] = match cast {
        Cast::One => br#"{"opcode":"feedback","message":"#,
        Cast::Many => br#"{"opcode":"broadcast","message":"#,
    };
    [head, message, b"}"].concat()
}

/// The members that the server looks at; of one name given twice the last holds, as in PHP.
#[derive(Default)]
struct Members<'a> {
    opcode: Option<Scalar<'a>>,
    uuid: Option<Scalar<'a>>,
    ident: Option<Scalar<'a>>,
    key: Option<Scalar<'a>>,
    secret: Option<Scalar<'a>>,
}

/// A member's value, as far as it can be a name.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    /// An integer, by its decimal text.
    Decimal(String),
    /// Anything else names nobody.
    Other,
}

impl<'a> Scalar<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn decimal_or_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Decimal(text) => Some(Cow::Owned(text)),
            other => other.text(),
        }
    }
}

struct PacketVisitor;

impl<'de> Visitor<'de> for PacketVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut packet = Members::default();
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            match name.as_ref() {
                "opcode" => packet.opcode = Some(map.next_value()?),
                "uuid" => packet.uuid = Some(map.next_value()?),
                "ident" => packet.ident = Some(map.next_value()?),
                "key" => packet.key = Some(map.next_value()?),
                "secret" => packet.secret = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(packet)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Members<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Members::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Members<'de>, E> {
        Ok(Members::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Members<'de>, E> {
        Ok(Members::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Members<'de>, E> {
        Ok(Members::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Members<'de>, E> {
        Ok(Members::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Members<'de>, E> {
        Ok(Members::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Members<'de>, E> {
        Ok(Members::default())
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        match json.deserialize_str(ScalarVisitor)? {
            Scalar::Text(name) => Ok(Self(name)),
            _ => Err(D::Error::custom("a member without a name")),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Decimal(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Decimal(number.to_string()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests;

//! phpWebSocketServer's language: packets with an `opcode`, each acknowledged by `next`.

mod compat_flags;
pub mod old;
mod options;

use std::borrow::Cow;

pub use self::compat_flags::{CompatFlag, CompatFlags};
pub use self::options::PhpwsOptions;
use super::{AckExtras, Cast, ChunkMarks, ProtocolSpec};
use crate::http::Spoken;
pub use crate::json::NotJson;
use crate::json::{Scalar, JsonShape, members, pick, write_text};
use crate::types::{Content, Credentials, PayloadForm};

/// What this family answers.
pub const SPEC: ProtocolSpec = ProtocolSpec {
    versions: Spoken::Rfc6455,
    is_spoken_raw: true,
    has_php_clients: true,
    has_compat_flags: true,
    render: Some(render),
    greeting: Some(ready),
    chunk_marks: Some(ChunkMarks { begin: BUFFER_ON, end: BUFFER_OFF }),
    reads_binary_as_text: true,
    acknowledge: Some(|_, extras| next(extras)),
    error: Some(error),
    refusal: Some(close_because),
    has_reports: true,
    ..ProtocolSpec::BARE
};

/// What acknowledges a message, as long as no application has set a `fyi`.
pub const NEXT: &str = r#"{"opcode":"next","fyi":""}"#;

fn next(extras: &AckExtras) -> Cow<'static, str> {
    if extras.fyi.is_empty() && extras.uuid.is_none() {
        return Cow::Borrowed(NEXT);
    }
    Cow::Owned(next_with(&extras.fyi, extras.uuid.as_deref()))
}

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
/// What a client gets to read while there is no broker to let it in.
pub const TRY_AGAIN: &str = "Try again later";
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
pub enum PhpwsCommand<'a> {
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
pub struct PhpwsPacket<'a> {
    /// What it asks for.
    pub command: PhpwsCommand<'a>,
    /// Who it says it speaks for: `key` and `secret`, when both are there.
    pub credentials: Option<Credentials<'a>>,
    /// Whether it may be forwarded as it came.
    pub discretion: Discretion,
    /// The JSON of its message, as it was written.
    message: Option<&'a str>,
    /// The JSON of its `tags`, as it was written: a broadcast may be for those who carry them.
    pub tags: Option<&'a str>,
    /// The JSON of its `uuid` and its `ident`.
    names: [Option<&'a str>; 2],
}

impl<'a> PhpwsPacket<'a> {
    /// The JSON of its message; `null` when it has none.
    #[must_use]
    pub fn message(&self) -> &'a str {
        self.message.unwrap_or("null")
    }
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
/// When the text is no JSON: clients of this family are closed for it.
pub fn parse(text: &str) -> Result<PhpwsPacket<'_>, NotJson> {
    let named = match pick(text, MEMBERS)? {
        JsonShape::Object(members) => members.named,
        _ => [None; MEMBERS.len()],
    };
    let [opcode, uuid, ident, key, secret, message, tags] = named;
    let command = match text_of(opcode).unwrap_or_default().as_ref() {
        "broadcast" => PhpwsCommand::Broadcast,
        "feedback" => PhpwsCommand::Feedback { uuid: text_of(uuid), ident: name_of(ident) },
        "echo" => PhpwsCommand::Echo,
        "quit" => PhpwsCommand::Quit,
        "uuid" => PhpwsCommand::Register,
        "jsonerror" => PhpwsCommand::JsonError,
        _ => PhpwsCommand::Nothing,
    };
    let discretion = if secret.is_some() { Discretion::Stripped } else { Discretion::AsItCame };
    // Either alone is a word of the application's own, and proves nothing.
    let credentials = key.zip(secret).map(|(key, secret)| Credentials {
        // What is no text names no application.
        key: name_of(Some(key)).unwrap_or_default(),
        secret: name_of(Some(secret)),
    });
    Ok(PhpwsPacket { command, credentials, discretion, message, tags, names: [uuid, ident] })
}

fn text_of(raw: Option<&str>) -> Option<Cow<'_, str>> {
    raw.map(Scalar::of).and_then(Scalar::text)
}

fn name_of(raw: Option<&str>) -> Option<Cow<'_, str>> {
    raw.map(Scalar::of).and_then(Scalar::decimal_or_text)
}

/// The members that the server looks at; of one name given twice the last holds, as in PHP.
const MEMBERS: [&str; 7] = ["opcode", "uuid", "ident", "key", "secret", "message", "tags"];

/// A packet without its `key` and `secret`; all other members as they came.
#[must_use]
pub fn without_credentials(packet: &str) -> String {
    let mut stripped = String::with_capacity(packet.len());
    // Copies all members but those that prove something.
    let read = members(packet, |name, value| {
        if !name.is("key") && !name.is("secret") {
            stripped.push(if stripped.is_empty() { '{' } else { ',' });
            stripped.push_str(name.raw);
            stripped.push(':');
            stripped.push_str(value);
        }
        Ok(())
    });
    if read.is_err() || stripped.is_empty() {
        return "{}".to_owned();
    }
    stripped.push('}');
    stripped
}

/// A publication in this language. A packet goes on as it came; a bare message is wrapped.
#[must_use]
pub fn render(content: &Content, cast: Cast) -> Cow<'_, [u8]> {
    match content.form {
        PayloadForm::Packet => Cow::Borrowed(&content.payload),
        PayloadForm::Message => Cow::Owned(packet_of(&content.payload, cast)),
        PayloadForm::Text => Cow::Owned(packet_of_text(&content.payload, cast)),
    }
}

fn packet_of(message: &[u8], cast: Cast) -> Vec<u8> {
    [head_of(cast), message, b"}"].concat()
}

/// A text becomes the JSON of a message in the place where it is needed.
fn packet_of_text(text: &[u8], cast: Cast) -> Vec<u8> {
    let mut packet = head_of(cast).to_vec();
    write_text(&String::from_utf8_lossy(text), &mut packet);
    packet.push(b'}');
    packet
}

const fn head_of(cast: Cast) -> &'static [u8] {
    match cast {
        Cast::One => br#"{"opcode":"feedback","message":"#,
        Cast::Many => br#"{"opcode":"broadcast","message":"#,
    }
}

#[cfg(test)]
mod tests;

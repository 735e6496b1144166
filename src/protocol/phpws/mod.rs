//! The protocol of phpWebSocketServer: packets with an `opcode`, each acknowledged by `next`.

mod compat_flags;
pub mod old;
mod options;
mod question;

use core::net::IpAddr;
use std::borrow::Cow;

pub use self::compat_flags::{CompatFlag, CompatFlags};
pub use self::options::PhpwsOptions;
use super::{AckExtras, Cast, ChunkMarks, ProtocolOptions, ProtocolSpec, QuestionSpec};
use crate::http::SupportedVersions;
pub use crate::json::NotJson;
use crate::json::{Scalar, JsonShape, members, pick, write_text};
use crate::types::{Content, Credentials, PayloadForm};

/// Properties of this protocol family.
pub const SPEC: ProtocolSpec = ProtocolSpec {
    versions: SupportedVersions::Rfc6455,
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
    acknowledges_after: |options| options.phpws.switches.has(CompatFlag::AckAfter),
    closes_abruptly: |options| options.phpws.switches.has(CompatFlag::AbruptClose),
    drops_slow: |options| options.phpws.switches.has(CompatFlag::DropSlow),
    limit_wording,
    has_reports: true,
    questions: Some(QuestionSpec { ask: question::ask, answer: question::answer }),
    ..ProtocolSpec::BARE
};

/// The acknowledgement of a message if no application has set a `fyi`.
pub const NEXT: &str = r#"{"opcode":"next","fyi":""}"#;

fn next(extras: &AckExtras) -> Cow<'static, str> {
    if extras.fyi.is_empty() && extras.uuid.is_none() {
        return Cow::Borrowed(NEXT);
    }
    Cow::Owned(next_with(&extras.fyi, extras.uuid.as_deref()))
}

/// Returns the acknowledgement of a message if an application has set a `fyi`, or if the client has
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

/// Returns the frame for a client that did something it may not do.
#[must_use]
pub fn error(why: &str) -> String {
    format!(r#"{{"opcode":"error","error":{}}}"#, serde_json::Value::from(why))
}

/// Returns the frame for a client that exceeds a limit.
#[must_use]
pub fn close_because(why: &str) -> String {
    format!(r#"{{"opcode":"close","error":{}}}"#, serde_json::Value::from(why))
}

/// The wording of 2021 for a client beyond a limit of connections.
fn limit_wording(options: &ProtocolOptions, address: Option<IpAddr>) -> Option<String> {
    options.phpws.switches.has(CompatFlag::LegacyTypos).then(|| match address {
        None => "To many connections ".to_owned(),
        Some(address) => format!("To many connections from:  {address}"),
    })
}

/// The frame for a client whose path is unknown.
pub const CLOSE: &str = r#"{"opcode":"close"}"#;
/// Text message that begins a message in chunks (clients up to 2021-08).
pub const BUFFER_ON: &str = "bufferON";
/// Text message that ends a message in chunks.
pub const BUFFER_OFF: &str = "bufferOFF";

/// Returns the first frame of every connection.
#[must_use]
pub fn ready(uuid: &str) -> String {
    format!(r#"{{"opcode":"ready","uuid":"{uuid}"}}"#)
}

/// The request of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhpwsCommand<'a> {
    /// Send the packet, byte for byte, to every other web-type client.
    Broadcast,
    /// Send the packet to the first client with this UUID or this ident.
    Feedback {
        /// The UUID as it was given.
        uuid: Option<Cow<'a, str>>,
        /// The ident as it was given.
        ident: Option<Cow<'a, str>>,
    },
    /// Send the packet back to its sender.
    Echo,
    /// Close the connection.
    Quit,
    /// Register the alias that [`PhpwsPacket::registered`] returns (clients of 2019).
    Register,
    /// Do nothing. In the original this opcode closed the connection, because the server used it internally
    /// for bad JSON.
    JsonError,
    /// Do nothing: an answer to a question of the server that is not open any more. A packet with the opcode
    /// `answer` whose `ask` has another form is one of an application of its own ([`Self::Nothing`]).
    Answer,
    /// Give the connection the token that [`token_in`] returns.
    Token,
    /// Do nothing: JSON with an unknown opcode, without an opcode, or not an object.
    Nothing,
}

/// A parsed packet, with the members that the server uses.
#[derive(Debug, PartialEq, Eq)]
pub struct PhpwsPacket<'a> {
    /// The request.
    pub command: PhpwsCommand<'a>,
    /// The application that the packet speaks for: `key` and `secret`, if both are present.
    pub credentials: Option<Credentials<'a>>,
    /// The packet contains a secret, so only the result of [`without_credentials`] may be forwarded.
    pub has_secret: bool,
    /// The JSON of `message`, as it is written.
    message: Option<&'a str>,
    /// The JSON of `tags`, as it is written. A broadcast may be limited to clients that carry these tags.
    pub tags: Option<&'a str>,
    /// The JSON of `uuid` and `ident`.
    names: [Option<&'a str>; 2],
}

impl<'a> PhpwsPacket<'a> {
    /// Returns the JSON of `message`; `null` if it is missing.
    #[must_use]
    pub fn message(&self) -> &'a str {
        self.message.unwrap_or("null")
    }
}

/// Parses a packet.
///
/// # Errors
///
/// If the text is not JSON. Clients of this family are closed for that.
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
        "token" => PhpwsCommand::Token,
        "answer" if question::answer(text).is_some() => PhpwsCommand::Answer,
        _ => PhpwsCommand::Nothing,
    };
    let has_secret = secret.is_some();
    // A `key` or a `secret` alone may be a member of the application's own and proves nothing.
    let credentials = key.zip(secret).map(|(key, secret)| Credentials {
        // A key that is not a string or an integer matches no application.
        key: name_of(Some(key)).unwrap_or_default(),
        secret: name_of(Some(secret)),
    });
    Ok(PhpwsPacket { command, credentials, has_secret, message, tags, names: [uuid, ident] })
}

/// Returns the member `token` of a packet with the opcode `token`; empty if it is not a text.
#[must_use]
pub fn token_in(packet: &str) -> Cow<'_, str> {
    let shape = pick(packet, ["token"]);
    let Ok(JsonShape::Object(members)) = shape else { return Cow::Borrowed("") };
    let [token] = members.named;
    text_of(token).unwrap_or_default()
}

/// Returns the answer to a token that the connection has now. It expires at this time, in Unix seconds.
#[must_use]
pub fn token_taken(expires: u64) -> String {
    format!(r#"{{"opcode":"token","exp":{expires}}}"#)
}

fn text_of(raw: Option<&str>) -> Option<Cow<'_, str>> {
    raw.map(Scalar::of).and_then(Scalar::text)
}

fn name_of(raw: Option<&str>) -> Option<Cow<'_, str>> {
    raw.map(Scalar::of).and_then(Scalar::decimal_or_text)
}

/// The members that the server uses. If a name occurs twice, the last one counts, as in PHP.
const MEMBERS: [&str; 7] = ["opcode", "uuid", "ident", "key", "secret", "message", "tags"];

/// Returns a packet without `key` and `secret`. All other members are unchanged.
#[must_use]
pub fn without_credentials(packet: &str) -> String {
    let mut stripped = String::with_capacity(packet.len());
    // Copies all other members.
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

/// Renders a publication in this protocol. A packet is unchanged; a bare message is wrapped in a packet.
#[must_use]
pub fn render(content: Content<&[u8]>, cast: Cast) -> Cow<'_, [u8]> {
    let (_, content) = content.split_headers();
    match content.form {
        PayloadForm::Packet => Cow::Borrowed(content.payload),
        PayloadForm::Message | PayloadForm::WithHeaders => {
            Cow::Owned(packet_of(content.payload, cast))
        }
        PayloadForm::Text => Cow::Owned(packet_of_text(content.payload, cast)),
    }
}

fn packet_of(message: &[u8], cast: Cast) -> Vec<u8> {
    [head_of(cast), message, b"}"].concat()
}

/// Builds a packet whose message is the text as a JSON string.
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

//! phpWebSocketServer's packets: commands are what JSON says, packets go on byte for byte, and what
//! is made here is JSON.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tagcast::dialect::phpws::{
    Command, Discretion, Packet, close_because, error, next_with, parse, ready, render,
    without_credentials,
};
use tagcast::dialect::{Cast, Dialect};
use tagcast::types::{Content, Form};

/// The text is a packet, and the words of an application.
pub fn run(data: &[u8]) {
    forwarded(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    words(text);
    let json = serde_json::from_str::<Value>(text);
    let Ok(packet) = parse(text) else { return assert!(json.is_err(), "{text}") };
    assert!(serde_json::from_str::<&RawValue>(text.trim()).is_ok(), "{text}");
    let stripped = without_credentials(text);
    assert_eq!(without_credentials(&stripped), stripped);
    let Ok(json) = json else { return };
    means(&packet, &json);
    if let Value::Object(mut members) = json {
        members.remove("key");
        members.remove("secret");
        let stripped: Map<String, Value> = serde_json::from_str(&stripped).expect("an object");
        assert_eq!(stripped, members, "{text}");
    }
}

fn means(packet: &Packet<'_>, json: &Value) {
    let of = |name| json.as_object().and_then(|members| members.get(name));
    let text = |name| of(name).and_then(Value::as_str);
    let name = |name| match of(name) {
        Some(Value::Number(number)) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        other => other.and_then(Value::as_str).map(Cow::Borrowed),
    };
    let expected = match text("opcode") {
        Some("broadcast") => Command::Broadcast,
        Some("feedback") => {
            Command::Feedback { uuid: text("uuid").map(Cow::Borrowed), ident: name("ident") }
        }
        Some("echo") => Command::Echo,
        Some("quit") => Command::Quit,
        _ => Command::Nothing,
    };
    assert_eq!(packet.command, expected, "{json}");
    assert_eq!(packet.discretion == Discretion::Stripped, of("secret").is_some(), "{json}");
    let shown = packet.credentials.as_ref();
    assert_eq!(shown.is_some(), of("key").is_some() && of("secret").is_some(), "{json}");
    if let Some(shown) = shown {
        assert_eq!(shown.key, name("key").unwrap_or_default());
        assert_eq!(shown.secret, name("secret"));
    }
}

/// A packet reaches this family as it came, and the other one as a part of it.
fn forwarded(data: &[u8]) {
    let packet = Content { form: Form::PhpwsPacket, payload: Bytes::copy_from_slice(data) };
    for cast in [Cast::One, Cast::Many] {
        assert_eq!(*render(&packet, cast), *data);
        let message = Dialect::Gomoob.render(&packet, cast);
        let is_part = data.windows(message.len()).any(|part| part == &*message);
        assert!(*message == *b"null" || is_part);
        assert!(serde_json::from_slice::<&RawValue>(&message).is_ok());
    }
}

/// Whatever an application says, what leaves is JSON that says the same.
fn words(text: &str) {
    for (packet, member) in
        [(next_with(text), "fyi"), (error(text), "error"), (close_because(text), "error")]
    {
        let packet: Value = serde_json::from_str(&packet).expect("JSON");
        assert_eq!(packet[member], text);
    }
    if text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'.')) {
        let packet: Value = serde_json::from_str(&ready(text)).expect("JSON");
        assert_eq!(packet["uuid"], text);
    }
}

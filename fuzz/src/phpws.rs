//! Packets of phpWebSocketServer: commands agree with a JSON parser, packets are forwarded byte for
//! byte, and generated packets are valid JSON.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tagcast::protocol::php_json::{Objects, reencoded};
use tagcast::protocol::phpws::old::LooseName;
use tagcast::protocol::phpws::{
    PhpwsCommand, PhpwsPacket, close_because, error, next_with, parse, ready, render,
    without_credentials,
};
use tagcast::protocol::{Cast, Protocol};
use tagcast::types::{AskToken, Content, PayloadForm};

/// The text is a packet, and also a text from an application.
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
    old_ways((text, &packet), &json);
    if let Value::Object(mut members) = json {
        members.remove("key");
        members.remove("secret");
        let stripped: Map<String, Value> = serde_json::from_str(&stripped).expect("an object");
        assert_eq!(stripped, members, "{text}");
    }
}

fn means(packet: &PhpwsPacket<'_>, json: &Value) {
    let of = |name| json.as_object().and_then(|members| members.get(name));
    let text = |name| of(name).and_then(Value::as_str);
    let name = |name| match of(name) {
        Some(Value::Number(number)) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        other => other.and_then(Value::as_str).map(Cow::Borrowed),
    };
    let expected = match text("opcode") {
        Some("broadcast") => PhpwsCommand::Broadcast,
        Some("feedback") => {
            PhpwsCommand::Feedback { uuid: text("uuid").map(Cow::Borrowed), ident: name("ident") }
        }
        Some("echo") => PhpwsCommand::Echo,
        Some("quit") => PhpwsCommand::Quit,
        Some("uuid") => PhpwsCommand::Register,
        Some("jsonerror") => PhpwsCommand::JsonError,
        Some("answer") if text("ask").is_some_and(|it| AskToken::parse(it).is_some()) => {
            PhpwsCommand::Answer
        }
        _ => PhpwsCommand::Nothing,
    };
    assert_eq!(packet.command, expected, "{json}");
    assert_eq!(packet.has_secret, of("secret").is_some(), "{json}");
    let shown = packet.credentials.as_ref();
    assert_eq!(shown.is_some(), of("key").is_some() && of("secret").is_some(), "{json}");
    if let Some(shown) = shown {
        assert_eq!(shown.key, name("key").unwrap_or_default());
        assert_eq!(shown.secret, name("secret"));
    }
}

/// Checks that text re-encoded as PHP does is ASCII, keeps its meaning and is stable, and that
/// names come from the packet.
fn old_ways((text, packet): (&str, &PhpwsPacket<'_>), json: &Value) {
    for objects in [Objects::Objects, Objects::Arrays] {
        let Ok(written) = reencoded(text, objects) else { continue };
        assert!(written.bytes().all(|byte| (b' '..=0x7F).contains(&byte)), "{written}");
        assert_eq!(reencoded(&written, objects).as_ref(), Ok(&written));
        let again = serde_json::from_str::<Value>(&written).expect("JSON");
        assert!(objects == Objects::Arrays || is_same(&again, json), "{written}");
    }
    let name = packet.registered();
    let message = json.as_object().and_then(|members| members.get("message"));
    assert!(name.is_none() || message.is_some_and(|it| it.is_string() || it.is_number()));
    let (uuid, ident) = packet.loose_names();
    assert!(json.is_object() || (uuid, ident) == (LooseName::None, LooseName::None));
}

/// Compares values. Only the fraction of a number may be lost.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, a)| other.get(name).is_some_and(|b| is_same(a, b)))
        }
        _ => one == other,
    }
}

/// Checks that a packet is forwarded unchanged to this protocol, and as a part of itself to Gomoob.
fn forwarded(data: &[u8]) {
    let packet = Content { form: PayloadForm::Packet, payload: Bytes::copy_from_slice(data) };
    for cast in [Cast::One, Cast::Many] {
        assert_eq!(*render(packet.borrowed(), cast), *data);
        let message = Protocol::Gomoob.render(packet.borrowed(), cast);
        let is_part = data.windows(message.len()).any(|part| part == &*message);
        assert!(*message == *b"null" || is_part);
        assert!(serde_json::from_slice::<&RawValue>(&message).is_ok());
    }
}

/// Checks that packets with any application text are valid JSON with the same text.
fn words(text: &str) {
    for (packet, member) in [
        (next_with(text, None), "fyi"),
        (next_with("", Some(text)), "uuid"),
        (error(text), "error"),
        (close_because(text), "error"),
    ] {
        let packet: Value = serde_json::from_str(&packet).expect("JSON");
        assert_eq!(packet[member], text);
    }
    if text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'.')) {
        let packet: Value = serde_json::from_str(&ready(text)).expect("JSON");
        assert_eq!(packet["uuid"], text);
    }
}

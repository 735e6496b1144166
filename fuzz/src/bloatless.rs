//! Packets of bloatless clients and of the push socket: the parser agrees with JSON, and data are
//! forwarded byte for byte.

use serde_json::Value;
use tagcast::protocol::Cast;
use tagcast::protocol::bloatless::push;
use tagcast::protocol::bloatless::push::Pushed;
use tagcast::protocol::bloatless::{as_text, parse, render};
use tagcast::types::{Content, PayloadForm};

/// Parses the bytes as a datagram and as a packet.
pub fn run(data: &[u8]) {
    pushed(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let packet = parse(text);
    if let Ok(json) = serde_json::from_str::<Value>(text) {
        let action = json.get("action").and_then(Value::as_str).filter(|it| !it.is_empty());
        let value = json.get("data").filter(|value| !is_empty(value));
        assert_eq!(packet.is_some(), action.is_some() && value.is_some(), "{text}");
        if let Some(packet) = &packet {
            assert_eq!(Some(packet.action.as_ref()), action);
            assert_eq!(serde_json::from_str(packet.data).ok().as_ref(), value);
            if let Some(Value::String(line)) = value {
                assert_eq!(as_text(packet.data), line.as_str());
            }
        }
    }
    if let Some(packet) = packet {
        delivered(packet.data);
        let content = Content { form: PayloadForm::Text, payload: data };
        assert_eq!(*render(content.borrowed(), Cast::Many), *data, "a packet goes as it is");
    }
}

fn delivered(data: &str) {
    let content = Content { form: PayloadForm::Message, payload: data.as_bytes() };
    let rendered = render(content.borrowed(), Cast::Many).into_owned();
    let text = String::from_utf8(rendered).expect("UTF-8");
    let again = parse(&text).expect("a packet");
    assert_eq!((again.action.as_ref(), again.data), ("echo", data));
}

/// Returns true for values that PHP considers empty, except zero.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn pushed(data: &[u8]) {
    let pushed = push::parse(data);
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    let kind = json.get("type").map(Value::to_string);
    let is = |number: &str| kind.as_ref().is_some_and(|it| it.trim_matches('"') == number);
    match pushed {
        Ok(Pushed::Command) => assert!(is("1")),
        Ok(Pushed::Data { application, data }) => {
            assert!(is("2"));
            assert_eq!(json["action"], *application);
            assert_eq!(serde_json::from_str::<Value>(data).ok().as_ref(), json.get("data"));
        }
        Err(why) => {
            assert!(!why.0.is_empty() && why.0.is_ascii());
            let is_data = json["data"].is_object() || json["data"].is_array();
            assert!(!(is("2") && json["action"].is_string() && is_data), "{json}");
        }
    }
}

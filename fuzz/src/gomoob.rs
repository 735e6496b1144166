//! Requests of Gomoob: accepted requests agree with a JSON parser, and messages are forwarded byte
//! for byte.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tagcast::protocol::gomoob::{GomoobMessages, GomoobRequest, parse, parse_with, render, typed};
use tagcast::protocol::{Cast, Protocol};
use tagcast::types::{AsTag as _, Content, PayloadForm};

use super::query::naive_tags;

/// Parses the text as a request.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let json = serde_json::from_str::<Value>(text);
    old_ways(text);
    match (parse(text), json) {
        (Ok(request), Ok(json)) => {
            let Value::Object(members) = json else { panic!("{text} was let in") };
            means(text, &request, &members);
            delivered(&text[request.message]);
        }
        // `serde_json::Value` rejects some numbers and escapes in members that the parser ignores.
        (Ok(request), Err(_)) => delivered(&text[request.message]),
        (Err(why), Ok(Value::Object(members))) => {
            assert!(!why.0.is_empty() && !is_good(&members), "{text}: {}", why.0);
        }
        (Err(why), _) => assert!(!why.0.is_empty()),
    }
}

/// Checks the compatibility modes: a stricter mode accepts no additional request, a rebuilt message
/// has metadata, and tags are kept.
fn old_ways(text: &str) {
    for messages in [GomoobMessages::String, GomoobMessages::Typed] {
        let Ok(request) = parse_with(text, messages) else { continue };
        assert!(parse(text).is_ok());
        let message = &text[request.message.clone()];
        if !message.starts_with('"') {
            assert!(messages == GomoobMessages::Typed);
            // PHP cannot represent some numbers and deeply nested values.
            let Ok(rebuilt) = typed::rebuilt(message) else { continue };
            let rebuilt: Value = serde_json::from_str(&rebuilt).expect("JSON");
            assert!(rebuilt.get("metadata").is_some());
        }
        let in_order = request.tags_in_order();
        assert_eq!(in_order.len(), request.query.len());
        assert!(in_order.iter().all(|tag| request.query.iter().any(|known| known == tag.as_tag())));
    }
}

fn means(text: &str, request: &GomoobRequest<'_>, members: &Map<String, Value>) {
    assert!(is_good(members), "{text}");
    let message: Value = serde_json::from_str(&text[request.message.clone()]).expect("JSON");
    assert_eq!(message, members["message"]);
    let carried = request.query.iter().map(|tag| (tag.name().to_owned(), tag.value().to_owned()));
    let wanted = members.get("tags").map(|tags| naive_tags(&tags.to_string()).expect("tags"));
    assert_eq!(carried.collect::<std::collections::BTreeMap<_, _>>(), wanted.unwrap_or_default());
    let metadata = members.get("metadata").and_then(Value::as_object);
    let proof = |name| metadata.and_then(|metadata| metadata.get(name));
    let shown = request.credentials.as_ref();
    assert_eq!(shown.is_some(), proof("key").or_else(|| proof("secret")).is_some(), "{text}");
    if let Some(shown) = shown {
        assert_eq!(shown.key, proof("key").and_then(Value::as_str).unwrap_or_default());
        let secret = proof("secret").and_then(Value::as_str).map(Cow::Borrowed);
        assert_eq!(shown.secret, secret);
    }
}

/// Returns true if the members are those of a request and have the right types.
fn is_good(members: &Map<String, Value>) -> bool {
    let known = ["message", "tags", "metadata"];
    members.contains_key("message")
        && members.keys().all(|name| known.contains(&name.as_str()))
        && members.get("tags").is_none_or(|tags| naive_tags(&tags.to_string()).is_some())
        && members.get("metadata").is_none_or(|it| it.is_object() || it.is_array())
}

fn delivered(message: &str) {
    assert!(serde_json::from_str::<&RawValue>(message).is_ok(), "{message}");
    let payload = Bytes::copy_from_slice(message.as_bytes());
    let content = Content { form: PayloadForm::Message, payload };
    assert_eq!(*render(content.borrowed(), Cast::Many), *message.as_bytes());
    for (cast, opcode) in [(Cast::One, "feedback"), (Cast::Many, "broadcast")] {
        let packet = Protocol::Phpws.render(content.borrowed(), cast);
        assert!(serde_json::from_slice::<&RawValue>(&packet).is_ok(), "{message}");
        let forwarded = Content { form: PayloadForm::Packet, payload: &packet[..] };
        assert_eq!(*render(forwarded.borrowed(), cast), *message.as_bytes(), "there and back");
        if let Ok(packet) = serde_json::from_slice::<Value>(&packet) {
            assert_eq!(packet["opcode"], opcode);
        }
    }
}

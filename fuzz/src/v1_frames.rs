//! Frames of `tagcast.v1`: every text is a frame, an error or a reason to close; accepted requests agree with a JSON
//! parser, and data are forwarded byte for byte.

use serde_json::Value;
use serde_json::value::RawValue;
use tagcast::protocol::v1::{
    V1Ask, V1Fault, V1Frame, V1Headers, V1Op, V1Publish, V1Target, is_event_name, parse,
    parse_hello, render, sent_text,
};
use tagcast::protocol::{Cast, Protocol};
use tagcast::types::{ClientFilter, Content, PayloadForm, TagEdit, is_topic_name};

/// Parses the text as a frame, and as the first frame.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let json = serde_json::from_str::<Value>(text).ok();
    match parse(text) {
        Ok(frame) => means(text, &frame, json.as_ref()),
        Err(V1Fault::NoFrame(why)) => {
            let op = json.as_ref().and_then(|json| json.get("op")).and_then(Value::as_str);
            assert!(!why.is_empty() && op.is_none(), "{text}: {why}");
        }
        Err(V1Fault::Refused { id, error }) => {
            let frame: Value = serde_json::from_str(&error.frame(id)).expect("JSON");
            assert_eq!(frame["op"], "error");
            assert_eq!(frame["id"].as_u64(), id.map(|id| id.0));
        }
    }
    match parse_hello(text) {
        Ok(hello) => {
            assert!(hello.tags.is_none_or(|tags| serde_json::from_str::<&RawValue>(tags).is_ok()));
            if let Some(json) = &json {
                assert_eq!(json["op"], "hello", "{text}");
                assert_eq!(hello.key.as_deref(), json.get("key").and_then(Value::as_str));
            }
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

fn means(text: &str, frame: &V1Frame<'_>, json: Option<&Value>) {
    // `serde_json::Value` rejects some numbers and escapes that the parser forwards.
    let word = match &frame.op {
        V1Op::Hello => "hello",
        V1Op::Publish(publish) => {
            published(text, publish, json);
            "pub"
        }
        V1Op::Tag(edit) => {
            retagged(text, frame, edit);
            "tag"
        }
        V1Op::Ask(ask) => {
            asked(text, frame, ask);
            "ask"
        }
        V1Op::Answer => "answer",
        V1Op::Token(_) => "token",
        V1Op::Send(data) => {
            assert!(serde_json::from_str::<&RawValue>(data).is_ok(), "{data}");
            assert!(!sent_text(data).is_empty() || *data == "\"\"");
            "send"
        }
        V1Op::Watch(watch) => {
            let is_wide = matches!(&watch.query, ClientFilter::Tags(query) if query.len() > 128);
            assert!(frame.id.is_some() && !is_wide, "{text}");
            "watch"
        }
        V1Op::Unwatch(watch) => {
            assert!(frame.id.is_some() && watch.0 < 1 << 53, "{text}");
            "unwatch"
        }
        V1Op::Ping => "ping",
        V1Op::Pong => "pong",
        V1Op::Bye => "bye",
    };
    let Some(json) = json else { return };
    assert_eq!(json["op"], word, "{text}");
    if let Some(id) = frame.id {
        assert_eq!(json["id"].as_u64(), Some(id.0), "{text}");
    }
}

fn retagged(text: &str, frame: &V1Frame<'_>, edit: &TagEdit) {
    let TagEdit::Update { set, remove, leave } = edit else { panic!("{text}") };
    assert!(set.iter().all(|tag| !tag.is_servers_own()), "{text}");
    assert!(remove.iter().all(|name| !name.starts_with('@')), "{text}");
    assert!(leave.iter().chain(set.topics().iter()).all(is_topic_name), "{text}");
    assert!(frame.id.is_some());
}

fn asked(text: &str, frame: &V1Frame<'_>, ask: &V1Ask<'_>) {
    assert!(frame.id.is_some(), "{text}");
    assert_eq!(&text[ask.place_in(text)], ask.data);
    assert!(serde_json::from_str::<&RawValue>(ask.data).is_ok(), "{text}");
    assert!(matches!(ask.to, V1Target::Uuid(_) | V1Target::Ident(_)), "{text}");
    assert!((100..=60_000).contains(&ask.within.as_millis()), "{text}");
}

fn published(text: &str, publish: &V1Publish<'_>, json: Option<&Value>) {
    let data = &text[publish.place_in(text)];
    assert_eq!(data, publish.data);
    assert!(serde_json::from_str::<&RawValue>(data).is_ok(), "{data}");
    assert!(publish.event.is_empty() || is_event_name(&publish.event), "{text}");
    assert!(publish.except.len() <= 16);
    if let (Some(json), V1Target::Tags(query)) = (json, &publish.to) {
        let tags = json["to"].get("tags").and_then(Value::as_object);
        let of_topic = usize::from(json["to"]["topic"].is_string());
        let expected = tags.map_or(of_topic, serde_json::Map::len);
        assert_eq!(query.len(), expected, "{text}");
    }
    let headers = V1Headers { event: &publish.event, topic: "", from: "a0ee" };
    let payload = headers.payload(PayloadForm::Message, data);
    let content = Content { form: PayloadForm::WithHeaders, payload: payload.as_bytes() };
    assert_eq!(*Protocol::Gomoob.render(content, Cast::Many), *data.as_bytes());
    let frame = render(content, Cast::One);
    let frame = std::str::from_utf8(&frame).expect("UTF-8");
    let ends = format!("\"from\":\"a0ee\",\"direct\":true,\"data\":{data}}}");
    assert!(frame.starts_with(r#"{"op":"msg","#) && frame.ends_with(&ends), "{frame}");
    assert!(serde_json::from_str::<&RawValue>(frame).is_ok(), "{frame}");
}

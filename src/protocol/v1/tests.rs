//! Golden frames, limits and renderings.

use super::*;
use crate::protocol::Protocol;
use crate::types::{Address, PayloadForm, RecoveryReason, ReplayPosition, Tag, TagQuery, Tags, Topics};
use serde_json::{Value, json};

/// Frames with their meaning, which clients in other languages are tested with too.
const FRAMES: &str = include_str!("../../../clients/conformance/frames.json");

fn meaning(text: &str) -> Value {
    let mut meaning = match parse(text) {
        Ok(V1Frame { id, op }) => {
            let op = match op {
                V1Op::Hello => "hello",
                V1Op::Publish(_) => "pub",
                V1Op::Ask(_) => "ask",
                V1Op::Answer => "answer",
                V1Op::Tag(_) => "tag",
                V1Op::Token(_) => "token",
                V1Op::Watch(_) => "watch",
                V1Op::Unwatch(_) => "unwatch",
                V1Op::Send(_) => "send",
                V1Op::Ping => "ping",
                V1Op::Pong => "pong",
                V1Op::Bye => "bye",
            };
            json!({"is": op, "id": id.map(|id| id.0)})
        }
        Err(V1Fault::NoFrame(why)) => json!({"close": why}),
        Err(V1Fault::Refused { id, error }) => {
            let frame: Value = serde_json::from_str(&error.frame(id)).unwrap();
            assert_eq!(frame["op"], "error");
            json!({"error": frame["code"], "id": frame["id"], "at": frame["at"]})
        }
    };
    meaning.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    meaning
}

#[test]
fn each_golden_frame_has_its_meaning() {
    let frames: Vec<Value> = serde_json::from_str(FRAMES).unwrap();
    assert!(frames.len() > 60);
    for mut frame in frames {
        let members = frame.as_object_mut().unwrap();
        let name = members.remove("name").unwrap();
        let text = members.remove("text").unwrap();
        assert_eq!(meaning(text.as_str().unwrap()), frame, "{name}");
    }
}

fn published(text: &str) -> V1Publish<'_> {
    match parse(text) {
        Ok(V1Frame { op: V1Op::Publish(publish), .. }) => *publish,
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_stay_as_they_are_written() {
    for data in ["null", "{ \"a\" : \"\\u00e9\" }", "1.50", "{\"a\":1,\"a\":2}", "\"\\ud800\""] {
        let text = format!("{{\"op\":\"pub\",\"data\":{data},\"to\":{{\"all\":true}}}}");
        let publish = published(&text);
        assert_eq!((publish.data, &text[publish.place_in(&text)]), (data, data));
    }
}

#[test]
fn data_may_be_nested_so_deep_and_no_deeper() {
    let nested = |depth: usize, inside: &str| {
        let data = format!("{}{inside}{}", "[".repeat(depth), "]".repeat(depth));
        meaning(&format!("{{\"op\":\"send\",\"id\":1,\"data\":{data}}}"))
    };
    assert_eq!(nested(127, "")["is"], "send");
    assert_eq!(nested(128, "")["error"], "payload_too_large");
    assert_eq!(nested(127, "\"[[[[\",{\"a\":1}")["error"], "payload_too_large");
    let flat = format!("1{}", ",[]".repeat(500));
    assert_eq!(nested(126, &flat)["is"], "send", "brackets next to each other");
    let texts = "\"[[[[\",".repeat(100);
    assert_eq!(nested(126, texts.trim_end_matches(','))["is"], "send", "brackets in texts");
}

#[test]
fn the_longest_names_and_lists_are_accepted() {
    let event = |length: usize| {
        let event = "e".repeat(length);
        meaning(&format!(
            "{{\"op\":\"pub\",\"to\":{{\"all\":true}},\"data\":1,\"event\":\"{event}\"}}"
        ))
    };
    assert_eq!((&event(64)["is"], &event(65)["at"]), (&json!("pub"), &json!("/event")));
    let tags = |count: usize| {
        let set: serde_json::Map<_, _> = (0..count).map(|n| (format!("n{n}"), json!(n))).collect();
        meaning(&json!({"op": "tag", "id": 1, "set": set}).to_string())
    };
    assert_eq!((&tags(128)["is"], &tags(129)["error"]), (&json!("tag"), &json!("limit_exceeded")));
    let remove = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("n{n}")).collect();
        meaning(&json!({"op": "tag", "id": 1, "remove": names}).to_string())
    };
    assert_eq!(
        (&remove(128)["is"], &remove(129)["error"]),
        (&json!("tag"), &json!("limit_exceeded"))
    );
    let long = json!({"op": "tag", "id": 1, "set": {"n".repeat(256): "x"}}).to_string();
    assert_eq!(meaning(&long)["error"], "invalid_request");
}

#[test]
fn hello_has_only_known_members_of_the_right_type() {
    let all = r#"{"op":"hello","instance":"9f86d081","key":"shop","secret":"s","token":"t","tags":{"a":1},
        "ident":"i","client":"tagcast-js/0.2.0","resume":"AQ","since":"k.1","rewind":5,"topics":["x"],"future":{"key":"no"}}"#;
    let hello = parse_hello(all).unwrap();
    assert_eq!(hello.tags, Some(r#"{"a":1}"#));
    assert_eq!(hello.topics.iter().collect::<Vec<_>>(), ["x"]);
    assert_eq!((hello.key.as_deref(), hello.ident.as_deref()), (Some("shop"), Some("i")));
    assert_eq!((hello.resume.as_deref(), hello.since.as_deref()), (Some("AQ"), Some("k.1")));
    assert_eq!((hello.instance.as_deref(), hello.rewind), (Some("9f86d081"), 5));
    assert_eq!(parse_hello(r#"{"op":"hello"}"#), Ok(V1Hello::default()));
    for (text, why) in [
        ("nonsense", "the text is not JSON"),
        ("[]", "the text is not a JSON object"),
        (r#"{"op":"pub"}"#, "the first frame must be `hello`"),
        (r#"{"op":"hello","key":5}"#, "`key` must be a string"),
        (r#"{"op":"hello","topics":"x"}"#, "`topics` must be a list of topics"),
        (
            r##"{"op":"hello","topics":["x","#1"]}"##,
            "`topics`, item 1: the name of a topic is a string of 1 to 200 of A-Z a-z 0-9 _ - = @ , . ;",
        ),
        (r#"{"op":"hello","resume":null}"#, "`resume` must be a string"),
        (
            r#"{"op":"hello","rewind":-1}"#,
            "`rewind` must be an integer from 0 to 9007199254740991",
        ),
        (r#"{"op":"hello","instance":"short"}"#, "`instance` must be 8 to 64 of A-Z a-z 0-9 - _"),
        (
            r#"{"op":"hello","client":"a\nb"}"#,
            "`client` must be 1 to 64 printable ASCII characters",
        ),
    ] {
        assert_eq!(parse_hello(text).unwrap_err(), why, "{text}");
    }
}

#[test]
fn frames_of_the_server_are_written_in_the_order_of_the_documentation() {
    let id = V1RequestId(7);
    assert_eq!(ack(id, None), r#"{"op":"ack","id":7}"#);
    let counts = V1Counts { matched: 3, away: None, workers: 2 };
    assert_eq!(ack(id, Some(counts)), r#"{"op":"ack","id":7,"matched":3,"workers":2}"#);
    let counts = V1Counts { matched: 0, away: Some(true), workers: 0 };
    assert_eq!(ack(id, Some(counts)), r#"{"op":"ack","id":7,"matched":0,"away":1,"workers":0}"#);
    assert_eq!(pong(Some(id), 5), r#"{"op":"pong","id":7,"time":5}"#);
    assert_eq!(pong(None, 5), r#"{"op":"pong","time":5}"#);
    let error = V1Error::new(V1ErrorCode::Busy, "a \"b\"").retry_after_ms(9);
    assert_eq!(
        error.frame(Some(id)),
        r#"{"op":"error","id":7,"code":"busy","message":"a \"b\"","retry":true,"retry_after_ms":9}"#
    );
    let error = V1Error::invalid("/to", "x").over(5);
    assert_eq!(
        error.frame(None),
        r#"{"op":"error","code":"invalid_request","message":"x","retry":false,"at":"/to","limit":5}"#
    );
    let tag = |name: &str, value: &str| Tag::new(name, value).unwrap();
    let tags = Tags::new([tag("@user", "7"), tag("a", "\"x\""), tag("b", "2")]).unwrap();
    assert_eq!(
        tags_changed(&tags),
        r#"{"op":"tags","tags":{"a":"\"x\"","b":"2"},"topics":[]}"#
    );
    let topics = Topics::new(["news".into(), "a=b".into()]).unwrap();
    assert_eq!(
        tags_changed(&Tags::default().with_topics(topics)),
        r#"{"op":"tags","tags":{},"topics":["a=b","news"]}"#
    );
    let reason = CloseReason::new(CloseCode::RESTART, "server restart");
    let bye = V1Bye { reason: &reason, retry_after_ms: Some(1830) };
    assert_eq!(
        bye.frame(),
        r#"{"op":"bye","code":4200,"reason":"server restart","retry_after_ms":1830}"#
    );
    let welcome = V1Welcome {
        uuid: "a0ee",
        resumed: V1Resumed::No("disabled"),
        resume: None,
        at: None,
        is_recovering: true,
        tags: &tags,
        ping: 20,
        permissions: &["publish", "tag"],
        features: &[],
        message_bytes_max: 5,
        topics_max: 100,
        expires: Some(60),
        time: 1,
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        welcome.frame(),
        format!(
            r#"{{"op":"welcome","uuid":"a0ee","resumed":false,"reason":"disabled","tags":{{"a":"\"x\"","b":"2"}},"topics":[],"recovering":true,"ping":20,"permissions":["publish","tag"],"features":[],"limits":{{"message":5,"tags":128,"topics":100,"event":64}},"expires":60,"time":1,"server":"tagcast/{version}"}}"#
        )
    );
}

#[test]
fn a_client_learns_whether_it_is_resumed_and_what_it_missed() {
    let at = ReplayPosition { epoch: 36, number: 3 };
    let welcome = V1Welcome {
        uuid: "a0ee",
        resumed: V1Resumed::Yes(V1Ids::Lost),
        resume: Some(("AQ", 60)),
        at: Some(at),
        is_recovering: false,
        tags: &Tags::default(),
        ping: 20,
        permissions: &[],
        features: &[],
        message_bytes_max: 5,
        topics_max: 100,
        expires: None,
        time: 1,
    };
    let begin = r#"{"op":"welcome","uuid":"a0ee","resumed":true,"ids":"lost","resume":"AQ","grace":60,"tags":{},"topics":[],"at":"10.3","ping":20"#;
    assert!(welcome.frame().starts_with(begin), "{}", welcome.frame());
    let recovery = V1Recovery {
        replayed: 3,
        reason: Some(RecoveryReason::Off),
        missed: None,
        at: Some(at),
    };
    assert_eq!(
        recovery.frame(),
        r#"{"op":"recovery","recovered":false,"replayed":3,"reason":"off","at":"10.3"}"#
    );
    let recovery = V1Recovery { replayed: 0, reason: None, missed: None, at: None };
    assert_eq!(recovery.frame(), r#"{"op":"recovery","recovered":true,"replayed":0}"#);
    assert_eq!(ping(Some(at)), r#"{"op":"ping","at":"10.3"}"#);
    let content = Content { form: PayloadForm::Message, payload: &b"[ 1]"[..] };
    let frame = br#"{"op":"msg","at":"10.3","direct":true,"data":[ 1]}"#;
    assert_eq!(render_at(content, Cast::One, at), frame);
    let frame = br#"{"op":"msg","at":"10.3","data":[ 1]}"#;
    assert_eq!(render_at(content, Cast::Many, at), frame);
}

#[test]
fn a_publication_has_its_headers_here_and_loses_them_elsewhere() {
    let headers = V1Headers { event: "a\"b", topic: "", from: "a0ee" };
    for (form, payload, data, plain) in [
        (PayloadForm::Message, "{\"p\":\n3}", "{\"p\":\n3}", "{\"p\":\n3}"),
        (PayloadForm::Text, "a \"b\"", r#""a \"b\"""#, "a \"b\""),
    ] {
        let all = headers.payload(form, payload);
        let content = Content { form: PayloadForm::WithHeaders, payload: all.as_bytes() };
        let here = Protocol::V1.render(content, Cast::Many);
        let expected = format!(r#"{{"op":"msg","event":"a\"b","from":"a0ee","data":{data}}}"#);
        assert_eq!(*here, *expected.as_bytes());
        assert_eq!(*Protocol::Plain.render(content, Cast::Many), *plain.as_bytes());
        assert_eq!(*Protocol::Gomoob.render(content, Cast::Many), *data.as_bytes());
        let packet = format!(r#"{{"opcode":"feedback","message":{data}}}"#);
        assert_eq!(*Protocol::Phpws.render(content, Cast::One), *packet.as_bytes());
    }
    let packet = r#"{"opcode":"feedback","message":5}"#;
    for (form, payload, frame) in [
        (PayloadForm::Packet, packet, r#"{"op":"msg","direct":true,"data":5}"#),
        (PayloadForm::Message, "[ 1]", r#"{"op":"msg","direct":true,"data":[ 1]}"#),
    ] {
        let content = Content { form, payload: payload.as_bytes() };
        assert_eq!(*render(content, Cast::One), *frame.as_bytes());
    }
}

#[test]
fn a_publication_to_exactly_one_topic_names_it() {
    let query = |pairs: &[(&str, &str)]| {
        TagQuery::new(pairs.iter().map(|(name, value)| Tag::new(name, value).unwrap())).unwrap()
    };
    let expr = |text| Address::expr(crate::types::Expression::parse(text).unwrap());
    for (address, topic) in [
        (Address::matching(query(&[("channel", "news")])), Some("news")),
        (Address::matching(query(&[("@channel", "private-x")])), Some("private-x")),
        (Address::matching(query(&[("channel", "news"), ("language", "FR")])), None),
        (Address::matching(query(&[("room", "news")])), None),
        (Address::matching(query(&[("channel", "no topic")])), None),
        (Address::everyone(), None),
        (Address::tag_sequence(Box::new([Tag::of_topic("news").unwrap()])), Some("news")),
        (expr("channel=news"), Some("news")),
        (expr("channel=news*"), None),
        (expr("channel in (a,b)"), None),
    ] {
        let headed = with_topic(&address, PayloadForm::Text, b"x");
        let expected = topic.map(|topic| format!("t\"topic\":\"{topic}\",\nx"));
        assert_eq!(headed, expected, "{address:?}");
        assert_eq!(with_topic(&address, PayloadForm::Packet, b"x"), None);
    }
    let headers = V1Headers { event: "e", topic: "news", from: "a0ee" };
    let all = headers.payload(PayloadForm::Message, "1");
    let content = Content { form: PayloadForm::WithHeaders, payload: all.as_bytes() };
    let frame = br#"{"op":"msg","event":"e","topic":"news","from":"a0ee","data":1}"#;
    assert_eq!(&*render(content, Cast::Many), frame);
}

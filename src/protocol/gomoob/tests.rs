//! Tests of parsing requests and rendering messages.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::types::Tag;

fn why(text: &str) -> String {
    parse(text).unwrap_err().0.into_owned()
}

#[test]
fn a_message_is_any_json_and_keeps_its_bytes() {
    for message in [r#""é/ \"q\"""#, r#""""#, "null", "5", r#"{"type":"X"}"#, "[1, 2]", "1.0"] {
        let text =
            format!(r#" {{"message": {message} ,"tags":{{"b":12,"a":"x"}},"metadata":{{}}}}"#);
        let request = parse(&text).unwrap();
        assert_eq!(&text[request.message], message);
        let tags = [Tag::new("a", "x").unwrap(), Tag::new("b", "12").unwrap()];
        assert_eq!(request.query, TagQuery::new(tags).unwrap());
        assert_eq!(request.credentials, None);
    }
    assert!(parse(r#"{"message":1,"tags":[]}"#).unwrap().query.is_empty());
    let twice = r#"{"message":1,"mess\u0061ge":2}"#;
    assert_eq!(&twice[parse(twice).unwrap().message], "2");
}

#[test]
fn an_invalid_request_is_reported_in_gomoobs_words() {
    for (text, words) in [
        ("hello", "Failed to decode the provided JSON string !"),
        ("", "Failed to decode the provided JSON string !"),
        ("null", "Failed to decode the provided JSON string !"),
        (r#"{"message":1} x"#, "Failed to decode the provided JSON string !"),
        ("5", "The decoded JSON string is not an array !"),
        (r#""s""#, "The decoded JSON string is not an array !"),
        ("true", "The decoded JSON string is not an array !"),
        ("[]", "The 'message' property is mandatory !"),
        ("{}", "The 'message' property is mandatory !"),
        (r#"["message"]"#, "Unexpected property '0' !"),
        (r#"{"message":"x","foo":1,"bar":2}"#, "Unexpected property 'foo' !"),
        (r#"{"message":"x","tags":"str"}"#, "The 'tags' property is not an array !"),
        (r#"{"message":"x","tags":null}"#, "The 'tags' property is not an array !"),
        (r#"{"message":"x","tags":["a"]}"#, "The tag name '0' is not a string !"),
        (r#"{"message":"x","tags":{"7":"a"}}"#, "The tag name '7' is not a string !"),
        (
            r#"{"message":"x","tags":{"a":1.5}}"#,
            "The tag named 'a' has a value which is not an integer or a string !",
        ),
        (r#"{"message":"x","metadata":null}"#, "The 'metadata' property is not an array !"),
        (r#"{"message":"x","metadata":"s"}"#, "The 'metadata' property is not an array !"),
    ] {
        assert_eq!(why(text), words, "{text}");
    }
}

#[test]
fn metadata_may_contain_credentials() {
    let proof = |metadata: &'static str| {
        let text = format!(r#"{{"message":1,"metadata":{metadata}}}"#);
        let credentials = parse(&text).unwrap().credentials;
        credentials.map(|it| (it.key.into_owned(), it.secret.map(Cow::into_owned)))
    };
    assert_eq!(proof("{}"), None);
    assert_eq!(proof(r#"{"other":1}"#), None);
    assert_eq!(proof("[]"), None);
    let both = Some(("k".to_owned(), Some("s".to_owned())));
    assert_eq!(proof(r#"{"key":"k","secret":"s"}"#), both);
    assert_eq!(proof(r#"{"key":["a"],"secret":"s"}"#), Some((String::new(), Some("s".to_owned()))));
    assert_eq!(proof(r#"{"key":"k","secret":5}"#), Some(("k".to_owned(), None)));
    assert_eq!(proof(r#"{"key":"k"}"#), Some(("k".to_owned(), None)));
}

#[test]
fn a_packet_is_rendered_as_its_message() {
    let rendered = |form, payload: &'static str| {
        let content = Content { form, payload: Bytes::from_static(payload.as_bytes()) };
        String::from_utf8(render(content.borrowed(), Cast::Many).into_owned()).unwrap()
    };
    let packet = r#"{"opcode":"broadcast","message":{"a": "é\/"},"x":[{}]}"#;
    assert_eq!(rendered(PayloadForm::Packet, packet), r#"{"a": "é\/"}"#);
    assert_eq!(rendered(PayloadForm::Packet, r#"{"opcode":"broadcast"}"#), "null");
    assert_eq!(rendered(PayloadForm::Message, r#""x""#), r#""x""#);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s)([\\{\\}\\[\\]:,\"]|message|tags|metadata|key|.){0,30}") {
        if let Ok(request) = parse(&text) {
            prop_assert!(text.get(request.message).is_some());
        }
    }
}

//! Bodies of publications by HTTP: any text is a publication whose message the broker gets byte for byte,
//! or an error whose place exists.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use tagcast::api::PublicationProbe;
use tagcast::types::{Content, PayloadForm};

thread_local! {
    static PROBE: PublicationProbe = PublicationProbe::new().expect("a descriptor");
}

/// Publishes the text.
pub fn run(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    match PROBE.with(|probe| probe.publish(body)).expect("the link") {
        Ok(content) => forwarded(body, &content),
        Err(answer) => refused(body, &answer),
    }
}

fn forwarded(body: &str, content: &Content) {
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(body).expect("what is published is an object");
    let (headers, content) = content.borrowed().split_headers();
    assert_eq!(headers.is_empty(), !members.contains_key("event"));
    match content.form {
        PayloadForm::Message => {
            let message = members.get("message").expect("a message");
            assert_eq!(content.payload, message.get().as_bytes());
        }
        PayloadForm::Text => {
            let text = members.get("text").expect("a text");
            let text: String = serde_json::from_str(text.get()).expect("a string");
            assert_eq!(content.payload, text.as_bytes());
        }
        PayloadForm::Packet | PayloadForm::WithHeaders => panic!("no body has this form"),
    }
}

fn refused(body: &str, answer: &str) {
    let answer: Value = serde_json::from_str(answer).expect("an error is JSON");
    let error = &answer["error"];
    assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()), "{answer}");
    let message = error["message"].as_str().expect("a message");
    assert!(!message.is_empty() && message.len() < 1000 && !message.contains(char::is_control));
    match &error["at"] {
        Value::String(at) => {
            // JSON that is deeper than this parser goes has a place too.
            let Ok(body) = serde_json::from_str::<Value>(body) else { return };
            let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
            assert!(body.pointer(parent).is_some(), "{at} is in no part of {body}");
        }
        Value::Number(at) => {
            let at = at.as_u64().and_then(|at| usize::try_from(at).ok()).expect("a count");
            assert!(at <= body.len(), "{at} of {}", body.len());
        }
        Value::Null => {}
        other => panic!("{other} is not a place"),
    }
}

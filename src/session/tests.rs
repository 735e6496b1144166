//! Results of messages.

use super::*;
use crate::auth::Permissions;
use crate::auth::uuid::{Signer, UuidForm};
use crate::protocol::ProtocolOptions;

fn rules() -> SessionRules {
    SessionRules {
        signer: Signer::new(&[1; 32], UuidForm::Signed),
        access: Permissions::everything(),
        message_bytes_max: 100,
        chunks_max: 3,
        topics_max: 3,
        protocols: ProtocolOptions::default(),
    }
}

fn session(protocol: Protocol) -> Session {
    let grant = Permissions::everything().open(None).unwrap();
    Session::new(ClientUuid([9; 16]), grant, ClientClass::Web, protocol)
}

fn on_text<'a>(session: &mut Session, text: &'a str) -> NextStep<'a> {
    let incoming = session.on_message(Message::Text(text), &rules());
    assert!(incoming.acknowledgement.is_some(), "{text}");
    incoming.then
}

fn code(then: &NextStep<'_>) -> Option<CloseCode> {
    match then {
        NextStep::Close(reason) => Some(reason.code),
        _ => None,
    }
}

fn with_words(words: AckExtras) -> Option<Box<SessionExtras>> {
    Some(Box::new(SessionExtras { words, ..SessionExtras::default() }))
}

#[test]
fn chunks_make_one_message_and_a_second_begin_discards_the_first() {
    let mut session = session(Protocol::Phpws);
    for text in ["bufferOFF", "bufferON", "rubbish", "bufferON", r#"{"opcode":"#, r#""echo"}"#] {
        assert_eq!(on_text(&mut session, text), NextStep::Nothing);
    }
    assert_eq!(session.weight(Message::Text("bufferOFF")), 17);
    let whole = Cow::Borrowed(r#"{"opcode":"echo"}"#);
    assert_eq!(on_text(&mut session, "bufferOFF"), NextStep::Text(whole));
    assert_eq!(on_text(&mut session, "bufferON "), NextStep::Text(Cow::Borrowed("bufferON ")));
}

#[test]
fn chunks_are_bounded_by_count_and_by_bytes() {
    let mut many = session(Protocol::Phpws);
    assert_eq!(on_text(&mut many, "bufferON"), NextStep::Nothing);
    for _ in 0..3 {
        assert_eq!(on_text(&mut many, "x"), NextStep::Nothing);
    }
    assert_eq!(code(&on_text(&mut many, "x")), Some(CloseCode::TOO_BIG));
    let mut long = session(Protocol::Phpws);
    assert_eq!(on_text(&mut long, "bufferON"), NextStep::Nothing);
    let chunk = "x".repeat(99);
    assert_eq!(on_text(&mut long, &chunk), NextStep::Nothing);
    assert_eq!(code(&on_text(&mut long, "yy")), Some(CloseCode::TOO_BIG));
}

#[test]
fn binary_is_text_to_phpws_and_binary_to_other_protocols() {
    let mut phpws = session(Protocol::Phpws);
    let incoming = phpws.on_message(Message::Binary(b"x"), &rules());
    assert_eq!(incoming.then, NextStep::Text(Cow::Borrowed("x")));
    let incoming = phpws.on_message(Message::Binary(&[0xff]), &rules());
    assert!(incoming.acknowledgement.is_some() && code(&incoming.then) == Some(CloseCode::DATA));
    for protocol in [Protocol::Gomoob, Protocol::Echo] {
        let incoming = session(protocol).on_message(Message::Binary(&[0xff]), &rules());
        assert_eq!((incoming.acknowledgement, incoming.then), (None, NextStep::Binary(&[0xff])));
    }
    let incoming = session(Protocol::Echo).on_message(Message::Text("bufferON"), &rules()).then;
    assert_eq!(incoming, NextStep::Text(Cow::Borrowed("bufferON")));
}

#[test]
fn acknowledgements_contain_what_a_resource_has_set() {
    let mut session = session(Protocol::Phpws);
    assert_eq!(session.acknowledge(None).unwrap(), r#"{"opcode":"next","fyi":""}"#);
    session.extras = with_words(AckExtras { fyi: "busy".to_owned(), ..AckExtras::default() });
    assert_eq!(session.acknowledge(None).unwrap(), r#"{"opcode":"next","fyi":"busy"}"#);
}

#[test]
fn an_acknowledged_registration_names_the_previous_one() {
    let mut session = session(Protocol::Phpws);
    assert_eq!(
        session.acknowledge_registration().unwrap(),
        r#"{"opcode":"next","fyi":"","uuid":""}"#
    );
    session.extras =
        with_words(AckExtras { uuid: Some("u\"1".to_owned()), ..AckExtras::default() });
    assert_eq!(session.acknowledge(None).unwrap(), r#"{"opcode":"next","fyi":"","uuid":"u\"1"}"#);
    assert_eq!(session.acknowledge_registration().unwrap(), session.acknowledge(None).unwrap());
}

//! What messages come to.

use super::*;
use crate::auth::Permissions;
use crate::auth::uuid::{Signer, UuidForm};
use crate::protocol::gomoob::GomoobOptions;
use crate::protocol::phpws::PhpwsOptions;

fn rules() -> SessionRules {
    SessionRules {
        signer: Signer::new(&[1; 32], UuidForm::Signed),
        access: Permissions::everything(),
        message_bytes_max: 100,
        chunks_max: 3,
        phpws: PhpwsOptions::default(),
        gomoob: GomoobOptions::default(),
    }
}

fn session(speech: Speech) -> Session {
    let grant = Permissions::everything().open(None).unwrap();
    Session::new(ClientUuid([9; 16]), grant, (ClientClass::Web, speech))
}

fn say<'a>(session: &mut Session, text: &'a str) -> NextStep<'a> {
    let heard = session.on_message(Message::Text(text), &rules());
    assert_eq!(heard.acknowledge, Acknowledge::Yes, "{text}");
    heard.then
}

fn code(then: &NextStep<'_>) -> Option<CloseCode> {
    match then {
        NextStep::Close(reason) => Some(reason.code),
        _ => None,
    }
}

#[test]
fn chunks_make_one_message_and_a_second_begin_discards_the_first() {
    let mut session = session(Speech::Phpws);
    for text in ["bufferOFF", "bufferON", "rubbish", "bufferON", r#"{"opcode":"#, r#""echo"}"#] {
        assert_eq!(say(&mut session, text), NextStep::Nothing);
    }
    assert_eq!(session.weight(Message::Text("bufferOFF")), 17);
    let whole = Cow::Borrowed(r#"{"opcode":"echo"}"#);
    assert_eq!(say(&mut session, "bufferOFF"), NextStep::Text(whole));
    assert_eq!(say(&mut session, "bufferON "), NextStep::Text(Cow::Borrowed("bufferON ")));
}

#[test]
fn chunks_are_bounded_by_count_and_by_bytes() {
    let mut many = session(Speech::Phpws);
    assert_eq!(say(&mut many, "bufferON"), NextStep::Nothing);
    for _ in 0..3 {
        assert_eq!(say(&mut many, "x"), NextStep::Nothing);
    }
    assert_eq!(code(&say(&mut many, "x")), Some(CloseCode::TOO_BIG));
    let mut long = session(Speech::Phpws);
    assert_eq!(say(&mut long, "bufferON"), NextStep::Nothing);
    let chunk = "x".repeat(99);
    assert_eq!(say(&mut long, &chunk), NextStep::Nothing);
    assert_eq!(code(&say(&mut long, "yy")), Some(CloseCode::TOO_BIG));
}

#[test]
fn binary_is_text_to_phpws_and_binary_to_everyone_else() {
    let mut phpws = session(Speech::Phpws);
    let heard = phpws.on_message(Message::Binary(b"x"), &rules());
    assert_eq!(heard.then, NextStep::Text(Cow::Borrowed("x")));
    let heard = phpws.on_message(Message::Binary(&[0xff]), &rules());
    assert_eq!((heard.acknowledge, code(&heard.then)), (Acknowledge::Yes, Some(CloseCode::DATA)));
    for speech in [Speech::Gomoob, Speech::Echo] {
        let heard = session(speech).on_message(Message::Binary(&[0xff]), &rules());
        assert_eq!((heard.acknowledge, heard.then), (Acknowledge::No, NextStep::Binary(&[0xff])));
    }
    let heard = session(Speech::Echo).on_message(Message::Text("bufferON"), &rules()).then;
    assert_eq!(heard, NextStep::Text(Cow::Borrowed("bufferON")));
}

#[test]
fn acknowledgements_say_what_a_resource_has_set() {
    let mut session = session(Speech::Phpws);
    assert_eq!(session.next(), r#"{"opcode":"next","fyi":""}"#);
    session.words = Some(Box::new(AckExtras { fyi: "busy".to_owned(), ..AckExtras::default() }));
    assert_eq!(session.next(), r#"{"opcode":"next","fyi":"busy"}"#);
}

#[test]
fn the_acknowledgement_of_a_registration_says_what_was_registered_before() {
    let mut session = session(Speech::Phpws);
    assert_eq!(session.next_to_registration(), r#"{"opcode":"next","fyi":"","uuid":""}"#);
    session.words =
        Some(Box::new(AckExtras { uuid: Some("u\"1".to_owned()), ..AckExtras::default() }));
    assert_eq!(session.next(), r#"{"opcode":"next","fyi":"","uuid":"u\"1"}"#);
    assert_eq!(session.next_to_registration(), session.next());
}

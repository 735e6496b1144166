//! What messages cause.

use super::*;
use crate::auth::uuid::UuidForm;

fn rules() -> Rules {
    Rules { signer: Signer::new(&[1; 32], UuidForm::Signed), message_bytes_max: 100, chunks_max: 3 }
}

fn session(service: Service) -> Session {
    Session {
        uuid: ClientUuid([9; 16]),
        tenant: Tenant::shared(),
        class: ClientClass::Web,
        service,
    }
}

fn say<'a>(session: &mut Session, text: &'a str) -> Action<'a> {
    let outcome = session.on_message(Message::Text(text), &rules());
    assert_eq!(outcome.acknowledge, Acknowledge::Yes, "{text}");
    outcome.action
}

fn code(action: &Action<'_>) -> Option<CloseCode> {
    match action {
        Action::Close(reason) => Some(reason.code),
        _ => None,
    }
}

#[test]
fn a_broadcast_goes_to_everyone_but_its_sender_as_it_came() {
    let text = r#"{ "opcode":"broadcast" , "message":"x" }"#;
    let action = say(&mut session(Service::phpws()), text);
    let address = Address::everyone_but(ClientUuid([9; 16]));
    let payload = Cow::Borrowed(text);
    assert_eq!(action, Action::Publish { address, form: Form::PhpwsPacket, payload });
}

#[test]
fn feedback_to_a_forged_uuid_addresses_nobody() {
    let mut session = session(Service::phpws());
    let genuine = rules().signer.text(ClientUuid([5; 16]));
    let packet = format!(r#"{{"opcode":"feedback","uuid":"{genuine}"}}"#);
    assert!(matches!(say(&mut session, &packet), Action::Publish { .. }));
    let packet = format!(r#"{{"opcode":"feedback","uuid":"{}"}}"#, &genuine[..36]);
    assert_eq!(say(&mut session, &packet), Action::Nothing);
}

#[test]
fn chunks_make_one_message_and_a_second_begin_discards_the_first() {
    let mut session = session(Service::phpws());
    for text in ["bufferOFF", "bufferON", "rubbish", "bufferON", r#"{"opcode":"#, r#""echo"}"#] {
        assert_eq!(say(&mut session, text), Action::Nothing);
    }
    assert_eq!(session.weight(Message::Text("bufferOFF")), 17);
    let whole = Cow::Borrowed(r#"{"opcode":"echo"}"#);
    assert_eq!(say(&mut session, "bufferOFF"), Action::ReplyText(whole));
    assert_eq!(code(&say(&mut session, "bufferON ")), Some(CloseCode::DATA));
}

#[test]
fn chunks_are_bounded_by_count_and_by_bytes() {
    let mut many = session(Service::phpws());
    assert_eq!(say(&mut many, "bufferON"), Action::Nothing);
    for _ in 0..3 {
        assert_eq!(say(&mut many, "x"), Action::Nothing);
    }
    assert_eq!(code(&say(&mut many, "x")), Some(CloseCode::TOO_BIG));
    let mut long = session(Service::phpws());
    assert_eq!(say(&mut long, "bufferON"), Action::Nothing);
    let chunk = "x".repeat(99);
    assert_eq!(say(&mut long, &chunk), Action::Nothing);
    assert_eq!(code(&say(&mut long, "yy")), Some(CloseCode::TOO_BIG));
}

#[test]
fn what_is_no_json_closes_with_1007_and_quit_with_1000() {
    for text in ["", "not json"] {
        let action = say(&mut session(Service::phpws()), text);
        assert_eq!(code(&action), Some(CloseCode::DATA));
    }
    let action = say(&mut session(Service::phpws()), r#"{"opcode":"quit"}"#);
    assert_eq!(code(&action), Some(CloseCode::NORMAL));
    let mut binary = session(Service::phpws());
    let outcome = binary.on_message(Message::Binary(&[0xff]), &rules());
    assert_eq!(code(&outcome.action), Some(CloseCode::DATA));
}

#[test]
fn echo_gives_back_what_came_and_acknowledges_nothing() {
    let mut echo = session(Service::Echo);
    let outcome = echo.on_message(Message::Binary(&[1, 2]), &rules());
    assert_eq!(outcome.acknowledge, Acknowledge::No);
    assert_eq!(outcome.action, Action::ReplyBinary(&[1, 2]));
    let outcome = echo.on_message(Message::Text("bufferON"), &rules());
    assert_eq!(outcome.action, Action::ReplyText(Cow::Borrowed("bufferON")));
}

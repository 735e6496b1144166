//! Tests of parsing and rendering packets.

use bytes::Bytes;

use super::*;

fn command_of(text: &str) -> Result<PhpwsCommand<'_>, NotJson> {
    parse(text).map(|packet| packet.command)
}

fn feedback(uuid: Option<&'static str>, ident: Option<&'static str>) -> PhpwsCommand<'static> {
    PhpwsCommand::Feedback { uuid: uuid.map(Cow::Borrowed), ident: ident.map(Cow::Borrowed) }
}

#[test]
fn opcodes_are_compared_exactly() {
    for (text, command) in [
        (r#"{ "opcode":"broadcast" , "message":"hé/llo" }"#, PhpwsCommand::Broadcast),
        (r#"{"opcode":"echo"}"#, PhpwsCommand::Echo),
        (r#" {"opcode":"echo","message":"ws"}"#, PhpwsCommand::Echo),
        ("{\"\\u006fpcode\":\"ec\\u0068o\"}\n", PhpwsCommand::Echo),
        (r#"{"opcode":"quit"}"#, PhpwsCommand::Quit),
        (r#"{"opcode":"Echo"}"#, PhpwsCommand::Nothing),
        (r#"{"opcode":"jsonerror"}"#, PhpwsCommand::JsonError),
        (r#"{"opcode":"uuid","message":"u1"}"#, PhpwsCommand::Register),
        (r#"{"opcode":"whatever"}"#, PhpwsCommand::Nothing),
        (r#"{"opcode":["echo"]}"#, PhpwsCommand::Nothing),
        (r#"{"opcode":"quit","opcode":"echo"}"#, PhpwsCommand::Echo),
        (r#"{"opcode":"echo","opcode":5}"#, PhpwsCommand::Nothing),
    ] {
        assert_eq!(command_of(text), Ok(command), "{text}");
    }
}

#[test]
fn json_that_is_not_a_packet_has_no_opcode() {
    for text in
        [r#"{"message":"x"}"#, "{}", "[]", "[1]", "5", "-1", "1.5", r#""str""#, "null", "true"]
    {
        assert_eq!(command_of(text), Ok(PhpwsCommand::Nothing), "{text}");
    }
}

#[test]
fn invalid_json_is_reported_as_such() {
    for text in ["", " ", "not json", "bufferON ", "{", r#"{"a":1}}"#, r#"{"a":1,}"#, "[1,]", "01"]
    {
        assert_eq!(command_of(text), Err(NotJson), "{text}");
    }
}

#[test]
fn feedback_names_clients_by_text_and_idents_by_decimal_text_too() {
    for (text, command) in [
        (r#"{"opcode":"feedback","uuid":"u","ident":"i"}"#, feedback(Some("u"), Some("i"))),
        (r#"{"opcode":"feedback"}"#, feedback(None, None)),
        (r#"{"opcode":"feedback","uuid":true,"ident":true}"#, feedback(None, None)),
        (r#"{"opcode":"feedback","uuid":5,"ident":5}"#, feedback(None, Some("5"))),
        (r#"{"opcode":"feedback","uuid":null,"ident":5.0}"#, feedback(None, None)),
        (r#"{"opcode":"feedback","uuid":["u"],"ident":{"a":"b"}}"#, feedback(None, None)),
    ] {
        assert_eq!(command_of(text), Ok(command), "{text}");
    }
}

#[test]
fn a_bare_message_is_wrapped_and_a_packet_is_forwarded_unchanged() {
    let content =
        |form, text: &'static str| Content { form, payload: Bytes::from_static(text.as_bytes()) };
    let packet = content(PayloadForm::Packet, r#"{ "opcode":"broadcast"}"#);
    assert_eq!(&*render(packet.borrowed(), Cast::One), br#"{ "opcode":"broadcast"}"#);
    let message = content(PayloadForm::Message, "[1]");
    assert_eq!(&*render(message.borrowed(), Cast::Many), br#"{"opcode":"broadcast","message":[1]}"#);
    assert_eq!(&*render(message.borrowed(), Cast::One), br#"{"opcode":"feedback","message":[1]}"#);
}

#[test]
fn deep_nesting_neither_overflows_nor_is_an_error_by_itself() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(command_of(&deep), Ok(PhpwsCommand::Nothing));
    let inside = format!(r#"{{"opcode":"echo","message":{deep}}}"#);
    assert_eq!(command_of(&inside), Ok(PhpwsCommand::Echo));
}

#[test]
fn key_and_secret_prove_something_together_and_are_never_forwarded() {
    let text =
        r#"{"opcode":"broadcast", "key":"k","message":{"secret": 1.0},"secret":"s","n":"é"}"#;
    let packet = parse(text).unwrap();
    let credentials = packet.credentials.unwrap();
    assert_eq!((credentials.key.as_ref(), credentials.secret.as_deref()), ("k", Some("s")));
    assert!(packet.has_secret);
    let stripped = r#"{"opcode":"broadcast","message":{"secret": 1.0},"n":"é"}"#;
    assert_eq!(without_credentials(text), stripped);
    assert_eq!(without_credentials(r#"{"secret":"s"}"#), "{}");
    let escaped = "{\"s\\u0065cret\":\"s\",\"key\":5,\"opcode\":\"echo\"}";
    assert_eq!(parse(escaped).unwrap().credentials.unwrap().key, "5");
    assert_eq!(without_credentials(escaped), r#"{"opcode":"echo"}"#);
}

#[test]
fn a_key_without_a_secret_belongs_to_the_application() {
    let packet = parse(r#"{"opcode":"broadcast","key":"F5"}"#).unwrap();
    assert_eq!((packet.credentials, packet.has_secret), (None, false));
}

#[test]
fn messages_of_the_server_are_json_whatever_they_contain() {
    assert_eq!(next_with("busy", None), r#"{"opcode":"next","fyi":"busy"}"#);
    assert_eq!(next_with("", None), NEXT);
    assert_eq!(error("a\"b"), r#"{"opcode":"error","error":"a\"b"}"#);
}

#[test]
fn unrepresentable_values_close_no_connection() {
    for (text, command) in [
        (r#"{"opcode":"feedback","uuid":"u\ud83d","ident":1e400}"#, feedback(Some("u\u{fffd}"), None)),
        (r#"{"opcode":"echo","n\udc00":-1e999}"#, PhpwsCommand::Echo),
        ("1e999", PhpwsCommand::Nothing),
    ] {
        assert_eq!(command_of(text), Ok(command), "{text}");
    }
}

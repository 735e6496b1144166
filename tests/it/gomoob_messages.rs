//! The messages that Gomoob's dialect allows: cases 104, 107 and 108 of the contract, in all modes.

use crate::harness::{Open, Raw, Server, Setup};

fn server(ini: &str) -> Server {
    Setup::new().ini(&format!("defaultDialect = gomoob\n[gomoob]\n{ini}")).start()
}

fn client(server: &Server) -> Raw {
    Open::at("/").upgrade(server.port)
}

/// Expects that the sender gets its own message. A refused message reaches no client.
#[track_caller]
fn forwarded(client: &mut Raw, message: &str, sent: &str) {
    client.text(format!(r#"{{"message":{message}}}"#));
    client.expect_text(sent);
}

#[track_caller]
fn refused(server: &Server, witness: &mut Raw, message: &str, why: &str) {
    let mut client = client(server);
    client.text(format!(r#"{{"message":{message}}}"#));
    let close = client.expect_closed(1008);
    assert_eq!(&close.payload[2..], why.as_bytes(), "{message}");
    forwarded(witness, r#""end""#, r#""end""#);
}

#[test]
fn case_107_in_mode_any_a_message_is_forwarded_unchanged() {
    let server = server("messages = any");
    let mut client = client(&server);
    for message in [r#"{"type":"X"}"#, "5", "null", r#"[1, {"a":{}}]"#, r#""é/""#] {
        forwarded(&mut client, message, message);
    }
}

#[test]
fn case_107_in_mode_string_only_texts_are_messages() {
    let server = server("messages = string");
    let mut witness = client(&server);
    forwarded(&mut witness, r#""text""#, r#""text""#);
    let why = "The 'message' property is not a string, you must configure a message parser to parse messages !";
    for message in [r#"{"type":"X"}"#, "5", "null", "[]", "true"] {
        refused(&server, &mut witness, message, why);
    }
}

#[test]
fn case_107_and_108_in_mode_typed_a_message_is_rebuilt() {
    let server = server("messages = typed");
    let mut client = client(&server);
    for (message, sent) in [
        (r#"{"type":"X"}"#, r#"{"type":"X","metadata":{}}"#),
        (
            r#"{"type":"MY","metadata":{"b":2,"a":[1,{"z":null}]},"creationDate":"2016-01-01"}"#,
            r#"{"type":"MY","metadata":{"b":2,"a":[1,{"z":null}]}}"#,
        ),
        (r#"{"type":"MY","metadata":null}"#, r#"{"type":"MY","metadata":{}}"#),
        (r#"{"type":""}"#, r#"{"metadata":{}}"#),
        (r#"{"type":"é/x"}"#, r#"{"type":"\u00e9\/x","metadata":{}}"#),
        (r#""plain""#, r#""plain""#),
    ] {
        forwarded(&mut client, message, sent);
    }
}

#[test]
fn case_108_a_parser_error_closes_only_its_sender() {
    let server = server("messages = typed");
    let mut witness = client(&server);
    for (message, why) in [
        (r#"{"type":"MY","x":1}"#, "Invalid 'message' property ! Unexpected property 'x' !"),
        (r#"{"metadata":{}}"#, "Invalid 'message' property ! No 'type' property found !"),
        (
            r#"{"type":"MY","metadata":"s"}"#,
            "Invalid 'message' property ! The 'metadata' property is not an array !",
        ),
        (r#"["a"]"#, "Invalid 'message' property ! Unexpected property '0' !"),
        ("5", "Invalid 'message' property !"),
        ("null", "Invalid 'message' property !"),
    ] {
        refused(&server, &mut witness, message, why);
    }
}

/// Case 104, the bytes of the original: as PHP writes JSON.
#[test]
fn case_104_with_php_reencode_a_message_has_the_bytes_of_the_original() {
    let server = server("phpReencode = on");
    let mut client = client(&server);
    forwarded(&mut client, r#""é/ \"q\"""#, r#""\u00e9\/ \"q\"""#);
    forwarded(&mut client, r#"{ "a": {}, "n": 1.0 }"#, r#"{"a":[],"n":1}"#);
}

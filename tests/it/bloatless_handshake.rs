//! Opening and closing connections to bloatless/php-websocket's applications.

use crate::harness::{End, Open, Raw, Server, Setup, frames};

fn server(lines: &str) -> Server {
    let ini = format!(
        "unknownPath = 404\ndefaultDialect = none\n[bloatless]\napplications = chat\n{lines}"
    );
    Setup::new().workers(1).ini(&ini).start()
}

/// Returns all bytes until the connection is closed.
#[track_caller]
fn bytes_of(mut client: Raw) -> Vec<u8> {
    client.wait_for_end();
    client.take_all()
}

/// Case 132.
#[test]
fn only_known_applications_are_there() {
    let server = server("");
    Open::at("/chat").upgrade(server.port).expect_silence();
    Open::at("/chat?x=1").upgrade(server.port).expect_silence();
    for target in ["/nope", "/", "/demo", "/chat/"] {
        Open::at(target).ask(server.port).expect_refusal(404);
    }
}

/// Case 132, the original's answers.
#[test]
fn legacy_answers_are_a_status_line_and_no_more() {
    let server = server("answers = legacy");
    Open::at("/chat").upgrade(server.port).expect_silence();
    for target in ["/nope", "/", "/chat?x=1"] {
        let bytes = bytes_of(Open::at(target).ask(server.port));
        assert_eq!(bytes, b"HTTP/1.1 404 Not Found\r\n", "{target}");
    }
}

/// Case 133.
#[test]
fn versions_8_and_13_are_accepted_and_others_get_426() {
    let server = server("");
    let chat = || Open::at("/chat");
    chat().header("Sec-WebSocket-Version", "8").upgrade(server.port).expect_silence();
    chat().header("Sec-WebSocket-Version", "5").ask(server.port).expect_refusal(426);
    chat().without("Sec-WebSocket-Version").ask(server.port).expect_refusal(426);
    chat().without("Upgrade").ask(server.port).expect_refusal(400);
    chat().without("Sec-WebSocket-Key").ask(server.port).expect_refusal(400);
}

/// Case 133, the original's answers.
#[test]
fn legacy_answers_to_other_versions_are_a_501() {
    let server = server("answers = legacy");
    for open in [
        Open::at("/chat").header("Sec-WebSocket-Version", "5"),
        Open::at("/chat").without("Sec-WebSocket-Version"),
    ] {
        assert_eq!(bytes_of(open.ask(server.port)), b"HTTP/1.1 501 Not Implemented\r\n");
    }
}

/// Case 133, the original's leniency.
#[test]
fn legacy_openings_need_neither_upgrade_nor_key() {
    let server = server("answers = legacy");
    let open = || Open::at("/chat").without("Upgrade").without("Connection");
    open().upgrade(server.port).expect_silence();
    let mut client = open().without("Sec-WebSocket-Key").ask(server.port);
    assert_eq!(client.read_head().status(), 101);
    client.expect_silence();
    let plain = open().without("Sec-WebSocket-Key").without("Sec-WebSocket-Version");
    assert_eq!(bytes_of(plain.ask(server.port)), b"HTTP/1.1 501 Not Implemented\r\n");
    Open::web().without("Upgrade").ask(server.port).expect_refusal(400);
}

const PASS: [&str; 4] = ["http://foo.lh", "https://foo.lh", "http://www.foo.lh", "foo.lh"];
const FAIL: [&str; 2] = ["http://foo.lh:8080", "http://evil.lh"];

/// Case 134.
#[test]
fn hosts_that_are_listed_pass_and_others_are_answered_401() {
    let server = server("checkOrigin = on\nallowedOrigins = foo.lh");
    let chat = || Open::at("/chat").without("Origin");
    for origin in PASS {
        chat().header("Origin", origin).upgrade(server.port).expect_silence();
    }
    chat().header("Sec-WebSocket-Origin", "foo.lh").upgrade(server.port).expect_silence();
    for origin in FAIL {
        chat().header("Origin", origin).ask(server.port).expect_refusal(401);
    }
    chat().ask(server.port).expect_refusal(401);
    Open::web().header("Origin", "http://evil.lh").ready(server.port);
}

/// Case 134, the original's answers.
#[test]
fn legacy_answers_to_other_origins_are_a_bare_401() {
    let server = server("checkOrigin = on\nallowedOrigins = foo.lh\nanswers = legacy");
    let open = Open::at("/chat").header("Origin", "http://evil.lh");
    assert_eq!(bytes_of(open.ask(server.port)), b"HTTP/1.1 401 Unauthorized\r\n");
}

#[test]
fn without_a_check_any_origin_passes() {
    let server = server("");
    Open::at("/chat").header("Origin", "http://evil.lh").upgrade(server.port).expect_silence();
    Open::at("/chat").without("Origin").upgrade(server.port).expect_silence();
}

/// Case 142: the Close has the same code.
#[test]
fn a_close_is_answered_with_its_code() {
    let server = server("");
    let mut client = Open::at("/chat").upgrade(server.port);
    client.send(frames::close(1001, ""));
    client.expect_close(1001);
    assert_eq!(client.expect_end(), End::Fin);
}

/// Case 142, the original's answer.
#[test]
fn a_close_is_answered_normally_whatever_its_code() {
    let server = server("closeText = normal");
    for close in [frames::close(1001, ""), frames::masked(0x88, ""), frames::close(1000, "bye")] {
        let mut client = Open::at("/chat").upgrade(server.port);
        client.send(close);
        let answer = client.expect_close(1000);
        assert_eq!(&answer.payload[2..], b"normal closure");
        assert_eq!(client.expect_end(), End::Fin);
    }
}

/// Case 143.
#[test]
fn faults_are_reported_in_the_words_of_the_original() {
    let server = server("");
    let fault = |frame: Vec<u8>, code: u16, text: &[u8]| {
        let mut client = Open::at("/chat").upgrade(server.port);
        client.send(frame);
        assert_eq!(&client.expect_closed(code).payload[2..], text);
    };
    fault(frames::binary([1]), 1003, b"unknown data (opcode)");
    fault(frames::unmasked(0x81, "x"), 1002, b"protocol error");
    fault(frames::text([0xFF]), 1007, b"utf8 expected");
}

/// Case 144.
#[test]
fn a_message_may_come_in_pieces() {
    let server = server("");
    let mut client = Open::at("/chat").upgrade(server.port);
    client.send(frames::text_begins(r#"{"action":"echo","#));
    client.send(frames::ends(r#""data":"frag"}"#));
    let frame = client.frame();
    assert!(frame.as_text().ends_with(r#": frag"}"#), "{}", frame.as_text());
}

/// Case 147.
#[test]
fn no_subprotocol_is_agreed_that_was_not_offered() {
    let ask = |server: &Server| {
        let open = Open::at("/chat").header("Sec-WebSocket-Protocol", "foo, bar");
        let head = open.ask(server.port).expect_upgrade();
        head.header("Sec-WebSocket-Protocol").map(str::to_owned)
    };
    assert_eq!(ask(&server("")), None);
    let legacy = server("answers = legacy");
    assert_eq!(ask(&legacy).as_deref(), Some("chat"));
    let head = Open::at("/chat").ask(legacy.port).expect_upgrade();
    assert_eq!(head.header("Sec-WebSocket-Protocol"), None);
}

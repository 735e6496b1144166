//! The limits of bloatless/php-websocket: connections, and messages per minute.

use crate::harness::{End, Folder, Open, Setup, run_to_end};

const CHAT: &str = "[bloatless]\napplications = chat\n";
const NORMAL_CLOSURE: &[u8] = b"\x88\x10\x03\xe8normal closure";

/// Case 145.
#[test]
fn clients_above_the_limit_are_refused_by_http() {
    for (limit, status) in [("maxClients = 2", 503), ("maxPerIP = 2", 429)] {
        let server = Setup::new().workers(2).ini(limit).ini(CHAT).start();
        let _first = Open::at("/chat").upgrade(server.port);
        let _second = Open::at("/chat").upgrade(server.port);
        Open::at("/chat").ask(server.port).expect_refusal(status);
    }
}

/// Case 145, the original's answer.
#[test]
fn legacy_clients_above_the_limit_get_a_close_frame() {
    for limit in ["maxClients = 2", "maxPerIP = 2"] {
        let ini = format!("{limit}\n{CHAT}answers = legacy");
        let server = Setup::new().workers(2).ini(&ini).start();
        let _first = Open::at("/chat").upgrade(server.port);
        let _second = Open::at("/chat").upgrade(server.port);
        let mut third = Open::at("/chat").ask(server.port);
        assert_eq!(third.wait_for_end(), End::Fin);
        assert_eq!(third.take_all(), NORMAL_CLOSURE);
    }
}

/// The message that section 4.2 of the original sends to clients of `/status`.
#[test]
fn status_is_warned_when_all_is_full() {
    let chat = Open::at("/chat");
    for (limit, text) in [
        ("maxClients = 1", "Attention: Client Limit Reached!"),
        ("maxPerIP = 1", "Connection/Ip limit for ip 127.0.0.1 was reached!"),
    ] {
        let ini = format!("{limit}\n[bloatless]\napplications = chat, status");
        let server = Setup::new().workers(2).ini(&ini).start();
        let mut status = Open::at("/status").upgrade(server.port);
        for _ in 0..3 {
            status.frame();
        }
        chat.ask(server.port).expect_refusal_in(&[503, 429]);
        let frame = status.frame();
        let rest = frame
            .as_text()
            .strip_prefix(r#"{"action":"statusMsg","data":{"type":"warning","text":"["#);
        assert!(rest.unwrap().ends_with(&format!(r#"] {text}"}}}}"#)), "{}", frame.as_text());
    }
}

/// Case 146: the handshake counts as one message, and one message more than the limit is accepted.
#[test]
fn messages_within_a_minute_are_limited_for_each_connection() {
    let ini = format!("{CHAT}maxRequestsPerMinute = 50");
    let server = Setup::new().workers(1).ini(&ini).start();
    let mut client = Open::at("/chat").upgrade(server.port);
    let mut other = Open::at("/chat").upgrade(server.port);
    for _ in 0..50 {
        client.text("5");
    }
    client.expect_silence();
    client.text("5");
    assert_eq!(&client.expect_closed(1000).payload[2..], b"normal closure");
    other.text(r#"{"action":"echo","data":"x"}"#);
    assert!(other.frame().as_text().ends_with(r#": x"}"#));
}

#[test]
fn a_check_of_origins_without_hosts_is_a_finding() {
    let folder = Folder::new();
    folder.write("websock.ini", "[bloatless]\ncheckOrigin = on\n");
    let check = run_to_end(&folder, &["check"]);
    assert_eq!(check.code, Some(78), "{}", check.text);
    assert!(check.text.contains("allows no host"), "{}", check.text);
}

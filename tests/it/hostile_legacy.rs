//! Faults of peers that use, or pretend to use, protocols older than RFC 6455.

use std::time::Duration;

use crate::harness::hixie::{self, KEY3};
use crate::harness::raw_php::GREETING;
use crate::harness::{NEXT, Raw, Server, Setup, broadcast, pause, with_a_bystander};

fn serving(lines: &str) -> Server {
    Setup::new()
        .ini("legacy = on\nrawClients = on\nmaxMessage = 64K\noutboxLimit = 1M")
        .ini(lines)
        .start()
}

fn send_first(server: &Server, bytes: impl AsRef<[u8]>) -> Raw {
    let mut client = Raw::connect(server.port);
    client.send(bytes);
    client
}

/// Opens a script that has read its `ready`.
fn script(server: &Server) -> Raw {
    let mut client = send_first(server, GREETING);
    client.expect_raw_ready();
    client
}

/// Opens a browser of 2010 that has read its `ready`.
fn browser(server: &Server) -> Raw {
    let mut client = send_first(server, hixie::draft_76("/web", ""));
    hixie::read_answer(&mut client);
    hixie::read_text(&mut client);
    client
}

#[test]
fn impossible_keys_of_draft_76_are_refused() {
    let server = serving("");
    with_a_bystander(&server, |bystander| {
        let many = "9".repeat(400);
        let blanks = format!("1{}", " 2".repeat(2000));
        for key in ["12345", "1234567890123 4", &format!("{many} 9"), "1  1", &blanks, ""] {
            let keys = format!("Sec-WebSocket-Key1: {key}\r\nSec-WebSocket-Key2: 1 2\r\n");
            let request = [&hixie::draft_75("/web", &keys)[..], KEY3].concat();
            send_first(&server, request).expect_refusal(400);
            bystander.is_served();
        }
    });
}

#[test]
fn eight_bytes_that_never_come_end_with_the_handshakes_deadline() {
    let server = serving("handshakeTimeout = 300ms");
    with_a_bystander(&server, |bystander| {
        let request = hixie::draft_76("/web", "");
        for missing in [8, 1] {
            let mut client = send_first(&server, &request[..request.len() - missing]);
            bystander.is_served();
            client.expect_refusal(408);
        }
        for greeting in ["php process\n", "php process\nGET /ph", "php pro"] {
            let mut client = send_first(&server, greeting);
            bystander.is_served();
            if greeting.ends_with("pro") {
                client.expect_refusal(408);
            } else {
                let word = r#"{"opcode":"close","error":"the request did not come in time"}"#;
                client.expect_raw_end(word);
            }
        }
        send_first(&server, "<policy-file").expect_refusal(408);
        send_first(&server, "GET /php HTTP/1.1\r\n\r\n        Host: h\r\n").expect_refusal(408);
    });
}

#[test]
fn texts_without_end_end_at_the_limit() {
    let server = serving("");
    with_a_bystander(&server, |bystander| {
        let mut old = browser(&server);
        old.send(b"\0");
        for _ in 0..65 {
            // The server may have closed the connection by then.
            drop(old.try_send([b'x'; 1024]));
            bystander.is_served();
        }
        assert_eq!(old.read_exactly(2), b"\xff\0");
        old.wait_for_end();
        let mut script = script(&server);
        script.send("[");
        for _ in 0..64 {
            drop(script.try_send([b'['; 1024]));
        }
        bystander.is_served();
        script.wait_for_end();
    });
}

#[test]
fn half_a_value_is_ended_by_a_pause_and_an_endless_line_by_the_limit() {
    let server = serving("");
    with_a_bystander(&server, |bystander| {
        let mut half = script(&server);
        half.send(r#"{"opcode":"broad"#);
        half.expect_raw_end(NEXT);
        bystander.is_served();
        let mut endless = send_first(&server, format!("php process\nGET /{}", "x".repeat(8192)));
        let why = r#"{"opcode":"close","error":"the greeting may have 8192 bytes"}"#;
        assert_eq!(endless.read_exactly(why.len()), why.as_bytes());
        endless.wait_for_end();
        let mut endless = send_first(&server, "GET /php HTTP/1.1\r\n\r\n        Host: h\r\n");
        drop(endless.try_send([b'x'; 9000]));
        endless.expect_refusal(431);
    });
}

/// Each text has the same deadline as a frame of newer clients.
#[test]
fn a_text_that_dribbles_has_a_deadline() {
    let server = serving("pingInterval = 0\nmessageTimeout = 3s");
    with_a_bystander(&server, |bystander| {
        let mut old = browser(&server);
        old.send(b"\0");
        for _ in 0..50 {
            // On a busy machine the connection may be closed by then.
            old.try_send("1").ok();
            bystander.is_served();
            pause(Duration::from_millis(50));
        }
        assert_eq!(old.read_exactly(2), b"\xff\0");
        old.expect_end();
    });
}

#[test]
fn an_invalid_legacy_frame_closes_its_client_and_is_not_delivered() {
    let server = serving("");
    with_a_bystander(&server, |bystander| {
        for bytes in [&b"\x81\x02hi"[..], b"\x80\x02hi", b"\xff\x05hello", b"\x01x\xff", b"GET / "]
        {
            let mut old = browser(&server);
            old.send(bytes);
            assert_eq!(old.read_exactly(2), b"\xff\0", "{bytes:?}");
            old.wait_for_end();
        }
        let mut old = browser(&server);
        old.send(b"\0{\"opcode\":\"broadcast\",\"message\":\"\xc3\"}\xff");
        assert_eq!(hixie::read_text(&mut old), NEXT);
        assert_eq!(old.read_exactly(2), b"\xff\0");
        old.wait_for_end();
        bystander.is_served();
    });
}

#[test]
fn a_legacy_client_that_does_not_read_is_closed_and_delays_no_other() {
    let server = serving("");
    with_a_bystander(&server, |bystander| {
        let _deaf = browser(&server);
        let mut receiver = browser(&server);
        let packet = broadcast(&"x".repeat(60_000));
        let mut publisher = browser(&server);
        for _ in 0..60 {
            publisher.send(hixie::text(&packet));
            assert_eq!(hixie::read_text(&mut publisher), NEXT);
            assert!(hixie::read_text(&mut receiver) == packet);
            bystander.receives(&packet);
        }
        server.wait_for_output("event=slow_client");
        bystander.is_served();
    });
}

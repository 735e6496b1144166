//! phpWebSocketServer's opening handshake: cases 1 to 14, 16, 17 and 152 of the contract.

use std::time::Duration;

use crate::harness::pacing::{READY_GAP, typical_gap};
use crate::harness::{NEXT, Open, Raw, Server, Setup, echo, frames, pause};

const RESOURCES: [&str; 3] = ["/", "/web", "/php"];

/// Returns whether a text is a version 4 UUID, with a signature if it should have one.
fn is_v4(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| is_lower_hex(group))
        && groups[2].starts_with('4')
        && groups[3].starts_with(['8', '9', 'a', 'b'])
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Expects the answer to a path without a resource.
#[track_caller]
fn expect_unknown_path(client: &mut Raw) {
    client.expect_text(r#"{"opcode":"close"}"#);
    client.expect_closed(1008);
}

#[test]
fn case_1_the_answer_is_exact_and_ready_carries_a_signed_uuid() {
    let server = Server::start();
    for path in RESOURCES {
        let mut client = Open::at(path).ask(server.port);
        let head = client.read_head();
        assert_eq!(
            head.text,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        client.expect_ready();
        let (uuid, signature) = client.uuid.split_once('.').unwrap();
        assert!(is_v4(uuid), "{uuid}");
        assert!(signature.len() == 64 && is_lower_hex(signature), "{signature}");
        client.expect_silence();
    }
}

#[test]
fn case_1_no_two_clients_get_the_same_uuid() {
    let server = Server::start();
    let uuids: std::collections::BTreeSet<_> =
        (0..20).map(|_| server.open(&Open::web()).uuid).collect();
    assert_eq!(uuids.len(), 20);
}

#[test]
fn case_2_a_php_client_gets_ready_after_a_gap_and_alone() {
    let server = Server::start();
    let silent = Open::at("/php").without("User-Agent");
    for open in [Open::php(), Open::web().header("Client-Type", "PHP"), silent] {
        let gap = typical_gap(READY_GAP, || {
            let mut client = open.ask(server.port);
            let head_at = client.read_segment(crate::harness::DEADLINE).unwrap().at;
            client.expect_upgrade();
            let ready = client.expect_ready();
            let gap = ready.arrived.saturating_duration_since(head_at);
            if ready.alone { gap } else { Duration::ZERO }
        });
        assert!(gap >= READY_GAP, "{gap:?} between the 101 and ready");
    }
}

#[test]
fn case_3_the_uuid_can_be_plain() {
    let server = Setup::new().ini("[phpws]\nuuid = plain").start();
    let client = server.open(&Open::web());
    assert!(is_v4(&client.uuid), "{}", client.uuid);
}

#[test]
fn case_4_an_unknown_path_is_refused_after_the_upgrade() {
    let server = Server::start();
    let mut client = Open::at("/nope").upgrade(server.port);
    expect_unknown_path(&mut client);
    let mut client = Open::at("/nope").header("Client-Type", "php").upgrade(server.port);
    expect_unknown_path(&mut client);
}

#[test]
fn case_5_the_query_does_not_belong_to_the_path() {
    let server = Server::start();
    for target in ["/web?x=1", "/?a=b&c=d", "/php?", "/web?x={\"a\":[\"b|c\"]}"] {
        server.open(&Open::at(target)).expect_silence();
    }
}

#[test]
fn case_6_paths_are_compared_to_the_letter() {
    let server = Server::start();
    for target in ["/WEB", "/web/", "/Php", "/web/x"] {
        expect_unknown_path(&mut Open::at(target).upgrade(server.port));
    }
}

#[test]
fn case_7_the_origin_may_be_missing_or_empty() {
    let server = Server::start();
    server.open(&Open::web().without("Origin")).expect_silence();
    server.open(&Open::web().header("Origin", "")).expect_silence();
}

#[test]
fn case_8_another_version_is_answered_by_the_supported_one() {
    let server = Server::start();
    for version in ["8", "12", "0", "130"] {
        let open = Open::web().header("Sec-WebSocket-Version", version);
        let head = open.ask(server.port).expect_refusal(426);
        assert_eq!(head.header("Sec-WebSocket-Version"), Some("13"));
        assert!(head.text.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{}", head.text);
    }
}

#[test]
fn case_9_another_method_is_refused_and_a_colon_in_the_target_is_not() {
    let server = Server::start();
    for method in ["POST", "PUT", "HEAD", "get"] {
        let mut client = Open::web().method(method).ask(server.port);
        if method == "HEAD" {
            assert_eq!(client.read_head().status(), 405);
        } else {
            client.expect_refusal(405);
        }
    }
    server.open(&Open::at("/web?at=10:30")).expect_silence();
    expect_unknown_path(&mut Open::at("/web:80").upgrade(server.port));
}

#[test]
fn case_10_a_head_that_lacks_what_an_upgrade_needs_is_refused() {
    let server = Server::start();
    for path in ["/web", "/php"] {
        for name in ["Upgrade", "Connection", "Sec-WebSocket-Key", "Host"] {
            Open::at(path).without(name).ask(server.port).expect_refusal(400);
        }
        Open::at(path)
            .without("Sec-WebSocket-Version")
            .ask(server.port)
            .expect_refusal_in(&[400, 426]);
    }
    Open::web().header("Upgrade", "h2c").ask(server.port).expect_refusal(400);
    Open::web().header("Connection", "keep-alive").ask(server.port).expect_refusal(400);
}

#[test]
fn case_11_a_head_may_come_in_pieces() {
    let server = Server::start();
    let request = Open::web().request();
    for cut in [3, 20, request.len() - 3, request.len() - 1] {
        let (begin, rest) = request.split_at(cut);
        let mut client = Raw::connect(server.port);
        client.send(begin);
        pause(Duration::from_millis(150));
        client.send(rest);
        client.expect_upgrade();
        client.expect_ready();
    }
}

#[test]
fn case_12_lines_may_end_in_a_bare_lf() {
    let server = Server::start();
    let mut client = Raw::connect(server.port);
    client.send(Open::web().request().replace("\r\n", "\n"));
    client.expect_upgrade();
    client.expect_ready();
    client.expect_silence();
}

#[test]
fn case_13_a_head_without_end_is_refused_at_16_kib() {
    let server = Server::start();
    let begin = "GET /web HTTP/1.1\r\nHost: h\r\nX-Long: ";
    let mut client = Raw::connect(server.port);
    client.send(format!("{begin}{}", "a".repeat(16384 - begin.len())));
    client.expect_refusal(431);
}

#[test]
fn case_13_a_head_just_below_the_limit_is_accepted() {
    let server = Server::start();
    let short = Open::web().header("X-Long", "").request().len();
    let open = Open::web().header("X-Long", &"a".repeat(16383 - short));
    assert_eq!(open.request().len(), 16383);
    server.open(&open).expect_silence();
}

#[test]
fn case_14_a_frame_in_the_segment_of_the_request_is_served_after_ready() {
    let server = Server::start();
    let packet = echo("early");
    for open in [Open::web(), Open::php()] {
        let mut client = Raw::connect(server.port);
        client.send([open.request().as_bytes(), &frames::text(&packet)].concat());
        client.expect_upgrade();
        client.expect_ready();
        client.expect_text(NEXT);
        client.expect_text(&packet);
    }
}

#[test]
fn case_16_header_names_may_be_lower_case_and_connection_a_list() {
    let server = Server::start();
    let open = Open::web().header("Connection", "keep-alive, Upgrade").lower_case();
    let mut client = open.ask(server.port);
    let head = client.expect_upgrade();
    assert!(head.text.contains("\r\nConnection: Upgrade\r\n"), "{}", head.text);
    client.expect_ready();
    let open = Open::web().header("Upgrade", "WebSocket").header("Connection", "UPGRADE");
    server.open(&open).expect_silence();
}

#[test]
fn case_17_blanks_around_a_value_do_not_count() {
    let server = Server::start();
    server.open(&Open::web().header("Origin", "http://h ")).expect_silence();
    let open = Open::web()
        .header("Sec-WebSocket-Version", "  13 ")
        .header("Upgrade", " websocket\t")
        .header("Sec-WebSocket-Key", &format!("  {} ", crate::harness::KEY));
    server.open(&open).expect_silence();
}

/// PHP clients read at most 1024 bytes, and one of them compares header names case-sensitively.
#[test]
fn case_152_the_answer_has_few_headers_in_the_usual_spelling() {
    let server = Setup::new().ini("[resource /echo]\nkind = echo").start();
    let opens = [Open::at("/"), Open::web(), Open::php(), Open::at("/echo"), Open::at("/nope")];
    for open in opens {
        let head = open.ask(server.port).expect_upgrade();
        assert!(head.text.len() <= 1024, "{} bytes", head.text.len());
        assert!(head.text.starts_with("HTTP/1.1 101 "), "{}", head.text);
        for line in ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "] {
            assert!(head.text.contains(&format!("\r\n{line}")), "no {line:?} in {}", head.text);
        }
    }
}

/// RFC 6455 §4.2.2: only offered subprotocols and extensions may be agreed, and the server supports no
/// extension.
#[test]
fn case_152_unsupported_extensions_and_subprotocols_are_not_agreed() {
    let server = Server::start();
    let open = Open::web()
        .header("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
        .header("Sec-WebSocket-Protocol", "soap, wamp");
    let mut client = open.ask(server.port);
    let head = client.expect_upgrade();
    assert_eq!(head.header("Sec-WebSocket-Extensions"), None);
    assert_eq!(head.header("Sec-WebSocket-Protocol"), None);
    client.expect_ready();
}

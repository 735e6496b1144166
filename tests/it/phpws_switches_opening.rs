//! Behaviour of phpWebSocketServer that a switch restores, part two: the handshake. The legacy half of cases
//! 4, 5, 7 to 9, 13, 61, 63 and 64.

use crate::harness::{Open, Raw, Server, Setup, echo};

fn server(ini: &str) -> Server {
    Setup::new().ini(ini).start()
}

/// Returns everything that arrives until the connection ends.
#[track_caller]
fn answer(mut client: Raw) -> String {
    client.wait_for_end();
    String::from_utf8(client.take_all()).unwrap()
}

#[test]
fn case_4_abrupt_close_on_an_unknown_path_sends_no_close_frame() {
    let server = server("[phpws]\nabruptClose = on");
    for open in [Open::at("/nope"), Open::php().target("/nope")] {
        let mut client = open.upgrade(server.port);
        client.expect_text(r#"{"opcode":"close"}"#);
        client.expect_end();
    }
}

#[test]
fn case_5_with_exact_target_a_query_makes_another_path() {
    let server = server("[phpws]\nexactTarget = on");
    let mut client = Open::at("/web?x=1").upgrade(server.port);
    client.expect_text(r#"{"opcode":"close"}"#);
    client.expect_closed(1008);
    server.open(&Open::web()).expect_silence();
    // Gomoob's tags are in the query.
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    gomoob.text(r#"{"message":"x"}"#);
    gomoob.expect_text(r#""x""#);
}

#[test]
fn case_7_with_require_origin_a_handshake_without_one_is_refused() {
    let server = server("[phpws]\nrequireOrigin = on");
    Open::web().without("Origin").ask(server.port).expect_refusal(400);
    server.open(&Open::web());
    // Clients of 2021 send an empty one.
    server.open(&Open::web().header("Origin", ""));
    Open::tags("{}").without("Origin").upgrade(server.port);
}

#[test]
fn case_7_and_8_and_9_with_http_errors_legacy_a_refusal_is_a_bare_line() {
    let server = server("[phpws]\nhttpErrors = legacy\nrequireOrigin = on");
    let of = |open: Open| answer(open.ask(server.port));
    assert_eq!(of(Open::web().without("Origin")), "HTTP/1.1 400 Bad Request");
    assert_eq!(of(Open::web().without("Upgrade")), "HTTP/1.1 400 Bad Request");
    let version_8 = Open::web().header("Sec-WebSocket-Version", "8");
    let upgrade_required = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13";
    assert_eq!(of(version_8.clone()), upgrade_required);
    let not_allowed = "HTTP/1.1 405 Method Not Allowed\r\n\r\n";
    assert_eq!(of(Open::web().method("POST")), not_allowed);
    assert_eq!(of(Open::at("/web?a:b")), not_allowed);
    assert_eq!(of(version_8.method("POST")), format!("{upgrade_required}\r\n{not_allowed}"));
    // A colon in Gomoob's tags is not an error.
    Open::tags(r#"{"a":"b"}"#).upgrade(server.port);
}

#[test]
fn case_8_with_http_errors_2021_the_header_is_misspelt() {
    let server = server("[phpws]\nhttpErrors = 2021");
    let client = Open::web().header("Sec-WebSocket-Version", "8").ask(server.port);
    let bytes = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocketVersion: 13";
    assert_eq!(answer(client), bytes);
}

#[test]
fn case_13_with_http_errors_legacy_a_head_that_is_too_long_gets_no_answer() {
    let server = server("handshakeTimeout = 1s\n[phpws]\nhttpErrors = legacy");
    let mut client = Raw::connect(server.port);
    client.try_send(format!("GET /web HTTP/1.1\r\nX: {}", "x".repeat(9000))).ok();
    assert_eq!(answer(client), "");
}

#[test]
fn case_61_and_63_legacy_typos_refuse_in_the_words_of_2021() {
    let per_ip = server("maxPerIP = 1\n[phpws]\nlegacyTypos = on");
    let _first = per_ip.open(&Open::web());
    let mut second = Open::web().upgrade(per_ip.port);
    second.expect_text(r#"{"opcode":"close","error":"To many connections from:  127.0.0.1"}"#);
    second.expect_closed(1013);
    let in_all = server("maxClients = 1\n[phpws]\nlegacyTypos = on\nabruptClose = on");
    let _first = in_all.open(&Open::web());
    let mut second = Open::web().upgrade(in_all.port);
    second.expect_text(r#"{"opcode":"close","error":"To many connections "}"#);
    second.expect_end();
}

#[test]
fn case_64_abrupt_close_drops_a_remote_script_without_an_answer() {
    let server = server("[phpws]\nabruptClose = on");
    let mut client = Open::php().upgrade_over(Raw::connect_from("127.0.0.5", server.port));
    client.expect_end();
}

#[test]
fn switches_hold_for_open_connections_from_a_reload_on() {
    let server = server("[phpws]\nackOrder = before");
    let mut client = server.open(&Open::web());
    client.text(echo("hi"));
    client.expect_next();
    client.expect_text(&echo("hi"));
    let head = "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 2\n";
    let ini = format!("{head}[phpws]\nackOrder = after\n");
    server.folder.write("websock.ini", &ini);
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    client.text(echo("hi"));
    client.expect_text(&echo("hi"));
    client.expect_next();
}

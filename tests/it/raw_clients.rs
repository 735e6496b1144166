//! phpWebSocketServer's raw TCP clients, cases 77 to 86, and its malformed handshake of 2021, case 15.

use std::time::Duration;

use crate::harness::raw_php::GREETING;
use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{
    Folder, NEXT, Open, Raw, Server, Setup, broadcast, feedback_to, pacing, received_nothing,
};

fn serving(lines: &str) -> Server {
    Setup::new().ini("rawClients = on").ini(lines).start()
}

fn greet(server: &Server, greeting: &str) -> Raw {
    let mut client = Raw::connect(server.port);
    client.send(greeting);
    client
}

#[track_caller]
fn ready(server: &Server) -> Raw {
    let mut client = greet(server, GREETING);
    client.uuid = client.expect_raw_ready();
    client
}

#[test]
fn cases_77_to_80_every_greeting_gets_ready_and_messages_are_acknowledged() {
    let server = serving("");
    let mut web = server.open(&Open::web());
    for greeting in [GREETING, "php process\nGET /web HTTP/1.1\n\n", "php process\n\n"] {
        let mut client = greet(&server, greeting);
        client.expect_raw_ready();
        client.send(broadcast("raw hé/"));
        client.expect_raw_next();
        web.expect_text(&broadcast("raw hé/"));
        for packet in [r#"{"opcode":"feedback","uuid":"x","message":"m"}"#, r#"{"opcode":"nope"}"#]
        {
            client.send(packet);
            client.expect_raw_next();
        }
        client.send(r#"{"opcode":"quit"}"#);
        client.expect_raw_end(NEXT);
    }
}

#[test]
fn case_79_a_greeting_may_come_in_pieces() {
    let server = Setup::new().workers(1).ini("rawClients = on").start();
    let mut client = Raw::connect(server.port);
    for byte in GREETING.bytes() {
        client.send([byte]);
        server.has_read_what_came();
    }
    client.expect_raw_ready();
    client.send("\n{\"opcode\":\"nope\"}");
    client.expect_raw_next();
}

#[test]
fn case_81_chunks_are_acknowledged_each_and_come_to_one_broadcast() {
    let server = serving("");
    let (mut web, mut client) = (server.open(&Open::web()), ready(&server));
    for part in ["bufferON", "{\"opcode\":\"broadcast", "\",\"message\":\"raw hé/\"}", "bufferOFF"]
    {
        client.send(part);
        client.expect_raw_next();
    }
    web.expect_text("{\"opcode\":\"broadcast\",\"message\":\"raw hé/\"}");
    web.expect_silence();
}

#[test]
fn case_82_a_value_in_two_segments_is_one_message() {
    let server = serving("");
    let mut client = ready(&server);
    let (first, second) = (r#"{"opcode":"no"#, r#"pe"}{"opcode":"quit"}"#);
    client.send(first);
    client.send(second);
    client.expect_raw_next();
    client.expect_raw_end(NEXT);
}

#[test]
fn case_82_legacy_half_a_value_is_invalid_json() {
    let server = serving("[phpws]\nrawMessages = reads");
    let mut client = ready(&server);
    client.send(r#"{"opcode":"no"#);
    client.expect_raw_end(NEXT);
}

#[test]
fn case_83_two_values_in_one_segment_get_two_answers_apart() {
    let server = serving("");
    let (mut web, mut client) = (server.open(&Open::web()), ready(&server));
    let gap = pacing::typical_gap(pacing::FRAME_GAP, || {
        client.send(broadcast("one") + &broadcast("two"));
        let first = client.read_segment(crate::harness::DEADLINE).unwrap();
        let answers = client.take_all();
        if answers != NEXT.as_bytes() {
            assert_eq!(answers, NEXT.repeat(2).as_bytes());
            return Duration::ZERO;
        }
        let second = client.read_segment(crate::harness::DEADLINE).unwrap();
        assert_eq!(client.take_all(), NEXT.as_bytes());
        web.expect_text(&broadcast("one"));
        web.expect_text(&broadcast("two"));
        second.at.duration_since(first.at)
    });
    assert!(gap >= pacing::FRAME_GAP, "{gap:?}");
}

#[test]
fn case_83_legacy_two_values_in_one_segment_are_invalid_json() {
    let server = serving("[phpws]\nrawMessages = reads");
    let mut client = ready(&server);
    client.send(r#"{"opcode":"nope"}"#);
    client.expect_raw_next();
    client.send(r#"{"opcode":"nope"}{"opcode":"nope"}"#);
    client.expect_raw_end(NEXT);
}

#[test]
fn case_84_an_unknown_path_is_reported_without_a_frame() {
    let server = serving("[resource /echo]\nkind = echo");
    // A path of another dialect is unknown to such a client too.
    for path in ["/nope", "/echo"] {
        greet(&server, &format!("php process\nGET {path} HTTP/1.1\n"))
            .expect_raw_end(r#"{"opcode":"close"}"#);
    }
    let why =
        r#"{"opcode":"close","error":"the line after `php process` must be: GET /path HTTP/1.1"}"#;
    greet(&server, "php process\nGET nonsense\n").expect_raw_end(why);
}

#[test]
fn case_85_invalid_json_closes_after_a_pause() {
    let server = serving("");
    for text in ["hello", "{\"half\":", "\u{e9}"] {
        let mut client = ready(&server);
        client.send(text);
        client.expect_raw_end(NEXT);
    }
    let mut client = ready(&server);
    client.send(b"\"\xff\"");
    client.expect_raw_end(NEXT);
    // A number is JSON, and only the pause shows where it ends.
    let mut client = ready(&server);
    client.send("5");
    client.expect_raw_next();
}

#[test]
fn case_86_no_broadcast_and_no_ping_reaches_a_raw_client() {
    let server = serving("pingInterval = 300ms");
    let mut client = ready(&server);
    let mut silent = server.open(&Open::web());
    while !silent.frame().is_close() {}
    let mut web = server.open(&Open::web());
    web.text(broadcast("not for scripts"));
    web.expect_next();
    web.text(feedback_to(&client.uuid, "for you"));
    web.expect_next();
    let packet = feedback_to(&client.uuid, "for you");
    assert_eq!(String::from_utf8(client.read_exactly(packet.len())).unwrap(), packet);
    client.send(r#"{"opcode":"nope"}"#);
    client.expect_raw_next();
}

#[test]
fn raw_clients_are_served_inside_tls() {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "adress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\npkFile = key.pem\n\
        rawClients = on\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let mut client = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    client.send(GREETING);
    client.expect_raw_ready();
    client.send(r#"{"opcode":"nope"}"#);
    client.expect_raw_next();
    client.send("hello");
    client.expect_raw_end(NEXT);
}

#[test]
fn raw_clients_need_the_address_of_a_script_and_a_raw_path() {
    let server = serving("");
    let mut client = Raw::connect_from("127.0.0.5", server.port);
    client.send(GREETING);
    client.expect_raw_end("");
    let server = serving("allowedIP = 127.0.0.5");
    let mut client = Raw::connect_from("127.0.0.5", server.port);
    client.send(GREETING);
    client.expect_raw_ready();
    let server = Server::start();
    greet(&server, "php process\nGET /php HTTP/1.1\n\n").expect_refusal(400);
}

#[test]
fn raw_clients_are_refused_in_their_own_form() {
    let server = serving("maxClients = 1");
    let mut first = ready(&server);
    let full = r#"{"opcode":"close","error":"Too many connections"}"#;
    greet(&server, GREETING).expect_raw_end(full);
    first.send(r#"{"opcode":"quit"}"#);
    first.expect_raw_end(NEXT);
    let auth = "applications:\n  - {key: a, secret: s, authorizeOpen: false}\n";
    let server = Setup::new().auth(auth).ini("rawClients = on").start();
    let mut client = greet(&server, GREETING);
    let begin = r#"{"opcode":"close","error":""#;
    assert_eq!(client.read_exactly(begin.len()), begin.as_bytes());
    client.wait_for_end();
    greet(&server, "php process\nGET /php?key=a&secret=s HTTP/1.1\n").expect_raw_ready();
}

/// The handshake of `socketPhpClient` of 2021-05-20, whose source file had different line ends than its
/// author saw.
const MALFORMED: &str = "GET /php HTTP/1.1\r\n\r\n        Host: 127.0.0.1\r\n\r\n        \
    Upgrade: websocket\r\n\r\n        Connection: Upgrade\r\n\r\n        \
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n        Origin: \r\n     \r\n        \
    Sec-WebSocket-Version: 13\r\n";

#[test]
fn case_15_the_malformed_handshake_of_2021_is_understood() {
    let server = Setup::new().workers(1).start();
    let mut web = server.open(&Open::web());
    for cut in [MALFORMED.len(), 21, 30, 100] {
        let mut client = Raw::connect(server.port);
        client.send(&MALFORMED[..cut]);
        server.has_read_what_came();
        client.send(&MALFORMED[cut..]);
        client.expect_upgrade();
        client.expect_ready();
        client.text(broadcast("hallo from PHP 1"));
        client.expect_next();
        web.expect_text(&broadcast("hallo from PHP 1"));
        received_nothing(&mut client, &mut web);
    }
}

#[test]
fn case_15_only_allowed_scripts_get_a_repaired_head() {
    let server = Server::start();
    let mut client = Raw::connect_from("127.0.0.5", server.port);
    client.send(MALFORMED);
    client.expect_refusal(400);
    let server = Setup::new().ini("trustedProxies = 127.0.0.1").start();
    let mut client = Raw::connect(server.port);
    client.send(MALFORMED);
    client.expect_refusal(400);
}

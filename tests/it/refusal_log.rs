//! Log lines about refused handshakes and about failed TLS handshakes: one line each, complete, without a
//! secret, and limited in number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::chat::start;
use crate::backend::{Act, Backend};
use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::{Folder, Open, Raw, Server, Setup, frames};
use crate::header_bytes::latin1;
use rustls::{ClientConfig, RootCertStore};

const AUTH: &str =
    "applications:\n  - {key: shop, secret: the-right-secret-of-shop, authorizeOpen: true}\n";

/// Returns the only line that contains all of these words.
#[track_caller]
fn line_with(server: &Server, words: &[&str]) -> String {
    let is_it = |line: &&str| words.iter().all(|word| line.contains(word));
    let log = crate::harness::eventually(&format!("a line with {words:?}"), || {
        Some(server.output()).filter(|log| log.lines().any(|line| is_it(&line)))
    });
    let lines: Vec<_> = log.lines().filter(is_it).collect();
    assert_eq!(lines.len(), 1, "with {words:?} in\n{log}");
    lines[0].to_owned()
}

#[test]
fn a_refused_opening_is_one_line_with_address_and_path() {
    let ini = "trustedProxies = 127.0.0.7\nallowedOrigins = http://ok.example";
    let server = Setup::new().ini(ini).auth(AUTH).start();
    let target = "/web?key=shop&secret=gue55ed-secret&token=t0ken";
    let open = Open::at(target)
        .header("Origin", "http://evil.example")
        .header("Cookie", "PHPSESSID=c00kie")
        .header("X-Forwarded-For", "192.0.2.9");
    let mut client = Raw::connect_from("127.0.0.7", server.port);
    client.send(open.request());
    client.expect_refusal(403);
    let words = [
        "event=handshake_refused ",
        "status=\"403 Forbidden\"",
        "reason=\"this origin may not connect\"",
    ];
    let line = line_with(&server, &words);
    for part in [
        " INFO ",
        "connection=",
        "peer=127.0.0.7:",
        "address=192.0.2.9",
        "path=/web",
        "origin=http://evil.example",
        "key=shop",
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let unknown = Open::at("/?key=shopp&secret=gue55ed-secret");
    unknown.header("Origin", "http://ok.example").ask(server.port).expect_refusal(401);
    line_with(
        &server,
        &["event=handshake_refused ", "key=shopp", "origin=http://ok.example", "401 Unauthorized"],
    );
    // Before a head is complete, only the addresses are known.
    Raw::connect(server.port).send("\r\n");
    let line = line_with(&server, &["event=handshake_refused ", "GET /path HTTP/1.1"]);
    assert!(line.contains("peer=127.0.0.1:") && !line.contains("path="), "{line}");
    let log = server.output();
    for secret in ["gue55ed-secret", "t0ken", "c00kie"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn refusals_by_a_close_by_a_limit_and_by_a_backend_have_their_line_too() {
    let backend =
        Backend::start(|_| Act::Commands(r#"{"command":"refuse","reason":"the room is full"}"#));
    let server = start(&backend, "");
    Open::at("/chat?key=chat").ask(server.port).expect_refusal(403);
    let words = [
        "event=handshake_refused ",
        "path=/chat",
        "key=chat",
        "address=127.0.0.1",
        "the room is full",
    ];
    line_with(&server, &words);
    Open::at("/nope?key=chat").upgrade(server.port).expect_text(r#"{"opcode":"close"}"#);
    line_with(
        &server,
        &["event=handshake_refused ", "path=/nope", "status=\"Close 1008\"", "unknown path"],
    );
    assert!(!server.output().contains("event=connection_closed"), "one line for each");
    let limited = Setup::new().ini("maxPerIP = 1").start();
    let first = limited.open(&Open::web());
    let mut second = Open::web().upgrade(limited.port);
    second.expect_text(r#"{"opcode":"close","error":"Too many connections from: 127.0.0.1"}"#);
    second.expect_closed(1013);
    let words = [
        "event=handshake_refused ",
        "path=/web",
        "origin=http://127.0.0.1",
        "Too many connections from",
    ];
    line_with(&limited, &words);
    drop(first);
    let mut script = Open::php().upgrade_over(Raw::connect_from("127.0.0.5", limited.port));
    script.expect_closed(1008);
    line_with(
        &limited,
        &["event=handshake_refused ", "peer=127.0.0.5:", "path=/php", "may not connect from this"],
    );
}

#[test]
fn what_comes_from_outside_is_escaped_and_bounded() {
    let server = Setup::new().ini("allowedOrigins = http://ok.example").start();
    let forged = "http://x\" reason=forged \u{85}\u{e9}";
    let mut client = Raw::connect(server.port);
    client.send(latin1(&Open::web().header("Origin", forged)));
    client.expect_refusal(403);
    let line = line_with(&server, &["event=handshake_refused ", "forged"]);
    assert!(line.contains("origin=\"http://x\\\" reason=forged"), "{line}");
    let long = format!("/{}?key={}", "p".repeat(5000), "k".repeat(5000));
    Open::at(&long).header("Origin", &"o".repeat(5000)).ask(server.port).expect_refusal(403);
    let line = line_with(&server, &["event=handshake_refused ", "path=/ppp"]);
    assert!(line.len() < 1000, "{} bytes: {line}", line.len());
    assert!(line.contains("kkkk") && line.contains("oooo"), "{line}");
}

#[test]
fn a_flood_of_refusals_does_not_flood_the_log_and_is_counted() {
    const FLOOD: u64 = 3_000;
    let server = Setup::new().workers(1).auth(AUTH).start();
    let begun = Instant::now();
    let request = Open::web().target("/web?key=wrong").request();
    for _ in 0..FLOOD {
        let mut client = Raw::connect(server.port);
        client.send(&request);
        client.expect_refusal(401);
    }
    let seconds = begun.elapsed().as_secs() + 2;
    let log = server.wait_for_output("event=more_handshakes_refused");
    let logged = |log: &str| {
        let lines = log.matches(" event=handshake_refused ").count() as u64;
        let counts = log.split("event=more_handshakes_refused unshown=").skip(1);
        let unshown = counts.filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        lines + unshown.sum::<u64>()
    };
    let lines = log.matches(" event=handshake_refused ").count() as u64;
    assert!(lines <= 100 * seconds, "{lines} lines in {seconds} s");
    crate::harness::eventually("a count of all", || {
        (logged(&server.output()) == FLOOD).then_some(())
    });
}

fn tls_server() -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "address = wss://127.0.0.1:0\ncertFile = cert.pem\npkFile = key.pem\n\
               tlsHandshakeTimeout = 1s\nworkers = 1\n";
    folder.write("websock.ini", ini);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// Causes a TLS handshake that fails on either side.
fn fail(server: &Server, client: ClientConfig) {
    let name = "localhost".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    while tls.is_handshaking() && tls.complete_io(&mut socket).is_ok() {}
    // The client's alert is sent by the call that failed, or by this one.
    tls.write_tls(&mut socket).ok();
}

#[test]
fn a_failed_tls_handshake_is_one_line_with_the_reason() {
    let server = tls_server();
    let good = || ClientConfig::clone(&client_of(&server.folder, ALL_VERSIONS));
    let mut h2 = good();
    h2.alpn_protocols = vec![b"h2".to_vec()];
    fail(&server, h2);
    line_with(
        &server,
        &["event=tls_handshake_failed", "peer=127.0.0.1:", "ALPN does not offer http/1.1"],
    );
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let distrusting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    fail(&server, distrusting);
    let distrust = [
        "event=tls_handshake_failed",
        "server_name=localhost",
        "it does not trust the certificate's issuer",
    ];
    line_with(&server, &distrust);
    let name = "other.example".try_into().unwrap();
    let mut other = rustls::ClientConnection::new(Arc::new(good()), name).unwrap();
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    while other.is_handshaking() && other.complete_io(&mut socket).is_ok() {}
    line_with(&server, &["server_name=other.example", "check that it names the requested host"]);
    // A ClientHello of TLS 1.2 with obsolete ciphers, and one of TLS 1.0.
    let hello = |minor: u8, cipher: [u8; 2]| {
        let body = [&[3, minor][..], &[7; 32], &[0, 0, 2], &cipher, &[1, 0]].concat();
        let length = u8::try_from(body.len()).unwrap();
        let head = [0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
        [&head[..], &body].concat()
    };
    for (bytes, why) in [
        (hello(3, [0, 5]), "in common"),
        (hello(1, [0, 5]), "TLS 1.2 or 1.3 is needed"),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00".to_vec(), "event=tls_handshake_failed"),
    ] {
        let before = server.output().matches(why).count();
        let mut client = Raw::connect(server.port);
        client.send(bytes);
        client.wait_for_end();
        crate::harness::eventually("a line", || {
            (server.output().matches(why).count() > before).then_some(())
        });
    }
    let mut gone = Raw::connect(server.port);
    gone.send([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);
    drop(gone);
    server.wait_for_output("the client disconnected during it");
    // A client that only checks whether the port is open has not failed.
    let lines = server.output().matches("event=tls_handshake_failed").count();
    drop(Raw::connect(server.port));
    Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    assert_eq!(server.output().matches("event=tls_handshake_failed").count(), lines);
    Raw::connect(server.port).wait_for_end();
    server.wait_for_output("it timed out");
}

#[test]
fn a_flood_of_failed_tls_handshakes_does_not_flood_the_log() {
    let server = tls_server();
    let begun = Instant::now();
    for _ in 0..1_000 {
        let mut client = Raw::connect(server.port);
        client.send([0x16, 9, 9, 0, 5, 1, 2, 3, 4, 5]);
        client.wait_for_end();
    }
    let seconds = begun.elapsed().as_secs() + 2;
    crate::harness::pause(Duration::from_millis(1));
    let lines = server.output().matches("event=tls_handshake_failed").count() as u64;
    assert!(lines > 0 && lines <= 100 * seconds, "{lines} lines in {seconds} s");
}

#[test]
fn the_end_of_a_client_with_unknown_subprotocols_has_a_hint() {
    const HINT: &str = "it offered subprotocols, but none is served on this path";
    let server = Server::start();
    let offering = Open::web().header("Sec-WebSocket-Protocol", "soap, wamp");
    let mut browser = server.open(&offering);
    browser.send(frames::close(1002, ""));
    browser.expect_close(1002);
    let line = line_with(&server, &["event=connection_closed", HINT]);
    assert!(line.contains("by=client"), "{line}");
    drop(server.open(&offering));
    line_with(&server, &["event=connection_lost", HINT]);
    let mut other = server.open(&Open::web());
    other.send(frames::close(1001, ""));
    other.expect_close(1001);
    server.wait_for_output("code=1001");
    assert_eq!(server.output().matches(HINT).count(), 2);
}

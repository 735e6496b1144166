//! The HTTP API at the level of HTTP: served and refused requests, and the cost of hostile clients.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::api::{AUTH, Clients, PUBLISH, SHOP, head, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::watch::cpu_time_of_workers;
use crate::harness::{
    Bystander, DEADLINE, End, Folder, Open, Raw, Server, Setup, eventually, pause,
};

const ONE: &str = r#"{"to":"all","message":1}"#;

/// A1, A54.
#[test]
fn a_publication_reaches_the_clients_of_its_space_in_their_protocols() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let answer = server.post(PUBLISH, SHOP, ONE);
    assert_eq!((answer.status(), answer.json()["matched"].as_u64()), (200, Some(3)));
    for (name, value) in [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ] {
        assert_eq!(answer.head.header(name), Some(value));
    }
    assert!(answer.head.header("X-Request-Id").is_some() && answer.head.header("Date").is_some());
    let broadcast: &[&str] = &[r#"{"opcode":"broadcast","message":1}"#];
    clients.expect_frames(&server, [broadcast, &["1"], broadcast, &[], &[]]);
}

/// A2.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = setup().start();
    let mut listener = Clients::open(&server);
    let mut client = Raw::connect(server.port);
    let two = r#"{"to":"all","message":2}"#;
    client.send([post(PUBLISH, &[SHOP], ONE), post(PUBLISH, &[SHOP], two)].concat());
    assert_eq!((client.read_answer().status(), client.read_answer().status()), (200, 200));
    assert_eq!((listener.e.frame().as_text(), listener.e.frame().as_text()), ("1", "2"));
}

/// A3.
#[test]
fn a_body_may_come_in_chunks_of_one_byte() {
    let server = setup().start();
    let mut client = Raw::connect(server.port);
    let chunked = [SHOP, ("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")];
    let mut bytes = head("POST", PUBLISH, &chunked);
    for byte in ONE.bytes() {
        write!(bytes, "1;ext=\"x\"\r\n{}\r\n", char::from(byte)).unwrap();
    }
    bytes.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
    assert_eq!(client.request(&bytes).status(), 200);
    assert_eq!(client.request(post(PUBLISH, &[SHOP], ONE)).status(), 200);
}

/// A4.
#[test]
fn a_length_with_chunks_is_answered_once_and_what_follows_is_not_read() {
    let server = setup().start();
    let mut listener = Clients::open(&server);
    let mut client = Raw::connect(server.port);
    let both = [
        SHOP,
        ("Content-Type", "application/json"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
    ];
    let mut bytes = head("POST", PUBLISH, &both);
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes.extend_from_slice(&post(PUBLISH, &[SHOP], ONE));
    let answer = client.request(&bytes);
    assert!(answer.closes(), "{}", answer.head.text);
    client.expect_end();
    listener.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A5, A6, A10.
#[test]
fn what_breaks_a_rule_of_http_is_refused() {
    let server = setup().start();
    let chunks = |coding: &str| {
        let json = ("Content-Type", "application/json");
        let mut bytes = head("POST", PUBLISH, &[SHOP, json, ("Transfer-Encoding", coding)]);
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    };
    let length = |length: &str| {
        let mut bytes = head("POST", PUBLISH, &[SHOP, ("Content-Length", length)]);
        bytes.extend_from_slice(b"{}");
        bytes
    };
    let two_lengths = head("POST", PUBLISH, &[("Content-Length", "5"), ("Content-Length", "6")]);
    for bytes in [
        chunks("chunked, chunked"),
        chunks("gzip, chunked"),
        chunks("gzip"),
        length("+5"),
        length("5, 5"),
        two_lengths,
        b"GET /v1/info HTTP/1.1\r\nHost: h\r\nName : x\r\n\r\n".to_vec(),
        b"GET /v1/info HTTP/1.1\r\nHost: h\r\nA: b\r\n c: d\r\n\r\n".to_vec(),
        b"GET /v1/info HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n".to_vec(),
        "GET /v1/info?ü HTTP/1.1\r\nHost: h\r\n\r\n".as_bytes().to_vec(),
        b"GET /v1/info?a b HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
    ] {
        let mut client = Raw::connect(server.port);
        client.send(&bytes);
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(client.read_answer().status(), 400, "{shown}");
        // Where the length of a body is in doubt, what follows is not read.
        if shown.contains("Content-Length") || shown.contains("Transfer-Encoding") {
            client.wait_for_end();
        }
    }
    for bytes in
        ["GET /v1/info HTTP/1.1\r\n\r\n", "GET /v1/info HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"]
    {
        Raw::connect(server.port).request(bytes).is_error(400, "bad_request");
    }
    let websocket = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ];
    for target in ["/v1/apps/shop/connections", "/v1/chat", PUBLISH] {
        server.call("GET", target, &websocket).is_error(400, "bad_request");
    }
    let mut bytes = head("GET", "/v1/info", &[("Content-Length", "2")]);
    bytes.extend_from_slice(b"{}");
    assert!(Raw::connect(server.port).request(&bytes).is_error(400, "bad_request").closes());
}

#[test]
fn a_head_has_a_bound_in_bytes_and_in_lines() {
    let server = setup().start();
    let status = |headers: &[(&str, &str)]| server.call("GET", "/v1/info", headers).status();
    assert_eq!(status(&[("Long", &"x".repeat(15_000))]), 200);
    assert_eq!(status(&[("Long", &"x".repeat(17_000))]), 431);
    assert_eq!(status(&[("A", "b"); 90]), 200);
    assert_eq!(status(&[("A", "b"); 101]), 431);
}

/// A7.
#[test]
fn an_expected_100_comes_after_the_credentials_were_checked() {
    let server = setup().start();
    let expects = [
        ("Content-Type", "application/json"),
        ("Expect", "100-continue"),
        ("Content-Length", "24"),
    ];
    let mut client = Raw::connect(server.port);
    let wrong =
        [("Authorization", "Bearer wrong"), expects[0], expects[1], ("Content-Length", "5000000")];
    let answer = client.request(head("POST", PUBLISH, &wrong));
    assert!(answer.is_error(401, "invalid_credentials").closes());
    client.expect_end();
    let mut client = Raw::connect(server.port);
    client.send(head("POST", PUBLISH, &[&[SHOP], &expects[..]].concat()));
    assert_eq!(client.read_head().status(), 100);
    assert_eq!(client.request(ONE).status(), 200);
}

/// A9.
#[test]
fn a_stalled_body_is_refused_at_its_deadline() {
    let server = setup().start();
    let mut client = Raw::connect(server.port);
    let length = [SHOP, ("Content-Type", "application/json"), ("Content-Length", "1000000")];
    client.send(head("POST", PUBLISH, &length));
    client.send("0123456789");
    let start = Instant::now();
    assert!(client.read_answer().is_error(408, "request_timeout").closes());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    client.expect_end();
}

/// A8, with a tenth of the time.
#[test]
fn heads_that_come_byte_by_byte_are_cut_off_and_bystanders_are_served() {
    let server = Setup::new().ini("handshakeTimeout = 1s").start();
    let mut bystander = Bystander::connect(&server);
    let head = head("GET", "/v1/info", &[("Long", &"x".repeat(100))]);
    let mut slow: Vec<Raw> = (0..400).map(|_| Raw::connect(server.port)).collect();
    let start = Instant::now();
    for byte in &head {
        slow.iter_mut().for_each(|client| drop(client.try_send([*byte])));
        if start.elapsed() > Duration::from_millis(2500) {
            break;
        }
        pause(Duration::from_millis(50));
        bystander.is_served();
        assert_eq!(server.call("GET", "/v1/info", &[]).status(), 200);
    }
    for client in &mut slow {
        client.wait_for_end();
    }
}

/// A11, A12.
#[test]
fn methods_are_listed_and_other_origins_are_refused() {
    let server = setup().start();
    let preflight = [("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")];
    let answer = server.call("OPTIONS", PUBLISH, &preflight);
    assert_eq!((answer.status(), answer.head.header("Allow")), (204, Some("POST, OPTIONS")));
    assert!(!answer.head.text.to_lowercase().contains("access-control"), "{}", answer.head.text);
    let answer = server.call("GET", PUBLISH, &[SHOP]);
    assert_eq!(
        answer.is_error(405, "method_not_allowed").head.header("Allow"),
        Some("POST, OPTIONS")
    );
    let answer = server.call("PUT", "/livez", &[]);
    assert_eq!((answer.status(), answer.head.header("Allow").is_some()), (405, true));
    let mut client = Raw::connect(server.port);
    client.send(head("HEAD", "/v1/info", &[]));
    let answer = client.read_head();
    assert_eq!(answer.status(), 200);
    assert!(answer.header("Content-Length").is_some_and(|length| length != "0"));
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = setup().start();
    let mut client = Raw::connect(server.port);
    client.send("GET /v1/info HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(client.read_answer().closes());
    client.expect_end();
}

#[test]
fn a_kept_connection_that_is_idle_too_long_ends() {
    let server = setup().ini("apiIdleTimeout = 300ms").start();
    let mut client = Raw::connect(server.port);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    assert_eq!(client.expect_end(), End::Fin);
}

#[test]
fn the_connection_that_is_idle_longest_makes_room() {
    let server = setup().ini("apiMaxConnections = 2").start();
    let mut clients: Vec<Raw> = (0..3).map(|_| Raw::connect(server.port)).collect();
    for client in &mut clients {
        assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    }
    clients[0].expect_end();
    assert_eq!(clients[1].request(head("GET", "/v1/info", &[])).status(), 200);
    assert_eq!(clients[2].request(head("GET", "/v1/info", &[])).status(), 200);
}

/// A16.
#[test]
fn an_open_server_has_one_application_and_no_name_of_another_host() {
    let server = Server::start();
    let publish = |host: &str| {
        let bytes = post("/v1/apps/-/publish", &[], ONE);
        let text = String::from_utf8(bytes).unwrap();
        Raw::connect(server.port).request(text.replace("Host: localhost", &format!("Host: {host}")))
    };
    for host in ["localhost", "127.0.0.1:8094", "[::1]:1", "LOCALHOST:1"] {
        assert_eq!(publish(host).status(), 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil"] {
        publish(host).is_error(403, "invalid_host");
    }
    server.call("GET", "/v1/apps/shop/publish", &[]).is_error(405, "method_not_allowed");
}

/// A15.
#[test]
fn addresses_of_its_own_serve_only_the_api() {
    let ini = "apiAddress = http://127.0.0.1:0, unix:api.sock\napiSocketMode = 0600";
    let server = setup().ini(ini).start();
    server.call("GET", "/v1/info", &[]).is_error(404, "not_found");
    let line = server.wait_for_output("API on http://127.0.0.1:");
    let port = line.split("http://127.0.0.1:").nth(1).unwrap();
    let port = port.split(|end: char| !end.is_ascii_digit()).next().unwrap().parse().unwrap();
    let mut client = Raw::connect(port);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    assert_eq!(client.request(post(PUBLISH, &[SHOP], ONE)).status(), 200);
    let mut socket =
        std::os::unix::net::UnixStream::connect(server.folder.path("api.sock")).unwrap();
    socket.write_all(&head("GET", "/v1/info", &[("Connection", "close")])).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut socket, &mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}

#[test]
fn without_it_its_paths_are_those_of_any_websocket() {
    let server = setup().ini("api = off").start();
    assert!(server.children().iter().all(|(_, line)| !line.contains(" api ")));
    assert_eq!(server.call("GET", "/v1/info", &[]).status(), 404);
    Open::at("/v1/chat?key=shop").upgrade(server.port);
}

//! What the server answers to heads that are wrong or mean it badly: faults 1 to 5. Beside each of
//! them a bystander is served as if nothing were.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]
#![allow(clippy::disallowed_methods, reason = "some of the promises are about time")]

mod harness;

use std::time::{Duration, Instant};

use harness::{Bystander, KEY, Open, Raw, Server, Setup, echo, frames, pause};

/// Sends a head that is to be refused before the upgrade.
#[track_caller]
fn refused(server: &Server, head: &str, statuses: &[u16]) {
    let mut client = Raw::connect(server.port);
    client.send(head);
    let shown = &head[..head.len().min(300)];
    let answer = client.read_head();
    assert!(statuses.contains(&answer.status()), "{} to {shown:?}", answer.text);
    client.wait_for_end();
}

#[test]
fn fault_1_a_head_that_never_gets_complete_ends_at_its_deadline() {
    let server = Setup::new().ini("handshakeTimeout = 1s").start();
    let mut bystander = Bystander::beside(&server);
    let begin = Instant::now();
    let mut slow: Vec<_> = (0..50).map(|_| Raw::connect(server.port)).collect();
    // The deadline is for the whole head: a byte now and then does not move it.
    let mut head = b"GET /web HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'a'));
    while begin.elapsed() < Duration::from_millis(1500) {
        let byte = *head.next().unwrap_or(&b'a');
        slow.iter_mut().for_each(|client| drop(client.try_send([byte])));
        bystander.is_served();
        pause(Duration::from_millis(50));
    }
    for client in &mut slow {
        client.wait_for_end();
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    bystander.is_served();
    server.open(&Open::web()).expect_silence();
}

#[test]
fn fault_1_a_peer_that_says_nothing_at_all_ends_at_the_deadline_too() {
    let server = Setup::new().ini("handshakeTimeout = 1s").start();
    let begin = Instant::now();
    Raw::connect(server.port).wait_for_end();
    let waited = begin.elapsed();
    assert!(waited > Duration::from_millis(900), "ended too early, after {waited:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn fault_2_a_head_without_end_is_refused_at_its_limit() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let begin = "GET /web HTTP/1.1\r\nHost: h\r\n";
    refused(&server, &format!("{begin}X-Long: {}", "a".repeat(20_000)), &[431]);
    refused(&server, &format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)), &[414, 431]);
    let many: String = (0..100).map(|number| format!("X-{number}: y\r\n")).collect();
    refused(&server, &format!("{begin}{many}\r\n"), &[431]);
    bystander.is_served();
}

#[test]
fn fault_2_a_head_without_end_in_single_bytes_is_refused_at_its_limit() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let mut client = Raw::connect(server.port);
    let head = format!("GET /web HTTP/1.1\r\nX-Long: {}", "a".repeat(8192));
    for byte in head.bytes().take(8192) {
        client.send([byte]);
    }
    client.expect_refusal(431);
    bystander.is_served();
}

#[test]
fn fault_3_a_wrong_upgrade_is_refused() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let web = Open::web;
    let wrong = [
        (web().method("POST"), &[405][..]),
        (web().version("HTTP/1.0"), &[400, 426, 505]),
        (web().version("HTTP/2.0"), &[400, 426, 505]),
        (web().version("HTTQ/1.1"), &[400]),
        (web().without("Host"), &[400]),
        (web().without("Sec-WebSocket-Key"), &[400]),
        (web().header("Sec-WebSocket-Key", "abc"), &[400]),
        (web().header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ"), &[400]),
        (web().header("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!=="), &[400]),
        (web().and_header("Sec-WebSocket-Key", KEY), &[400]),
        (web().and_header("Host", "other"), &[400]),
        (web().header("Sec-WebSocket-Version", "12"), &[426]),
        (web().header("Connection", "close"), &[400]),
        (web().header("Upgrade", "h2c"), &[400]),
    ];
    for (open, statuses) in wrong {
        refused(&server, &open.request(), statuses);
    }
    bystander.is_served();
}

#[test]
fn fault_4_tricks_with_headers_are_refused() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let right = Open::web().request();
    let with = |line: &str| right.replacen("\r\nHost:", &format!("\r\n{line}\r\nHost:"), 1);
    let tricks = [
        right.replacen("\r\nUpgrade", "\nUpgrade", 1),
        with("X-Nul: a\0b"),
        with("X-Folded: a\r\n b"),
        with("X-Space : a"),
        with("X-Return: a\rb"),
        with("no colon here"),
        with(": no name"),
        with("X-Näme: a"),
        right.replacen("GET /web HTTP/1.1", "GET  /web HTTP/1.1", 1),
        right.replacen("GET /web HTTP/1.1", "GET /web", 1),
        right.replacen("GET /web HTTP/1.1", "GET /we\0b HTTP/1.1", 1),
    ];
    for head in tricks {
        refused(&server, &head, &[400]);
    }
    bystander.is_served();
}

/// What somebody else's parser needed quadratic time for.
#[test]
fn fault_4_many_blanks_and_many_extensions_cost_nothing() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let open = Open::web().header("Sec-WebSocket-Protocol", &format!("a{}b", " ".repeat(7000)));
    open.ask(server.port).read_head();
    let open = Open::web().header("Sec-WebSocket-Protocol", &" ".repeat(65_536));
    refused(&server, &open.request(), &[431]);
    let open = Open::web().header("Sec-WebSocket-Extensions", &"x, ".repeat(1000));
    let mut client = open.ask(server.port);
    assert_eq!(client.expect_upgrade().header("Sec-WebSocket-Extensions"), None);
    client.expect_ready();
    bystander.is_served();
}

#[test]
fn fault_4_what_is_refused_is_not_repeated_in_the_answer() {
    let server = Server::start();
    let mut client = Raw::connect(server.port);
    client.send("GET /<script>mark</script> HTTP/1.1\r\nHost: <b>mark</b>\r\n\r\n");
    let head = client.read_head();
    let length = head.header("Content-Length").map_or(0, |value| value.parse().unwrap_or(0));
    let body = client.read_exactly(length);
    assert!(!head.text.contains("mark") && !String::from_utf8_lossy(&body).contains("mark"));
}

#[test]
fn fault_5_frames_before_the_upgrade_wait_and_are_served_in_order() {
    let server = Server::start();
    let packets: Vec<_> = (0..20).map(|number| echo(&format!("early {number}"))).collect();
    let early: Vec<u8> = packets.iter().flat_map(frames::text).collect();
    let mut client = Raw::connect(server.port);
    client.send([Open::web().request().as_bytes(), &early].concat());
    client.expect_upgrade();
    client.expect_ready();
    let mut echoed = Vec::new();
    while echoed.len() < packets.len() {
        let frame = client.frame();
        if frame.as_text() != harness::NEXT {
            echoed.push(frame.as_text().to_owned());
        }
    }
    assert_eq!(echoed, packets);
}

#[test]
fn fault_5_a_second_request_is_no_frame() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let mut client = server.open(&Open::web());
    client.send(Open::web().request());
    client.expect_closed_somehow(1002);
    bystander.is_served();
}

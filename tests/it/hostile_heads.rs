//! Invalid and hostile request heads: faults 1 to 4 of `docs/faults.md`. During each attack a bystander must
//! be served normally, and nothing may be left afterwards.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::wait::in_one_of_a_few;
use crate::harness::watch::{cpu_time_of_workers, resident_of_workers};
use crate::harness::{
    DEADLINE, KEY, Open, Raw, Server, Setup, eventually, pause, with_a_bystander,
};

/// Sends a head that must be refused before the upgrade.
#[track_caller]
fn refused(server: &Server, head: &str, statuses: &[u16]) {
    let mut client = Raw::connect(server.port);
    client.send(head);
    let shown = &head[..head.len().min(300)];
    let answer = client.read_head();
    assert!(statuses.contains(&answer.status()), "{} to {shown:?}", answer.text);
    client.wait_for_end();
}

/// Returns many different source addresses.
fn addresses() -> impl Iterator<Item = String> {
    (1..=9).flat_map(|net| (1..=9).map(move |host| format!("127.0.{net}.{host}"))).cycle()
}

#[test]
fn fault_1_a_head_that_never_gets_complete_ends_at_its_deadline() {
    let server = Setup::new().ini("handshakeTimeout = 1s").start();
    with_a_bystander(&server, |bystander| {
        let before = resident_of_workers(&server);
        let begin = Instant::now();
        let mut slow: Vec<_> =
            addresses().take(400).map(|from| Raw::connect_from(&from, server.port)).collect();
        // The deadline applies to the whole head. Single bytes that arrive now and then do not extend it.
        let mut head = b"GET /web HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'a'));
        let mut rounds = 0;
        while !slow.iter().all(is_answered) {
            let byte = *head.next().unwrap_or(&b'a');
            slow.iter_mut().for_each(|client| drop(client.try_send([byte])));
            bystander.is_served();
            server.open(&Open::web()).expect_silence();
            rounds += 1;
            assert!(begin.elapsed() < DEADLINE, "the deadline moves");
            pause(Duration::from_millis(50));
        }
        assert!(rounds > 3, "they had no time at all");
        let grown = resident_of_workers(&server).saturating_sub(before);
        assert!(grown < 400 * 16 * 1024, "{grown} bytes for 400 heads");
        for client in &mut slow {
            client.wait_for_end();
            let answer = client.take_all();
            let is_408 = answer.starts_with(b"HTTP/1.1 408 Request Timeout\r\n");
            assert!(answer.is_empty() || is_408, "{}", String::from_utf8_lossy(&answer));
        }
        server.open(&Open::web()).expect_silence();
    });
}

/// Returns whether an answer or the end of the connection has arrived.
fn is_answered(client: &Raw) -> bool {
    client.stream().set_nonblocking(true).unwrap();
    let waits = client.stream().peek(&mut [0]);
    client.stream().set_nonblocking(false).unwrap();
    !waits.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// A worker handles 1,024 handshakes at a time. Further clients wait until these are finished.
#[test]
fn fault_1_slow_handshakes_do_not_block_new_connections() {
    let server = Setup::new().ini("handshakeTimeout = 1s").start();
    with_a_bystander(&server, |bystander| {
        let begin = b"GET /web HTTP/1.1\r\nX: ";
        let slow: Vec<_> = addresses()
            .take(2 * 1024 + 200)
            .map(|from| {
                let mut client = Raw::connect_from(&from, server.port);
                client.send(begin);
                client
            })
            .collect();
        // Connected clients are served meanwhile.
        (0..20).for_each(|_| bystander.is_served());
        server.open(&Open::web()).expect_silence();
        drop(slow);
    });
}

#[test]
fn fault_1_a_silent_peer_is_closed_at_the_deadline() {
    let server = Setup::new().ini("handshakeTimeout = 1s").start();
    with_a_bystander(&server, |_| {
        let begin = Instant::now();
        Raw::connect(server.port).wait_for_end();
        let waited = begin.elapsed();
        assert!(waited > Duration::from_millis(900), "ended too early, after {waited:?}");
        assert!(waited < Duration::from_secs(5), "{waited:?}");
    });
}

#[test]
fn fault_2_a_head_without_end_is_refused_at_its_limit() {
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let begin = "GET /web HTTP/1.1\r\nHost: h\r\n";
        let before = resident_of_workers(&server);
        refused(&server, &format!("{begin}X-Long: {}", "a".repeat(20_000)), &[431]);
        refused(&server, &format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)), &[414, 431]);
        for lines in [100, 10_000] {
            let many: String = (0..lines).map(|number| format!("X-{number}: y\r\n")).collect();
            refused(&server, &format!("{begin}{many}\r\n"), &[431]);
        }
        let mut endless = Raw::connect(server.port);
        endless.send(format!("{begin}X-Long: "));
        let mut sent = 0;
        while sent < 8 * 1024 * 1024 && endless.try_send([b'a'; 4096]).is_ok() {
            sent += 4096;
        }
        bystander.is_served();
        let grown = resident_of_workers(&server).saturating_sub(before);
        assert!(grown < 4 * 1024 * 1024, "{grown} bytes for heads of 16 KiB");
    });
}

/// Cookies of single sign-on are long.
#[test]
fn a_head_may_be_as_long_as_max_head() {
    let cookie = |bytes: usize| Open::web().header("Cookie", &"c".repeat(bytes));
    let server = Server::start();
    server.open(&cookie(15_000));
    cookie(17_000).ask(server.port).expect_refusal(431);
    let lines = |count: usize| {
        (0..count).fold(Open::web(), |open, line| open.and_header(&format!("X-{line}"), "y"))
    };
    server.open(&lines(93));
    lines(94).ask(server.port).expect_refusal(431);
    let large = Setup::new().ini("maxHead = 64K").start();
    large.open(&cookie(65_000));
    cookie(66_000).ask(large.port).expect_refusal(431);
    let small = Setup::new().ini("maxHead = 1K").start();
    small.open(&Open::web());
    cookie(1000).ask(small.port).expect_refusal(431);
}

/// The memory of heads is limited even where single heads may be long: the share of each shrinks with their
/// number.
#[test]
fn many_long_heads_at_once_take_a_bounded_part_of_the_memory() {
    let server = Setup::new().ini("maxHead = 64K\nhandshakeTimeout = 60s").start();
    with_a_bystander(&server, |bystander| {
        let before = resident_of_workers(&server);
        let begun = format!("GET /web HTTP/1.1\r\nX: {}", "a".repeat(60_000));
        let begin = |from: String| {
            let mut client = Raw::connect_from(&from, server.port);
            client.try_send(&begun).ok().map(|()| client)
        };
        let clients: Vec<_> = addresses().take(900).filter_map(begin).collect();
        // A turn has a time budget, so new connections are served before all of these heads are read.
        eventually("heads above their share are refused", || {
            let refused = clients.iter().filter(|client| is_answered(client)).count();
            (refused > 150).then_some(())
        });
        bystander.is_served();
        let grown = resident_of_workers(&server).saturating_sub(before);
        // All of them together would take 54 MB.
        assert!(grown < 48 * 1024 * 1024, "{grown} bytes for {} heads", clients.len());
        drop(clients);
        server.open(&Open::web()).expect_silence();
    });
}

/// A client of `tagcast.v1` that never sends its first frame holds its whole head.
#[test]
fn many_long_heads_before_hello_take_a_bounded_part_too() {
    let server = Setup::new().ini("maxHead = 64K\nhandshakeTimeout = 60s").start();
    let before = resident_of_workers(&server);
    let request = Open::v1("/web").and_header("Cookie", &"c".repeat(60_000)).request();
    let ask = |from: String| {
        let mut client = Raw::connect_from(&from, server.port);
        client.send(&request);
        client
    };
    let clients: Vec<_> = addresses().take(900).map(ask).collect();
    eventually("heads above their share are refused", || {
        let refused = clients.iter().filter(|client| begins_with(client, b"HTTP/1.1 503"));
        (refused.count() > 150).then_some(())
    });
    let grown = resident_of_workers(&server).saturating_sub(before);
    assert!(grown < 48 * 1024 * 1024, "{grown} bytes for {} heads", clients.len());
    drop(clients);
    server.wait_until_empty();
    server.open_v1("/web", json!({}));
}

#[test]
fn the_beginning_of_many_hellos_counts_with_their_heads() {
    let server = Setup::new().workers(1).ini("maxHead = 64K\nhandshakeTimeout = 60s").start();
    let open = Open::v1("/web").and_header("Cookie", &"c".repeat(25_000));
    let mut clients: Vec<_> = (0..500).map(|_| open.upgrade(server.port)).collect();
    for client in &mut clients {
        // A text frame of 16,000 bytes, the first 12,000 of them.
        let mut begun = vec![0x81, 0xfe, 0x3e, 0x80, 0, 0, 0, 0];
        begun.resize(12_000, b' ');
        client.send(begun);
    }
    eventually("clients above their share are closed", || {
        let closed = server.output().matches("status=\"Close 4100\"").count();
        (closed > 10).then_some(())
    });
    drop(clients);
    server.wait_until_empty();
    server.open_v1("/web", json!({}));
}

/// Returns whether an answer with this beginning has arrived.
fn begins_with(client: &Raw, expected: &[u8]) -> bool {
    let mut start = vec![0; expected.len()];
    is_answered(client) && client.stream().peek(&mut start).is_ok() && start == expected
}

#[test]
fn fault_2_a_head_without_end_in_single_bytes_is_refused_at_its_limit() {
    let server = Server::start();
    with_a_bystander(&server, |_| {
        let mut client = Raw::connect(server.port);
        let head = format!("GET /web HTTP/1.1\r\nX-Long: {}", "a".repeat(16384));
        for byte in head.bytes().take(16384) {
            client.send([byte]);
        }
        client.expect_refusal(431);
    });
}

/// A server that scanned a head from its start for each byte would need eight times as long for the last
/// kilobyte as for the first. The cost of a read of one byte is the same for both.
#[test]
fn fault_2_every_byte_of_a_long_head_costs_the_same() {
    in_one_of_a_few(bytes_of_a_long_head);
}

/// Where the machine is busy the worker reads several bytes at once, early or late.
fn bytes_of_a_long_head() -> Result<(), String> {
    const PEERS: usize = 60;
    const BYTES: usize = 1000;
    let server = Setup::new().ini("handshakeTimeout = 60s").start();
    let mut outcome = Ok(());
    with_a_bystander(&server, |bystander| {
        let mut clients: Vec<_> = (0..PEERS).map(|_| Raw::connect(server.port)).collect();
        let mut cost_of = |filler: &str| {
            clients.iter_mut().for_each(|client| client.send(filler));
            bystander.is_served();
            let before = cpu_time_of_workers(&server);
            for _ in 0..BYTES {
                clients.iter_mut().for_each(|client| client.send("a"));
            }
            bystander.is_served();
            cpu_time_of_workers(&server) - before
        };
        let early = cost_of("GET /web HTTP/1.1\r\nX: ");
        let late = cost_of(&"a".repeat(6000));
        if late >= early * 3 {
            outcome = Err(format!("{early:?} for early bytes, {late:?} for late ones"));
        }
    });
    outcome
}

#[test]
fn fault_3_a_wrong_upgrade_is_refused() {
    let server = Setup::new().ini("[resource /strict]\nkind = broadcast").start();
    let web = Open::web;
    // Paths of the old servers accept other keys too.
    let strict = |key| Open::at("/strict").header("Sec-WebSocket-Key", key);
    let wrong = [
        (web().method("POST"), &[405][..]),
        (web().method("get"), &[405]),
        (web().method("CONNECT").target("h:1"), &[405]),
        (web().method("G\u{e4}T"), &[400]),
        (web().version("HTTP/1.0"), &[400, 426, 505]),
        (web().version("HTTP/2.0"), &[400, 426, 505]),
        (web().version("HTTQ/1.1"), &[400]),
        (web().version("HTTP/1.1 HTTP/1.9 x"), &[400]),
        (web().without("Host"), &[400]),
        (web().without("Sec-WebSocket-Key"), &[400]),
        (web().header("Sec-WebSocket-Key", ""), &[400]),
        (strict("abc"), &[400]),
        (strict("dGhlIHNhbXBsZSBub25jZQ"), &[400]),
        (strict("!!!!!!!!!!!!!!!!!!!!!!=="), &[400]),
        (strict("dGhlIHNhbXBsZSBub25jZTE3Yg=="), &[400]),
        (web().and_header("Sec-WebSocket-Key", KEY), &[400]),
        (web().and_header("Host", "other"), &[400]),
        (web().header("Sec-WebSocket-Version", "12"), &[426]),
        (web().header("Sec-WebSocket-Version", "14"), &[426]),
        (web().header("Sec-WebSocket-Version", "99999999999999999999"), &[426]),
        (web().header("Connection", "close"), &[400]),
        (web().without("Connection"), &[400]),
        (web().without("Upgrade"), &[400]),
        (web().header("Upgrade", "h2c"), &[400]),
    ];
    with_a_bystander(&server, |bystander| {
        for (open, statuses) in wrong {
            refused(&server, &open.request(), statuses);
            bystander.is_served();
        }
    });
}

#[test]
fn fault_3_a_refusal_names_what_is_allowed() {
    let server = Server::start();
    let answer = |open: &Open| open.ask(server.port).read_head();
    let version = answer(&Open::web().header("Sec-WebSocket-Version", "12"));
    assert_eq!(version.header("Sec-WebSocket-Version"), Some("13"));
    assert_eq!(answer(&Open::web().method("PUT")).header("Allow"), Some("GET"));
}

#[test]
fn fault_4_tricks_with_headers_are_refused() {
    let server = Server::start();
    let right = Open::web().request();
    let with = |line: &str| right.replacen("\r\nHost:", &format!("\r\n{line}\r\nHost:"), 1);
    let tricks = [
        right.replacen("\r\nUpgrade", "\nUpgrade", 1),
        right.replacen("\r\nUpgrade", "\r\r\nUpgrade", 1),
        with("X-Nul: a\0b"),
        with("X-Folded: a\r\n b"),
        with("X-Folded: a\r\n\tb"),
        with("X-Space : a"),
        with("X-Tab\t: a"),
        with("X-Return: a\rb"),
        with("X-Bell: a\x07b"),
        with("X-Delete: a\x7fb"),
        with("no colon here"),
        with(": no name"),
        with(" X-Blank: first"),
        with("X(Paren): a"),
        with("X-N\u{e4}me: a"),
        right.replacen("GET /web HTTP/1.1", "GET  /web HTTP/1.1", 1),
        right.replacen("GET /web HTTP/1.1", "GET /web", 1),
        right.replacen("GET /web HTTP/1.1", "GET /we\0b HTTP/1.1", 1),
        right.replacen("GET /web HTTP/1.1", " GET /web HTTP/1.1", 1),
        right.replacen("GET /web HTTP/1.1", "", 1),
    ];
    with_a_bystander(&server, |bystander| {
        for head in tricks {
            refused(&server, &head, &[400]);
            bystander.is_served();
        }
    });
}

/// Input for which the parser of another server needed quadratic time.
#[test]
fn fault_4_many_blanks_and_many_extensions_are_cheap() {
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let cost_of = |value: &str| {
            let open = Open::web().header("Sec-WebSocket-Protocol", value);
            let before = cpu_time_of_workers(&server);
            (0..100).for_each(|_| drop(open.ask(server.port).read_head()));
            cpu_time_of_workers(&server) - before
        };
        let (few, many) = (cost_of("ab"), cost_of(&format!("a{}b", " ".repeat(7000))));
        // A quadratic parser would need 49 million steps for each of them.
        assert!(many < few * 20, "{few:?} without blanks, {many:?} with 7,000");
        let open = Open::web().header("Sec-WebSocket-Protocol", &" ".repeat(65_536));
        refused(&server, &open.request(), &[431]);
        let open = Open::web().header("Sec-WebSocket-Extensions", &"x, ".repeat(1000));
        let mut client = open.ask(server.port);
        assert_eq!(client.expect_upgrade().header("Sec-WebSocket-Extensions"), None);
        client.expect_ready();
        bystander.is_served();
    });
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

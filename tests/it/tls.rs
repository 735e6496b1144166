//! TLS: cases 87 to 89 of the contract, and everything else works as without TLS.

use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use crate::harness::tls::{ALL_VERSIONS, certificate_between, certificate_in, certificate_until};
use crate::harness::{Folder, Open, Raw, Server, broadcast, eventually, run_to_end};
use rustix::process::Signal;

const WRONG_CONFIGURATION: i32 = 78;

fn ini(scheme: &str, more: &str) -> String {
    format!(
        "[websocketserver]\nadress = {scheme}://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\n\
         pkFile = key.pem\n{more}"
    )
}

fn server_with(scheme: &str, more: &str) -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    folder.write("websock.ini", &ini(scheme, more));
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

fn server() -> Server {
    server_with("wss", "")
}

/// Opens a connection inside TLS and reads up to `ready`.
#[track_caller]
fn open(server: &Server, open: &Open) -> Raw {
    let mut client = open.upgrade_over(Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS));
    client.expect_ready();
    client
}

#[test]
fn case_87_tls_12_and_13_work_without_a_client_certificate() {
    for (scheme, more) in [("wss", ""), ("ssl", "[develop]\ndevelopsystem = false\n")] {
        let server = server_with(scheme, more);
        for version in ALL_VERSIONS {
            let client = Raw::connect_tls(server.port, &server.folder, &[version]);
            let mut client = Open::web().upgrade_over(client);
            client.expect_ready();
            client.text(broadcast("alone"));
            client.expect_next();
        }
    }
}

#[test]
fn case_88_the_server_needs_a_certificate_or_a_proxy_for_tls() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = wss://127.0.0.1:0\n");
    let finished = run_to_end(&folder, &["serve", "-i", "websock.ini"]);
    assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{}", finished.text);
    assert!(finished.text.contains("certFile or pkFile is missing"), "{}", finished.text);
    assert!(finished.text.contains("tls = proxy"), "{}", finished.text);
    for mode in ["off", "proxy"] {
        let folder = Folder::new();
        folder.write("websock.ini", &format!("adress = wss://127.0.0.1:0\ntls = {mode}\n"));
        let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
        server.open(&Open::web());
    }
}

#[test]
fn case_89_plain_text_on_a_tls_port_is_answered_and_dropped() {
    let server = server();
    let mut plain = Open::web().ask(server.port);
    plain.expect_refusal(400);
    open(&server, &Open::web());
}

#[test]
fn case_89_stalled_and_invalid_handshakes_are_dropped() {
    let server = server_with("wss", "tlsHandshakeTimeout = 1s\nhandshakeTimeout = 60s\n");
    let silent = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut begun = Raw::connect(server.port);
    begun.send([0x16, 3, 1, 2, 0]);
    begun.wait_for_end();
    Raw::over(silent).wait_for_end();
    let mut rubbish = Raw::connect(server.port);
    rubbish.send([0x16; 600]);
    rubbish.wait_for_end();
    open(&server, &Open::web());
}

#[test]
fn messages_of_all_sizes_cross_in_both_directions_and_in_order() {
    let server = server();
    let (mut one, mut other) = (open(&server, &Open::web()), open(&server, &Open::web()));
    for size in [0, 1, 125, 126, 16_000, 17_000, 300_000, 2_000_000] {
        let packet = broadcast(&"x".repeat(size));
        one.text(&packet);
        one.expect_next();
        other.expect_text(&packet);
    }
    let mut together = Vec::new();
    for number in 0..500 {
        together.extend(crate::harness::frames::text(broadcast(&number.to_string())));
    }
    one.send(together);
    for number in 0..500 {
        one.expect_next();
        other.expect_text(&broadcast(&number.to_string()));
    }
}

/// Twenty megabytes for a client that has stopped reading: they wait, and arrive complete and in order.
#[test]
fn a_slow_reader_gets_all_of_a_long_backlog() {
    let server = server_with("wss", "outboxLimit = 64M\npingInterval = 0\n");
    let (mut publisher, mut slow) = (open(&server, &Open::web()), open(&server, &Open::web()));
    let large = "x".repeat(1_000_000);
    for number in 0..20 {
        publisher.text(broadcast(&format!("{number} {large}")));
        publisher.expect_next();
    }
    for number in 0..20 {
        slow.expect_text(&broadcast(&format!("{number} {large}")));
    }
}

#[test]
fn a_client_that_never_reads_is_closed_and_the_others_miss_nothing() {
    let server = server_with("wss", "outboxLimit = 6M\npingInterval = 0\n");
    let (mut publisher, _slow) = (open(&server, &Open::web()), open(&server, &Open::web()));
    let mut other_client = open(&server, &Open::web());
    let large = "x".repeat(1_000_000);
    for number in 0..20 {
        let packet = broadcast(&format!("{number} {large}"));
        publisher.text(&packet);
        publisher.expect_next();
        other_client.expect_text(&packet);
    }
    server.wait_for_output("event=slow_client");
}

#[test]
fn a_broker_death_closes_no_tls_client_and_shutdown_sends_a_close() {
    let server = server();
    let (mut one, mut other) = (open(&server, &Open::web()), open(&server, &Open::web()));
    let dead = server.kill_broker();
    one.text(broadcast("still here"));
    one.expect_next();
    eventually("another broker", || (server.broker() != dead).then_some(()));
    other.expect_text(&broadcast("still here"));
    server.signal(Signal::TERM);
    for client in [&mut one, &mut other] {
        client.expect_closed_somehow(1001);
    }
    assert!(server.wait_exit(crate::harness::DEADLINE).success());
}

#[test]
fn the_page_is_served_inside_tls_too() {
    let server = server();
    let mut browser = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    browser.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = browser.read_head();
    assert_eq!(head.status(), 200);
    let length: usize = head.header("Content-Length").unwrap().parse().unwrap();
    browser.read_exactly(length);
    browser.expect_end();
}

#[test]
fn an_unusable_certificate_is_reported_before_the_start() {
    let finding = |folder: &Folder, words: &[&str]| {
        folder.write("websock.ini", &ini("wss", ""));
        for command in ["check", "serve"] {
            let finished = run_to_end(folder, &[command, "-i", "websock.ini"]);
            assert_eq!(finished.code, Some(WRONG_CONFIGURATION), "{}", finished.text);
            let place = ["websock.ini:", "tagcast: 1 error"];
            for words in words.iter().chain(&place) {
                assert!(finished.text.contains(words), "no {words:?} in {}", finished.text);
            }
        }
    };
    let folder = Folder::new();
    certificate_between(&folder, 2001, 2002);
    finding(&folder, &["certFile", "expired on Jan  1", "2002"]);
    certificate_between(&folder, 2190, 2191);
    finding(&folder, &["certFile", "not valid before"]);
    certificate_in(&folder);
    let key = std::fs::read_to_string(folder.root().join("key.pem")).unwrap();
    certificate_in(&folder);
    folder.write("key.pem", &key);
    finding(&folder, &["pkFile", "does not belong to the certificate"]);
    folder.write("key.pem", "rubbish");
    finding(&folder, &["pkFile", "holds no private key"]);
    folder.write("cert.pem", "rubbish");
    finding(&folder, &["certFile", "holds no certificate"]);
    std::fs::remove_file(folder.root().join("cert.pem")).unwrap();
    finding(&folder, &["certFile", "there is no such file"]);
}

#[test]
fn a_certificate_that_ends_within_two_weeks_is_warned_about_and_served() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let check = |days: u32| {
        let folder = Folder::new();
        certificate_until(&folder, SystemTime::now() + DAY * days);
        folder.write("websock.ini", &ini("wss", ""));
        (run_to_end(&folder, &["check", "-i", "websock.ini"]), folder)
    };
    let (finished, _folder) = check(15);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    assert!(!finished.text.contains("renew"), "{}", finished.text);
    let (finished, folder) = check(13);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    for words in ["websock.ini:", "certFile: `cert.pem` expires on ", "renew it soon"] {
        assert!(finished.text.contains(words), "no {words:?} in {}", finished.text);
    }
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    open(&server, &Open::web());
    assert!(server.output().contains("renew it soon"), "{}", server.output());
}

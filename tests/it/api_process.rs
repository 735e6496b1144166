//! The process of the HTTP API: its death, its replacement, its end, and connections inside TLS that are piped to it.

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

/// A14.
#[test]
fn its_death_ends_its_own_connections_and_no_other() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server);
    let mut client = Raw::connect(server.port);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    let (api, closed) = (server.api_process(), server.counts().closed);
    send_signal(api, Signal::KILL);
    client.wait_for_end();
    // Connections that arrive meanwhile wait in the queue for the next API process.
    let start = Instant::now();
    assert_eq!(server.call("GET", "/v1/info", &[]).status(), 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_ne!(server.api_process(), api);
    bystander.is_served();
    assert_eq!(server.counts().closed, closed, "no WebSocket is closed");
    let status = server.status();
    assert!(status.processes.iter().any(|it| it.role == "api" && it.generation == 1));
}

#[test]
fn one_that_hangs_is_replaced() {
    let server = setup().start();
    let api = server.api_process();
    assert_eq!(server.call("GET", "/v1/info", &[]).status(), 200);
    send_signal(api, Signal::STOP);
    eventually("another API process", || (server.api_process() != api).then_some(()));
    assert_eq!(server.call("GET", "/v1/info", &[]).status(), 200);
}

#[test]
fn a_drain_refuses_new_requests_and_ends_kept_connections() {
    let server = setup().ini("drainTime = 3s").start();
    let mut client = Raw::connect(server.port);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    server.term();
    client.wait_for_end();
    assert!(server.wait_exit(Duration::from_secs(10)).success());
}

/// Starts a server whose address speaks TLS.
fn server_with_tls(lines: &str) -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    folder.write("auth.yml", AUTH);
    let ini = format!(
        "adress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\npkFile = key.pem\n{lines}\n"
    );
    folder.write("websock.ini", &ini);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// A13.
#[test]
fn on_a_tls_address_a_connection_is_piped_to_it() {
    let server = server_with_tls("");
    let connect = || Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    let mut listener = Open::at(r"/?key=shop&tags={}").upgrade_over(connect());
    let mut client = connect();
    for number in 0..1000 {
        let body = format!(r#"{{"to":"all","message":{number}}}"#);
        assert_eq!(client.request(post(PUBLISH, &[SHOP], &body)).status(), 200);
    }
    for number in 0..1000 {
        assert_eq!(listener.frame().as_text(), number.to_string());
    }
    // More than the pipe holds, in both directions. The second case is an error that closes the
    // connection.
    let large = format!(r#"{{"to":"all","message":"{}"}}"#, "x".repeat(3_000_000));
    assert_eq!(client.request(post(PUBLISH, &[SHOP], &large)).status(), 200);
    assert_eq!(listener.frame().payload.len(), 3_000_002);
    let wrong = ("Authorization", "Bearer wrong");
    assert!(client.request(post(PUBLISH, &[wrong], "{}")).closes());
    client.wait_for_end();
    // Its death ends the connections that are piped to it.
    let mut client = connect();
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    send_signal(server.api_process(), Signal::KILL);
    client.wait_for_end();
    assert_eq!(connect().request(head("GET", "/v1/info", &[])).status(), 200);
}

#[test]
fn a_kept_connection_inside_tls_does_not_hold_up_a_restart_of_the_workers() {
    let server = server_with_tls("drainTime = 60s");
    let mut client = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    // The client sends requests until it is closed, so the connection is never idle for long.
    let closed = std::thread::scope(|scope| {
        let requests = scope.spawn(move || {
            while client.try_send(head("GET", "/v1/info", &[])).is_ok()
                && client.read_segment(DEADLINE).is_ok()
            {}
        });
        let start = Instant::now();
        let finished = server.command(&["restart-workers"]);
        assert_eq!(finished.code, Some(0), "{}", finished.text);
        requests.join().unwrap();
        start.elapsed()
    });
    assert!(closed < Duration::from_secs(30), "{closed:?}");
}

#[test]
fn a_tls_client_that_ends_its_session_gets_its_answers_and_the_end() {
    let server = server_with_tls("");
    for is_new in [false, true] {
        let mut client = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
        if !is_new {
            assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
        }
        client.send(head("GET", "/v1/info", &[]).repeat(2));
        client.end_session();
        assert_eq!([client.read_answer().status(), client.read_answer().status()], [200, 200]);
        client.wait_for_end();
    }
}

#[test]
fn a_tls_client_that_reads_no_answer_is_closed_and_frees_everything() {
    let server = server_with_tls("");
    let mut client = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    client.stream().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let requests = head("GET", "/v1/info", &[]).repeat(500);
    while client.try_send(&requests).is_ok() {}
    let served = || server.status().api().unwrap();
    eventually("the API process closes it", || (served().open == 0).then_some(()));
    let before = cpu_time_of_workers(&server);
    eventually("the worker closes it", || (server.counts().open == 0).then_some(()));
    let used = cpu_time_of_workers(&server) - before;
    assert!(used < Duration::from_secs(1), "{used:?}");
}

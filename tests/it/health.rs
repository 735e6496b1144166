//! Health endpoints, on the addresses of the WebSockets and on those of the API.

use crate::harness::api::head;
use crate::harness::processes::send_signal;
use crate::harness::{DEADLINE, Finished, Open, Raw, Server, Setup, eventually, run_to_end};
use rustix::process::Signal;
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn own_address() -> Setup {
    Setup::new().workers(1).ini("apiAddress = http://127.0.0.1:0")
}

/// Starts a server, and waits until its API process knows that the workers are ready.
fn ready(setup: &Setup) -> (Server, u16) {
    let server = setup.start();
    let api = server.api_port("http");
    eventually("readiness", || (get(api, "/readyz").0 == 200).then_some(()));
    (server, api)
}

/// Status, content type and body of an answer.
fn get(port: u16, path: &str) -> (u16, String, String) {
    let answer = Raw::connect(port).request(head("GET", path, &[]));
    let content_type = answer.head.header("Content-Type").unwrap_or_default().to_owned();
    (answer.status(), content_type, answer.body)
}

fn expect_healthy(port: u16) {
    let plain = "text/plain; charset=utf-8";
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(get(port, path), (200, plain.to_owned(), "ok\n".to_owned()), "{path}");
    }
    let up = (200, "application/json".to_owned(), "{\"health\":\"OK\"}".to_owned());
    assert_eq!(get(port, "/up"), up);
    for path in ["/livez/", "/readyz/x", "/up/shop", "/livezz"] {
        assert_eq!(get(port, path).0, 404, "{path}");
    }
}

#[test]
fn a_serving_server_is_alive_and_ready_on_all_addresses() {
    let (server, api) = ready(&own_address());
    expect_healthy(server.port);
    expect_healthy(api);
    for port in [server.port, api] {
        let mut client = Raw::connect(port);
        client.send(head("HEAD", "/readyz", &[]));
        let head_only = client.read_head();
        let length = head_only.header("Content-Length");
        assert_eq!((head_only.status(), length), (200, Some("3")));
        let options = Raw::connect(port).request(head("OPTIONS", "/readyz", &[]));
        let allow = options.head.header("Allow");
        assert_eq!((options.status(), allow), (204, Some("GET, HEAD, OPTIONS")));
    }
    assert_eq!(get(api, "/readyz?verbose").2, "ok\nworkers ok\nbroker ok\nmemory ok\n");
    assert_eq!(get(api, "/readyz?verbos").0, 400);
    let two_hosts = Raw::connect(api).request(head("GET", "/readyz", &[("Host", "other")]));
    two_hosts.is_error(400, "bad_request");
    assert_eq!(get(server.port, "/readyz?verbose").2, "ok\n", "strangers get the word alone");
}

/// A244.
#[test]
fn health_does_not_depend_on_the_api_process() {
    let server = Setup::new().workers(1).ini("api = off").start();
    expect_healthy(server.port);
    let Finished { code, text } = server.command(&["health"]);
    assert_eq!((code, text.trim()), (Some(0), "ok"));
}

#[test]
fn a_later_request_on_a_connection_of_the_api_gets_the_health_too() {
    let server = Setup::new().workers(1).start();
    let mut client = Raw::connect(server.port);
    let is_ready = |client: &mut Raw| client.request(head("GET", "/readyz", &[])).status() == 200;
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    eventually("readiness", || is_ready(&mut client).then_some(()));
    let health = client.request(head("GET", "/readyz?verbose", &[]));
    assert_eq!((health.status(), &*health.body), (200, "ok\n"));
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
}

#[test]
fn a_bound_path_wins_over_a_health_endpoint() {
    let server = Setup::new().workers(1).ini("[resource /up]\nkind = echo").start();
    let mut client = Open::at("/up").upgrade(server.port);
    client.text("echo");
    client.expect_text("echo");
    assert_eq!(get(server.port, "/readyz").0, 200);
    assert_ne!(get(server.port, "/up").2, "{\"health\":\"OK\"}");
}

/// A243, for the broker.
#[test]
fn a_long_outage_of_the_broker_is_reported_and_a_short_one_is_not() {
    let (server, api) = ready(&own_address());
    server.kill_broker();
    server.broker();
    expect_healthy(server.port);
    // Its restart is delayed more and more.
    let unavailable = (503, "broker_unavailable\n".to_owned());
    for port in [server.port, api] {
        eventually("a long outage", || {
            if let Some(broker) = server.with_role("broker").first() {
                send_signal(*broker, Signal::KILL);
            }
            let (status, _, body) = get(port, "/readyz");
            ((status, body) == unavailable).then_some(())
        });
        assert_eq!(get(port, "/livez").0, 200, "the process that answers is alive");
    }
    let up = "{\"health\":\"broker_unavailable\"}";
    eventually("the end of the outage", || {
        let (status, _, body) = get(server.port, "/up");
        assert!(body == up || status == 200, "{body}");
        (status == 200).then_some(())
    });
    eventually("the link of the API", || (get(api, "/readyz").0 == 200).then_some(()));
}

/// A243, for the drain. The last client does not answer its Close, so its worker waits for it.
#[test]
fn a_drain_is_reported_until_the_last_client_is_gone() {
    let ini = "apiAddress = http://127.0.0.1:0, unix:api.sock\ndrainTime = 4s";
    let (server, api) = ready(&Setup::new().workers(1).ini(ini));
    let mut clients: Vec<Raw> = (0..3).map(|_| server.open(&Open::web())).collect();
    server.term();
    eventually("the drain", || (get(api, "/readyz").0 == 503).then_some(()));
    // A connection without a request, as some health checks keep it, delays nothing.
    let mut early = Raw::connect(api);
    let _silent = Raw::connect(api);
    for client in &mut clients {
        client.expect_close(1001);
        for path in ["/readyz", "/healthz"] {
            let (status, _, body) = get(api, path);
            assert_eq!((status, &*body), (503, "draining\n"), "{path}");
        }
    }
    assert_eq!(get(api, "/up").2, "{\"health\":\"draining\"}");
    assert_eq!(get(api, "/livez").0, 200, "the process that answers is alive");
    let mut over_unix = Raw::connect_unix(&server.folder.path("api.sock"));
    assert_eq!(over_unix.request(head("GET", "/readyz", &[])).status(), 503);
    early.request(head("GET", "/v1/info", &[])).is_error(503, "draining");
    early.wait_for_end();
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err(), "clients go elsewhere");
    drop(clients);
    let begun = Instant::now();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(!server.folder.path("api.sock").exists());
}

#[test]
fn a_server_without_workers_is_not_ready() {
    let (server, api) = ready(&own_address());
    let reason = eventually("no worker", || {
        if let Some(worker) = server.with_role("worker").first() {
            send_signal(*worker, Signal::KILL);
        }
        let (status, _, body) = get(api, "/readyz?verbose");
        (status == 503).then_some(body)
    });
    assert_eq!(reason, "no_workers_ready\nworkers no_workers_ready\nbroker ok\nmemory ok\n");
    eventually("a worker", || (get(api, "/readyz").0 == 200).then_some(()));
}

#[test]
fn scarce_memory_is_a_reason() {
    let server = own_address().ini("maxMemory = 4M").start();
    let api = server.api_port("http");
    eventually("the reason", || {
        let (status, _, body) = get(api, "/readyz");
        // Before the API process knows that the workers are ready, that is the reason.
        assert!(["starting\n", "memory_pressure\n"].contains(&&*body), "{body}");
        assert_eq!(status, 503);
        (body == "memory_pressure\n").then_some(())
    });
}

#[test]
fn the_command_reports_a_ready_server() {
    let (server, api) = ready(&own_address());
    let api = format!("http://127.0.0.1:{api}");
    let shared = format!("http://127.0.0.1:{}", server.port);
    for url in [api, shared] {
        let Finished { code, text } = server.command(&["health", "--url", &url]);
        assert_eq!((code, text.trim()), (Some(0), "ok"), "{url}");
    }
    let folder = &server.folder;
    let Finished { code, text } = run_to_end(folder, &["health", "--url", "http://127.0.0.1:1"]);
    assert!(code == Some(1) && text.contains("127.0.0.1:1"), "{text}");
    let Finished { code, text } = run_to_end(folder, &["health", "-i", "missing.ini"]);
    assert!(code == Some(78) && text.contains("missing.ini"), "{text}");
}

#[test]
fn a_server_that_is_not_ready_fails_the_command() {
    let server = own_address().ini("maxMemory = 4M").start();
    let url = format!("http://127.0.0.1:{}", server.api_port("http"));
    eventually("the reason", || {
        let Finished { code, text } = server.command(&["health", "--url", &url]);
        (code == Some(1) && text.trim() == "memory_pressure").then_some(())
    });
}

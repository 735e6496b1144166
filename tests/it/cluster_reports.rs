//! What clients and load balancers learn when hosts cannot share publications.

use serde_json::{Value, json};

use crate::harness::api::head;
use crate::harness::nats::{Nats, host_with, wait_until_joined, wait_until_settled};
use crate::harness::{Open, Raw, Server, broadcast, eventually, feedback_to_ident};
use crate::metrics::wait_for;

/// Publications that are lost; the last ones are kept.
const MESSAGES: usize = 300;

/// Two hosts with a small replay buffer.
fn small_hosts(nats: &Nats, lines: &str) -> [Server; 2] {
    let lines = format!("replayBytes = 64K\n{lines}");
    let both = [(); 2].map(|()| {
        host_with(nats, &lines)
            .variable("TAGCAST_MAX_MESSAGE", "16K")
            .variable("TAGCAST_DRAIN_TIME", "1s")
            .variable("TAGCAST_API_ADDRESS", "http://127.0.0.1:0")
            .start()
    });
    wait_until_joined(&both);
    wait_until_settled(both.each_ref());
    both
}

/// Publishes on a host more than its replay buffer holds while there is no NATS server.
fn lose(nats: &mut Nats, from: &Server) {
    let mut publisher = from.open(&Open::at("/web?key=shop"));
    nats.kill();
    from.wait_for_output("nats_disconnected");
    let padding = "x".repeat(1000);
    for number in 0..MESSAGES {
        publisher.text(broadcast(&format!("{number} {padding}")));
        publisher.expect_next();
    }
    nats.restart();
}

/// Reads frames until one has this operation.
#[track_caller]
fn next_of(client: &mut Raw, operation: &str) -> Value {
    loop {
        let frame = client.json();
        if frame["op"] == operation {
            return frame;
        }
    }
}

pub fn a_gap_is_reported_to_clients_of_modern_protocols() {
    let mut nats = Nats::start("");
    let [a, b] = small_hosts(&nats, "");
    let mut modern = b.open_v1("/", json!({"key": "shop"}));
    let mut stream = Raw::connect(b.port);
    stream.send(head("GET", "/sse?key=shop", &[("Accept", "text/event-stream")]));
    let mut old = b.open(&Open::at("/web?key=shop"));
    lose(&mut nats, &a);
    let recovery = next_of(&mut modern, "recovery");
    let expected = json!({"op": "recovery", "recovered": false, "replayed": 0, "reason": "gap",
        "missed": recovery["missed"]});
    assert_eq!(recovery, expected);
    let missed = recovery["missed"].as_u64().unwrap();
    assert_eq!(b.bridge_counts().unwrap().lost_items, missed);
    let line = eventually("the event", || {
        let line = String::from_utf8(stream.read_until(b'\n')).unwrap();
        line.starts_with("data: {\"recovered\"").then_some(line)
    });
    let event = format!(
        "data: {{\"recovered\":false,\"replayed\":0,\"reason\":\"gap\",\"missed\":{missed}}}"
    );
    assert_eq!(line, event);
    let first = old.frame();
    assert!(first.as_text().contains(&format!("\"{missed} x")), "{}", first.shown());
    wait_for(&b, &[("tagcast_recoveries_total{result=\"gap\"}", 2.0)]);
}

/// Names of clients are lost, and no publication. A host gets them again, and tells clients nothing.
pub fn lost_names_do_not_count_as_a_gap() {
    let mut nats = Nats::start("");
    let [a, b] = small_hosts(&nats, "onGap = close");
    let mut modern = b.open_v1("/", json!({"key": "shop"}));
    let mut named = a.open(&Open::php().target("/php?key=shop").ident("first"));
    nats.kill();
    a.wait_for_output("nats_disconnected");
    let scripts: Vec<Raw> = (0..MESSAGES)
        .map(|number| {
            let ident = format!("{number}-{}", "x".repeat(100));
            a.open(&Open::php().target("/php?key=shop").ident(&ident))
        })
        .collect();
    nats.restart();
    let lost = eventually("names are lost", || {
        Some(b.bridge_counts()?.lost_items).filter(|lost| *lost > 0)
    });
    b.wait_for_output("cluster_items_lost");
    wait_for(
        &b,
        &[
            (
                "tagcast_cluster_lost_items_total{reason=\"replay_buffer\",kind=\"other\"}",
                lost as f64,
            ),
            (
                "tagcast_cluster_lost_items_total{reason=\"replay_buffer\",kind=\"publication\"}",
                0.0,
            ),
            ("tagcast_cluster_gaps_total{reason=\"replay_buffer\"}", 0.0),
        ],
    );
    assert_eq!(b.bridge_counts().unwrap().gaps, 0);
    // All names are known again.
    let all = MESSAGES as f64 + 1.0;
    wait_for(&b, &[("tagcast_cluster_directory_entries{kind=\"ident\"}", all)]);
    let mut publisher = b.open(&Open::at("/web?key=shop"));
    let sent = feedback_to_ident("first", "hello");
    publisher.text(&sent);
    publisher.expect_next();
    named.expect_text(&sent);
    modern.expect_quiet();
    drop(scripts);
}

pub fn a_gap_closes_connections_where_that_is_configured() {
    let mut nats = Nats::start("");
    let [a, b] = small_hosts(&nats, "onGap = close");
    let mut modern = b.open_v1("/", json!({"key": "shop"}));
    let mut old = b.open(&Open::at("/web?key=shop"));
    lose(&mut nats, &a);
    let bye = next_of(&mut modern, "bye");
    assert_eq!((&bye["code"], &bye["reason"]), (&json!(4200), &json!("missed messages")));
    modern.expect_closed(4200);
    let closed = loop {
        let frame = old.frame();
        if frame.is_close() {
            break frame;
        }
    };
    assert_eq!(closed.close_code(), Some(1012));
    assert!(closed.shown().contains("missed messages"), "{}", closed.shown());
    // Clients that come after the gap stay.
    let mut next = b.open(&Open::at("/web?key=shop"));
    next.expect_silence();
}

pub fn a_host_that_must_be_joined_is_not_ready_without_nats() {
    let mut nats = Nats::start("");
    nats.kill();
    let host = host_with(&nats, "required = on")
        .variable("TAGCAST_API_ADDRESS", "http://127.0.0.1:0")
        .start();
    let ports = [host.port, host.api_port("http")];
    let readiness = |port: u16| {
        let answer = Raw::connect(port).request(head("GET", "/readyz", &[]));
        (answer.status(), answer.body)
    };
    let are_all = |expected: (u16, &str)| {
        eventually(expected.1, || {
            let is_expected = |port: &u16| readiness(*port) == (expected.0, expected.1.to_owned());
            ports.iter().all(is_expected).then_some(())
        });
    };
    are_all((503, "cluster_unavailable\n"));
    nats.restart();
    are_all((200, "ok\n"));
    let verbose = Raw::connect(ports[1]).request(head("GET", "/readyz?verbose", &[]));
    assert!(verbose.body.contains("cluster ok\n"), "{}", verbose.body);
    host.kill_broker();
    are_all((200, "ok\n"));
    nats.kill();
    are_all((503, "cluster_unavailable\n"));
    // The host serves its own clients all the same.
    let (mut publisher, mut near) =
        (host.open(&Open::at("/web?key=shop")), host.open(&Open::at("/web?key=shop")));
    publisher.text(broadcast("near"));
    near.expect_text(&broadcast("near"));
    let ini = std::fs::read_to_string(host.folder.path("websock.ini"))
        .unwrap()
        .replace("required = on", "required = off");
    host.folder.write("websock.ini", &ini);
    assert_eq!(host.command(&["reload"]).code, Some(0));
    are_all((200, "ok\n"));
}

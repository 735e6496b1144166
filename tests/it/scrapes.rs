//! Scrapes of the metrics while processes die, and many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::api::{head, post};
use crate::harness::frames;
use crate::harness::processes::send_signal;
use crate::harness::watch::cpu_time;
use crate::harness::{Open, Raw, Server, Setup, broadcast, eventually};
use crate::metrics::{started, sum_of, wait_for};
use rustix::process::Signal;

/// Expects that no counter is smaller than in an earlier scrape.
#[track_caller]
fn expect_none_falls(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) {
    for (name, value) in before {
        let family = name.split('{').next().unwrap();
        let endings = ["_total", "_bucket", "_count", "_sum"];
        let is_counter = endings.iter().any(|ending| family.ends_with(ending));
        let falls = after.get(name).is_none_or(|now| now < value);
        assert!(!is_counter || !falls, "{name} fell");
    }
}

/// A239.
#[test]
fn no_counter_falls_when_a_process_dies() {
    let server = started();
    let mut clients: Vec<Raw> = (0..2).map(|_| server.open(&Open::web())).collect();
    let packet = broadcast("before");
    clients[0].text(&packet);
    clients[0].expect_next();
    clients[1].expect_text(&packet);
    let delivered = "tagcast_deliveries_total{outcome=\"delivered\"}";
    let mut before =
        wait_for(&server, &[(delivered, 1.0), ("tagcast_publications_resolved_total", 1.0)]);
    for role in ["worker", "broker", "api"] {
        let process = eventually("the process", || server.with_role(role).first().copied());
        send_signal(process, Signal::KILL);
        eventually("its successor", || {
            server.with_role(role).first().filter(|other| **other != process).copied()
        });
        let exits = format!("tagcast_process_exits_total{{role=\"{role}\",reason=\"killed\"}}");
        let after = wait_for(&server, &[(&exits, 1.0)]);
        expect_none_falls(&before, &after);
        before = after;
    }
    let known = before["tagcast_connections{worker=\"0\"}"]
        + sum_of(&before, "tagcast_connections_closed_total")
        + before["tagcast_connections_handed_over_total"];
    assert!((before["tagcast_connections_accepted_total"] - known).abs() < 0.5, "{before:#?}");
}

/// Six clients connect, receive three messages of one of them and one of a backend, and leave.
fn exchange(server: &Server) {
    let mut clients: Vec<Raw> = (0..6).map(|_| server.open(&Open::web())).collect();
    let (sender, receivers) = clients.split_first_mut().unwrap();
    for number in 0..3 {
        let packet = broadcast(&number.to_string());
        sender.text(&packet);
        sender.expect_next();
        receivers.iter_mut().for_each(|receiver| drop(receiver.expect_text(&packet)));
    }
    let body = r#"{"to":"all","message":"by HTTP"}"#;
    let answer =
        Raw::connect(server.api_port("http")).request(post("/v1/apps/-/publish", &[], body));
    assert_eq!(answer.json()["matched"], 6, "{}", answer.body);
    for client in &mut clients {
        client.expect_text(&broadcast("by HTTP"));
        client.send(frames::close(1000, ""));
    }
    drop(clients);
    server.wait_until_empty();
}

/// A239: one process after the other is killed between scrapes, and the sums stay those that clients counted.
#[test]
fn sums_agree_with_clients_whichever_process_dies() {
    let server = Setup::new().ini("apiAddress = http://127.0.0.1:0").start();
    let publish = "tagcast_api_requests_total{route=\"/v1/apps/{app}/publish\",status=\"200\"}";
    let mut before = BTreeMap::new();
    let roles = ["tagcast broker", "tagcast api", "tagcast worker 0", "tagcast worker 1"];
    for round in 0..=roles.len() {
        exchange(&server);
        let rounds = (round + 1) as f64;
        let after = wait_for(
            &server,
            &[
                ("tagcast_connections_opened_total{dialect=\"phpws\"}", 6.0 * rounds),
                ("tagcast_connections_closed_total{code=\"1000\"}", 6.0 * rounds),
                ("tagcast_messages_received_total{dialect=\"phpws\"}", 3.0 * rounds),
                ("tagcast_publications_total{source=\"websocket\"}", 3.0 * rounds),
                ("tagcast_publications_total{source=\"http\"}", rounds),
                ("tagcast_publications_resolved_total", 4.0 * rounds),
                ("tagcast_deliveries_matched_total", 21.0 * rounds),
                ("tagcast_deliveries_total{outcome=\"delivered\"}", 21.0 * rounds),
                ("tagcast_deliveries_total{outcome=\"missed\"}", 0.0),
                (publish, rounds),
            ],
        );
        expect_none_falls(&before, &after);
        let all = server.children();
        let Some(role) = roles.get(round) else { break };
        let (process, _) = all.iter().find(|(_, command)| command.starts_with(role)).unwrap();
        send_signal(*process, Signal::KILL);
        eventually("its successor", || {
            let now = server.children();
            now.iter()
                .find(|(pid, command)| pid != process && command.starts_with(role))
                .map(|_| ())
        });
        before = after;
    }
}

/// A240. The figures of two collections differ, because requests are among them.
#[test]
fn many_scrapes_at_once_cost_one_collection_a_second() {
    const READERS: usize = 100;
    const SCRAPES: usize = 100;
    let server = started();
    let port = server.api_port("http");
    let others = [server.broker(), server.workers(1)[0]];
    let used = || others.map(cpu_time).iter().sum::<Duration>().as_secs_f64();
    let (begun, used_before) = (Instant::now(), used());
    let scrapes = |_| {
        let mut reader = Raw::connect(port);
        let mut bodies = BTreeSet::new();
        for _ in 0..SCRAPES {
            let answer = reader.request(head("GET", "/metrics", &[]));
            assert_eq!(answer.status(), 200, "{}", answer.body);
            bodies.insert(answer.body);
        }
        bodies
    };
    let different: BTreeSet<String> = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|it| scope.spawn(move || scrapes(it))).collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let collections = different.len();
    assert!(collections as f64 <= seconds + 2.0, "{collections} in {seconds} s");
    // The kernel counts time in hundredths of a second.
    let used = used() - used_before;
    assert!(
        used <= 2.0 * (0.02 * seconds + 0.01),
        "{used} s of {seconds} s in two other processes"
    );
}

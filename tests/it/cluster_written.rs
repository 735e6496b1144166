//! Publications with `ack: written` on one of several hosts: what the sockets of all have taken.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster_queries::{hosts_of, ok, signal_all, tagged};
use crate::harness::api::{PUBLISH, SHOP};
use crate::harness::nats::{Nats, hosts, wait_until_joined};
use crate::harness::{Open, Raw, Server, eventually};

const ALL_THREE: (u64, u64, bool) = (3, 3, false);

/// What an answer may take above the time of its publication: a second for reports that are late, and a busy machine.
const GRACE: Duration = Duration::from_secs(4);

/// Matched, written, slow, closed and waiting. They must agree.
#[track_caller]
fn counts(answer: &Value) -> [u64; 5] {
    let words = ["matched", "written", "slow", "closed", "waiting"];
    let counts = words.map(|word| answer[word].as_u64().unwrap_or_else(|| panic!("{answer}")));
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{answer}");
    counts
}

fn body(timeout_ms: u64) -> String {
    let to = r#"{"tags":{"room":"1"}}"#;
    format!(r#"{{"to":{to},"message":1,"ack":"written","timeout_ms":{timeout_ms}}}"#)
}

/// A client that reads nothing, with what the kernel holds for it full.
fn full_client(host: &Server) -> Raw {
    let client = host.open(&Open::at(r#"/web?key=shop&tags={"room":"1","is":"full"}"#));
    let long = "x".repeat(1_000_000);
    let body = format!(r#"{{"to":{{"tags":{{"is":"full"}}}},"message":"{long}"}}"#);
    (0..5).for_each(|_| drop(ok(&host.post(PUBLISH, SHOP, &body))));
    client
}

pub fn what_sockets_of_all_hosts_have_taken_is_counted() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let mut pages = [a, b, b, c].map(|host| tagged(host, r#"{"room":"1"}"#));
    let publish = |host: &Server, body: &str| ok(&host.post(PUBLISH, SHOP, body));
    for host in &hosts {
        let begun = Instant::now();
        let answer = publish(host, &body(20_000));
        assert_eq!((counts(&answer), hosts_of(&answer)), ([4, 4, 0, 0, 0], ALL_THREE));
        assert!(begun.elapsed() < GRACE, "the reports are complete");
    }
    // To one client of another host, and to none.
    let feedback = format!("/v1/apps/shop/connections/{}/feedback", pages[3].uuid);
    let answer = ok(&a.post(&feedback, SHOP, r#"{"message":2,"ack":"written"}"#));
    assert_eq!((counts(&answer), hosts_of(&answer)), ([1, 1, 0, 0, 0], (2, 2, false)));
    let none = r#"{"to":{"tags":{"room":"9"}},"message":3,"ack":"written"}"#;
    let answer = publish(b, none);
    assert_eq!((counts(&answer), hosts_of(&answer)), ([0; 5], ALL_THREE));
    // A repeat on any host has the counts of the first answer.
    let first = publish(a, &body(20_000).replace("\"ack\"", "\"id\":\"o-1\",\"ack\""));
    assert_eq!((counts(&first), hosts_of(&first)), ([4, 4, 0, 0, 0], ALL_THREE));
    let mut expected = first;
    expected["repeated"] = true.into();
    for host in [a, c] {
        let again = publish(host, &body(20_000).replace("\"ack\"", "\"id\":\"o-1\",\"ack\""));
        assert_eq!(again, expected);
    }
    // A client of another host that reads nothing, and then leaves.
    let full = full_client(b);
    let answer = publish(a, &body(300));
    assert_eq!((counts(&answer), hosts_of(&answer)), ([5, 4, 0, 0, 1], ALL_THREE));
    let left = std::thread::scope(|scope| {
        let answer = scope.spawn(|| publish(a, &body(20_000)));
        for page in &mut pages {
            (0..6).for_each(|_| drop(page.frame()));
        }
        drop(full);
        answer.join().expect("an answer")
    });
    assert_eq!((counts(&left), hosts_of(&left)), ([5, 4, 0, 1, 0], ALL_THREE));
}

/// The clients of a suspended host are not known. It is waited for no longer than the publication may take.
pub fn a_suspended_host_makes_a_report_partial() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let pages = hosts.each_ref().map(|host| tagged(host, r#"{"room":"1"}"#));
    let [a, _, c] = &hosts;
    signal_all(c, Signal::STOP);
    let begun = Instant::now();
    let answer = ok(&a.post(PUBLISH, SHOP, &body(300)));
    assert_eq!((counts(&answer), hosts_of(&answer)), ([2, 2, 0, 0, 0], (3, 2, true)));
    assert!(begun.elapsed() < Duration::from_millis(300) + GRACE, "{:?}", begun.elapsed());
    signal_all(c, Signal::CONT);
    wait_until_joined(&hosts);
    let answer = eventually("the report of the host that is back", || {
        let answer = ok(&a.post(PUBLISH, SHOP, &body(300)));
        (hosts_of(&answer) == ALL_THREE).then_some(answer)
    });
    assert_eq!(counts(&answer), [3, 3, 0, 0, 0]);
    drop(pages);
}

/// Clients that a host has counted and on which it does not report count as waiting.
pub fn a_killed_bridge_makes_a_report_partial() {
    let nats = Nats::start("");
    let hosts: [Server; 2] = hosts(&nats);
    let [a, b] = &hosts;
    let mut page = tagged(b, r#"{"room":"1"}"#);
    let near = tagged(a, r#"{"room":"1"}"#);
    let _full = full_client(b);
    for killed in [b, a] {
        let answered = || Some(a.bridge_counts()?.queries_complete);
        let (begun, before) = (Instant::now(), eventually("the counters", answered));
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| ok(&a.post(PUBLISH, SHOP, &body(1500))));
            page.expect_text(r#"{"opcode":"broadcast","message":1}"#);
            // The API process has the counts of the other host, and waits for its report.
            eventually("a count", || answered().filter(|answered| *answered > before));
            killed.kill_bridge();
            answer.join().expect("an answer")
        });
        let [_, written, slow, closed, _] = counts(&answer);
        assert_eq!(([written, slow, closed], hosts_of(&answer)), ([1, 0, 0], (2, 1, true)));
        assert!(begun.elapsed() < Duration::from_millis(1500) + GRACE, "{:?}", begun.elapsed());
        wait_until_joined(&hosts);
    }
    let answer = eventually("the reports of both hosts", || {
        let answer = ok(&a.post(PUBLISH, SHOP, &body(300)));
        (hosts_of(&answer) == (2, 2, false)).then_some(answer)
    });
    assert_eq!(counts(&answer), [3, 2, 0, 0, 1]);
    drop(near);
}

//! Ids of publications and nonces of signed requests, over several hosts.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::api_signed::signed;
use crate::cluster_queries::signal_all;
use crate::harness::api::{PUBLISH, SHOP};
use crate::harness::nats::{Nats, host_with, hosts, wait_until_joined};
use crate::harness::{Open, Raw, Server, eventually, pause};

const BODY: &str = r#"{"to":"all","message":"once","id":"o-1"}"#;

fn page(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

fn publish(server: &Server, body: &str) -> (u16, Value) {
    let answer = server.post(PUBLISH, SHOP, body);
    (answer.status(), answer.json())
}

/// A189, A192 and A193 on two hosts.
pub fn a_repeat_on_another_host_gets_the_first_answer_and_is_not_delivered() {
    let nats = Nats::start("");
    let [a, b, c] = hosts(&nats);
    let mut pages = [page(&a), page(&b), page(&c)];
    let (status, first) = publish(&a, BODY);
    assert_eq!((status, &first["matched"], &first["repeated"]), (200, &3.into(), &false.into()));
    for page in &mut pages {
        page.expect_text(r#"{"opcode":"broadcast","message":"once"}"#);
    }
    for host in [&b, &c, &a] {
        let (status, again) = publish(host, BODY);
        let mut expected = first.clone();
        expected["repeated"] = true.into();
        assert_eq!((status, again), (200, expected));
        let other = publish(host, &BODY.replace("once", "twice"));
        assert_eq!((other.0, &other.1["error"]["code"]), (422, &"id_reused".into()));
    }
    for page in &mut pages {
        page.expect_silence();
    }
}

/// The client of a feedback is on one host, and all hosts know the id.
pub fn a_feedback_is_repeated_on_no_host() {
    let nats = Nats::start("");
    // A busy machine needs longer for an answer than the default.
    let all = [(); 3].map(|()| host_with(&nats, "queryTimeout = 10s\n").start());
    wait_until_joined(&all);
    let [a, b, c] = all;
    let mut page = page(&b);
    let path = format!("/v1/apps/shop/connections/{}/feedback", page.uuid);
    let body = r#"{"message":"once","id":"f-1"}"#;
    let first = a.post(&path, SHOP, body);
    assert_eq!((first.status(), &first.json()["matched"]), (200, &1.into()), "{}", first.body);
    page.expect_text(r#"{"opcode":"feedback","message":"once"}"#);
    // Within the delay between hosts an answer may not say that it is a repeat, but nothing is delivered.
    for host in [&c, &b, &a] {
        eventually("a known id", || {
            let again = host.post(&path, SHOP, body);
            assert_eq!(again.status(), 200, "{}", again.body);
            let again = again.json();
            assert_eq!(again["matched"], 1, "{again}");
            (again["repeated"] == true).then_some(())
        });
    }
    page.expect_silence();
}

/// The first host still waits for the counts of a suspended one when another host gets the same publication.
pub fn a_repeat_waits_for_the_counts_of_the_first_answer() {
    let nats = Nats::start("");
    let all = [(); 3].map(|()| host_with(&nats, "queryTimeout = 2s\n").start());
    wait_until_joined(&all);
    let [a, b, c] = all;
    let mut far = page(&b);
    signal_all(&c, Signal::STOP);
    let (first, again) = std::thread::scope(|scope| {
        let first = scope.spawn(|| publish(&a, BODY));
        far.expect_text(r#"{"opcode":"broadcast","message":"once"}"#);
        let again = publish(&b, BODY);
        (first.join().expect("an answer"), again)
    });
    signal_all(&c, Signal::CONT);
    let mut expected = first.1.clone();
    expected["repeated"] = true.into();
    assert_eq!((first.0, &first.1["matched"], &first.1["partial"]), (200, &1.into(), &true.into()));
    assert_eq!(again, (200, expected));
    far.expect_silence();
}

/// Without the host of the first answer, the answer is partial.
pub fn a_repeat_after_the_death_of_its_host_is_known_and_partial() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut far = page(&b);
    assert_eq!(publish(&a, BODY).0, 200);
    far.expect_text(r#"{"opcode":"broadcast","message":"once"}"#);
    signal_all(&a, Signal::STOP);
    let (status, again) = publish(&b, BODY);
    assert_eq!((status, &again["repeated"], &again["partial"]), (200, &true.into(), &true.into()));
    far.expect_silence();
    signal_all(&a, Signal::CONT);
}

/// Each id is published on both hosts at once, while their bridges are killed.
pub fn an_id_that_reaches_both_hosts_at_once_is_delivered_once_to_each_client() {
    const IDS: usize = 60;
    let nats = Nats::start("");
    let both: [Server; 2] = hosts(&nats);
    let mut pages = [page(&both[0]), page(&both[1])];
    std::thread::scope(|scope| {
        for host in &both {
            scope.spawn(move || {
                for number in 0..IDS {
                    let body = format!(r#"{{"to":"all","message":{number},"id":"n-{number}"}}"#);
                    eventually("an answer", || (publish(host, &body).0 == 200).then_some(()));
                    if number % 20 == 10 {
                        host.kill_bridge();
                    }
                }
            });
        }
    });
    for page in &mut pages {
        let mut seen = [0; IDS];
        for _ in 0..IDS {
            let message = page.json();
            seen[usize::try_from(message["message"].as_u64().unwrap()).unwrap()] += 1;
        }
        assert_eq!(seen, [1; IDS]);
        page.expect_silence();
    }
}

/// A256 on another host.
pub fn a_captured_request_is_refused_on_another_host() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    // A request that was signed in the second of the start is refused.
    pause(Duration::from_millis(1100));
    let request = signed("nonce-0001");
    let body = r#"{"to":"all","message":"signed"}"#;
    let mut far = page(&b);
    assert_eq!(request.send(&a, body).status(), 200);
    far.expect_text(r#"{"opcode":"broadcast","message":"signed"}"#);
    eventually("the nonce on the other host", || {
        let refused = request.send(&b, body);
        // Until the nonce is there, this would be accepted once.
        assert_ne!(refused.status(), 200, "{}", refused.body);
        (refused.json()["error"]["code"] == "nonce_reused").then_some(())
    });
    b.kill_broker();
    request.send(&b, body).is_error(401, "nonce_reused");
    far.expect_silence();
}

//! Questions between clients of `tagcast.v1` on several hosts.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster_queries::signal_all;
use crate::harness::api::{LIST, SHOP};
use crate::harness::nats::{Nats, hosts};
use crate::harness::{Open, Raw, Server, eventually};

/// The server's own time for the answer of another host, by default, and what it may take on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(1500);

fn open(host: &Server, members: Value) -> Raw {
    host.open_v1("/?key=shop", members)
}

#[track_caller]
fn ask(client: &mut Raw, id: u64, to: &Value) {
    client.say(json!({"op": "ask", "id": id, "to": to, "timeout_ms": 10_000, "data": {"q": id}}));
}

/// Reads a question with this number of its asker, and returns its own.
#[track_caller]
fn question(client: &mut Raw, id: u64) -> String {
    let frame = client.json();
    assert_eq!((&frame["op"], &frame["data"]), (&json!("ask"), &json!({"q": id})), "{frame}");
    frame["ask"].as_str().unwrap().to_owned()
}

#[track_caller]
fn answer(client: &mut Raw, number: &str, data: &Value) {
    client.say(json!({"op": "answer", "ask": number, "data": data}));
}

#[track_caller]
fn expect_failure(client: &mut Raw, id: u64, code: &str) {
    let error = client.expect_error(code);
    assert_eq!(error["id"], json!(id), "{error}");
}

pub fn a_client_asks_one_on_another_host_and_gets_its_answer() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let mut asker = open(a, json!({}));
    let mut anna = open(b, json!({"ident": "anna"}));
    let mut other = open(c, json!({}));
    let of_anna = json!({"uuid": anna.uuid});
    let to_anna = [of_anna.clone(), json!({"ident": "anna"})];
    for (id, to) in (1..).zip(&to_anna) {
        ask(&mut asker, id, to);
        let number = question(&mut anna, id);
        answer(&mut other, &number, &json!("of a client that was not asked"));
        other.expect_quiet();
        answer(&mut anna, &number, &json!([true, id]));
        answer(&mut anna, &number, &json!("again"));
        asker.expect_json(json!({"op": "answer", "id": id, "data": [true, id]}));
    }
    // Many at the same time, each with its own answer, and back.
    (10..60).for_each(|id| ask(&mut asker, id, &of_anna));
    (10..60).for_each(|id| {
        let number = question(&mut anna, id);
        answer(&mut anna, &number, &json!(id));
    });
    let mut answers: Vec<u64> = (10..60)
        .map(|_| {
            let frame = asker.json();
            assert_eq!(frame["data"], frame["id"], "{frame}");
            frame["id"].as_u64().unwrap()
        })
        .collect();
    answers.sort_unstable();
    assert!(answers.into_iter().eq(10..60));
    ask(&mut anna, 1, &json!({"uuid": asker.uuid}));
    let number = question(&mut asker, 1);
    asker.say(json!({"op": "answer", "ask": number, "error": "the user said no"}));
    assert_eq!(anna.expect_error("refused")["message"], "the user said no");
    // A page of phpWebSocketServer answers in its own form.
    let mut page = c.open(&Open::at("/web?key=shop"));
    ask(&mut asker, 70, &json!({"uuid": page.uuid}));
    let packet: Value = serde_json::from_str(page.frame().as_text()).unwrap();
    let number = packet["ask"].as_str().unwrap();
    page.text(format!(r#"{{"opcode":"answer","ask":"{number}","message":7}}"#));
    asker.expect_json(json!({"op": "answer", "id": 70, "data": 7}));
}

/// V136, V137, V138, V140 over hosts.
pub fn a_question_without_an_answer_of_another_host_ends_with_its_reason() {
    let nats = Nats::start("");
    let hosts: [Server; 2] = hosts(&nats);
    let [a, b] = &hosts;
    let mut asker = open(a, json!({}));
    let mut anna = open(b, json!({"ident": "anna"}));
    let of_anna = json!({"uuid": anna.uuid});
    ask(&mut asker, 1, &json!({"ident": "bob"}));
    expect_failure(&mut asker, 1, "gone");
    asker.say(json!({"op": "ask", "id": 2, "to": of_anna, "timeout_ms": 300, "data": {"q": 2}}));
    let late = question(&mut anna, 2);
    expect_failure(&mut asker, 2, "timeout");
    answer(&mut anna, &late, &json!("too late"));
    // It goes away while it is asked, and is away then. It ends, and is gone.
    ask(&mut asker, 3, &of_anna);
    question(&mut anna, 3);
    drop(anna);
    expect_failure(&mut asker, 3, "away");
    let mut anna = open(b, json!({}));
    let of_anna = json!({"uuid": anna.uuid});
    ask(&mut asker, 4, &of_anna);
    question(&mut anna, 4);
    anna.say(json!({"op": "bye"}));
    expect_failure(&mut asker, 4, "gone");
    ask(&mut asker, 5, &of_anna);
    expect_failure(&mut asker, 5, "gone");
    // A UUID of this host that is not here is nowhere.
    let mut near = open(a, json!({}));
    let of_near = json!({"uuid": near.uuid});
    near.say(json!({"op": "bye"}));
    near.expect_close(1000);
    ask(&mut asker, 6, &of_near);
    expect_failure(&mut asker, 6, "gone");
    asker.expect_quiet();
}

/// V144 over hosts.
pub fn a_question_outlives_processes_that_die_and_ends_at_once_with_its_host() {
    let nats = Nats::start("");
    let [a, b]: [Server; 2] = hosts(&nats);
    let mut asker = open(&a, json!({}));
    let mut anna = open(&b, json!({}));
    let of_anna = json!({"uuid": anna.uuid});
    // Both brokers die while a client is asked.
    ask(&mut asker, 1, &of_anna);
    let number = question(&mut anna, 1);
    b.kill_broker();
    a.kill_broker();
    answer(&mut anna, &number, &json!(1));
    asker.expect_json(json!({"op": "answer", "id": 1, "data": 1}));
    anna.expect_quiet();
    // Its own bridge has the outcome. Without it the outcome is not known.
    ask(&mut asker, 2, &of_anna);
    question(&mut anna, 2);
    // The worker asks its bridge for the outcome when the question is acknowledged, as the first of these is after it.
    for id in [8, 9] {
        asker.request_v1(id, json!({"op": "pub", "to": {"tags": {"no": "client"}}, "data": 1}));
    }
    let asked_at = Instant::now();
    a.kill_bridge();
    expect_failure(&mut asker, 2, "timeout");
    assert!(asked_at.elapsed() < AT_ONCE * 2, "{:?}", asked_at.elapsed());
    // The counts may still be those of the killed bridge. Only a new one that knows the other host reports it gone.
    eventually("a new bridge", || {
        (a.output().matches("event=bridge_ready").count() == 2).then_some(())
    });
    ask(&mut asker, 10, &of_anna);
    let number = question(&mut anna, 10);
    answer(&mut anna, &number, &json!(10));
    asker.expect_json(json!({"op": "answer", "id": 10, "data": 10}));
    // The host of the client is gone.
    signal_all(&b, Signal::KILL);
    eventually("the host is gone", || (a.bridge_counts()?.hosts_gone == 1).then_some(()));
    let asked_at = Instant::now();
    ask(&mut asker, 3, &of_anna);
    expect_failure(&mut asker, 3, "gone");
    assert!(asked_at.elapsed() < AT_ONCE, "{:?}", asked_at.elapsed());
}

/// Its UUID names a host that it has left.
pub fn a_client_that_has_moved_is_asked_through_every_host() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, home, c] = &hosts;
    let mut hello = json!({"key": "shop", "instance": "a-run-of-the-program"});
    let (former, welcome) = home.welcomed("/", hello.clone());
    hello["resume"] = welcome["resume"].clone();
    let (mut anna, again) = c.welcomed("/", hello);
    assert_eq!(again["uuid"], welcome["uuid"]);
    assert_eq!(anna.json()["op"], "recovery");
    drop(former);
    let uuid = again["uuid"].as_str().unwrap();
    let of_anna = format!("{LIST}/{uuid}");
    let status = |host: &Server| host.call("GET", &of_anna, &[SHOP]).status();
    eventually("the move is known", || (status(a) == 200).then_some(()));
    for (id, host) in (1..).zip([home, a, c]) {
        let answered = std::thread::scope(|scope| {
            let body = json!({"message": {"q": id}, "timeout_ms": 10_000}).to_string();
            let target = format!("{of_anna}/ask");
            let answered = scope.spawn(move || host.post(&target, SHOP, &body));
            let number = question(&mut anna, id);
            answer(&mut anna, &number, &json!(id));
            answered.join().expect("an answer")
        });
        assert_eq!((answered.status(), &answered.json()["answer"]), (200, &json!(id)));
        let mut asker = open(host, json!({}));
        ask(&mut asker, 9, &json!({"uuid": uuid}));
        let number = question(&mut anna, 9);
        answer(&mut anna, &number, &json!([id]));
        asker.expect_json(json!({"op": "answer", "id": 9, "data": [id]}));
    }
    anna.say(json!({"op": "bye"}));
    anna.expect_close(1000);
    eventually("the end of the client", || (status(home) == 404).then_some(()));
    let asked_at = Instant::now();
    let body = r#"{"message":1,"timeout_ms":10000}"#;
    home.post(&format!("{of_anna}/ask"), SHOP, body).is_error(404, "connection_not_found");
    assert!(asked_at.elapsed() < AT_ONCE, "{:?}", asked_at.elapsed());
}

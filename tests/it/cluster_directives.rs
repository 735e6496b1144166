//! Commands of the API on one of several hosts, about clients of any of them.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster_queries::{hosts_of, ok, signal_all, tagged};
use crate::harness::api::{ApiAnswer, LIST, PUBLISH, SHOP, head};
use crate::harness::nats::{Nats, host, hosts, wait_until_joined};
use crate::harness::tokens::{auth, show, token, with_token};
use crate::harness::{Open, Raw, Server, eventually, pause};

const ALL_THREE: (u64, u64, bool) = (3, 3, false);

fn retag_one(server: &Server, page: &Raw, body: &str) -> ApiAnswer {
    server.send_json("PATCH", &format!("{LIST}/{}/tags", page.uuid), body)
}

fn all_matching(server: &Server, command: &str, body: &str) -> ApiAnswer {
    server.post(&format!("{LIST}:{command}"), SHOP, body)
}

fn publish(server: &Server, tags: &str, text: &str) {
    let body = format!(r#"{{"to":{{"tags":{tags}}},"message":"{text}","ack":"none"}}"#);
    let answer = server.post(PUBLISH, SHOP, &body);
    assert_eq!(answer.status(), 202, "{}", answer.body);
}

fn broadcast(text: &str) -> String {
    format!(r#"{{"opcode":"broadcast","message":"{text}"}}"#)
}

fn tags_of(server: &Server, page: &Raw) -> Value {
    show(server, page)["tags"].clone()
}

pub fn tags_of_a_client_are_changed_on_its_host() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let mut page = tagged(c, r#"{"room":"1"}"#);
    let changed = ok(&retag_one(a, &page, r#"{"set":{"level":"2"}}"#));
    assert_eq!(changed["tags"], json!({"room":"1","level":"2"}));
    let version = changed["version"].as_u64().unwrap();
    // What is published after the answer, on any host, finds the new tags.
    for (host, text) in [(a, "of a"), (b, "of b")] {
        publish(host, r#"{"level":"2"}"#, text);
        page.expect_text(&broadcast(text));
    }
    let stale = format!(r#"{{"set":{{"level":"3"}},"if_version":{}}}"#, version - 1);
    let conflict = retag_one(b, &page, &stale);
    conflict.is_error(409, "version_conflict");
    assert_eq!(conflict.json()["error"]["version"], version, "{}", conflict.body);
    let right = format!(r#"{{"set":{{"level":"3"}},"if_version":{version}}}"#);
    assert_eq!(ok(&retag_one(b, &page, &right))["tags"]["level"], "3");
    let replaced =
        a.send_json("PUT", &format!("{LIST}/{}/tags", page.uuid), r#"{"tags":{"x":"y"}}"#);
    assert_eq!(ok(&replaced)["tags"], json!({"x":"y"}));
    let script = c.open(&Open::php().target("/php?key=shop").ident("job"));
    retag_one(a, &script, r#"{"set":{"x":"y"}}"#).is_error(409, "retag_unsupported");
    let target = format!("{LIST}/{}?code=4001&reason=bye", page.uuid);
    let closed = a.call("DELETE", &target, &[SHOP]);
    assert_eq!((closed.status(), &closed.json()["matched"]), (200, &json!(1)));
    page.expect_closed(4001);
    eventually("the client has left", || {
        (a.call("DELETE", &target, &[SHOP]).error().1 == "connection_not_found").then_some(())
    });
    retag_one(b, &page, r#"{"set":{"x":"y"}}"#).is_error(404, "connection_not_found");
}

pub fn a_command_for_all_that_match_applies_to_all_hosts() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let mut pages = [a, b, c, c].map(|host| tagged(host, r#"{"room":"1"}"#));
    let mut other = tagged(b, r#"{"room":"2"}"#);
    let dry = ok(&all_matching(b, "retag", r#"{"expr":"room=1","set":{"w":"1"},"dry_run":true}"#));
    assert_eq!((&dry["matched"], hosts_of(&dry)), (&json!(4), ALL_THREE));
    assert_eq!(tags_of(a, &pages[3]), json!({"room":"1"}), "nothing was changed");
    let done = ok(&all_matching(b, "retag", r#"{"expr":"room=1","set":{"w":"1"}}"#));
    assert_eq!((&done["matched"], hosts_of(&done)), (&json!(4), ALL_THREE));
    publish(a, r#"{"w":"1"}"#, "new");
    for page in &mut pages {
        page.expect_text(&broadcast("new"));
    }
    let few = all_matching(c, "disconnect", r#"{"expr":"w=1","max_recipients":1}"#);
    few.is_error(409, "too_many_recipients");
    let closed = all_matching(a, "disconnect", r#"{"expr":"w=1","code":4002}"#);
    let closed = ok(&closed);
    assert_eq!((&closed["matched"], hosts_of(&closed)), (&json!(4), ALL_THREE));
    for page in &mut pages {
        page.expect_closed(4002);
    }
    publish(a, r#"{"room":"2"}"#, "left");
    other.expect_text(&broadcast("left"));
}

/// What a backend publishes after a change finds the new tags, also on a host that was away meanwhile.
pub fn commands_are_in_order_with_publications() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, _, c] = &hosts;
    let mut pages = [tagged(a, r#"{"room":"1"}"#), tagged(c, r#"{"room":"1"}"#)];
    for round in 0..20 {
        let (tag, text) = (format!(r#"{{"round":"{round}"}}"#), format!("late {round}"));
        publish(a, &tag, "early");
        let body = format!(r#"{{"expr":"room=1","set":{tag}}}"#);
        assert_eq!(ok(&all_matching(a, "retag", &body))["matched"], 2);
        publish(a, &tag, &text);
        for page in &mut pages {
            page.expect_text(&broadcast(&text));
        }
    }
    signal_all(c, Signal::STOP);
    let done = ok(&all_matching(a, "retag", r#"{"expr":"room=1","set":{"away":"1"}}"#));
    assert_eq!((&done["matched"], hosts_of(&done)), (&json!(1), (3, 2, true)));
    // Its change is under way, and so is what comes after it.
    let one = retag_one(a, &pages[1], r#"{"set":{"one":"1"}}"#);
    assert_eq!(one.status(), 202, "{}", one.body);
    publish(a, r#"{"away":"1","one":"1"}"#, "for the one that was away");
    signal_all(c, Signal::CONT);
    pages[1].expect_text(&broadcast("for the one that was away"));
    assert_eq!(tags_of(c, &pages[1])["away"], "1");
}

pub fn commands_outlive_processes_that_die() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, _, c] = &hosts;
    let mut page = tagged(c, r#"{"room":"1"}"#);
    for round in 0..60 {
        match round {
            10 | 40 => drop(a.kill_bridge()),
            20 => drop(c.kill_broker()),
            30 => drop(c.kill_bridge()),
            50 => drop(a.kill_broker()),
            _ => {}
        }
        let body = format!(r#"{{"set":{{"n":"{round}"}}}}"#);
        let answer = retag_one(a, &page, &body);
        match answer.status() {
            200 => assert_eq!(answer.json()["tags"]["n"], round.to_string()),
            // Not known yet. It is carried out nevertheless, and before the next one.
            status => assert_eq!(status, 202, "{}", answer.body),
        }
        let (tag, text) = (format!(r#"{{"n":"{round}"}}"#), format!("n {round}"));
        publish(a, &tag, &text);
        page.expect_text(&broadcast(&text));
    }
    page.expect_silence();
    for host in [a, c] {
        assert_eq!(eventually("the counters", || host.bridge_counts()).gaps, 0);
    }
}

pub fn without_nats_a_command_is_carried_out_later() {
    let mut nats = Nats::start("");
    let hosts: [Server; 2] = hosts(&nats);
    let [a, b] = &hosts;
    let mut near = tagged(a, r#"{"room":"1","host":"a"}"#);
    let mut far = tagged(b, r#"{"room":"1"}"#);
    nats.kill();
    a.wait_for_output("nats_disconnected");
    let done = ok(&all_matching(a, "retag", r#"{"expr":"room=1","set":{"w":"1"}}"#));
    assert_eq!((&done["matched"], hosts_of(&done)), (&json!(1), (2, 1, true)));
    let closed = a.call("DELETE", &format!("{LIST}/{}?code=4001", far.uuid), &[SHOP]);
    assert_eq!(closed.status(), 202, "{}", closed.body);
    publish(a, r#"{"w":"1","host":"a"}"#, "near");
    near.expect_text(&broadcast("near"));
    pause(Duration::from_millis(300));
    nats.restart();
    far.expect_closed(4001);
    wait_until_joined(&hosts);
}

pub fn a_connection_gets_a_new_token_from_any_host() {
    let nats = Nats::start("");
    let hosts = [(); 3].map(|()| host(&nats).auth(&auth("    clientPublish: true")).start());
    wait_until_joined(&hosts);
    let [a, b, c] = &hosts;
    let page = c.open(&with_token(&json!({"sub": "1", "tags": {"a": "1"}})));
    let target = format!("{LIST}/{}/token", page.uuid);
    let body = json!({"token": token(&json!({"sub": "1", "tags": {"a": "2"}}))}).to_string();
    let refreshed = a.send_json("PUT", &target, &body);
    assert_eq!((refreshed.status(), &refreshed.json()["sub"]), (200, &json!("1")));
    assert_eq!(tags_of(b, &page), json!({"@user": "1", "a": "2"}));
    let other = json!({"token": token(&json!({"sub": "2"}))}).to_string();
    b.send_json("PUT", &target, &other).is_error(422, "invalid_token");
    assert_eq!(tags_of(c, &page), json!({"@user": "1", "a": "2"}));
}

fn ask(host: &Server, client: &Raw, timeout_ms: u64) -> Raw {
    let target = format!("{LIST}/{}/ask", client.uuid);
    let body = format!(r#"{{"message":{{"q":1}},"timeout_ms":{timeout_ms}}}"#);
    let mut backend = Raw::connect(host.port);
    backend.send(crate::harness::api::post(&target, &[SHOP], &body));
    backend
}

/// The number of the question that a client receives next.
fn question(client: &mut Raw) -> String {
    let frame = client.frame();
    let packet: Value = serde_json::from_str(frame.as_text()).unwrap();
    assert_eq!((&packet["opcode"], &packet["message"]), (&json!("feedback"), &json!({"q":1})));
    packet["ask"].as_str().unwrap().to_owned()
}

fn answer(client: &mut Raw, number: &str) {
    client.text(format!(r#"{{"opcode":"answer","ask":"{number}","message":{{"a":2}}}}"#));
    client.expect_next();
}

pub fn a_question_reaches_a_client_of_another_host_and_so_does_its_answer() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let mut page = tagged(c, r#"{"room":"1"}"#);
    let mut asked = ask(a, &page, 10_000);
    let number = question(&mut page);
    let mut other = tagged(c, "{}");
    answer(&mut other, &number);
    let mut second = ask(b, &page, 10_000);
    let of_second = question(&mut page);
    answer(&mut page, &of_second);
    answer(&mut page, &number);
    for backend in [&mut asked, &mut second] {
        let got = backend.read_answer();
        assert_eq!((got.status(), &got.json()["answer"]), (200, &json!({"a":2})), "{}", got.body);
    }
    ask(a, &page, 300).read_answer().is_error(504, "ask_timeout");
    drop(question(&mut page));
    let plain = Open::at(r#"/?key=shop&tags={"room":"2"}"#).upgrade(c.port);
    let listed = a.call("GET", &format!("{LIST}?expr=room%3D2"), &[SHOP]).json();
    let uuid = listed["connections"][0]["uuid"].as_str().unwrap().to_owned();
    let target = format!("{LIST}/{uuid}/ask");
    a.post(&target, SHOP, r#"{"message":1}"#).is_error(409, "ask_unsupported");
    drop(plain);
    // The broker of the client's host dies while it is asked.
    let mut asked = ask(a, &page, 10_000);
    let number = question(&mut page);
    c.kill_broker();
    answer(&mut page, &number);
    let got = asked.read_answer();
    assert_eq!((got.status(), &got.json()["answer"]), (200, &json!({"a":2})), "{}", got.body);
    let mut closed = ask(b, &page, 10_000);
    drop(question(&mut page));
    let target = format!("{LIST}/{}/ask", page.uuid);
    drop(page);
    closed.read_answer().is_error(410, "connection_closed");
    eventually("the client has left", || {
        let answer = a.post(&target, SHOP, r#"{"message":1}"#);
        (answer.error().1 == "connection_not_found").then_some(())
    });
}

//! Presence of `tagcast.v1` on several hosts.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster_queries::signal_all;
use crate::harness::nats::{Nats, host, wait_until_joined};
use crate::harness::tokens::{auth, token};
use crate::harness::{Raw, Server, eventually};
use crate::v1_presence::Watcher;

/// `presenceLinger` of these tests, so that what it delays is seen.
const LINGER: Duration = Duration::from_secs(1);

fn hosts<const N: usize>(nats: &Nats) -> [Server; N] {
    let presence = "    presence: any\n    presenceLinger: 1s\n    presenceTags: [name]";
    let hosts = [(); N].map(|()| host(nats).auth(&auth(presence)).start());
    wait_until_joined(&hosts);
    hosts
}

fn member(host: &Server, name: &str) -> Raw {
    host.open_v1("/?key=shop", json!({"tags": {"room": "1", "name": name}}))
}

fn watcher(host: &Server, mode: &str) -> Watcher {
    let query = json!({"tags": {"room": "1"}, "mode": mode});
    Watcher::begin(host.open_v1("/?key=shop", json!({})), 5, &query)
}

/// The names in the list of a watcher.
fn names(watcher: &Watcher) -> Vec<String> {
    let members = watcher.list.values();
    let mut names: Vec<String> =
        members.map(|it| it["tags"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

/// Reads until a watcher knows these names.
#[track_caller]
fn reads_names(watcher: &mut Watcher, expected: &[&str]) -> Value {
    let mut frame = Value::Null;
    while names(watcher) != expected {
        frame = watcher.reads();
    }
    assert_eq!(watcher.count, expected.len() as u64);
    frame
}

fn leave(mut client: Raw) {
    client.say(json!({"op": "bye"}));
}

pub fn watchers_see_the_clients_of_all_hosts_come_and_go() {
    let nats = Nats::start("");
    let [a, b, c]: [Server; 3] = hosts(&nats);
    let anna = member(&b, "anna");
    let mut watchers = [watcher(&a, "members"), watcher(&c, "members")];
    for watcher in &mut watchers {
        // Hosts that have just met may have a partial list first.
        reads_names(watcher, &["anna"]);
    }
    let mut counting = watcher(&a, "count");
    assert_eq!((counting.count, counting.users), (1, 1), "all is known at once");
    let id = watchers[0].list.keys().next().unwrap().clone();
    assert!(watchers[1].list.contains_key(&id), "the id is the same on all hosts");
    let bob = member(&a, "bob");
    let cid = member(&c, "cid");
    for watcher in &mut watchers {
        reads_names(watcher, &["anna", "bob", "cid"]);
    }
    counting.reads_up_to(3);
    assert_eq!(counting.users, 3);
    let mut anna = anna;
    anna.request_v1(1, json!({"op": "tag", "set": {"name": "ann"}}));
    for watcher in &mut watchers {
        let changed = reads_names(watcher, &["ann", "bob", "cid"]);
        assert_eq!(changed["joined"][0]["id"], json!(id), "{changed}");
    }
    let said = Instant::now();
    leave(anna);
    for watcher in &mut watchers {
        let left = reads_names(watcher, &["bob", "cid"]);
        assert_eq!(left["left"], json!([id]), "{left}");
    }
    assert!(said.elapsed() < Duration::from_secs(3), "{:?}", said.elapsed());
    // Another tenant has its own clients.
    let other = b.open_v1("/?key=other", json!({"tags": {"room": "1", "name": "eve"}}));
    let tabs = ["tab-1", "tab-2"].map(|name| {
        let host = if name == "tab-1" { &b } else { &c };
        let claims = json!({"sub": "7", "tags": {"room": "1", "name": name}});
        host.open_v1("/", json!({"token": token(&claims)}))
    });
    for watcher in &mut watchers {
        reads_names(watcher, &["bob", "cid", "tab-1", "tab-2"]);
        assert_eq!(watcher.users, 3, "two tabs on two hosts are of one user");
    }
    counting.reads_up_to(4);
    assert_eq!(counting.users, 3);
    drop((bob, cid, other, tabs));
}

pub fn watchers_know_the_right_clients_after_deaths_of_bridges_and_brokers() {
    let nats = Nats::start("");
    let [a, b]: [Server; 2] = hosts(&nats);
    let mut clients = vec![member(&b, "m0")];
    let mut watcher = watcher(&a, "members");
    for round in 1..=8 {
        match round {
            1 => drop(b.kill_bridge()),
            3 => drop(a.kill_bridge()),
            5 => drop(b.kill_broker()),
            7 => drop(a.kill_broker()),
            _ => {}
        }
        clients.push(member(&b, &format!("m{round}")));
        leave(clients.remove(0));
        let all = [format!("m{round}")];
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        reads_names(&mut watcher, &all);
    }
    // Both brokers at once: nothing is known of what the other one has.
    a.kill_broker();
    b.kill_broker();
    clients.push(member(&b, "n"));
    reads_names(&mut watcher, &["m8", "n"]);
    drop(clients);
}

pub fn clients_of_a_host_that_is_killed_leave_after_a_while() {
    let nats = Nats::start("");
    let [a, b]: [Server; 2] = hosts(&nats);
    let near = member(&a, "near");
    let far = [member(&b, "far 1"), member(&b, "far 2")];
    let mut watcher = watcher(&a, "members");
    reads_names(&mut watcher, &["far 1", "far 2", "near"]);
    let killed = Instant::now();
    signal_all(&b, Signal::KILL);
    let left = reads_names(&mut watcher, &["near"]);
    assert_eq!(left["left"].as_array().map(Vec::len), Some(2), "{left}");
    assert!(killed.elapsed() >= LINGER, "{:?}", killed.elapsed());
    // A watcher that comes now waits for no host that is gone.
    let begun = Instant::now();
    let other = self::watcher(&a, "members");
    assert_eq!(names(&other), ["near"]);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    drop((near, far));
}

pub fn a_list_without_the_clients_of_a_suspended_host_is_partial() {
    let nats = Nats::start("");
    let [a, b]: [Server; 2] = hosts(&nats);
    let near = member(&a, "near");
    let far = member(&b, "far");
    signal_all(&b, Signal::STOP);
    let mut client = a.open_v1("/?key=shop", json!({}));
    let query = json!({"op": "watch", "tags": {"room": "1"}, "mode": "members"});
    client.request_v1(5, query);
    let mut watcher = Watcher::of(client, 5);
    let first = watcher.reads();
    assert_eq!((&first["sync"], &first["partial"]), (&json!(true), &json!(true)), "{first}");
    assert_eq!(names(&watcher), ["near"]);
    signal_all(&b, Signal::CONT);
    let whole = reads_names(&mut watcher, &["far", "near"]);
    assert_eq!((&whole["sync"], whole.get("partial")), (&json!(true), None), "{whole}");
    drop((near, far));
}

pub fn without_nats_watchers_see_what_they_knew_and_catch_up_later() {
    let mut nats = Nats::start("");
    let [a, b]: [Server; 2] = hosts(&nats);
    let far = member(&b, "far");
    let mut watcher = watcher(&a, "members");
    reads_names(&mut watcher, &["far"]);
    nats.kill();
    for host in [&a, &b] {
        host.wait_for_output("nats_disconnected");
    }
    let near = member(&a, "near");
    reads_names(&mut watcher, &["far", "near"]);
    leave(far);
    let later = member(&b, "later");
    nats.restart();
    reads_names(&mut watcher, &["later", "near"]);
    drop((near, later));
}

pub fn long_lists_of_other_hosts_are_numbers() {
    let nats = Nats::start("");
    let presence = "    presence: any\n    presenceMembers: 20";
    let [a, b] = [(); 2].map(|()| host(&nats).auth(&auth(presence)).start());
    let both = [a, b];
    wait_until_joined(&both);
    let [a, b] = &both;
    let mut clients: Vec<Raw> = (0..15).map(|_| member(b, "far")).collect();
    let mut watcher = watcher(a, "members");
    watcher.reads_up_to(15);
    assert_eq!(watcher.list.len(), 15);
    clients.extend((0..6).map(|_| member(a, "near")));
    watcher.reads_up_to(21);
    assert!(watcher.is_long && watcher.list.is_empty());
    clients.drain(..4).for_each(leave);
    eventually("a list again", || {
        watcher.reads();
        (!watcher.is_long && watcher.count == 17).then_some(())
    });
    assert_eq!(watcher.list.len(), 17);
}

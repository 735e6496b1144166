//! Clients of `tagcast.v1` that resume on another host, over a real NATS server.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::{AUTH, PUBLISH, SHOP};
use crate::harness::nats::{Nats, host, wait_until_joined};
use crate::harness::processes::send_signal;
use crate::harness::{Raw, Server, eventually};

/// Starts hosts that store publications.
#[track_caller]
fn hosts<const N: usize>(nats: &Nats) -> [Server; N] {
    let auth = AUTH.replacen("clientPublish: true", "clientPublish: true, history: 100", 1);
    let start = || host(nats).auth(&auth).workers(1).start();
    let hosts = [(); N].map(|()| start());
    wait_until_joined(&hosts);
    hosts
}

/// Opens a client of an instance, with the token and the position of an earlier connection.
#[track_caller]
fn open(server: &Server, former: Option<(&Value, &Value)>) -> (Raw, Value) {
    let mut hello = json!({"key": "shop", "instance": "a-run-of-the-program", "tags": {"a": "1"}});
    if let Some((welcome, since)) = former {
        (hello["resume"], hello["since"]) = (welcome["resume"].clone(), since.clone());
    }
    server.welcomed("/", hello)
}

/// Publishes as a backend.
#[track_caller]
fn publish(server: &Server, to: &Value, message: u64) {
    let body = json!({"to": to, "message": message}).to_string();
    let answer = server.post(PUBLISH, SHOP, &body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
}

/// Breaks a connection without a Close frame, and waits until the broker knows it.
#[track_caller]
fn break_off(server: &Server, client: Raw, welcome: &Value) {
    drop(client);
    let body = json!({"to": {"uuid": welcome["uuid"]}, "message": 1, "dry_run": true}).to_string();
    let is_away = || server.post(PUBLISH, SHOP, &body).json()["away"] == 1;
    eventually("a client that is away", || is_away().then_some(()));
}

/// Reads data up to `recovery`, which is returned with them.
#[track_caller]
fn past(client: &mut Raw) -> (Vec<Value>, Value) {
    let mut data = Vec::new();
    loop {
        let mut frame = client.json();
        if frame["op"] == "recovery" {
            return (data, frame);
        }
        data.push(frame["data"].take());
    }
}

#[track_caller]
fn gets(client: &mut Raw, numbers: impl IntoIterator<Item = u64>) -> Value {
    let mut at = Value::Null;
    for number in numbers {
        let frame = client.json();
        assert_eq!(frame["data"], number, "{frame}");
        at = frame["at"].clone();
    }
    at
}

#[track_caller]
fn is_recovered(client: &mut Raw, numbers: impl IntoIterator<Item = u64>) -> Value {
    let (data, recovery) = past(client);
    assert_eq!(recovery["recovered"], true, "{recovery}");
    let mut found: Vec<u64> = data.iter().filter_map(Value::as_u64).collect();
    found.sort_unstable();
    assert_eq!(found, numbers.into_iter().collect::<Vec<_>>(), "{recovery}");
    recovery["at"].clone()
}

/// Waits until a host knows where a client is.
#[track_caller]
fn is_found_from(server: &Server, welcome: &Value) {
    let body = json!({"to": {"uuid": welcome["uuid"]}, "message": 0, "dry_run": true}).to_string();
    let is_found = || server.post(PUBLISH, SHOP, &body).json()["matched"] == 1;
    eventually("a client that is found", || is_found().then_some(()));
}

fn kill_host(host: &Server) {
    // It starts no process again.
    host.signal(Signal::STOP);
    for (process, _) in host.children() {
        send_signal(process, Signal::KILL);
    }
    host.signal(Signal::KILL);
}

/// V119b.
pub fn a_client_gets_on_another_host_what_it_has_missed() {
    let nats = Nats::start("");
    let [a, b, c] = hosts(&nats);
    let (mut client, first) = open(&a, None);
    publish(&b, &json!("all"), 1);
    let at = gets(&mut client, [1]);
    break_off(&a, client, &first);
    for (number, server) in (2..20).zip([&a, &b, &c].into_iter().cycle()) {
        publish(server, &json!({"tags": {"a": "1"}}), number);
    }
    publish(&c, &json!({"uuid": first["uuid"]}), 20);
    publish(&a, &json!({"uuid": first["uuid"]}), 21);
    let (mut client, second) = open(&b, Some((&first, &at)));
    let said = [&second["resumed"], &second["uuid"], &second["tags"]];
    assert_eq!(said, [&json!(true), &first["uuid"], &json!({"a": "1"})], "{second}");
    is_recovered(&mut client, 2..=21);
    // It is found here from every host, and nothing comes twice.
    for (number, server) in (22..).zip([&c, &a, &b]) {
        publish(server, &json!({"uuid": first["uuid"]}), number);
        gets(&mut client, [number]);
    }
    publish(&a, &json!("all"), 25);
    let at = gets(&mut client, [25]);
    // It goes on, and comes home.
    break_off(&b, client, &first);
    publish(&b, &json!("all"), 26);
    let (mut client, third) = open(&c, Some((&second, &at)));
    let at = is_recovered(&mut client, [26]);
    break_off(&c, client, &first);
    publish(&b, &json!({"uuid": first["uuid"]}), 27);
    let (mut client, _) = open(&a, Some((&third, &at)));
    is_recovered(&mut client, [27]);
    publish(&c, &json!({"uuid": first["uuid"]}), 28);
    gets(&mut client, [28]);
    client.expect_quiet();
}

/// V119c.
pub fn a_client_that_seems_to_be_connected_is_taken_over_from_another_host() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let (mut client, first) = open(&a, None);
    publish(&a, &json!("all"), 1);
    let at = gets(&mut client, [1]);
    publish(&b, &json!("all"), 2);
    gets(&mut client, [2]);
    // It does not know that it has got the second one.
    let (mut other, second) = open(&b, Some((&first, &at)));
    assert_eq!((&second["resumed"], &second["uuid"]), (&json!(true), &first["uuid"]));
    is_recovered(&mut other, [2]);
    client.expect_bye(4012);
    publish(&a, &json!({"uuid": first["uuid"]}), 3);
    gets(&mut other, [3]);
    // Another run of the program with a copy of the token is another client, as long as the first one answers.
    let mut hello = json!({"key": "shop", "instance": "another-run-of-it"});
    hello["resume"] = second["resume"].clone();
    let mut copy = crate::harness::Open::v1("/").upgrade(a.port);
    copy.hello(hello);
    // It is asked whether it is alive.
    assert_eq!(other.json()["op"], "ping");
    other.expect_quiet();
    let welcome = copy.expect_welcome();
    assert_eq!((&welcome["resumed"], &welcome["reason"]), (&json!(false), &json!("taken")));
}

/// V119d.
pub fn without_its_former_host_a_client_keeps_its_uuid_and_learns_it() {
    let nats = Nats::start("");
    let [a, b, c] = hosts(&nats);
    let (mut client, first) = open(&a, None);
    publish(&a, &json!("all"), 1);
    let at = gets(&mut client, [1]);
    kill_host(&a);
    let (mut client, second) = open(&b, Some((&first, &at)));
    assert_eq!((&second["resumed"], &second["uuid"]), (&json!(true), &first["uuid"]), "{second}");
    let (data, recovery) = past(&mut client);
    let said = [&recovery["recovered"], &recovery["reason"]];
    assert_eq!((data, said), (Vec::new(), [&json!(false), &json!("lost")]), "{recovery}");
    is_found_from(&c, &first);
    publish(&c, &json!({"uuid": first["uuid"]}), 2);
    gets(&mut client, [2]);
}

pub fn brokers_that_die_repeat_nothing_to_clients_that_have_moved() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let (mut client, first) = open(&a, None);
    publish(&b, &json!("all"), 1);
    let at = gets(&mut client, [1]);
    break_off(&a, client, &first);
    (2..12)
        .for_each(|number| publish(if number % 2 == 0 { &a } else { &b }, &json!("all"), number));
    let (mut client, second) = open(&b, Some((&first, &at)));
    is_recovered(&mut client, 2..12);
    b.kill_broker();
    publish(&a, &json!("all"), 12);
    publish(&b, &json!("all"), 13);
    let mut got = [0, 0].map(|_| client.json()["data"].as_u64().unwrap());
    got.sort_unstable();
    assert_eq!(got, [12, 13]);
    a.kill_broker();
    is_found_from(&a, &first);
    publish(&a, &json!({"uuid": first["uuid"]}), 14);
    gets(&mut client, [14]);
    // The broker that knew it is dead when it comes to the other host.
    b.kill_broker();
    drop(client);
    let (mut client, third) = open(&a, Some((&second, &at)));
    assert_eq!((&third["resumed"], &third["uuid"]), (&json!(true), &first["uuid"]), "{third}");
    let (_, recovery) = past(&mut client);
    assert_eq!(recovery["recovered"], false, "{recovery}");
}

//! Requests of the API to one of several hosts, whose answers are about the clients of all.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backend::{Act, Backend};
use crate::harness::api::{ApiAnswer, LIST, OTHER, PUBLISH, SHOP, head};
use crate::harness::nats::{Nats, host_with, hosts, wait_until_joined};
use crate::harness::processes::{children_of, send_signal};
use crate::harness::{Open, Raw, Server, eventually, pause};

/// How long other hosts are waited for, by default, and what an answer may take above it on a busy machine.
const QUERY_TIMEOUT: Duration = Duration::from_millis(300);
const BUSY: Duration = Duration::from_millis(700);

pub fn tagged(server: &Server, tags: &str) -> Raw {
    server.open(&Open::at(&format!("/web?key=shop&tags={tags}")))
}

fn get(server: &Server, target: &str) -> Value {
    let answer = server.call("GET", target, &[SHOP]);
    assert_eq!(answer.status(), 200, "{target}: {}", answer.body);
    answer.json()
}

fn post(server: &Server, target: &str, body: &str) -> ApiAnswer {
    server.post(&format!("/v1/apps/shop/{target}"), SHOP, body)
}

pub fn ok(answer: &ApiAnswer) -> Value {
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()
}

fn count(server: &Server, expression: &str) -> Value {
    ok(&post(server, "explain", &format!(r#"{{"expr":"{expression}"}}"#)))
}

/// What an answer says of the hosts that were asked.
pub fn hosts_of(answer: &Value) -> (u64, u64, bool) {
    let number = |name: &str| answer["hosts"][name].as_u64().unwrap();
    (number("asked"), number("answered"), answer["partial"].as_bool().unwrap())
}

const ALL_THREE: (u64, u64, bool) = (3, 3, false);

fn uuids(page: &Value) -> Vec<String> {
    let connections = page["connections"].as_array().unwrap();
    connections.iter().map(|client| client["uuid"].as_str().unwrap().to_owned()).collect()
}

/// Stops or continues all processes of a host.
pub fn signal_all(host: &Server, signal: Signal) {
    send_signal(host.pid(), signal);
    children_of(host.pid()).into_iter().for_each(|(child, _)| send_signal(child, signal));
}

/// Reads a list. Each page comes from another host.
fn walk(hosts: &[Server; 3], limit: usize, expected: &BTreeSet<String>) {
    let (mut listed, mut cursor, mut turn) = (Vec::new(), String::new(), 0);
    loop {
        let target = format!("{LIST}?expr=language%3DFR&limit={limit}{cursor}");
        let page = get(&hosts[turn % 3], &target);
        assert_eq!((&page["matched"], hosts_of(&page)), (&json!(6), ALL_THREE));
        let own = uuids(&page);
        assert!(own.len() <= limit && !own.is_empty(), "{page}");
        listed.extend(own);
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        turn += 1;
    }
    assert_eq!(listed.len(), expected.len(), "each once");
    assert_eq!(&listed.into_iter().collect::<BTreeSet<_>>(), expected);
}

pub fn counts_and_lists_are_those_of_all_hosts() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let french: Vec<Raw> =
        [a, b, b, c, c, c].map(|host| tagged(host, r#"{"language":"FR"}"#)).into_iter().collect();
    let english = tagged(b, r#"{"language":"EN"}"#);
    let _script = c.open(&Open::php().target("/php?key=shop").ident("job"));
    let _foreign = c.open(&Open::at("/web?key=other"));
    for host in &hosts {
        let found = count(host, "language=FR");
        assert_eq!((&found["matched"], hosts_of(&found)), (&json!(6), ALL_THREE));
        assert_eq!(count(host, "!language=FR")["matched"], 1);
        let stats = get(host, "/v1/apps/shop/stats");
        let clients = &stats["clients"];
        assert_eq!((&clients["web"], &clients["php"]), (&json!(7), &json!(1)));
        assert_eq!(hosts_of(&stats), ALL_THREE);
        let named = get(host, &format!("{LIST}?ident=job"));
        assert_eq!((&named["matched"], uuids(&named).len()), (&json!(1), 1));
    }
    let body = r#"{"expr":"language=FR & !language=EN","counts":true}"#;
    let parts = ok(&post(a, "explain", body));
    let matched: Vec<u64> = parts["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["matched"].as_u64().unwrap())
        .collect();
    assert!(matched.contains(&6) && matched.contains(&1), "{parts}");
    assert_eq!(hosts_of(&parts), ALL_THREE);
    let expected: BTreeSet<String> = french.iter().map(|page| page.uuid.clone()).collect();
    (1..=7).for_each(|limit| walk(&hosts, limit, &expected));
    let none = get(a, &format!("{LIST}?limit=0"));
    assert_eq!((&none["matched"], &none["cursor"]), (&json!(7), &Value::Null));
    assert!(uuids(&none).is_empty());
    let foreign = a.call("GET", "/v1/apps/other/connections", &[OTHER]).json();
    assert_eq!((&foreign["matched"], uuids(&foreign).len()), (&json!(1), 1));
    drop(english);
}

pub fn a_client_is_described_by_any_host() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let page = tagged(&hosts[2], r#"{"language":"FR"}"#);
    for host in &hosts {
        let found = get(host, &format!("{LIST}/{}", page.uuid));
        assert_eq!((&found["uuid"], &found["dialect"]), (&json!(page.uuid), &json!("phpws")));
        assert_eq!(found["tags"], json!({"language":"FR"}));
        let body = format!(r#"{{"expr":"language=FR","uuid":"{}"}}"#, page.uuid);
        assert_eq!(ok(&post(host, "explain", &body))["connection"]["matches"], true);
        let other =
            host.call("GET", &format!("/v1/apps/other/connections/{}", page.uuid), &[OTHER]);
        other.is_error(404, "connection_not_found");
    }
    let target = format!("{LIST}/{}", page.uuid);
    drop(page);
    for host in &hosts {
        eventually("the end of the connection", || {
            let answer = host.call("GET", &target, &[SHOP]);
            (answer.error().1 == "connection_not_found").then_some(())
        });
    }
}

pub fn a_publication_counts_its_clients_on_all_hosts() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let mut pages = [tagged(b, r#"{"room":"1"}"#), tagged(c, r#"{"room":"1"}"#)];
    let script = c.open(&Open::php().target("/php?key=shop").ident("job"));
    let publish = |to: &str, rest: &str| {
        let answer = a.post(PUBLISH, SHOP, &format!(r#"{{"to":{to},"message":"m"{rest}}}"#));
        ok(&answer)
    };
    let tags = r#"{"tags":{"room":"1"}}"#;
    let found = publish(tags, r#","dry_run":true"#);
    assert_eq!((&found["matched"], &found["dry_run"]), (&json!(2), &json!(true)));
    assert_eq!(hosts_of(&found), ALL_THREE);
    let found = publish(tags, "");
    assert_eq!((&found["matched"], hosts_of(&found)), (&json!(2), ALL_THREE));
    let one = format!(r#"{{"uuid":"{}"}}"#, pages[0].uuid);
    let found = publish(&one, "");
    assert_eq!((&found["matched"], hosts_of(&found)), (&json!(1), (2, 2, false)));
    assert_eq!(publish(r#"{"ident":"job"}"#, "")["matched"], 1);
    assert_eq!(publish(r#"{"ident":"nobody"}"#, "")["matched"], 0);
    let except = format!(r#","except":["{}"]"#, pages[1].uuid);
    assert_eq!(publish(tags, &except)["matched"], 1, "counted where the client is");
    let too_many = r#","dry_run":true,"max_recipients":1"#;
    let answer = a.post(PUBLISH, SHOP, &format!(r#"{{"to":{tags},"message":"m"{too_many}}}"#));
    answer.is_error(409, "too_many_recipients");
    let found = publish(tags, r#","ack":"written""#);
    let numbers = ["matched", "written", "waiting"].map(|name| found[name].as_u64().unwrap());
    assert_eq!((numbers, hosts_of(&found)), ([2, 2, 0], ALL_THREE));
    let feedback = |uuid: &str| post(a, &format!("connections/{uuid}/feedback"), r#"{"text":"f"}"#);
    assert_eq!(ok(&feedback(&pages[1].uuid))["matched"], 1);
    let gone = tagged(c, "{}");
    let uuid = gone.uuid.clone();
    drop(gone);
    eventually("the end of the connection", || (feedback(&uuid).status() == 404).then_some(()));
    let batch =
        format!(r#"{{"publications":[{{"to":{tags},"text":"1"}},{{"to":"all","text":"2"}}]}}"#);
    let results = ok(&post(a, "publish:batch", &batch));
    for result in results["results"].as_array().unwrap() {
        assert_eq!((&result["matched"], hosts_of(result)), (&json!(2), ALL_THREE));
    }
    for (page, expected) in pages.iter_mut().zip([6, 5]) {
        // Nothing was published twice.
        (0..expected).for_each(|_| drop(page.frame()));
        page.expect_silence();
    }
    drop(script);
}

pub fn a_suspended_host_makes_answers_partial_and_delays_none_for_long() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let pages = hosts.each_ref().map(|host| tagged(host, r#"{"room":"1"}"#));
    let [a, b, c] = &hosts;
    assert_eq!(hosts_of(&count(b, "room=1")), ALL_THREE);
    signal_all(c, Signal::STOP);
    for host in [a, b] {
        let begun = Instant::now();
        let found = count(host, "room=1");
        let took = begun.elapsed();
        assert_eq!((&found["matched"], hosts_of(&found)), (&json!(2), (3, 2, true)));
        assert!(took < QUERY_TIMEOUT + BUSY, "{took:?}");
        let listed = get(host, LIST);
        assert_eq!((uuids(&listed).len(), hosts_of(&listed)), (2, (3, 2, true)));
        let answer = host.call("GET", &format!("{LIST}/{}", pages[2].uuid), &[SHOP]);
        answer.is_error(503, "broker_unavailable");
    }
    // A host that is gone is not waited for.
    eventually("a host that is gone", || {
        (hosts_of(&count(a, "room=1")) == (2, 2, false)).then_some(())
    });
    let answer = a.call("GET", &format!("{LIST}/{}", pages[2].uuid), &[SHOP]);
    answer.is_error(404, "connection_not_found");
    signal_all(c, Signal::CONT);
    eventually("the host again", || {
        let found = count(a, "room=1");
        (hosts_of(&found) == ALL_THREE && found["matched"] == 3).then_some(())
    });
    let counts = a.bridge_counts().unwrap();
    assert!(counts.queries_partial > 0 && counts.queries_complete > 0, "{counts:?}");
}

pub fn a_query_outlives_processes_that_die() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let _pages = hosts.each_ref().map(|host| tagged(host, r#"{"room":"1"}"#));
    let [a, b, c] = &hosts;
    let all_answer = || {
        eventually("all hosts", || {
            let begun = Instant::now();
            let found = count(a, "room=1");
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            (hosts_of(&found) == ALL_THREE && found["matched"] == 3).then_some(())
        });
    };
    a.kill_bridge();
    all_answer();
    b.kill_bridge();
    all_answer();
    c.kill_broker();
    all_answer();
    a.kill_broker();
    all_answer();
    // Its own bridge hangs: the API process waits no longer than for another host.
    let bridge = a.with_role("bridge")[0];
    send_signal(bridge, Signal::STOP);
    let begun = Instant::now();
    let found = count(a, "room=1");
    assert!(begun.elapsed() < QUERY_TIMEOUT + BUSY, "{:?}", begun.elapsed());
    assert_eq!((&found["matched"], &found["partial"]), (&json!(1), &json!(true)));
    send_signal(bridge, Signal::CONT);
    all_answer();
}

pub fn without_nats_a_host_answers_at_once_for_itself() {
    let mut nats = Nats::start("");
    let slow = [(); 2].map(|()| host_with(&nats, "queryTimeout = 10s\n").start());
    wait_until_joined(&slow);
    let [a, b] = &slow;
    let _pages = [a, b].map(|host| tagged(host, r#"{"room":"1"}"#));
    assert_eq!(count(a, "room=1")["matched"], 2);
    nats.kill();
    a.wait_for_output("nats_disconnected");
    let begun = Instant::now();
    let found = count(a, "room=1");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((&found["matched"], hosts_of(&found)), (&json!(1), (2, 1, true)));
    nats.restart();
    eventually("the other host", || {
        pause(Duration::from_millis(10));
        (hosts_of(&count(a, "room=1")) == (2, 2, false)).then_some(())
    });
}

/// A page of a connection that is pipelined is in the order of its requests, whatever other hosts take.
pub fn publications_of_one_connection_stay_in_order_while_hosts_are_asked() {
    let nats = Nats::start("");
    let hosts: [Server; 2] = hosts(&nats);
    let [a, b] = &hosts;
    let mut page = tagged(b, r#"{"room":"1"}"#);
    let mut connection = Raw::connect(a.port);
    for number in 0..50 {
        let body = format!(r#"{{"to":{{"tags":{{"room":"1"}}}},"message":{number}}}"#);
        let answer = connection.request(crate::harness::api::post(PUBLISH, &[SHOP], &body));
        assert_eq!((answer.status(), &answer.json()["matched"]), (200, &json!(1)));
    }
    for number in 0..50 {
        page.expect_text(&format!(r#"{{"opcode":"broadcast","message":{number}}}"#));
    }
    let answer = connection.request(head("GET", LIST, &[SHOP]));
    assert_eq!(hosts_of(&answer.json()), (2, 2, false));
}

/// What a resource asks about connected clients (`who`).
pub fn a_resource_learns_of_the_clients_of_all_hosts() {
    let backend = Backend::start(|event| match (event["event"].as_str(), event["text"].as_str()) {
        (Some("message"), Some("who")) => {
            Act::Commands(r#"[{"command":"who","tags":{"room":"1"},"tag":"nick"}]"#)
        }
        (Some("message"), Some(nick)) => {
            let tags = json!({"command": "tag", "set": {"room": "1", "nick": nick}});
            Act::Answer(200, json!([tags, {"command": "reply", "text": "done"}]).to_string())
        }
        (Some("who"), _) => {
            let found = [&event["clients"], &event["values"]];
            Act::Answer(200, json!({"command": "reply", "message": found}).to_string())
        }
        _ => Act::Commands(""),
    });
    let nats = Nats::start("");
    let resource = format!("[resource /chat]\nkind = http\nurl = {}\n", backend.url());
    let more = format!("{resource}application = shop\n");
    let hosts = [(); 3].map(|()| host_with(&nats, &more).start());
    wait_until_joined(&hosts);
    let [mut a, mut b, mut c] =
        hosts.each_ref().map(|host| Open::at("/chat?key=shop").upgrade(host.port));
    for (client, nick) in [(&mut a, "anna"), (&mut b, "bert"), (&mut c, "carl")] {
        client.text(nick);
        client.expect_text("done");
    }
    let who = |client: &mut Raw| {
        client.text("who");
        let frame = client.frame();
        let found: (u64, BTreeSet<String>) = serde_json::from_str(frame.as_text()).unwrap();
        (found.0, found.1.into_iter().collect::<Vec<_>>().join(" "))
    };
    for client in [&mut a, &mut b, &mut c] {
        assert_eq!(who(client), (3, "anna bert carl".to_owned()));
    }
    signal_all(&hosts[2], Signal::STOP);
    let begun = Instant::now();
    assert_eq!(who(&mut a), (2, "anna bert".to_owned()), "of those that answer");
    assert!(begun.elapsed() < QUERY_TIMEOUT + BUSY, "{:?}", begun.elapsed());
    signal_all(&hosts[2], Signal::CONT);
}

/// A part of a list of tags, as texts and counts.
fn counted<'a>(page: &'a Value, list: &str, text: &str, count: &str) -> Vec<(&'a str, u64)> {
    let rows = page[list].as_array().unwrap().iter();
    rows.map(|row| (row[text].as_str().unwrap(), row[count].as_u64().unwrap())).collect()
}

pub fn tags_are_those_of_all_hosts() {
    let nats = Nats::start("");
    let hosts: [Server; 3] = hosts(&nats);
    let [a, b, c] = &hosts;
    let tags = "/v1/apps/shop/tags";
    let _clients = [
        tagged(a, r#"{"room":"1","language":"FR"}"#),
        tagged(b, r#"{"room":"1"}"#),
        tagged(b, r#"{"room":"2"}"#),
        tagged(c, r#"{"room":"1","zone":"x"}"#),
        tagged(c, r#"{"room":"10"}"#),
    ];
    let _foreign = c.open(&Open::at(r#"/web?key=other&tags={"secret":"1"}"#));
    for host in &hosts {
        let names = get(host, tags);
        let expected = [("language", 1), ("room", 5), ("zone", 1)];
        assert_eq!(counted(&names, "names", "name", "values"), expected, "{names}");
        assert_eq!((hosts_of(&names), &names["cursor"]), (ALL_THREE, &Value::Null));
        let rooms = get(host, &format!("{tags}?name=room"));
        assert_eq!(
            counted(&rooms, "values", "value", "clients"),
            [("1", 3), ("10", 1), ("2", 1)],
            "{rooms}"
        );
        let some = get(host, &format!("{tags}?name=room&prefix=1"));
        assert_eq!(counted(&some, "values", "value", "clients"), [("1", 3), ("10", 1)]);
    }
    // Each page comes from another host.
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    for host in [a, b, c] {
        let page = get(host, &format!("{tags}?name=room&limit=1{cursor}"));
        listed.push(counted(&page, "values", "value", "clients")[0].0.to_owned());
        cursor = page["cursor"].as_str().map_or_else(String::new, |it| format!("&cursor={it}"));
    }
    assert_eq!((listed.join(" "), cursor), ("1 10 2".to_owned(), String::new()));
    signal_all(c, Signal::STOP);
    let rooms = get(a, &format!("{tags}?name=room"));
    assert_eq!(
        (hosts_of(&rooms), counted(&rooms, "values", "value", "clients").len()),
        ((3, 2, true), 2)
    );
    signal_all(c, Signal::CONT);
}

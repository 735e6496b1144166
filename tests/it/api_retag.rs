//! Changes of tags of one client by HTTP: versions, conditions, and several writers while brokers die.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backend::chat;
use crate::backend::{Act, Backend};
use crate::harness::api::{
    AUTH, ApiAnswer, Clients, LIST, PUBLISH, SHOP, SHOP_SECRET, head, listed, setup,
};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, eventually};

/// The bytes of a request with a JSON body.
fn request(method: &str, uuid: &str, body: &Value) -> Vec<u8> {
    let (target, body) = (format!("{LIST}/{uuid}/tags"), body.to_string());
    let length = body.len().to_string();
    let own = [SHOP, ("Content-Type", "application/json"), ("Content-Length", &*length)];
    [head(method, &target, &own), body.into_bytes()].concat()
}

fn patch(server: &Server, uuid: &str, body: &Value) -> ApiAnswer {
    Raw::connect(server.port).request(request("PATCH", uuid, body))
}

fn put(server: &Server, uuid: &str, body: &Value) -> ApiAnswer {
    Raw::connect(server.port).request(request("PUT", uuid, body))
}

/// Tags and version of a change that was made.
#[track_caller]
fn changed(answer: &ApiAnswer) -> (u64, Value) {
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
    (json["version"].as_u64().unwrap(), json["tags"].clone())
}

/// What `GET` of the client itself shows.
#[track_caller]
fn shown(server: &Server, uuid: &str) -> (u64, Value) {
    let answer = server.call("GET", &format!("{LIST}/{uuid}"), &[SHOP]);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let client = answer.json();
    (client["version"].as_u64().unwrap(), client["tags"].clone())
}

/// A100, A101, and `PUT`.
#[test]
fn a_change_applies_to_every_publication_after_its_answer() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let uuid = clients.f.uuid.clone();
    let (joined, tags) = listed(&server, &uuid);
    assert_eq!(tags, json!({"language": "FR"}));
    assert_eq!(shown(&server, &uuid), (joined, tags));
    let (first, tags) = changed(&patch(&server, &uuid, &json!({"set": {"room": 1}})));
    assert!(joined < first && first < 1 << 53, "{joined} {first}");
    assert_eq!(
        (&tags, listed(&server, &uuid)),
        (&json!({"language": "FR", "room": "1"}), (first, tags.clone()))
    );
    server.post(PUBLISH, SHOP, r#"{"to":{"tags":{"room":"1"}},"message":"by HTTP"}"#);
    let broadcast = r#"{"opcode":"broadcast","message":"by HTTP"}"#;
    assert_eq!(clients.f.frame().as_text(), broadcast);
    assert_eq!(clients.e.frame().as_text(), r#""by HTTP""#);
    clients.e.text(r#"{"message":"by a socket","tags":{"room":"1"}}"#);
    clients.f.expect_text(r#"{"opcode":"broadcast","message":"by a socket"}"#);
    let (second, tags) = changed(&patch(&server, &uuid, &json!({"remove": ["language"]})));
    assert!(second > first && tags == json!({"room": "1"}));
    for body in [json!({"remove": ["nothing"]}), json!({"set": {"room": "1"}}), json!({"set": {}})]
    {
        assert_eq!(changed(&patch(&server, &uuid, &body)), (second, json!({"room": "1"})));
    }
    let both = json!({"set": {"a": "1"}, "remove": ["room"], "if_version": second});
    let (third, tags) = changed(&patch(&server, &uuid, &both));
    assert!(third > second && tags == json!({"a": "1"}));
    assert_eq!(shown(&server, &uuid), (third, tags));
    let (fourth, tags) =
        changed(&put(&server, &uuid, &json!({"tags": {"b": -7}, "if_version": third})));
    assert!(fourth > third && tags == json!({"b": "-7"}));
    assert_eq!(changed(&put(&server, &uuid, &json!({"tags": {}}))).1, json!({}));
}

/// A102, A105, A106, A110.
#[test]
fn a_change_that_cannot_be_made_is_refused_with_the_reason() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let uuid = &clients.f.uuid;
    let (joined, _) = listed(&server, uuid);
    let change = json!({"set": {"n": "1"}, "if_version": joined});
    let answers = thread::scope(|scope| {
        [(); 2].map(|()| scope.spawn(|| patch(&server, uuid, &change))).map(|it| it.join().unwrap())
    });
    let mut statuses = answers.each_ref().map(ApiAnswer::status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let refused = answers.iter().find(|answer| answer.status() == 409).unwrap();
    let error = refused.is_error(409, "version_conflict").json()["error"].clone();
    let (version, tags) = listed(&server, uuid);
    assert_eq!((&error["version"], &error["tags"]), (&json!(version), &tags));
    let set = json!({"set": {"n": "2"}});
    patch(&server, &clients.p.uuid, &set).is_error(409, "retag_unsupported");
    let other = patch(&server, &clients.o.uuid, &set);
    let gone = server.open(&Open::at("/web?key=shop"));
    let left = gone.uuid.clone();
    drop(gone);
    eventually("the client has left", || {
        let page = server.call("GET", LIST, &[SHOP]).json();
        (page["matched"] == 3).then_some(())
    });
    let left = patch(&server, &left, &set);
    let error = |answer: &ApiAnswer| answer.json()["error"]["message"].clone();
    other.is_error(404, "connection_not_found");
    left.is_error(404, "connection_not_found");
    assert_eq!(error(&other), error(&left));
    patch(&server, "x", &set).is_error(400, "invalid_uuid");
}

/// A103, A104.
#[test]
fn tags_that_no_client_may_have_are_refused_and_nothing_changes() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let uuid = &clients.f.uuid;
    let before = listed(&server, uuid);
    let long = "v".repeat(256);
    for (body, text) in [
        (json!({"set": {"@user": "1"}}), "The tag '@user' is the server's to give !"),
        (json!({"set": {"45": "x"}}), "The tag name '45' is not a string !"),
        (json!({"set": {"a": 1.5}}), "The 'a' tag is not an integer or a string !"),
        (json!({"set": {"a": long}}), "the tag a has 256 bytes, 255 at most"),
        (json!({"remove": ["@resource"]}), "The tag '@resource' is the server's to give !"),
        (json!({"remove": [""]}), "a tag needs a name"),
    ] {
        let answer = patch(&server, uuid, &body);
        assert_eq!(answer.is_error(422, "invalid_tags").json()["error"]["message"], text);
    }
    let many = |count: usize| -> Value {
        let all = (0..count).map(|n| (format!("n{n}"), json!("x")));
        Value::Object(all.collect())
    };
    for answer in [
        patch(&server, uuid, &json!({"set": many(129)})),
        patch(&server, uuid, &json!({"set": many(128)})),
        put(&server, uuid, &json!({"tags": many(129)})),
        patch(&server, uuid, &json!({"remove": vec!["x"; 129]})),
    ] {
        let answer = answer.is_error(422, "too_many_tags").json();
        assert_eq!(answer["error"]["limit"], 128);
    }
    assert_eq!(listed(&server, uuid), before);
    assert_eq!(changed(&put(&server, uuid, &json!({"tags": many(128)}))).1, many(128));
}

#[test]
fn bodies_that_are_not_a_change_are_refused() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let uuid = &clients.f.uuid;
    for (body, status, code, at) in [
        (json!({}), 400, "missing_member", "/set"),
        (json!({"if_version": 1}), 400, "missing_member", "/set"),
        (json!({"set": null, "remove": null}), 400, "missing_member", "/set"),
        (json!({"set": {"a": "1"}, "remove": ["a"]}), 400, "invalid_value", "/remove"),
        (json!({"set": []}), 400, "wrong_type", "/set"),
        (json!({"remove": "a"}), 400, "wrong_type", "/remove"),
        (json!({"remove": ["a", 1]}), 400, "wrong_type", "/remove"),
        (json!({"remove": ["a", "45"]}), 422, "invalid_tags", "/remove/1"),
        (json!({"set": {}, "if_version": "1"}), 400, "wrong_type", "/if_version"),
        (json!({"tags": {}}), 400, "unknown_member", "/tags"),
    ] {
        let error = patch(&server, uuid, &body).error();
        assert_eq!(error, (status, code.into(), at.into()), "{body}");
    }
    let error = put(&server, uuid, &json!({"if_version": 1})).error();
    assert_eq!(error, (400, "missing_member".into(), "/tags".into()));
    let twice = br#"{"set":{"a":"1","a":"2"}}"#;
    let length = twice.len().to_string();
    let own = [SHOP, ("Content-Type", "application/json"), ("Content-Length", &*length)];
    let bytes = [head("PATCH", &format!("{LIST}/{uuid}/tags"), &own), twice.to_vec()].concat();
    let error = Raw::connect(server.port).request(bytes).error();
    assert_eq!(error, (400, "duplicate_member".into(), "/set/a".into()));
    server.call("GET", &format!("{LIST}/{uuid}/tags"), &[SHOP]).is_error(405, "method_not_allowed");
    let auth = AUTH.replace("clientPublish: true", "permissions: [publish, list]");
    let server = setup().auth(&auth).start();
    let denied = patch(&server, uuid, &json!({"set": {}}));
    assert_eq!(denied.is_error(403, "permission_denied").json()["error"]["permission"], "tags");
}

/// A108.
#[test]
fn a_change_that_was_answered_survives_the_broker() {
    let server = setup().start();
    let clients = Clients::open(&server);
    for round in 0..5 {
        let change = json!({"set": {"round": round}});
        let answered = changed(&patch(&server, &clients.f.uuid, &change));
        server.kill_broker();
        assert_eq!(listed(&server, &clients.f.uuid), answered);
    }
}

#[test]
fn a_change_without_a_broker_is_accepted_and_made_later() {
    let server = setup().ini("apiTimeout = 300ms").start();
    let mut clients = Clients::open(&server);
    let broker = server.broker();
    send_signal(broker, Signal::STOP);
    let answer = patch(&server, &clients.n.uuid, &json!({"set": {"late": "1"}}));
    send_signal(broker, Signal::CONT);
    assert_eq!((answer.status(), answer.json()), (202, json!({"accepted": true})));
    server.post(PUBLISH, SHOP, r#"{"to":{"tags":{"late":"1"}},"message":1}"#);
    clients.n.expect_text(r#"{"opcode":"broadcast","message":1}"#);
}

/// Adds one to a tag of a client until it has done so this many times. Returns how many changes have an unknown
/// result.
fn count_up(server: &Server, uuid: &str, times: u64) -> u64 {
    let (mut done, mut unknown, mut last) = (0, 0, 0);
    let (mut version, mut tags) = shown(server, uuid);
    while done < times {
        let n: u64 = tags["n"].as_str().map_or(0, |n| n.parse().unwrap());
        let body = json!({"set": {"n": n + 1}, "if_version": version});
        let answer = patch(server, uuid, &body);
        let json = answer.json();
        let present = match answer.status() {
            200 => {
                done += 1;
                json
            }
            409 => json["error"].clone(),
            202 => {
                unknown += 1;
                continue;
            }
            503 => continue,
            status => panic!("{status} {json}"),
        };
        (version, tags) = (present["version"].as_u64().unwrap(), present["tags"].clone());
        assert!(version >= last, "versions grow: {last} {version}");
        last = version;
    }
    unknown
}

/// Several writers count up the tag of one client; no step is lost.
fn writers_lose_no_step(server: &Server, clients: &[&str], times: u64) {
    const WRITERS: u64 = 4;
    for uuid in clients {
        let unknown: u64 = thread::scope(|scope| {
            let writers = [(); 4].map(|()| scope.spawn(|| count_up(server, uuid, times)));
            writers.into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        let n: u64 = listed(server, uuid).1["n"].as_str().unwrap().parse().unwrap();
        let least = WRITERS * times;
        assert!((least..=least + unknown).contains(&n), "{n} steps, {unknown} unknown");
    }
}

/// A179, with fewer clients.
#[test]
fn writers_with_a_condition_lose_no_change() {
    let server = setup().start();
    let clients = Clients::open(&server);
    writers_lose_no_step(&server, &[&clients.f.uuid, &clients.e_uuid(&server)], 25);
}

/// A180, with fewer clients.
#[test]
fn writers_lose_no_change_while_brokers_die() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let before = server.kill_broker();
                eventually("another broker", || (server.broker() != before).then_some(()));
                // The broker of this moment has made some changes before it dies.
                thread::sleep(Duration::from_millis(200));
            }
        });
        writers_lose_no_step(&server, &[&clients.f.uuid], 40);
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A181.
#[test]
fn a_resource_and_a_backend_change_other_tags_at_once_and_both_hold() {
    let backend = Backend::start(|event| match event["text"].as_str() {
        Some(commands) => Act::Answer(200, commands.to_owned()),
        None => Act::Commands(""),
    });
    let server = chat::setup(&backend, "").auth(CHAT_IS_SHOP).start();
    let mut client = Open::at("/chat").upgrade(server.port);
    let page = server.call("GET", LIST, &[SHOP]).json();
    let uuid = page["connections"][0]["uuid"].as_str().unwrap().to_owned();
    let command = |n: u32| json!([{"command": "tag", "set": {"room": format!("r{n}")}}, {"command": "reply", "text": "ok"}]);
    for n in 0..30 {
        client.text(command(n).to_string());
        changed(&patch(&server, &uuid, &json!({"set": {"grade": n}})));
        client.expect_text("ok");
        let (_, tags) = listed(&server, &uuid);
        assert_eq!(tags["grade"], n.to_string());
        assert_eq!((&tags["room"], &tags["@resource"]), (&json!(format!("r{n}")), &json!("/chat")));
    }
    // What the backend has set is part of what the resource sees.
    client.text(
        json!([{"command": "tag", "remove": ["grade"]}, {"command": "reply", "text": "ok"}])
            .to_string(),
    );
    client.expect_text("ok");
    assert_eq!(listed(&server, &uuid).1, json!({"@resource": "/chat", "room": "r29"}));
}

/// The application of the resource is `shop`.
const CHAT_IS_SHOP: &str = "anonymous: chat
applications:
  - { key: chat, tenant: shop, secret: secret-of-the-chat-for-this-test-alone, authorizeOpen: true, clientPublish: true }
  - { key: shop, tenant: shop, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: true }
";

impl Clients {
    /// Returns the UUID of the client whose protocol has none.
    fn e_uuid(&self, server: &Server) -> String {
        let page = server.call("GET", &format!("{LIST}?expr=room%3D1"), &[SHOP]).json();
        page["connections"][0]["uuid"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_secret_is_needed_to_change_tags() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let target = format!("{LIST}/{}/tags", clients.f.uuid);
    let wrong = format!("Bearer {SHOP_SECRET}x");
    server
        .call("PATCH", &target, &[("Authorization", &wrong)])
        .is_error(401, "invalid_credentials");
}

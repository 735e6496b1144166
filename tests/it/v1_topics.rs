//! Topics of clients of `tagcast.v1`: many names in each client, which tag queries and expressions of all protocols
//! match.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::{SHOP, SHOP_SECRET, setup};
use crate::harness::processes::send_signal;
use crate::harness::tokens::{auth, show, token};
use crate::harness::{Finished, Open, Raw, Server, Setup, eventually, run_to_end};
use crate::v1_history::{Past, come_back_at, publish, storing};
use crate::v1_resume::{break_off, come_back, hello, open};

fn proven() -> Value {
    json!({"key": "shop", "secret": SHOP_SECRET})
}

/// V51.
#[test]
fn a_client_joins_as_many_topics_as_it_may_and_no_more() {
    let server = Server::start();
    let first: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
    let (mut client, welcome) = server.welcomed("/", json!({"topics": &first[1..]}));
    assert_eq!(welcome["limits"]["topics"], 100);
    assert_eq!(welcome["topics"].as_array().unwrap().len(), 99);
    client.request_v1(1, json!({"op": "tag", "join": ["t0"]}));
    client.say(json!({"op": "tag", "id": 2, "join": ["t100"], "set": {"a": "1"}}));
    let error = client.expect_error("limit_exceeded");
    assert_eq!((&error["limit"], &error["at"]), (&json!(100), &json!("/join")));
    client.request_v1(3, json!({"op": "tag", "join": ["t100"], "leave": ["t0"]}));
    for (join, code) in [
        (json!(["#user"]), "invalid_request"),
        (json!(["a b"]), "invalid_request"),
        (json!(["x".repeat(201)]), "invalid_request"),
        (json!("t0"), "invalid_request"),
        (json!(["private-x"]), "permission_denied"),
        (json!(["presence-x"]), "permission_denied"),
    ] {
        client.say(json!({"op": "tag", "id": 4, "leave": ["t1"], "join": join}));
        client.expect_error(code);
    }
    let reached = |tags: Value| {
        let mut publisher = server.open_v1("/", json!({}));
        publisher
            .say(json!({"op": "pub", "id": 1, "to": {"tags": tags}, "report": true, "data": 1}));
        publisher.json()["matched"].as_u64().unwrap()
    };
    for (topic, matched) in [("t0", 0), ("t1", 1), ("t99", 1), ("t100", 1)] {
        assert_eq!(reached(json!({"channel": topic})), matched, "{topic}");
    }
    assert_eq!(reached(json!({"a": "1"})), 0);
    let mut closed = Open::v1("/").upgrade(server.port);
    closed.hello(json!({"topics": (0..101).map(|n| format!("t{n}")).collect::<Vec<_>>()}));
    assert_eq!(closed.expect_bye(4000)["reason"], "invalid frame: more than 100 topics");
}

/// V52.
#[test]
fn a_topic_that_is_left_and_joined_is_joined() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({"topics": ["a", "b"]}));
    client.request_v1(1, json!({"op": "tag", "leave": ["a", "b", "none"], "join": ["a"]}));
    for (topic, data) in [("b", 1), ("a", 2)] {
        client.say(json!({"op": "pub", "to": {"topic": topic}, "data": data}));
    }
    client.expect_json(json!({"op": "msg", "topic": "a", "data": 2}));
}

/// V53, V56.
#[test]
fn a_token_names_the_topics_that_its_client_may_join() {
    let server = setup().auth(&auth("    tags: token")).start();
    let join = |client: &mut Raw, topic: &str| {
        client.say(json!({"op": "tag", "id": 1, "join": [topic]}));
        client.json()["op"] == "ack"
    };
    for (topics, permitted, denied) in [
        (json!(["room-*"]), &["room-1"][..], &["news", "private-x"][..]),
        (json!(["news", "private-x", "presence-*"]), &["news", "private-x", "presence-1"], &["x"]),
        // Guarded topics must be named.
        (json!(true), &["news", "x"], &["private-x", "presence-1"]),
        (Value::Null, &[], &["news", "private-x"]),
    ] {
        let mut claims = json!({"sub": "7"});
        if !topics.is_null() {
            claims["caps"] = json!({"topics": topics});
        }
        let wanted: Vec<&str> = permitted.iter().chain(denied).copied().collect();
        let opening = json!({"token": token(&claims), "topics": wanted});
        let (mut client, welcome) = server.welcomed("/", opening);
        // What it may not join is left out.
        let joined: BTreeSet<&str> =
            welcome["topics"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(joined, permitted.iter().copied().collect(), "{topics}");
        let has = welcome["permissions"].as_array().unwrap().contains(&json!("tag"));
        assert_eq!(has, !topics.is_null(), "{topics}");
        client.say(json!({"op": "tag", "id": 2, "set": {"a": "1"}}));
        client.expect_error("permission_denied");
        assert!(permitted.iter().all(|topic| join(&mut client, topic)), "{topics}");
        assert!(!denied.iter().any(|topic| join(&mut client, topic)), "{topics}");
    }
    // Without a token, any are free where clients choose their tags.
    let server = setup().start();
    let (_, welcome) = open(&server, &json!({"topics": ["news", "private-x"]}));
    assert_eq!(welcome["topics"], json!(["news"]));
}

/// V54, V55 as far as there is no Pusher endpoint: each protocol addresses topics, and each shows them as it can.
#[test]
fn publications_of_all_protocols_reach_topics() {
    let server = setup().start();
    let members = json!({"topics": ["a", "b"], "tags": {"language": "FR"}});
    let (mut client, _) = open(&server, &members);
    let (mut other, _) = open(&server, &json!({"topics": ["a"]}));
    let (mut own_tag, _) = open(&server, &json!({"tags": {"channel": "a"}}));
    let mut plain = Open::at(r#"/?key=shop&tags={"channel":"b"}"#).upgrade(server.port);
    let mut publisher = server.open_v1("/", proven());
    publisher.request_v1(1, json!({"op": "pub", "to": {"topic": "a"}, "event": "e", "data": 1}));
    let first = json!({"op": "msg", "event": "e", "topic": "a", "data": 1});
    for reached in [&mut client, &mut other, &mut own_tag] {
        reached.expect_json(first.clone());
    }
    publisher.request_v1(2, json!({"op": "pub", "to": {"tags": {"channel": "b"}}, "data": 2}));
    client.expect_json(json!({"op": "msg", "topic": "b", "data": 2}));
    assert_eq!(plain.frame().as_text(), "2");
    let both = json!({"channel": "a", "language": "FR"});
    publisher.request_v1(3, json!({"op": "pub", "to": {"tags": both}, "from": true, "data": 3}));
    let uuid = publisher.uuid.clone();
    client.expect_json(json!({"op": "msg", "from": uuid, "data": 3}));
    let expr = "channel=a & !channel=b | channel=none";
    publisher.request_v1(4, json!({"op": "pub", "to": {"expr": expr}, "data": 4}));
    other.expect_json(json!({"op": "msg", "data": 4}));
    own_tag.expect_json(json!({"op": "msg", "data": 4}));
    // Gomoob's publishers, backends, and HTTP answers about clients.
    let mut gomoob = Open::at(r#"/?key=shop&tags={"x":"1"}"#).upgrade(server.port);
    gomoob.text(r#"{"message": {"p": 5}, "tags": {"channel": "b"}}"#);
    client.expect_json(json!({"op": "msg", "topic": "b", "data": {"p": 5}}));
    assert_eq!(plain.frame().as_text(), r#"{"p": 5}"#);
    publish(&server, &json!({"tags": {"channel": "b"}}), &json!("six"));
    client.expect_json(json!({"op": "msg", "topic": "b", "data": "six"}));
    assert_eq!(plain.frame().as_text(), r#""six""#);
    publish(&server, &json!({"expr": "channel=b"}), &json!(7));
    client.expect_json(json!({"op": "msg", "topic": "b", "data": 7}));
    assert_eq!(plain.frame().as_text(), "7");
    let list = server.call("GET", "/v1/apps/shop/connections?expr=channel%3Da", &[SHOP]).json();
    assert_eq!(list["matched"], 3, "{list}");
    let shown = show(&server, &client);
    assert_eq!(shown["topics"], json!(["a", "b"]), "{shown}");
    assert_eq!(shown["tags"], json!({"language": "FR"}), "{shown}");
    let page = server.open(&Open::at("/web?key=shop"));
    assert_eq!(show(&server, &page).get("topics"), None);
    let tags = server.call("GET", "/v1/apps/shop/tags?name=channel", &[SHOP]).json();
    assert_eq!(tags["values"], json!([{"value": "a", "clients": 3}, {"value": "b", "clients": 2}]));
    let body = json!({"expr": "channel=b", "uuid": client.uuid}).to_string();
    let explained = server.post("/v1/apps/shop/explain", SHOP, &body);
    assert!(explained.body.contains(r#""actual":"b""#), "{}", explained.body);
}

/// A client with a secret, or a backend, and no other client.
#[test]
fn only_a_secret_publishes_to_guarded_topics() {
    let server = setup().auth(&auth("    clientPublish: true")).start();
    let claims = json!({"sub": "7", "caps": {"topics": ["private-*", "news"]}});
    let opening = json!({"token": token(&claims), "topics": ["private-x", "news"]});
    let (mut client, welcome) = server.welcomed("/", opening);
    assert_eq!(welcome["topics"], json!(["news", "private-x"]));
    let mut page = server.open_v1("/", json!({"key": "shop"}));
    let to_guarded = json!({"tags": {"@channel": "private-x", "a": "1"}});
    for to in [json!({"topic": "private-x"}), to_guarded, json!({"expr": "!@channel?"})] {
        page.say(json!({"op": "pub", "id": 1, "to": to, "data": 1}));
        assert_eq!(page.expect_error("permission_denied")["at"], "/to");
    }
    page.request_v1(2, json!({"op": "pub", "to": {"topic": "news"}, "data": 2}));
    client.expect_json(json!({"op": "msg", "topic": "news", "data": 2}));
    let mut gomoob = Open::at(r#"/?key=shop&tags={"x":"1"}"#).upgrade(server.port);
    let request = json!({"message": 3, "tags": {"@channel": "private-x"}});
    gomoob.text(request.to_string());
    gomoob.expect_close(1008);
    let mut proven = server.open_v1("/", proven());
    proven.request_v1(1, json!({"op": "pub", "to": {"topic": "private-x"}, "data": 4}));
    client.expect_json(json!({"op": "msg", "topic": "private-x", "data": 4}));
    publish(&server, &json!({"tags": {"@channel": "private-x"}}), &json!(5));
    client.expect_json(json!({"op": "msg", "topic": "private-x", "data": 5}));
    // Another topic of the same name does not exist.
    proven.request_v1(2, json!({"op": "pub", "to": {"tags": {"channel": "private-x"}}, "data": 6}));
    client.expect_quiet();
    // A token that names it no longer ends it.
    let fewer = json!({"sub": "7", "caps": {"topics": ["news"]}});
    client.say(json!({"op": "token", "id": 7, "token": token(&fewer)}));
    let mut frames = [client.json(), client.json()];
    frames.sort_by_key(|frame| frame["op"] == "tags");
    assert_eq!(frames[0], json!({"op": "ack", "id": 7}));
    assert_eq!(frames[1], json!({"op": "tags", "tags": {}, "topics": ["news"]}));
    proven.request_v1(3, json!({"op": "pub", "to": {"topic": "private-x"}, "data": 8}));
    client.expect_quiet();
}

/// V57: a client moves through many topics while others publish to them.
#[test]
fn a_publication_reaches_those_that_are_in_its_topic() {
    let server = setup().workers(2).start();
    let names: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
    let (mut moving, _) = open(&server, &json!({}));
    let (mut staying, _) = open(&server, &json!({"topics": names}));
    let mut publishers: Vec<Raw> = (0..5).map(|_| open(&server, &json!({})).0).collect();
    let mut id = 0;
    for round in 0..20_u64 {
        let is_in = round % 2 == 0;
        let change = if is_in { json!({"join": names}) } else { json!({"leave": names}) };
        let mut frame = change;
        (frame["op"], frame["id"]) = (json!("tag"), json!(round));
        for (at, publisher) in publishers.iter_mut().enumerate() {
            id += 1;
            let topic = format!("t{}", (usize::try_from(round).unwrap() * 7 + at) % 100);
            let (to, data) = (json!({"topic": topic}), json!(["during", round]));
            publisher.say(json!({"op": "pub", "id": id, "to": to, "data": data}));
        }
        moving.say(frame);
        while moving.json() != json!({"op": "ack", "id": round}) {}
        publishers.iter_mut().for_each(|it| assert_eq!(it.json()["op"], "ack"));
        for (at, publisher) in publishers.iter_mut().enumerate() {
            id += 1;
            let to = json!({"topic": format!("t{}", at * 20)});
            publisher.request_v1(id, json!({"op": "pub", "to": to, "data": ["after", round]}));
        }
        for client in [Some(&mut moving).filter(|_| is_in), Some(&mut staying)] {
            let Some(client) = client else { continue };
            let mut topics = BTreeSet::new();
            while topics.len() < 5 {
                let frame = client.json();
                assert_eq!(frame["op"], "msg", "{frame}");
                if frame["data"] == json!(["after", round]) {
                    assert!(topics.insert(frame["topic"].to_string()), "twice: {frame}");
                }
            }
            client.expect_quiet();
        }
        if !is_in {
            moving.expect_quiet();
        }
    }
}

/// V58, V59, V76: what others change, and what dies.
#[test]
fn topics_outlive_the_broker_and_the_worker() {
    let server = setup().workers(2).start();
    let (mut client, first) =
        open(&server, &json!({"topics": ["old", "a"], "instance": "9f86d081"}));
    let (mut publisher, _) = open(&server, &json!({}));
    let broker = server.broker();
    send_signal(broker, Signal::STOP);
    client.say(json!({"op": "tag", "id": 1, "join": ["b"], "leave": ["old"]}));
    server.kill_broker();
    client.expect_ack(1);
    for (topic, is_in) in [("a", true), ("b", true), ("old", false)] {
        let publication = json!({"op": "pub", "to": {"topic": topic}, "data": topic});
        publisher.request_v1(1, publication);
        if is_in {
            client.expect_json(json!({"op": "msg", "topic": topic, "data": topic}));
        }
    }
    client.expect_quiet();
    let target = format!("/v1/apps/shop/connections/{}/tags", client.uuid);
    let body = r#"{"set":{"c":"3"}}"#;
    let length = body.len().to_string();
    let headers = [SHOP, ("Content-Type", "application/json"), ("Content-Length", &*length)];
    let request =
        [crate::harness::api::head("PATCH", &target, &headers), body.as_bytes().to_vec()].concat();
    assert_eq!(Raw::connect(server.port).request(request).status(), 200);
    client.expect_json(json!({"op": "tags", "tags": {"c": "3"}, "topics": ["a", "b"]}));
    send_signal(server.worker_of(&client), Signal::KILL);
    client.wait_for_end();
    let (mut client, second) = come_back(&server, &first, &json!({"topics": ["other"]}));
    assert_eq!((&second["uuid"], &second["resumed"]), (&first["uuid"], &json!(true)), "{second}");
    assert_eq!((&second["tags"], &second["topics"]), (&json!({"c": "3"}), &json!(["a", "b"])));
    assert_eq!(client.json()["op"], "recovery");
    // The worker of the former publisher may be the one that died.
    let (mut publisher, _) = open(&server, &json!({}));
    publisher.request_v1(2, json!({"op": "pub", "to": {"topic": "b"}, "data": 2}));
    client.expect_json(json!({"op": "msg", "topic": "b", "data": 2}));
}

/// V102 with topics: each stored publication is matched with the topics of its time.
#[test]
fn what_was_missed_is_what_topics_matched_when_it_was_published() {
    let server = storing("history: 100").start();
    let (mut client, welcome) = open(&server, &json!({"topics": ["a"], "instance": "9f86d081"}));
    let at = welcome["at"].clone();
    let message = |topic: &str, number: u64| {
        publish(&server, &json!({"tags": {"channel": topic}}), &json!(number));
    };
    // It receives the first of them, and loses its position.
    message("a", 1);
    message("b", 2);
    assert_eq!(client.json()["data"], 1);
    client.request_v1(1, json!({"op": "tag", "leave": ["a"], "join": ["b"]}));
    message("a", 3);
    message("b", 4);
    assert_eq!(client.json()["data"], 4);
    break_off(&server, client, &welcome["uuid"]);
    message("b", 5);
    message("a", 6);
    publish(&server, &json!({"expr": "channel in (b,c)"}), &json!(7));
    let (mut client, second) = come_back_at(&server, &welcome, &at);
    assert_eq!(second["topics"], json!(["b"]), "{second}");
    Past::read(&mut client).is_all(&[json!(1), json!(4), json!(5), json!(7)]);
    // What is replayed names its topic.
    let (mut rewound, _) = server.welcomed("/", hello(&json!({"since": at, "topics": ["b"]})));
    let frame = rewound.json();
    assert_eq!((&frame["topic"], &frame["data"]), (&json!("b"), &json!(2)), "{frame}");
}

/// A client that returns without the token that named its topic.
#[test]
fn a_client_without_its_token_leaves_guarded_topics() {
    let server = setup().auth(&auth("    history: 100")).start();
    let claims = json!({"sub": "7", "caps": {"topics": ["private-x", "news"]}});
    let members = json!({"token": token(&claims), "topics": ["private-x", "news"]});
    let (client, first) = server.welcomed("/", members.clone());
    let guarded = json!({"tags": {"@channel": "private-x"}});
    break_off(&server, client, &first["uuid"]);
    publish(&server, &guarded, &json!(1));
    let resumed = |claims: &Value, former: &Value| {
        let opening =
            json!({"token": token(claims), "resume": former["resume"], "since": first["at"]});
        let (mut client, welcome) = server.welcomed("/", opening);
        assert_eq!(welcome["uuid"], first["uuid"], "{welcome}");
        (Past::read(&mut client), client, welcome)
    };
    let (past, client, second) = resumed(&claims, &first);
    past.is_all(&[json!(1)]);
    assert_eq!(second["topics"], json!(["news", "private-x"]));
    break_off(&server, client, &first["uuid"]);
    publish(&server, &guarded, &json!(2));
    let (past, mut client, third) = resumed(&json!({"sub": "7"}), &second);
    past.is_not_known("retagged");
    assert!(past.data.is_empty(), "{past:?}");
    assert_eq!(third["topics"], json!(["news"]));
    publish(&server, &guarded, &json!(3));
    client.expect_quiet();
}

#[test]
fn a_reload_sets_how_many_topics_a_client_may_join() {
    let server = Setup::new().ini("maxTopics = 2").start();
    let (mut client, welcome) = server.welcomed("/", json!({"topics": ["a", "b"]}));
    assert_eq!(welcome["limits"]["topics"], 2);
    let path = server.folder.path("websock.ini");
    let ini = std::fs::read_to_string(path).unwrap().replace("maxTopics = 2", "maxTopics = 0");
    server.folder.write("websock.ini", &ini);
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    eventually("the new limit", || {
        let welcome = server.welcomed("/", json!({})).1;
        (welcome["limits"]["topics"] == 0).then_some(())
    });
    client.say(json!({"op": "tag", "id": 1, "join": ["a"]}));
    client.expect_error("limit_exceeded");
    client.request_v1(2, json!({"op": "tag", "leave": ["a"], "set": {"room": "1"}}));
    client.say(json!({"op": "pub", "to": {"tags": {"channel": "b", "room": 1}}, "data": 3}));
    client.expect_json(json!({"op": "msg", "data": 3}));
}

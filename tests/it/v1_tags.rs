//! Tags of clients of `tagcast.v1`: their own changes, and those of others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::api::{SHOP, SHOP_SECRET, head, setup};
use crate::harness::tokens::{auth, now, token};
use crate::harness::{Finished, Raw, Server, Setup, run_to_end};

/// V50.
#[test]
fn a_publication_reaches_a_client_by_its_old_or_its_new_tags() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({"tags": {"room": "1"}}));
    let mut publisher = server.open_v1("/", json!({}));
    for round in 0..50_u64 {
        let (old, new) = (round % 2 + 1, (round + 1) % 2 + 1);
        for room in [old, new] {
            let to = json!({"tags": {"room": room}});
            publisher.say(json!({"op": "pub", "id": room, "to": to, "data": room}));
        }
        client.say(json!({"op": "tag", "id": round, "set": {"room": new}, "remove": ["room"]}));
        // The acknowledgement, and the publications before and after it.
        let mut is_acknowledged = false;
        while !is_acknowledged {
            let frame = client.json();
            is_acknowledged = frame == json!({"op": "ack", "id": round});
            assert!(is_acknowledged || frame["op"] == "msg", "{frame}");
        }
        publisher.expect_ack(old);
        publisher.expect_ack(new);
        for room in [old, new] {
            let to = json!({"tags": {"room": room}});
            publisher
                .say(json!({"op": "pub", "id": 9, "to": to, "data": format!("after {round}")}));
            publisher.expect_ack(9);
        }
        let after = json!({"op": "msg", "data": format!("after {round}")});
        while client.json() != after {}
        client.expect_quiet();
    }
}

/// V51.
#[test]
fn a_change_that_is_not_allowed_changes_nothing() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({"tags": {"a": "1"}}));
    let many: Value = (0..129).map(|n| (format!("n{n}"), json!(n))).collect();
    let most: Value = (0..128).map(|n| (format!("n{n}"), json!(n))).collect();
    for (set, code) in [
        (many, "limit_exceeded"),
        (most, "limit_exceeded"),
        (json!({"n".repeat(256): "x"}), "invalid_request"),
        (json!({"b": "2", "@user": "7"}), "permission_denied"),
        (json!({"b": "2", "c": 1.5}), "invalid_request"),
    ] {
        client.say(json!({"op": "tag", "id": 1, "set": set}));
        assert_eq!(client.expect_error(code)["id"], 1);
    }
    for (tags, matched) in [(json!({"a": "1"}), 1), (json!({"b": "2"}), 0), (json!({"n5": 5}), 0)] {
        let to = json!({"tags": tags});
        client.say(
            json!({"op": "pub", "id": 2, "to": to, "except": "self", "report": true, "data": 1}),
        );
        let ack = client.json();
        assert_eq!(ack["matched"], 0, "{ack}: the sender is left out");
        client.say(json!({"op": "pub", "id": 3, "to": to, "report": true, "data": 1}));
        let mut frames = vec![client.json()];
        if matched == 1 {
            frames.push(client.json());
        }
        let ack = frames.iter().find(|frame| frame["op"] == "ack").unwrap();
        assert_eq!(ack["matched"], matched, "{ack}");
    }
}

/// V52.
#[test]
fn a_name_that_is_removed_and_set_is_set() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({"tags": {"a": "1", "b": "1"}}));
    client.request_v1(1, json!({"op": "tag", "set": {"a": "2"}, "remove": ["a", "b", "none"]}));
    client.request_v1(2, json!({"op": "tag"}));
    let to = json!({"tags": {"a": "2"}});
    client.say(json!({"op": "pub", "id": 3, "to": to, "data": 1}));
    let mut frames = [client.json(), client.json()];
    frames.sort_by_key(|frame| frame["op"] == "msg");
    assert_eq!(frames, [json!({"op": "ack", "id": 3}), json!({"op": "msg", "data": 1})]);
}

/// V53, without topics.
#[test]
fn where_tokens_give_the_tags_no_client_changes_them() {
    let auth = format!(
        "applications:\n  - {{key: shop, secret: {SHOP_SECRET}, authorizeOpen: true, tags: token,\n     \
         tokens: [{{id: main, alg: HS256, secret: own}}]}}\n"
    );
    let server = Setup::new().auth(&auth).start();
    let (mut client, welcome) = server.welcomed("/", json!({"key": "shop"}));
    assert_eq!(welcome["permissions"], json!([]));
    client.say(json!({"op": "tag", "id": 1, "set": {"a": "1"}}));
    client.expect_error("permission_denied");
    let proven = json!({"key": "shop", "secret": SHOP_SECRET});
    let (mut client, welcome) = server.welcomed("/", proven);
    assert_eq!(welcome["permissions"], json!(["publish", "tag"]));
    client.request_v1(1, json!({"op": "tag", "set": {"a": "1"}}));
}

/// V58.
#[test]
fn a_client_knows_what_others_do_to_its_tags() {
    let server = setup().start();
    let open = || server.open_v1("/", json!({"key": "shop", "tags": {"a": "1"}}));
    let (mut client, mut other) = (open(), open());
    client.request_v1(1, json!({"op": "tag", "set": {"b": "2"}}));
    let target = format!("/v1/apps/shop/connections/{}/tags", client.uuid);
    let body = r#"{"set":{"c":"3"},"remove":["a"]}"#;
    let length = body.len().to_string();
    let headers = [SHOP, ("Content-Type", "application/json"), ("Content-Length", &*length)];
    let request = [head("PATCH", &target, &headers), body.as_bytes().to_vec()].concat();
    assert_eq!(Raw::connect(server.port).request(request).status(), 200);
    client.expect_json(json!({"op": "tags", "tags": {"b": "2", "c": "3"}, "topics": []}));
    other.expect_quiet();
    let all = r#"{"expr":"b=2 or a=1","set":{"wave":"1"}}"#;
    let answer = server.post("/v1/apps/shop/connections:retag", SHOP, all);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let tags = json!({"b": "2", "c": "3", "wave": "1"});
    client.expect_json(json!({"op": "tags", "tags": tags, "topics": []}));
    let tags = json!({"a": "1", "wave": "1"});
    other.expect_json(json!({"op": "tags", "tags": tags, "topics": []}));
    client.request_v1(2, json!({"op": "tag", "remove": ["wave"]}));
    client.expect_quiet();
}

/// V59.
#[test]
fn a_change_outlives_the_broker() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({}));
    let mut other = server.open_v1("/", json!({}));
    for round in 0..3_u64 {
        let broker = server.broker();
        crate::harness::processes::send_signal(broker, rustix::process::Signal::STOP);
        client.say(json!({"op": "tag", "id": round, "set": {"round": round}}));
        server.kill_broker();
        client.expect_ack(round);
        let to = json!({"tags": {"round": round}});
        other.say(json!({"op": "pub", "id": round, "to": to, "data": round}));
        other.expect_ack(round);
        client.expect_json(json!({"op": "msg", "data": round}));
    }
}

/// A reload takes the permission away.
#[test]
fn a_client_that_loses_the_permission_to_publish_is_denied() {
    let applications = |publish: bool| {
        format!(
            "applications:\n  - {{key: shop, secret: {SHOP_SECRET}, authorizeOpen: true, \
             clientPublish: {publish}}}\n"
        )
    };
    let server = Setup::new().auth(&applications(true)).start();
    let mut client = server.open_v1("/", json!({"key": "shop"}));
    let publish = json!({"op": "pub", "to": {"tags": {"no": "1"}}, "data": 1});
    client.request_v1(1, publish.clone());
    server.folder.write("auth.yml", &applications(false));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    let mut again = publish;
    again["id"] = json!(2);
    client.say(again);
    client.expect_error("permission_denied");
}

/// V60, V61.
#[test]
fn a_new_token_replaces_what_the_old_one_granted() {
    let server = setup().auth(&auth("    clientPublish: true")).start();
    let old = token(&json!({"sub": "7", "tags": {"role": "guest", "room": "1"}}));
    let (mut client, welcome) = server.welcomed(
        "/",
        json!({"token": old, "tags": {"mood": "good", "role": "admin"}, "resume": "AQ"}),
    );
    assert_eq!(welcome["tags"], json!({"mood": "good", "role": "guest", "room": "1"}));
    assert_eq!(welcome["features"], json!(["ask", "expr", "token"]));
    assert_eq!(welcome["reason"], "invalid");
    assert_eq!(client.json()["reason"], "new");
    assert!((3500..=3600).contains(&welcome["expires"].as_u64().unwrap()));
    server.wait_for_output("user=7");
    client.say(json!({"op": "tag", "id": 1, "set": {"role": "admin"}}));
    client.expect_error("permission_denied");
    client.request_v1(2, json!({"op": "tag", "set": {"mood": "bad"}}));
    let publish = json!({"op": "pub", "to": {"tags": {"no": "1"}}, "data": 1});
    client.request_v1(3, publish.clone());
    let expired = token(&json!({"sub": "7", "exp": now() - 600}));
    for refused in [
        "x.y.z",
        &token(&json!({"sub": "8"})),
        &token(&json!({"sub": "7", "tenant": "x"})),
        &expired,
    ] {
        client.say(json!({"op": "token", "id": 4, "token": refused}));
        assert_eq!(client.expect_error("permission_denied")["id"], 4);
    }
    client.request_v1(5, publish.clone());
    let new = token(&json!({"sub": "7", "tags": {"role": "user"}, "caps": {"publish": false}}));
    client.say(json!({"op": "token", "id": 6, "token": new}));
    let mut denied = publish;
    denied["id"] = json!(7);
    client.say(denied);
    let mut frames = [client.json(), client.json(), client.json()];
    frames.sort_by_key(|frame| frame["op"].as_str().unwrap().to_owned());
    assert_eq!(frames[0], json!({"op": "ack", "id": 6}));
    assert_eq!(frames[1]["code"], "permission_denied");
    assert_eq!(frames[2]["tags"], json!({"mood": "bad", "role": "user"}));
    let mut other = server.open_v1("/", json!({"key": "other"}));
    other.say(json!({"op": "token", "id": 1, "token": new}));
    other.expect_error("unsupported");
}

/// V62.
#[test]
fn a_client_is_asked_for_a_token_before_its_own_expires() {
    let server = setup().auth(&auth("")).start();
    let open = |claims: Value| server.open_v1("/", json!({"token": token(&claims)}));
    // Its time is over, and the leeway of 30 s is not.
    let mut late = open(json!({"sub": "7", "exp": now() - 28}));
    late.expect_json(json!({"op": "expires", "in": 0}));
    // A tenth of its life is nine seconds: it is asked after three to four.
    let mut soon = open(json!({"sub": "7", "iat": now() - 77, "exp": now() + 13}));
    let opened = Instant::now();
    let asked = soon.json();
    assert_eq!(asked["op"], "expires", "{asked}");
    assert!((6..=9).contains(&asked["in"].as_u64().unwrap()), "{asked}");
    assert!(opened.elapsed() > Duration::from_millis(900), "{:?}", opened.elapsed());
    soon.say(json!({"op": "token", "id": 1, "token": token(&json!({"sub": "7"}))}));
    soon.expect_json(json!({"op": "ack", "id": 1}));
    let bye = late.json();
    assert_eq!((&bye["op"], &bye["code"]), (&json!("bye"), &json!(4110)), "{bye}");
    late.expect_closed(4110);
    // Clients without a token, and those with a new one, are not asked.
    let mut other = server.open_v1("/", json!({"key": "shop"}));
    other.expect_quiet();
    soon.expect_quiet();
}

#[test]
fn a_token_confines_what_its_client_publishes() {
    let server = setup().auth(&auth("")).start();
    let open = |room: &str| {
        let members = json!({"key": "shop", "tags": {"room": room}});
        server.open_v1("/", members)
    };
    let (mut inside, mut outside) = (open("1"), open("2"));
    let confined = token(&json!({"sub": "7", "caps": {"publish": "room=1"}}));
    let mut client = server.open_v1("/", json!({"token": confined}));
    client.request_v1(1, json!({"op": "pub", "to": {"all": true}, "event": "e", "data": 1}));
    inside.expect_json(json!({"op": "msg", "event": "e", "data": 1}));
    client.request_v1(2, json!({"op": "pub", "to": {"uuid": outside.uuid}, "data": 2}));
    client.request_v1(3, json!({"op": "pub", "to": {"uuid": inside.uuid}, "data": 3}));
    inside.expect_json(json!({"op": "msg", "direct": true, "data": 3}));
    outside.expect_quiet();
}

/// V53, by the token.
#[test]
fn a_token_names_the_tags_that_its_client_may_change() {
    let server = setup().auth(&auth("    tags: token")).start();
    for (retag, name, is_allowed) in [
        (json!(["mood", "room*"]), "mood", true),
        (json!(["mood", "room*"]), "room-1", true),
        (json!(["mood", "room*"]), "other", false),
        (json!(["mood", "role"]), "role", false),
        (json!(true), "other", true),
        (json!(false), "mood", false),
        (json!([]), "mood", false),
    ] {
        let claims = json!({"sub": "7", "tags": {"role": "guest"}, "caps": {"retag": retag}});
        let (mut client, welcome) = server.welcomed("/", json!({"token": token(&claims)}));
        let has = welcome["permissions"].as_array().unwrap().contains(&json!("tag"));
        assert_eq!(has, retag != json!(false) && retag != json!([]), "{retag}");
        for frame in
            [json!({"op": "tag", "set": {name: "1"}}), json!({"op": "tag", "remove": [name]})]
        {
            if is_allowed {
                client.request_v1(1, frame);
                continue;
            }
            let mut frame = frame;
            frame["id"] = json!(1);
            client.say(frame);
            client.expect_error("permission_denied");
        }
    }
}

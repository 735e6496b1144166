//! Publications that are stored for clients of `tagcast.v1`: positions, and what a client gets when it comes back.

use serde_json::{Value, json};

use crate::harness::api::{AUTH, LIST, PUBLISH, SHOP, SHOP_SECRET, post, setup};
use crate::harness::{Open, Raw, Server, Setup, broadcast, eventually, frames};
use crate::v1_resume::{break_off, come_back, hello, open};

/// A server whose application `shop` has these members more.
pub fn storing(members: &str) -> Setup {
    setup().auth(&auth(members))
}

fn auth(members: &str) -> String {
    AUTH.replacen("clientPublish: true", &format!("clientPublish: true, {members}"), 1)
}

/// Publishes as a backend.
#[track_caller]
pub fn publish(server: &Server, to: &Value, message: &Value) {
    let body = json!({"to": to, "message": message}).to_string();
    let answer = server.post(PUBLISH, SHOP, &body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
}

#[track_caller]
pub fn publish_to_all(server: &Server, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| publish(server, &json!("all"), &json!(number)));
}

/// What a client gets of the past.
#[derive(Debug)]
pub struct Past {
    /// The data of the publications.
    pub data: Vec<Value>,
    /// The position of each.
    pub positions: Vec<String>,
    pub recovery: Value,
}

impl Past {
    /// Reads up to `recovery`.
    #[track_caller]
    pub fn read(client: &mut Raw) -> Self {
        let (mut data, mut positions) = (Vec::new(), Vec::new());
        loop {
            let mut frame = client.json();
            if frame["op"] == "recovery" {
                return Self { data, positions, recovery: frame };
            }
            assert_eq!(frame["op"], "msg", "{frame}");
            data.push(frame["data"].take());
            positions.push(frame["at"].as_str().unwrap().to_owned());
        }
    }

    /// Expects everything that was missed.
    #[track_caller]
    pub fn is_all(&self, data: &[Value]) {
        assert_eq!(self.data, data, "{}", self.recovery);
        let expected = json!({"op": "recovery", "recovered": true, "replayed": data.len(),
            "at": self.recovery["at"]});
        assert_eq!(self.recovery, expected);
        assert!(self.recovery["at"].is_string(), "{}", self.recovery);
    }

    #[track_caller]
    pub fn is_not_known(&self, reason: &str) {
        let said = [&self.recovery["recovered"], &self.recovery["reason"]];
        assert_eq!(said, [&json!(false), &json!(reason)], "{}", self.recovery);
        assert_eq!(self.recovery["replayed"], self.data.len());
    }
}

/// Resumes with the position that a frame has.
#[track_caller]
pub fn come_back_at(server: &Server, welcome: &Value, at: &Value) -> (Raw, Value) {
    assert!(at.is_string(), "{at}");
    come_back(server, welcome, &json!({"since": at}))
}

fn numbers(range: impl IntoIterator<Item = u64>) -> Vec<Value> {
    range.into_iter().map(|number| json!(number)).collect()
}

/// V98, V105, V112, V104.
#[test]
fn a_client_gets_what_was_published_while_it_was_away() {
    let server = storing("history: 10").start();
    let (client, first) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    publish_to_all(&server, 1..=10);
    let (mut client, second) = come_back_at(&server, &first, &first["at"]);
    assert_eq!((&second["recovering"], second.get("at")), (&json!(true), None), "{second}");
    let past = Past::read(&mut client);
    past.is_all(&numbers(1..=10));
    assert_eq!(past.recovery["at"].as_str(), past.positions.last().map(String::as_str));
    publish_to_all(&server, [11]);
    let live = client.json();
    assert_eq!((&live["data"], live["at"].is_string()), (&json!(11), true), "{live}");
    break_off(&server, client, &first["uuid"]);
    let (mut client, third) = come_back_at(&server, &second, &live["at"]);
    Past::read(&mut client).is_all(&[]);
    break_off(&server, client, &first["uuid"]);
    // Of eleven the first one is dropped. What was for the client alone is kept in its mailbox.
    publish_to_all(&server, 1..=5);
    publish(&server, &json!({"uuid": first["uuid"]}), &json!("own"));
    publish_to_all(&server, 6..=10);
    let (mut client, _) = come_back_at(&server, &third, &live["at"]);
    let past = Past::read(&mut client);
    past.is_not_known("evicted");
    assert_eq!(past.data, [json!("own")]);
    publish_to_all(&server, [12]);
    assert_eq!(client.json()["data"], 12);
}

/// Publications to the client alone are among the others, in their order, and are not kept twice.
#[test]
fn publications_to_one_client_and_to_many_keep_their_order() {
    let server = storing("history: 100").start();
    let (client, first) = open(&server, &json!({"tags": {"room": "1"}}));
    break_off(&server, client, &first["uuid"]);
    publish_to_all(&server, [1]);
    publish(&server, &json!({"uuid": first["uuid"]}), &json!(2));
    publish(&server, &json!({"tags": {"room": "1"}}), &json!(3));
    publish(&server, &json!({"tags": {"room": "2"}}), &json!("other"));
    publish(&server, &json!({"expr": "room=1 | x?"}), &json!(4));
    let (mut client, second) = come_back_at(&server, &first, &first["at"]);
    let past = Past::read(&mut client);
    past.is_all(&numbers(1..=4));
    // Its connection breaks before it has confirmed anything, and it has received two.
    break_off(&server, client, &first["uuid"]);
    let (mut client, _) = come_back_at(&server, &second, &json!(past.positions[1]));
    Past::read(&mut client).is_all(&numbers(3..=4));
}

/// V101.
#[test]
fn the_sender_of_a_broadcast_to_others_does_not_get_it_again() {
    let server = storing("history: 100").start();
    let members = json!({"secret": SHOP_SECRET});
    let (mut client, first) = open(&server, &members);
    let mut page = server.open(&Open::at(&format!("/web?key=shop&secret={SHOP_SECRET}")));
    client
        .request_v1(1, json!({"op": "pub", "to": {"all": true}, "except": "self", "data": "own"}));
    let two = json!(["self", first["uuid"]]);
    client.request_v1(2, json!({"op": "pub", "to": {"all": true}, "except": two, "data": "own"}));
    page.text(broadcast("page"));
    assert_eq!(client.json()["data"], "page");
    break_off(&server, client, &first["uuid"]);
    let (mut client, _) = come_back_at(&server, &first, &first["at"]);
    Past::read(&mut client).is_all(&[json!("page")]);
}

/// V102, V103: of a client and of a backend. This server has no topics.
#[test]
fn the_tags_at_the_time_of_a_publication_decide() {
    let server = storing("history: 100").start();
    let (mut client, first) = open(&server, &json!({"tags": {"room": "a"}}));
    let both = |data: &str| {
        for room in ["a", "b"] {
            publish(&server, &json!({"tags": {"room": room}}), &json!(format!("{data}{room}")));
        }
    };
    break_off(&server, client, &first["uuid"]);
    both("1");
    let (back, second) = come_back_at(&server, &first, &first["at"]);
    client = back;
    Past::read(&mut client).is_all(&[json!("1a")]);
    client.request_v1(1, json!({"op": "tag", "set": {"room": "b"}}));
    break_off(&server, client, &first["uuid"]);
    both("2");
    let (mut client, third) = come_back_at(&server, &second, &first["at"]);
    Past::read(&mut client).is_all(&[json!("1a"), json!("2b")]);
    break_off(&server, client, &first["uuid"]);
    let target = format!("/v1/apps/shop/connections/{}/tags", first["uuid"].as_str().unwrap());
    let mut patch = post(&target, &[SHOP], r#"{"set":{"room":"a"}}"#);
    patch.splice(..4, *b"PATCH");
    let answer = Raw::connect(server.port).request(patch);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    both("3");
    let (mut client, _) = come_back_at(&server, &third, &first["at"]);
    Past::read(&mut client).is_all(&[json!("1a"), json!("2b"), json!("3a")]);
}

/// What the tags of many clients were before they were changed together is not stored.
#[test]
fn tags_that_were_changed_with_those_of_others_are_not_known() {
    let server = storing("history: 100").start();
    let (client, first) = open(&server, &json!({"tags": {"room": "a"}}));
    let (other, second) = open(&server, &json!({"tags": {"room": "b"}}));
    publish_to_all(&server, [1]);
    let body = r#"{"expr":"room=a","set":{"wave":"1"}}"#;
    let answer = server.post(&format!("{LIST}:retag"), SHOP, body);
    assert_eq!((answer.status(), &answer.json()["matched"]), (200, &json!(1)), "{}", answer.body);
    publish_to_all(&server, [2]);
    break_off(&server, client, &first["uuid"]);
    break_off(&server, other, &second["uuid"]);
    let (mut client, _) = come_back_at(&server, &first, &first["at"]);
    Past::read(&mut client).is_not_known("retagged");
    let (mut other, _) = come_back_at(&server, &second, &second["at"]);
    Past::read(&mut other).is_all(&numbers(1..=2));
}

/// V106.
#[test]
fn a_position_that_the_server_does_not_know_is_lost() {
    let server = storing("history: 100").start();
    let (client, first) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    publish_to_all(&server, [1]);
    let at = first["at"].as_str().unwrap();
    let epoch = at.split_once('.').unwrap().0;
    let mut welcome = first.clone();
    for since in ["1.0", &format!("{epoch}.zz"), "x", &"x".repeat(10_000)] {
        let (mut client, next) = come_back(&server, &welcome, &json!({"since": since}));
        Past::read(&mut client).is_not_known("lost");
        break_off(&server, client, &first["uuid"]);
        welcome = next;
    }
    let (mut client, _) = come_back(&server, &welcome, &json!({}));
    Past::read(&mut client).is_not_known("lost");
    // Without a token too.
    let (mut client, _) = open(&server, &json!({"since": "1.0"}));
    Past::read(&mut client).is_not_known("lost");
    let (mut client, _) = open(&server, &json!({"since": at, "resume": "AQ"}));
    let past = Past::read(&mut client);
    past.is_not_known("new");
    assert!(past.recovery["at"].is_string(), "{}", past.recovery);
}

/// V107.
#[test]
fn publications_are_dropped_when_they_are_old() {
    let server = storing("history: 100, historyAge: 500ms").start();
    let (client, first) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    publish_to_all(&server, [1]);
    let mut welcome = first.clone();
    eventually("a publication that is too old", || {
        let (mut client, next) = come_back_at(&server, &welcome, &first["at"]);
        let past = Past::read(&mut client);
        break_off(&server, client, &first["uuid"]);
        welcome = next;
        (past.recovery["reason"] == "evicted").then_some(())
    });
}

/// V99, with pings each second in place of a longer time.
#[test]
fn a_client_that_gets_nothing_learns_the_position_from_pings() {
    let server = storing("history: 10").ini("pingInterval = 1s").workers(2).start();
    let (mut client, first) = open(&server, &json!({"tags": {"room": "1"}}));
    let mut publisher = server.open_v1("/", hello(&json!({})));
    for batch in 1..=100 {
        let one = json!({"op": "pub", "to": {"tags": {"room": "2"}}, "data": batch}).to_string();
        publisher.send(frames::text(one).repeat(1000));
        // It is slow on a busy machine, and answers pings meanwhile.
        client.say(json!({"op": "pong"}));
        // An acknowledgement says that the broker has all that came before; the answer to a ping does not.
        let last = json!({"op": "pub", "id": batch, "to": {"tags": {"room": "2"}}, "data": batch});
        publisher.say(last);
        while publisher.json()["op"] != "ack" {
            publisher.say(json!({"op": "pong"}));
        }
    }
    let present = open(&server, &json!({})).1["at"].clone();
    let pinged = eventually("a ping with the present position", || {
        let ping = client.json();
        assert_eq!(ping["op"], "ping", "{ping}");
        client.say(json!({"op": "pong"}));
        (ping["at"] == present).then_some(ping)
    });
    break_off(&server, client, &first["uuid"]);
    publish(&server, &json!({"tags": {"room": "1"}}), &json!("missed"));
    let (mut client, _) = come_back_at(&server, &first, &pinged["at"]);
    Past::read(&mut client).is_all(&[json!("missed")]);
}

/// V116.
#[test]
fn a_client_gets_the_latest_publications_that_match() {
    let server = storing("history: 20, rewind: 10").start();
    let rewound = |most: u64| {
        let (mut client, welcome) = open(&server, &json!({"rewind": most, "tags": {"room": "1"}}));
        assert_eq!(welcome["recovering"], true, "{welcome}");
        Past::read(&mut client)
    };
    let to = |room: &str| json!({"tags": {"room": room}});
    (1..=3).for_each(|number| publish(&server, &to("1"), &json!(number)));
    publish(&server, &to("2"), &json!("other"));
    let (_anna, anna) = open(&server, &json!({"tags": {"room": "1"}}));
    publish(&server, &json!({"uuid": anna["uuid"]}), &json!("own"));
    // All that there ever were, although it asks for more.
    rewound(5).is_all(&numbers(1..=3));
    (4..=12).for_each(|number| publish(&server, &to("1"), &json!(number)));
    rewound(5).is_all(&numbers(8..=12));
    rewound(10).is_all(&numbers(3..=12));
    rewound(1_000_000).is_all(&numbers(3..=12));
    let (mut client, welcome) = open(&server, &json!({"rewind": 0}));
    assert_eq!((welcome.get("recovering"), welcome["at"].is_string()), (None, true));
    client.expect_quiet();
    // Fewer than it asks for, and earlier ones were dropped.
    (0..18).for_each(|_| publish(&server, &to("2"), &json!("other")));
    let past = rewound(5);
    past.is_not_known("evicted");
    assert_eq!(past.data, numbers(11..=12));
}

/// A client without a token gets what matches its present tags, and nothing for single clients.
#[test]
fn a_client_without_a_token_gets_what_came_after_its_position() {
    let server = storing("history: 100, resumeFor: 0").start();
    let (mut client, first) = open(&server, &json!({"tags": {"room": "1"}}));
    assert_eq!(first.get("resume"), None);
    publish(&server, &json!({"uuid": first["uuid"]}), &json!("own"));
    publish(&server, &json!({"tags": {"room": "1"}}), &json!("one"));
    publish(&server, &json!({"tags": {"room": "2"}}), &json!("two"));
    assert_eq!(
        (client.json()["data"].take(), client.json()["data"].take()),
        (json!("own"), json!("one"))
    );
    drop(client);
    let members = json!({"since": first["at"], "tags": {"room": "2"}});
    let (mut client, second) = open(&server, &members);
    assert_eq!((&second["resumed"], second.get("reason")), (&json!(false), None), "{second}");
    Past::read(&mut client).is_all(&[json!("two")]);
    publish(&server, &json!({"tags": {"room": "2"}}), &json!("three"));
    assert_eq!(client.json()["data"], "three");
}

/// V117.
#[test]
fn each_space_has_positions_of_its_own() {
    let two = auth("history: 100").replacen(
        "authorizeOpen: true }",
        "authorizeOpen: true, history: 100 }",
        1,
    );
    let server = setup().auth(&two).start();
    let (_, shop) = open(&server, &json!({}));
    let (_, other) = server.welcomed("/", json!({"key": "other"}));
    let (shop, other) = (shop["at"].as_str().unwrap(), other["at"].as_str().unwrap());
    assert_ne!(shop.split_once('.').unwrap().0, other.split_once('.').unwrap().0);
    publish_to_all(&server, 1..=50);
    let (_, again) = server.welcomed("/", json!({"key": "other"}));
    assert_eq!(again["at"], other);
    let (mut client, _) = server.welcomed("/", json!({"key": "other", "since": shop}));
    Past::read(&mut client).is_not_known("lost");
}

/// V118.
#[test]
fn a_reload_changes_how_much_is_stored() {
    let server = storing("history: 100").start();
    let reload = |members: &str| {
        server.folder.write("auth.yml", &auth(members));
        let finished = server.command(&["reload"]);
        assert_eq!(finished.code, Some(0), "{}", finished.text);
    };
    let (client, first) = open(&server, &json!({}));
    let (late, other) = open(&server, &json!({}));
    let (mut listener, _) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    break_off(&server, late, &other["uuid"]);
    publish_to_all(&server, 1..=20);
    let positions: Vec<Value> = (0..20).map(|_| listener.json()["at"].take()).collect();
    reload("history: 10");
    let (mut late, _) = come_back_at(&server, &other, &positions[8]);
    Past::read(&mut late).is_not_known("evicted");
    let (mut client, third) = come_back_at(&server, &first, &positions[9]);
    Past::read(&mut client).is_all(&numbers(11..=20));
    reload("history: 0");
    publish_to_all(&server, [21]);
    listener.expect_json(json!({"op": "msg", "data": 21}));
    client.expect_json(json!({"op": "msg", "data": 21}));
    break_off(&server, client, &first["uuid"]);
    let (mut client, fourth) = come_back_at(&server, &third, &positions[19]);
    Past::read(&mut client).is_not_known("off");
    reload("history: 100");
    publish_to_all(&server, [22]);
    let live = client.json();
    let epoch = |at: &Value| at.as_str().unwrap().split_once('.').unwrap().0.to_owned();
    assert_ne!(epoch(&live["at"]), epoch(&positions[0]));
    break_off(&server, client, &first["uuid"]);
    let (mut client, _) = come_back_at(&server, &fourth, &live["at"]);
    Past::read(&mut client).is_all(&[]);
}

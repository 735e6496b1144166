//! Presence of `tagcast.v1`: who matches a watched query, who comes and who goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::api::{AUTH, setup};
use crate::harness::tokens::{auth, now, token};
use crate::harness::{Raw, Server, eventually};
use crate::metrics::scrape;
use crate::v1_history::storing;
use crate::v1_resume::{break_off, come_back, open};

/// A client that watches a query, and what it knows.
pub struct Watcher {
    pub client: Raw,
    watch: u64,
    pub list: BTreeMap<String, Value>,
    pub count: u64,
    pub users: u64,
    pub is_long: bool,
}

impl Watcher {
    /// Begins a watch, and reads the first `sync`.
    #[track_caller]
    pub fn begin(mut client: Raw, watch: u64, members: &Value) -> Self {
        let mut frame = json!({"op": "watch"});
        frame.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        client.request_v1(watch, frame);
        let mut watcher = Self::of(client, watch);
        let first = watcher.reads();
        assert_eq!(first["sync"], true, "{first}");
        watcher
    }

    /// A client whose watch has begun.
    pub fn of(client: Raw, watch: u64) -> Self {
        let (list, count, users, is_long) = (BTreeMap::new(), 0, 0, false);
        Self { client, watch, list, count, users, is_long }
    }

    /// Reads one frame `presence`, and applies it.
    #[track_caller]
    pub fn reads(&mut self) -> Value {
        let mut frame = self.client.json();
        // Pings of the server come between.
        while frame["op"] == "ping" {
            self.client.say(json!({"op": "pong"}));
            frame = self.client.json();
        }
        let about = (&frame["op"], &frame["watch"]);
        assert_eq!(about, (&json!("presence"), &json!(self.watch)), "{frame}");
        self.count = frame["count"].as_u64().unwrap();
        self.users = frame["users"].as_u64().unwrap();
        if frame["sync"] == true {
            self.list.clear();
            self.is_long = frame["more"] == true;
        }
        for name in ["members", "joined"] {
            for member in frame[name].as_array().into_iter().flatten() {
                let id = member["id"].as_str().unwrap().to_owned();
                self.list.insert(id, member.clone());
            }
        }
        for id in frame["left"].as_array().into_iter().flatten() {
            assert!(self.list.remove(id.as_str().unwrap()).is_some(), "{frame}");
        }
        frame
    }

    /// Reads until it knows this number of clients. The list has as many.
    #[track_caller]
    pub fn reads_up_to(&mut self, count: u64) -> Value {
        let mut frame = Value::Null;
        while self.count != count {
            frame = self.reads();
        }
        let is_known = ["joined", "members"].iter().all(|name| frame.get(name).is_none());
        let has_all = is_known || self.is_long || self.list.len() as u64 == count;
        assert!(has_all, "{} of {count} in the list", self.list.len());
        frame
    }
}

/// A server whose clients may watch everything in their space.
pub fn watched(members: &str) -> crate::harness::Setup {
    storing(&format!("presence: any, {members}"))
}

fn member(server: &Server, tags: &Value) -> Raw {
    open(server, &json!({ "tags": tags })).0
}

#[track_caller]
fn watcher(server: &Server, members: &Value) -> Watcher {
    Watcher::begin(open(server, &json!({})).0, 5, members)
}

#[track_caller]
fn ids(frame: &Value, name: &str) -> Vec<String> {
    let items = frame[name].as_array().cloned().unwrap_or_default();
    let id = |item: &Value| item.as_str().or_else(|| item["id"].as_str()).unwrap().to_owned();
    items.iter().map(id).collect()
}

/// V121 (by tags and by expression), V125, V130.
#[test]
fn a_watcher_has_the_list_of_those_that_match() {
    let server = watched("presenceTags: [name, x-*]").workers(2).start();
    let first = member(&server, &json!({"room": "1", "name": "Ada", "secret": "s"}));
    let queries = [json!({"tags": {"room": "1"}}), json!({"expr": "room=1 | room=2"})];
    let mut watchers = queries.map(|mut query| {
        query["mode"] = json!("members");
        watcher(&server, &query)
    });
    for watcher in &watchers {
        let known: Vec<&Value> = watcher.list.values().collect();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0]["tags"], json!({"name": "Ada"}));
        assert!(known[0].get("uuid").is_none() && known[0].get("user").is_none());
    }
    let second = member(&server, &json!({"room": "1", "x-a": "1"}));
    let third = member(&server, &json!({"room": "2"}));
    let other = server.open_v1(
        "/",
        json!({"key": "other", "secret": "oth-for-tests-only-0123456789abcdef", "tags": {"room": "1"}}),
    );
    watchers[0].reads_up_to(2);
    watchers[1].reads_up_to(3);
    drop(other);
    let mut second = second;
    second.say(json!({"op": "bye"}));
    let said = Instant::now();
    let left = watchers[0].reads_up_to(1);
    assert_eq!(ids(&left, "left").len(), 1);
    assert!(said.elapsed() < Duration::from_secs(1));
    watchers[1].reads_up_to(2);
    drop((first, third));
}

/// V121: a watch with the mode `count`, and one that ends with its first answer.
#[test]
fn counts_come_without_a_list_and_once_ends_at_once() {
    let server = watched("presenceUuids: on").start();
    let mut clients = vec![member(&server, &json!({"room": "1"}))];
    let (mut client, welcome) = open(&server, &json!({"tags": {"room": "1"}}));
    let room = json!({"room": "1"});
    client.request_v1(1, json!({"op": "watch", "tags": room}));
    let sync = json!({"op": "presence", "watch": 1, "sync": true, "count": 2, "users": 2});
    client.expect_json(sync);
    client.request_v1(2, json!({"op": "watch", "tags": room, "mode": "once"}));
    let once = client.json();
    assert_eq!((&once["watch"], &once["count"]), (&json!(2), &json!(2)), "{once}");
    let uuids: Vec<&Value> =
        once["members"].as_array().unwrap().iter().map(|member| &member["uuid"]).collect();
    assert!(uuids.contains(&&welcome["uuid"]), "{once}");
    clients.push(member(&server, &room));
    client.expect_json(json!({"op": "presence", "watch": 1, "count": 3, "users": 3}));
    client.request_v1(3, json!({"op": "unwatch", "watch": 1}));
    client.say(json!({"op": "unwatch", "id": 4, "watch": 2}));
    assert_eq!(client.expect_error("invalid_request")["at"], "/watch");
    client.expect_quiet();
}

/// V121: by topic, which is the same as by its tag.
#[test]
fn a_topic_is_watched_as_its_tag() {
    let server = watched("mailbox: 3").start();
    let mut client = member(&server, &json!({}));
    let mut watchers = [json!({"topic": "news"}), json!({"tags": {"channel": "news"}})]
        .map(|query| watcher(&server, &query));
    client.request_v1(1, json!({"op": "tag", "join": ["news", "other"]}));
    watchers.iter_mut().for_each(|watcher| drop(watcher.reads_up_to(1)));
    client.request_v1(2, json!({"op": "tag", "leave": ["news"]}));
    watchers.iter_mut().for_each(|watcher| drop(watcher.reads_up_to(0)));
}

/// V122.
#[test]
fn a_thousand_joins_within_a_second_are_few_counts() {
    let server = watched("resumeFor: 60").start();
    let mut watcher = watcher(&server, &json!({"tags": {"room": "1"}}));
    let begun = Instant::now();
    let clients: Vec<Raw> = (0..1000).map(|_| member(&server, &json!({"room": "1"}))).collect();
    let seconds = begun.elapsed().as_secs();
    let mut frames = 0;
    while watcher.count < 1000 {
        watcher.reads();
        frames += 1;
    }
    assert!(frames <= seconds + 2, "{frames} frames in {seconds} s");
    drop(clients);
}

/// V124: a member that is cut for longer leaves after `presenceLinger`, and has the same id when it is back.
#[test]
fn a_member_that_stays_away_leaves_and_comes_back_with_its_id() {
    let server = watched("presenceLinger: 1s").start();
    let (client, welcome) = open(&server, &json!({"tags": {"room": "1"}}));
    let mut watcher = watcher(&server, &json!({"tags": {"room": "1"}, "mode": "members"}));
    let id = watcher.list.keys().next().unwrap().clone();
    let cut = Instant::now();
    break_off(&server, client, &welcome["uuid"]);
    let left = watcher.reads_up_to(0);
    assert_eq!(ids(&left, "left"), [id.as_str()]);
    assert!((1000..3000).contains(&cut.elapsed().as_millis()), "{:?}", cut.elapsed());
    let _back = come_back(&server, &welcome, &json!({}));
    let joined = watcher.reads_up_to(1);
    assert_eq!(ids(&joined, "joined"), [id.as_str()]);
}

/// V126.
#[test]
fn a_member_comes_and_goes_with_its_tags() {
    let server = watched("presenceTags: [name]").start();
    let mut client = member(&server, &json!({"room": "2"}));
    let mut watcher = watcher(&server, &json!({"tags": {"room": "1"}, "mode": "members"}));
    client.request_v1(1, json!({"op": "tag", "set": {"room": "1"}}));
    assert_eq!(ids(&watcher.reads_up_to(1), "joined").len(), 1);
    client.request_v1(2, json!({"op": "tag", "set": {"name": "Bo"}}));
    let changed = watcher.reads();
    assert_eq!(changed["joined"][0]["tags"], json!({"name": "Bo"}), "{changed}");
    assert_eq!(changed["count"], 1);
    client.request_v1(3, json!({"op": "tag", "set": {"other": "1"}}));
    client.request_v1(4, json!({"op": "tag", "remove": ["room"]}));
    let left = watcher.reads();
    assert_eq!((ids(&left, "left").len(), left.get("joined")), (1, None), "{left}");
}

/// V127, V132: users are those of tokens; what a token says about one is shown as it is.
#[test]
fn tabs_of_one_user_are_one_user_with_any_name() {
    let members = "    presence: any";
    let server = setup().auth(&auth(members)).start();
    let long = "x".repeat(2800);
    let infos = [json!({"name": "__proto__"}), json!("constructor"), json!({ "long": long })];
    let open = |claims: Value| server.open_v1("/", json!({"token": token(&claims)}));
    let tabs =
        infos.clone().map(|info| open(json!({"sub": "7", "info": info, "tags": {"room": "1"}})));
    let proto = open(json!({"sub": "__proto__", "tags": {"room": "1"}}));
    let named = server.open_v1("/", json!({"key": "shop", "ident": "7", "tags": {"room": "1"}}));
    let watcher = Watcher::begin(
        server.open_v1("/", json!({"key": "shop"})),
        5,
        &json!({"tags": {"room": "1"}, "mode": "members"}),
    );
    assert_eq!((watcher.count, watcher.users), (5, 3));
    let mut shown: Vec<String> =
        watcher.list.values().filter_map(|it| it.get("user")).map(ToString::to_string).collect();
    let mut given: Vec<String> = infos.iter().map(ToString::to_string).collect();
    shown.sort();
    given.sort();
    assert_eq!(shown, given);
    drop((tabs, proto, named));
}

/// V128.
#[test]
fn a_list_that_is_too_long_is_a_number_until_it_is_short_again() {
    let server = watched("presenceMembers: 200").start();
    let mut watcher = watcher(&server, &json!({"tags": {"room": "1"}, "mode": "members"}));
    let mut clients: Vec<Raw> = (0..201).map(|_| member(&server, &json!({"room": "1"}))).collect();
    while watcher.count != 201 {
        let frame = watcher.reads();
        let is_long = frame["more"] == true && frame["members"] == json!([]);
        assert_eq!(is_long, watcher.count > 200 && frame["sync"] == true, "{frame}");
    }
    assert!(watcher.is_long);
    for client in clients.drain(179..) {
        let mut client = client;
        client.say(json!({"op": "bye"}));
    }
    let sync = watcher.reads_up_to(179);
    assert_eq!((&sync["sync"], sync["members"].as_array().unwrap().len()), (&json!(true), 179));
    assert!(!watcher.is_long);
}

/// V129.
#[test]
fn an_application_lets_clients_watch_what_they_have() {
    let server = storing("presence: own").start();
    let mut client = member(&server, &json!({"room": "1", "role": "x"}));
    client.request_v1(1, json!({"op": "watch", "tags": {"room": "1"}}));
    assert_eq!(client.json()["count"], 1);
    for query in [
        json!({"tags": {"room": "2"}}),
        json!({"tags": {"room": "1", "role": "x"}}),
        json!({"tags": {}}),
        json!({"expr": "room=1"}),
    ] {
        let mut frame = json!({"op": "watch", "id": 2});
        frame.as_object_mut().unwrap().extend(query.as_object().unwrap().clone());
        client.say(frame);
        assert_eq!(client.expect_error("permission_denied")["id"], 2, "{query}");
    }
    client.request_v1(3, json!({"op": "tag", "set": {"other": "1"}, "join": ["news"]}));
    client.request_v1(7, json!({"op": "watch", "topic": "news"}));
    assert_eq!(client.json()["count"], 1);
    client.say(json!({"op": "tag", "id": 4, "remove": ["room"]}));
    let end = json!({"op": "presence", "watch": 1, "end": "permission_denied"});
    let mut frames = [client.json(), client.json()];
    frames.sort_by_key(|frame| frame["op"].to_string());
    assert_eq!(frames, [json!({"op": "ack", "id": 4}), end]);
    let server = setup().start();
    let (mut client, welcome) = open(&server, &json!({}));
    client.say(json!({"op": "watch", "id": 1, "tags": {}}));
    client.expect_error("permission_denied");
    let lists = [&welcome["permissions"], &welcome["features"]].map(ToString::to_string);
    assert!(!lists[0].contains("watch") && !lists[1].contains("presence"), "{welcome}");
}

/// V129: a token wins over the application, and a watch ends with the token that allowed it.
#[test]
fn a_token_decides_what_its_client_may_watch() {
    let server = setup().auth(&auth("    presence: any")).start();
    let claims = |watch: Value| json!({"caps": {"watch": watch}, "tags": {"room": "1"}});
    let none = token(&claims(json!([])));
    let mut client = server.open_v1("/", json!({ "token": none }));
    client.say(json!({"op": "watch", "id": 1, "tags": {"room": "1"}}));
    client.expect_error("permission_denied");
    let all = token(&claims(json!(true)));
    client.request_v1(2, json!({"op": "token", "token": all}));
    client.request_v1(3, json!({"op": "watch", "expr": "room=1"}));
    assert_eq!(client.json()["count"], 1);
    client.say(json!({"op": "token", "id": 4, "token": none}));
    client.expect_json(json!({"op": "presence", "watch": 3, "end": "permission_denied"}));
    client.expect_ack(4);
    client.say(json!({"op": "unwatch", "id": 5, "watch": 3}));
    client.expect_error("invalid_request");
    let expired = token(&json!({"exp": now() - 100}));
    client.say(json!({"op": "token", "id": 6, "token": expired}));
    client.expect_error("permission_denied");
}

/// V129: a reload ends the watches that the application no longer allows.
#[test]
fn a_reload_ends_watches_that_it_forbids() {
    let server = watched("mailbox: 3").start();
    let mut client = member(&server, &json!({"room": "1"}));
    client.request_v1(1, json!({"op": "watch", "expr": "room=1"}));
    assert_eq!(client.json()["count"], 1);
    server.folder.write("auth.yml", AUTH);
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    client.expect_json(json!({"op": "presence", "watch": 1, "end": "permission_denied"}));
    client.expect_quiet();
}

/// V133.
#[test]
fn a_client_has_sixteen_watches() {
    let server = watched("mailbox: 3").start();
    let mut client = member(&server, &json!({}));
    for id in 1..=16 {
        client.request_v1(id, json!({"op": "watch", "tags": {"room": id}}));
        assert_eq!(client.json()["count"], 0);
    }
    client.say(json!({"op": "watch", "id": 17, "tags": {"room": 17}}));
    assert_eq!(client.expect_error("limit_exceeded")["limit"], 16);
    client.say(json!({"op": "watch", "id": 3, "tags": {"room": 1}}));
    client.expect_error("invalid_request");
    client.request_v1(18, json!({"op": "unwatch", "watch": 3}));
    client.request_v1(19, json!({"op": "watch", "tags": {"room": 17}}));
}

#[test]
fn invalid_watches_are_refused() {
    let server = watched("mailbox: 3").start();
    let mut client = member(&server, &json!({}));
    for (members, code, at) in [
        (json!({}), "invalid_target", Value::Null),
        (json!({"tags": {}, "expr": "a"}), "invalid_target", Value::Null),
        (json!({"tags": 5}), "invalid_request", json!("/tags")),
        (json!({"tags": {"a": 1.5}}), "invalid_request", json!("/tags")),
        (json!({"topic": 5}), "invalid_request", json!("/topic")),
        (json!({"topic": ""}), "invalid_request", json!("/topic")),
        (json!({"expr": "room="}), "invalid_expression", json!(5)),
        (json!({"tags": {}, "mode": "all"}), "invalid_request", json!("/mode")),
        (json!({"tags": {}, "once": 1}), "invalid_request", json!("/once")),
    ] {
        let mut frame = json!({"op": "watch", "id": 1});
        frame.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        client.say(frame);
        assert_eq!(client.expect_error(code)["at"], at, "{members}");
    }
    client.say(json!({"op": "watch", "tags": {}}));
    assert_eq!(client.expect_error("invalid_request")["at"], "/id");
    client.say(json!({"op": "unwatch", "id": 2, "watch": "1"}));
    assert_eq!(client.expect_error("invalid_request")["at"], "/watch");
}

#[test]
fn watches_and_their_news_are_counted() {
    let server = watched("mailbox: 3").ini("apiAddress = http://127.0.0.1:0").start();
    let watcher = watcher(&server, &json!({"tags": {"room": "1"}}));
    let of = |name: &str| scrape(&server).get(name).copied();
    let counts = ["tagcast_watches", "tagcast_presence_updates_total"];
    eventually("a watch and its first news", || (counts.map(of) == [Some(1.0); 2]).then_some(()));
    drop(watcher);
    eventually("no watch", || (of(counts[0]) == Some(0.0)).then_some(()));
}

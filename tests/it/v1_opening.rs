//! Opening of `tagcast.v1`: the subprotocol, the first frame, and what is refused.

use serde_json::{Value, json};

use crate::harness::api::{SHOP_SECRET, setup};
use crate::harness::{Open, Raw, Server, Setup, eventually, frames};

const CLOSED_SHOP: &str = "applications:
  - {key: shop, tenant: shop, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: false}
";

/// V1.
#[test]
fn every_path_without_a_binding_agrees_and_waits_for_hello() {
    let server = setup().start();
    for target in ["/", "/any/path", "/web", "/php", "/?tags={\"a\":\"1\"}", "/?key=shop&secret=x"]
    {
        let mut client = Open::v1(target).ask(server.port);
        let head = client.expect_upgrade();
        assert_eq!(head.header("Sec-WebSocket-Protocol"), Some("tagcast.v1"), "{target}");
        client.expect_silence();
    }
}

/// V2.
#[test]
fn only_the_protocol_is_named_and_no_log_shows_a_token() {
    let server = setup().ini("logLevel = trace\nlogfile = all.log").start();
    let offered = "chat, tagcast.v1, tagcast-token.x.y.z";
    let mut client = Open::at("/").header("Sec-WebSocket-Protocol", offered).ask(server.port);
    let head = client.expect_upgrade();
    assert_eq!(head.header("Sec-WebSocket-Protocol"), Some("tagcast.v1"));
    client.hello(json!({"key": "shop"}));
    client.expect_welcome();
    let log = server.folder.root().join("all.log");
    let text = eventually("the line of the connection", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("connection_opened").then_some(text)
    });
    assert!(!text.contains("x.y.z"));
}

/// V3.
#[test]
fn another_version_is_an_unknown_subprotocol() {
    let server = Server::start();
    for name in ["tagcast.v2", "Tagcast.V1"] {
        let open = Open::at("/").header("Sec-WebSocket-Protocol", name);
        let mut client = open.ask(server.port);
        assert_eq!(client.expect_upgrade().header("Sec-WebSocket-Protocol"), None);
        client.expect_ready();
    }
}

/// V4, V9.
#[test]
fn hello_may_be_in_the_segment_of_the_request() {
    let server = Server::start();
    let mut client = Raw::connect(server.port);
    let hello = r#"{"future":{"op":[{}]},"op":"hello","tags":{"language":"FR","level":12}}"#;
    client.send([Open::v1("/").request().as_bytes(), &frames::text(hello)].concat());
    client.expect_upgrade();
    let welcome = client.expect_welcome();
    let names: Vec<&str> = welcome.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "op",
        "uuid",
        "resumed",
        "resume",
        "grace",
        "tags",
        "topics",
        "ping",
        "permissions",
        "features",
        "limits",
        "time",
        "server",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(welcome["tags"], json!({"language": "FR", "level": "12"}));
    assert_eq!(welcome["permissions"], json!(["publish", "tag"]));
    assert_eq!(welcome["features"], json!(["ask", "report", "expr"]));
    assert_eq!(
        welcome["limits"],
        json!({"message": 5_242_880, "tags": 128, "topics": 100, "event": 64})
    );
    assert_eq!(
        (&welcome["resumed"], welcome["uuid"].as_str().unwrap().len()),
        (&json!(false), 101)
    );
}

/// V5.
#[test]
fn a_client_without_hello_is_closed_in_time() {
    let server = Setup::new().ini("handshakeTimeout = 500ms").start();
    let mut client = Open::v1("/").upgrade(server.port);
    let bye = client.expect_bye(4101);
    assert_eq!(bye["reason"], "hello timeout");
    server.wait_for_output("hello timeout");
}

/// V6, V8.
#[test]
fn a_first_message_that_is_not_hello_closes() {
    let server = Server::start();
    let mut other = server.open_v1("/", json!({}));
    for text in [r#"{"op":"pub","to":{"all":true},"data":1}"#, "[]", "5", "nonsense", "", "{}"] {
        let mut client = Open::v1("/").upgrade(server.port);
        client.text(text);
        let bye = client.expect_bye(4000);
        assert!(bye["reason"].as_str().unwrap().starts_with("invalid frame: "), "{bye}");
    }
    let mut client = Open::v1("/").upgrade(server.port);
    client.send(frames::binary(r#"{"op":"hello"}"#));
    client.expect_bye(1003);
    let hello = |bytes: usize| {
        let mut hello = r#"{"op":"hello","#.to_owned();
        hello.push_str(&" ".repeat(bytes - hello.len() - 7));
        hello + r#""x":1}"# + " "
    };
    let mut client = Open::v1("/").upgrade(server.port);
    client.text(hello(16 * 1024));
    client.expect_welcome();
    let mut client = Open::v1("/").upgrade(server.port);
    client.text(hello(16 * 1024 + 1));
    client.expect_bye(1009);
    other.expect_quiet();
}

/// V7.
#[test]
fn a_second_hello_closes() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({}));
    client.hello(json!({}));
    client.expect_bye(4000);
}

/// V10, V11.
#[test]
fn credentials_of_hello_win_and_a_client_cannot_learn_which_part_is_wrong() {
    let server = Setup::new().auth(CLOSED_SHOP).start();
    for members in [
        json!({}),
        json!({"key": "nope"}),
        json!({"key": "shop", "secret": "wrong"}),
        json!({"secret": SHOP_SECRET}),
        json!({"key": "shop", "token": "x.y.z"}),
        json!({"token": "x.y.z"}),
    ] {
        let mut client = Open::v1("/").upgrade(server.port);
        client.hello(members);
        let bye = client.expect_bye(4009);
        assert_eq!(bye["reason"], "unauthorized");
    }
    let (_, welcome) = server.welcomed("/?key=nope", json!({"key": "shop", "secret": SHOP_SECRET}));
    assert_eq!(welcome["features"], json!(["ask", "report", "expr"]));
    let query = format!("/?key=shop&secret={SHOP_SECRET}");
    server.open_v1(&query, json!({}));
    let mut client = Open::v1(&query).upgrade(server.port);
    client.hello(json!({"key": "nope"}));
    client.expect_bye(4009);
}

/// V12.
#[test]
fn wrong_tags_close_with_the_words_of_the_query() {
    let server = Server::start();
    let many: Value = (0..129).map(|n| (format!("n{n}"), json!(n))).collect();
    for (tags, why) in [
        (json!("x"), "The 'tags' URL parameter is not a JSON array !"),
        (json!({"a": []}), "The 'a' tag is not an integer or a string !"),
        (json!({"@user": "7"}), "The tag '@user' is the server's to give !"),
        (many, "more than 128 tags"),
    ] {
        let mut client = Open::v1("/").upgrade(server.port);
        client.hello(json!({"tags": tags}));
        let bye = client.expect_bye(4000);
        assert_eq!(bye["reason"], format!("invalid frame: {why}"));
    }
    let mut client = Open::v1("/?tags=nope").upgrade(server.port);
    client.hello(json!({"tags": {"a": "1"}}));
    assert_eq!(client.expect_welcome()["tags"], json!({"a": "1"}));
    let (_, welcome) = server.welcomed("/?tags={\"b\":\"2\"}", json!({}));
    assert_eq!(welcome["tags"], json!({"b": "2"}));
}

/// V13.
#[test]
fn a_client_beyond_a_limit_is_asked_to_wait() {
    let server = Setup::new().ini("maxClients = 1").start();
    let _first = server.open_v1("/", json!({}));
    for _ in 0..3 {
        let mut client = Open::v1("/").upgrade(server.port);
        client.hello(json!({}));
        let bye = client.expect_bye(4100);
        assert_eq!(bye["reason"], "over capacity");
        assert!(bye["retry_after_ms"].is_u64(), "{bye}");
    }
}

/// V14.
#[test]
fn without_a_broker_a_client_is_closed_at_the_deadline() {
    let server = Setup::new().ini("handshakeTimeout = 1s").start();
    let mut client = Open::v1("/").upgrade(server.port);
    let broker = server.broker();
    crate::harness::processes::send_signal(broker, rustix::process::Signal::STOP);
    client.hello(json!({}));
    let bye = client.expect_bye(4104);
    assert_eq!(bye["reason"], "broker unavailable");
    crate::harness::processes::send_signal(broker, rustix::process::Signal::CONT);
}

/// V15.
#[test]
fn a_client_can_be_addressed_as_soon_as_it_has_welcome() {
    let server = Server::start();
    let mut publisher = server.open_v1("/", json!({}));
    for id in 0..200 {
        let mut client = server.open_v1("/", json!({}));
        let to = json!({"uuid": client.uuid});
        publisher.say(json!({"op": "pub", "id": id, "to": to, "data": id}));
        client.expect_json(json!({"op": "msg", "direct": true, "data": id}));
        publisher.expect_ack(id);
        client.say(json!({"op": "bye"}));
    }
}

/// V16.
#[test]
fn frames_after_hello_are_answered_after_welcome_in_their_order() {
    let server = Server::start();
    let mut client = Raw::connect(server.port);
    let mut bytes = Open::v1("/").request().into_bytes();
    for frame in [
        json!({"op": "hello"}),
        json!({"op": "tag", "id": 1, "set": {"a": "1"}}),
        json!({"op": "pub", "id": 2, "to": {"tags": {"a": "1"}}, "data": "x", "report": true}),
    ] {
        bytes.extend(frames::text(frame.to_string()));
    }
    client.send(bytes);
    client.expect_upgrade();
    client.expect_welcome();
    let mut rest = [client.json(), client.json(), client.json()];
    rest.sort_by_key(|frame| frame["op"] == "msg");
    assert_eq!(rest[0], json!({"op": "ack", "id": 1}));
    assert_eq!(rest[1], json!({"op": "ack", "id": 2, "matched": 1, "workers": 1}));
    assert_eq!(rest[2], json!({"op": "msg", "data": "x"}));
}

/// V17.
#[test]
fn another_origin_is_refused_before_the_upgrade() {
    let server = Setup::new().ini("allowedOrigins = https://example.org").start();
    let mut client = Open::v1("/").header("Origin", "https://evil.example").ask(server.port);
    client.expect_refusal(403);
}

/// V18.
#[test]
fn connections_without_hello_count_as_handshakes() {
    let server = Setup::new().workers(1).ini("handshakeTimeout = 2s").start();
    let silent: Vec<Raw> = (0..1025).map(|_| Open::v1("/").ask(server.port)).collect();
    let mut client = eventually("another client", || Open::web().try_ready(server.port));
    client.expect_silence();
    drop(silent);
}

#[test]
fn paths_with_another_protocol_refuse() {
    let ini = "[resource /old]\nkind = gomoob\n[resource /echo]\nkind = echo\n";
    let server = Setup::new().ini(ini).start();
    for target in ["/old", "/echo", "/apps/x"] {
        Open::v1(target).ask(server.port).expect_refusal(400);
    }
    Open::v1("/").header("Sec-WebSocket-Version", "8").ask(server.port).expect_refusal(426);
}

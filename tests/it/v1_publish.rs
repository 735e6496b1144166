//! Publications of `tagcast.v1`: frames, recipients, acknowledgements, and other dialects.

use serde_json::{Value, json};

use crate::backend::{Act, Backend};
use crate::harness::api::{OTHER, PUBLISH, SHOP, SHOP_SECRET, setup};
use crate::harness::{Open, Raw, Server, Setup, broadcast, frames};

fn publish(client: &mut Raw, id: u64, to: &Value, data: &Value) {
    client.say(json!({"op": "pub", "id": id, "to": to, "data": data}));
}

/// V19, V20, V21, V22.
#[test]
fn wrong_requests_are_answered_and_the_connection_stays() {
    let server = Server::start();
    let (mut client, mut other) = (server.open_v1("/", json!({})), server.open_v1("/", json!({})));
    client.say(json!({"op": "nope", "id": 3}));
    assert_eq!(client.expect_error("unknown_op")["id"], 3);
    client.say(json!({"op": "nope"}));
    assert_eq!(client.expect_error("unknown_op").get("id"), None);
    for to in [json!({}), json!({"all": true, "uuid": "x"}), json!({"uuid": 5}), Value::Null] {
        publish(&mut client, 7, &to, &json!(1));
        assert_eq!(client.expect_error("invalid_target")["id"], 7);
    }
    client.say(json!({"op": "pub", "id": 7, "to": {"all": true}}));
    assert_eq!(client.expect_error("invalid_request")["at"], "/data");
    for id in ["-1", "1.5", "\"7\"", "9007199254740992"] {
        client.text(format!(r#"{{"op":"pub","id":{id},"to":{{"all":true}},"data":1}}"#));
        assert_eq!(client.expect_error("invalid_request").get("id"), None, "{id}");
    }
    client.say(json!({"op": "send", "id": 9, "data": 1}));
    client.expect_error("unsupported");
    other.expect_quiet();
    publish(&mut client, 8, &json!({"all": true}), &Value::Null);
    other.expect_json(json!({"op": "msg", "data": null}));
}

/// V23, V24, V25, V26.
#[test]
fn data_arrive_as_they_were_written() {
    let server = Server::start();
    let (mut client, mut other) = (server.open_v1("/", json!({})), server.open_v1("/", json!({})));
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    for data in [
        r#"{ "a" : [ 1.50, "\u00e9" , 1e400 ],"a":2 }"#,
        r#""\ud800""#,
        r#"{"op":"bye","to":5}"#,
        &deep(127),
    ] {
        client.text(format!(
            r#"{{"data":{data},"to":{{"all":true}},"except":"self","op":"pub","id":1}}"#
        ));
        other.expect_text(&format!(r#"{{"op":"msg","data":{data}}}"#));
        client.expect_ack(1);
    }
    client.text(format!(r#"{{"op":"pub","id":2,"to":{{"all":true}},"data":{}}}"#, deep(128)));
    assert_eq!(client.expect_error("payload_too_large")["id"], 2);
    other.expect_quiet();
}

/// V27, V28, V29.
#[test]
fn frames_are_joined_and_what_breaks_the_rules_closes() {
    let server = Setup::new().ini("maxMessage = 64K").start();
    let mut client = server.open_v1("/", json!({}));
    client.send(frames::text_begins(r#"{"op":"ping","#));
    client.send(frames::ping("between"));
    client.send(frames::ends(r#""id":5}"#));
    client.expect_pong(b"between");
    assert_eq!(client.json()["id"], 5);
    client.send(frames::announces(0x81, 65_537));
    client.expect_bye(1009);
    let mut client = server.open_v1("/", json!({}));
    client.send(frames::masked(0x81, b"{\"op\":\"\xff\"}"));
    client.expect_bye(1007);
    let mut client = server.open_v1("/", json!({}));
    client.send(frames::binary("{}"));
    client.expect_bye(1003);
    let mut client = server.open_v1("/", json!({}));
    client.text("nonsense");
    client.expect_bye(4000);
}

/// V31, V34.
#[test]
fn each_dialect_receives_a_publication_in_its_own_form() {
    let ini = "[resource /plain]\nkind = broadcast\n";
    let server = Setup::new().ini(ini).start();
    let mut publisher = server.open_v1("/", json!({}));
    let tags = json!({"language": "FR"});
    let mut v1 = server.open_v1("/", json!({"tags": tags, "ident": "job"}));
    let mut phpws = server.open(&Open::at(r#"/web?tags={"language":"FR"}"#));
    let mut gomoob = Open::tags(r#"{"language":"FR"}"#).upgrade(server.port);
    let mut plain = Open::at(r#"/plain?tags={"language":"FR"}"#).upgrade(server.port);
    let mut other = server.open_v1("/", json!({"tags": {"language": "EN"}}));
    for (id, to) in [json!({"tags": tags}), json!({"expr": "language=FR & !x?"})].iter().enumerate()
    {
        let id = u64::try_from(id).unwrap();
        publisher.say(json!({"op": "pub", "id": id, "to": to, "event": "price", "from": true,
            "data": "é"}));
        publisher.expect_ack(id);
        v1.expect_text(&format!(
            r#"{{"op":"msg","event":"price","from":"{}","data":"é"}}"#,
            publisher.uuid
        ));
        phpws.expect_text(r#"{"opcode":"broadcast","message":"é"}"#);
        gomoob.expect_text("\"é\"");
        plain.expect_text("é");
    }
    for to in [json!({"uuid": v1.uuid}), json!({"ident": "job"})] {
        publish(&mut publisher, 5, &to, &json!(1));
        publisher.expect_ack(5);
        v1.expect_text(r#"{"op":"msg","direct":true,"data":1}"#);
    }
    publish(&mut publisher, 6, &json!({"uuid": phpws.uuid}), &json!(1));
    phpws.expect_text(r#"{"opcode":"feedback","message":1}"#);
    publisher.expect_ack(6);
    let to = json!({"uuid": publisher.uuid});
    v1.say(json!({"op": "pub", "id": 1, "to": to, "data": "back"}));
    publisher.expect_json(json!({"op": "msg", "direct": true, "data": "back"}));
    other.expect_quiet();
    publish(&mut publisher, 7, &json!({"all": true}), &json!(2));
    for client in [&mut v1, &mut other] {
        if client.json()["op"] == "ack" {
            client.expect_json(json!({"op": "msg", "data": 2}));
        }
    }
}

/// V32, V33.
#[test]
fn excluded_clients_receive_nothing() {
    let server = Server::start();
    let open = || server.open_v1("/", json!({}));
    let (mut publisher, mut one, mut two) = (open(), open(), open());
    publisher.say(json!({"op": "pub", "id": 1, "to": {"all": true}, "except": "self", "data": 1}));
    for client in [&mut one, &mut two] {
        client.expect_json(json!({"op": "msg", "data": 1}));
    }
    publisher.expect_ack(1);
    let except = json!(["self", one.uuid, "forged", one.uuid]);
    publisher.say(json!({"op": "pub", "id": 2, "to": {"tags": {}}, "except": except, "data": 2}));
    two.expect_json(json!({"op": "msg", "data": 2}));
    publisher.expect_ack(2);
    one.expect_quiet();
    let many: Vec<String> = (0..17).map(|n| format!("x{n}")).collect();
    publisher.say(json!({"op": "pub", "id": 3, "to": {"all": true}, "except": many, "data": 3}));
    assert_eq!(publisher.expect_error("invalid_request")["limit"], 16);
    two.expect_quiet();
}

/// V35.
#[test]
fn names_of_events_are_checked() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({}));
    let to = json!({"tags": {"no": "one"}});
    client.request_v1(1, json!({"op": "pub", "to": to, "event": "e".repeat(64), "data": 1}));
    for event in [&"e".repeat(65), "", "a b", "a\nb", "tagcast:x", "pusher:x", "pusher_internal:x"]
    {
        client.say(json!({"op": "pub", "id": 2, "to": to, "event": event, "data": 1}));
        assert_eq!(client.expect_error("invalid_request")["at"], "/event");
    }
}

/// V36.
#[test]
fn publications_of_others_have_data_alone_and_the_event_of_the_api() {
    let server = setup().start();
    let mut client = server.open_v1("/", json!({"key": "shop", "tags": {"room": "1"}}));
    let mut page = server.open(&Open::at("/web?key=shop"));
    page.text(broadcast("from a page"));
    client.expect_text(r#"{"op":"msg","data":"from a page"}"#);
    let gomoob = Open::at("/?key=shop&tags={}");
    let mut gomoob = gomoob.upgrade(server.port);
    gomoob.text(r#"{"message":{"a":1},"tags":{"room":"1"}}"#);
    client.expect_text(r#"{"op":"msg","data":{"a":1}}"#);
    for (body, expected) in [
        (r#"{"to":{"tags":{"room":"1"}},"message":[1 ,2]}"#, r#"{"op":"msg","data":[1 ,2]}"#),
        (
            r#"{"to":{"tags":{"room":"1"}},"message":3,"event":"price"}"#,
            r#"{"op":"msg","event":"price","data":3}"#,
        ),
        (
            r#"{"to":{"tags":{"room":"1"}},"text":"a \"b\"","event":"note","id":"x-1"}"#,
            r#"{"op":"msg","event":"note","data":"a \"b\""}"#,
        ),
    ] {
        assert_eq!(server.post(PUBLISH, SHOP, body).json()["matched"], 1, "{body}");
        client.expect_text(expected);
    }
    let to = format!("/v1/apps/shop/connections/{}/feedback", client.uuid);
    let body = r#"{"message":null,"text":"direct","event":"e"}"#.replace("\"message\":null,", "");
    assert_eq!(server.post(&to, SHOP, &body).status(), 200);
    client.expect_text(r#"{"op":"msg","event":"e","direct":true,"data":"direct"}"#);
    let page_to = format!("/v1/apps/shop/connections/{}/feedback", page.uuid);
    assert_eq!(server.post(&page_to, SHOP, &body).status(), 200);
    page.expect_next();
    page.expect_text(r#"{"opcode":"feedback","message":"direct"}"#);
}

/// V37, V38.
#[test]
fn permissions_and_spaces_hold() {
    let server = setup().start();
    let open = |key: &str, ident: &str| {
        let members = json!({"key": key, "ident": ident, "tags": {"a": "1"}});
        server.open_v1("/", members)
    };
    let (mut shop, mut other, mut denied) =
        (open("shop", "x"), open("other", "x"), open("other", "y"));
    publish(&mut denied, 1, &json!({"all": true}), &json!(1));
    let error = denied.expect_error("permission_denied");
    assert_eq!((&error["id"], &error["retry"]), (&json!(1), &json!(false)));
    for to in [json!({"tags": {"a": "1"}}), json!({"ident": "x"}), json!({"uuid": other.uuid})] {
        shop.say(json!({"op": "pub", "id": 2, "to": to, "except": "self", "data": 1}));
        shop.expect_ack(2);
    }
    other.expect_quiet();
    shop.say(json!({"op": "pub", "id": 3, "to": {"all": true}, "report": true, "data": 1}));
    assert_eq!(shop.expect_error("permission_denied")["at"], "/report");
    assert_eq!(
        server.post("/v1/apps/other/publish", OTHER, r#"{"to":"all","message":5}"#).status(),
        200
    );
    other.expect_json(json!({"op": "msg", "data": 5}));
}

/// V39.
#[test]
fn a_report_counts_clients_and_workers() {
    let server = setup().start();
    let open = Open::at(r#"/web?key=shop&tags={"a":"1"}"#);
    let (_one, _two) = server.open_apart(&open, &open);
    let _three = server.open(&open);
    let members = json!({"key": "shop", "secret": SHOP_SECRET});
    let (mut publisher, welcome) = server.welcomed("/", members);
    assert_eq!(welcome["features"], json!(["ask", "report", "expr"]));
    let mut report = |to: Value| {
        publisher.say(json!({"op": "pub", "id": 1, "to": to, "report": true, "data": 1}));
        let ack = publisher.json();
        assert_eq!((&ack["op"], &ack["id"]), (&json!("ack"), &json!(1)), "{ack}");
        (ack["matched"].clone(), ack["workers"].clone())
    };
    assert_eq!(report(json!({"tags": {"a": "1"}})), (json!(3), json!(2)));
    assert_eq!(report(json!({"expr": "a=1"})), (json!(3), json!(2)));
    assert_eq!(report(json!({"tags": {"a": "2"}})), (json!(0), json!(0)));
}

/// V40.
#[test]
fn every_publication_is_acknowledged_and_delivered_once_while_brokers_die() {
    const COUNT: u64 = 3000;
    let server = Server::start();
    let (mut publisher, mut receiver) =
        (server.open_v1("/", json!({})), server.open_v1("/", json!({})));
    let mut writer = publisher.writer();
    let to = json!({"uuid": receiver.uuid});
    let sender = std::thread::spawn(move || {
        for id in 0..COUNT {
            let frame = json!({"op": "pub", "id": id, "to": to, "data": id});
            std::io::Write::write_all(&mut writer, &frames::text(frame.to_string())).unwrap();
        }
    });
    for id in 0..COUNT {
        if [500, 1200, 2000].contains(&id) {
            server.kill_broker();
        }
        publisher.expect_ack(id);
    }
    sender.join().unwrap();
    for id in 0..COUNT {
        receiver.expect_json(json!({"op": "msg", "direct": true, "data": id}));
    }
    receiver.expect_quiet();
}

/// V48.
#[test]
fn a_publisher_that_does_not_read_is_paused_by_its_own_socket() {
    const COUNT: usize = 100_000;
    let server = Setup::new().ini("maxMessage = 2M\noutboxLimit = 2M").start();
    let (mut publisher, mut other) =
        (server.open_v1("/", json!({})), server.open_v1("/", json!({})));
    let mut writer = publisher.writer();
    let sender = std::thread::spawn(move || {
        // The answers are far more than the outbox may hold.
        let frame = json!({"op": "pub", "id": 1, "to": {}, "data": 1});
        let frames = frames::text(frame.to_string()).repeat(100);
        (0..COUNT / 100).for_each(|_| std::io::Write::write_all(&mut writer, &frames).unwrap());
    });
    for id in 0..20 {
        let to = json!({"uuid": other.uuid});
        other.say(json!({"op": "pub", "id": id, "to": to, "data": id}));
        let mut both = [other.json(), other.json()];
        both.sort_by_key(|frame| frame["op"] == "msg");
        assert_eq!(both[0], json!({"op": "ack", "id": id}));
    }
    for _ in 0..COUNT {
        assert!(publisher.frame().as_text().contains("invalid_target"));
    }
    sender.join().unwrap();
    publisher.expect_quiet();
}

#[test]
fn a_message_that_violates_the_schema_is_an_error() {
    let auth = format!(
        "applications:\n  - key: shop\n    secret: {SHOP_SECRET}\n    authorizeOpen: true\n    \
         clientPublish: true\n    schema: schema.json\n"
    );
    let setup = Setup::new().auth(&auth.replace("    schema: schema.json\n", ""));
    let server = setup.start();
    let schema = r#"{"type":"object","properties":{"price":{"type":"number"}}}"#;
    server.folder.write("schema.json", schema);
    server.folder.write("auth.yml", &auth);
    let reloaded = crate::harness::run_to_end(&server.folder, &["reload"]);
    assert_eq!(reloaded.code, Some(0), "{}", reloaded.text);
    let mut client = server.open_v1("/", json!({"key": "shop"}));
    publish(&mut client, 1, &json!({"all": true}), &json!({"price": "x"}));
    assert_eq!(client.expect_error("schema_violation")["at"], "/price");
    publish(&mut client, 2, &json!({"tags": {"no": "1"}}), &json!({"price": 1}));
    client.expect_ack(2);
}

#[test]
fn send_reaches_the_resource_of_the_path() {
    let ini = "[resource /all]\nkind = broadcast\n";
    let server = Setup::new().ini(ini).start();
    let (mut client, welcome) = server.welcomed("/all", json!({}));
    assert_eq!(welcome["features"], json!(["ask", "report", "expr", "send"]));
    let mut plain = Open::at("/all").upgrade(server.port);
    client.request_v1(1, json!({"op": "send", "data": "a text"}));
    plain.expect_text("a text");
    client.expect_json(json!({"op": "msg", "data": "a text"}));
    client.request_v1(2, json!({"op": "send", "data": {"a": 1}}));
    plain.expect_text(r#"{"a":1}"#);
}

#[test]
fn large_data_are_published_too() {
    let server = Server::start();
    let (mut client, mut other) = (server.open_v1("/", json!({})), server.open_v1("/", json!({})));
    let data = "x".repeat(600_000);
    for event in [None, Some("big")] {
        let mut frame = json!({"op": "pub", "id": 1, "to": {"uuid": other.uuid}, "data": data});
        if let Some(event) = event {
            frame["event"] = json!(event);
        }
        client.say(frame);
        client.expect_ack(1);
        let message = other.json();
        assert_eq!(
            (message["data"].as_str().unwrap().len(), &message["event"]),
            (600_000, &json!(event))
        );
    }
}

#[test]
fn an_event_of_a_backend_reaches_a_client_of_its_resource() {
    let backend = Backend::start(|event| match event["event"].as_str().unwrap() {
        "message" => Act::Commands(
            r#"[{"command":"reply","message":{"got":true}},
            {"command":"tag","set":{"seen":"1"}}]"#,
        ),
        _ => Act::Commands(""),
    });
    let server = crate::backend::chat::start(&backend, "");
    let mut client = server.open_v1("/chat", json!({}));
    client.request_v1(1, json!({"op": "send", "data": "hello"}));
    backend.wait_for("message", 1);
    let mut both = [client.json(), client.json()];
    both.sort_by_key(|frame| frame["op"].as_str().unwrap().to_owned());
    assert_eq!(both[0], json!({"op": "msg", "direct": true, "data": {"got": true}}));
    assert_eq!(both[1], json!({"op": "tags", "tags": {"seen": "1"}, "topics": []}));
}

//! Closing of connections by HTTP: one client, all that an expression matches, at once or spread over a time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backend::chat;
use crate::backend::{Act, Backend};
use crate::harness::api::{AUTH, ApiAnswer, Clients, LIST, PUBLISH, SHOP, setup};
use crate::harness::{Frame, Open, Raw, Server, eventually};

fn delete(server: &Server, uuid: &str, query: &str) -> ApiAnswer {
    server.call("DELETE", &format!("{LIST}/{uuid}{query}"), &[SHOP])
}

fn disconnect(server: &Server, body: &Value) -> ApiAnswer {
    server.post(&format!("{LIST}:disconnect"), SHOP, &body.to_string())
}

#[track_caller]
fn matched(answer: &ApiAnswer) -> (u64, u64) {
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let json = answer.json();
    (json["matched"].as_u64().unwrap(), json["workers"].as_u64().unwrap())
}

fn reason(close: &Frame) -> &str {
    str::from_utf8(&close.payload[2..]).unwrap()
}

fn connected(server: &Server) -> u64 {
    let page = server.call("GET", &format!("{LIST}?limit=0"), &[SHOP]).json();
    page["matched"].as_u64().unwrap()
}

/// A109, A110.
#[test]
fn a_client_is_closed_with_code_and_reason_once() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let uuid = clients.f.uuid.clone();
    assert_eq!(matched(&delete(&server, &uuid, "?code=4001&reason=bye")), (1, 1));
    assert_eq!(reason(&clients.f.expect_closed(4001)), "bye");
    eventually("the client has left", || (connected(&server) == 2).then_some(()));
    delete(&server, &uuid, "").is_error(404, "connection_not_found");
    assert_eq!(matched(&delete(&server, &clients.p.uuid, "")), (1, 1));
    delete(&server, &clients.o.uuid, "").is_error(404, "connection_not_found");
    delete(&server, "x", "").is_error(400, "invalid_uuid");
    assert_eq!(connected(&server), 2, "the others stay");
}

/// A111.
#[test]
fn a_close_that_no_socket_could_take_is_refused() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let long = format!("?reason={}", "x".repeat(124));
    for query in ["?reason=a%0D%0Ab", "?code=1001", "?code=999", "?code=", "?code=%2B1000", &long] {
        delete(&server, &clients.f.uuid, query).is_error(400, "invalid_parameter");
    }
    delete(&server, &clients.f.uuid, "?force=1").is_error(400, "unknown_parameter");
    for (body, status, code, at) in [
        (json!({}), 400, "missing_member", "/expr"),
        (json!({"all": false}), 400, "missing_member", "/expr"),
        (json!({"all": true, "expr": "a?"}), 400, "invalid_value", "/all"),
        (json!({"all": true, "code": 1001}), 400, "invalid_value", "/code"),
        (json!({"all": true, "code": "1000"}), 400, "wrong_type", "/code"),
        (json!({"all": true, "reason": "a\nb"}), 400, "invalid_value", "/reason"),
        (json!({"all": true, "spread_ms": 60001}), 400, "invalid_value", "/spread_ms"),
        (json!({"all": true, "to": 1}), 400, "unknown_member", "/to"),
        (
            json!({"expr": {"not": {"tag": "a", "is": 1.5}}}),
            422,
            "invalid_expression",
            "/expr/not/is",
        ),
    ] {
        let error = disconnect(&server, &body).error();
        assert_eq!(error, (status, code.into(), at.into()), "{body}");
    }
    assert_eq!(connected(&server), 3);
    let auth = AUTH.replace("clientPublish: true", "permissions: [disconnect, list]");
    let server = setup().auth(&auth).start();
    let _clients = Clients::open(&server);
    for body in [json!({"all": true}), json!({"expr": "!language?"})] {
        let denied = disconnect(&server, &body);
        let permission = denied.is_error(403, "permission_denied").json()["error"].clone();
        assert_eq!(permission["permission"], "broadcast");
    }
    assert_eq!(matched(&disconnect(&server, &json!({"expr": "language?"}))).0, 2);
    let auth = AUTH.replace("clientPublish: true", "permissions: [publish, list]");
    let server = setup().auth(&auth).start();
    let denied = disconnect(&server, &json!({"all": true}));
    let permission = denied.is_error(403, "permission_denied").json()["error"].clone();
    assert_eq!(permission["permission"], "disconnect");
}

/// A112.
#[test]
fn all_clients_that_match_are_closed_and_the_others_stay() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let language = |more: Value| {
        let mut body = json!({"expr": "language?"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        disconnect(&server, &body)
    };
    let dry = language(json!({"dry_run": true})).json();
    assert_eq!((&dry["dry_run"], &dry["matched"]), (&json!(true), &json!(2)));
    let refused = language(json!({"max_recipients": 1}));
    let error = refused.is_error(409, "too_many_recipients").json()["error"].clone();
    assert_eq!((&error["matched"], &error["max_recipients"]), (&json!(2), &json!(1)));
    assert_eq!(connected(&server), 3, "neither closes a connection");
    assert_eq!(matched(&language(json!({"reason": "later"}))).0, 2);
    assert_eq!(reason(&clients.f.expect_closed(1000)), "later");
    assert_eq!(reason(&clients.e.expect_closed(1000)), "later");
    eventually("both have left", || (connected(&server) == 1).then_some(()));
    server.post(PUBLISH, SHOP, r#"{"to":"all","message":1}"#);
    clients.n.expect_text(r#"{"opcode":"broadcast","message":1}"#);
    assert_eq!(matched(&disconnect(&server, &json!({"all": true}))).0, 1);
    clients.n.expect_closed(1000);
    let other =
        server.call("GET", "/v1/apps/other/connections?limit=0", &[crate::harness::api::OTHER]);
    assert_eq!(other.json()["matched"], 1, "another tenant");
}

/// A109.
#[test]
fn the_resource_of_a_closed_client_gets_its_close() {
    let backend = Backend::start(|_| Act::Commands(""));
    let server = chat::setup(&backend, "").auth(CHAT_IS_SHOP).start();
    let mut client = Open::at("/chat").upgrade(server.port);
    let page = server.call("GET", LIST, &[SHOP]).json();
    let uuid = page["connections"][0]["uuid"].as_str().unwrap().to_owned();
    assert_eq!(matched(&delete(&server, &uuid, "?code=4002")), (1, 1));
    client.expect_closed(4002);
    backend.wait_for("close", 1);
}

const CHAT_IS_SHOP: &str = "anonymous: chat
applications:
  - { key: chat, tenant: shop, secret: secret-of-the-chat-for-this-test-alone, authorizeOpen: true, clientPublish: true }
  - { key: shop, tenant: shop, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: true }
";

fn tagged(server: &Server) -> Raw {
    server.open(&Open::at(r#"/web?key=shop&tags={"wave":"1"}"#))
}

/// A113: a new client gets the slot of one that is closed, while closes of the order are still due.
#[test]
fn a_new_client_in_the_slot_of_a_closed_one_stays() {
    let server = setup().workers(1).start();
    let mut old: Vec<Raw> = (0..20).map(|_| tagged(&server)).collect();
    let order = json!({"expr": "wave=1", "spread_ms": 1500});
    assert_eq!(matched(&disconnect(&server, &order)).0, 20);
    // Clients that are closed late leave before their turn, and others get their slots.
    old.drain(5..19);
    eventually("the clients have left", || (connected(&server) <= 6).then_some(()));
    let mut new: Vec<Raw> = (0..20).map(|_| tagged(&server)).collect();
    // The last of them has the highest slot, so the order is carried out when it is closed.
    for client in &mut old {
        client.expect_closed(1000);
    }
    server.post(PUBLISH, SHOP, r#"{"to":{"tags":{"wave":"1"}},"message":1}"#);
    for client in &mut new {
        client.expect_text(r#"{"opcode":"broadcast","message":1}"#);
    }
}

/// A114.
#[test]
fn closes_are_spread_over_the_time_that_was_asked_for() {
    const CLIENTS: usize = 100;
    let server = setup().start();
    let mut clients: Vec<Raw> = (0..CLIENTS).map(|_| tagged(&server)).collect();
    let began = Instant::now();
    let order = json!({"expr": "wave=1", "spread_ms": 2000, "code": 4005});
    assert_eq!(matched(&disconnect(&server, &order)).0, CLIENTS as u64);
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "the answer does not wait for the closes"
    );
    let mut closed: Vec<Duration> = std::thread::scope(|scope| {
        let each = clients.iter_mut().map(|client| {
            scope.spawn(move || {
                client.expect_closed(4005);
                began.elapsed()
            })
        });
        let each: Vec<_> = each.collect();
        each.into_iter().map(|it| it.join().unwrap()).collect()
    });
    closed.sort_unstable();
    let window = Duration::from_millis(500);
    for (at, first) in closed.iter().enumerate() {
        let within = closed[at..].iter().take_while(|it| **it < *first + window).count();
        assert!(within <= 40, "{within} within 500 ms: {closed:?}");
    }
    assert!(*closed.last().unwrap() >= Duration::from_millis(1700), "{closed:?}");
}

#[test]
fn closes_are_ordered_once_when_the_broker_dies() {
    let server = setup().start();
    for _ in 0..3 {
        let mut clients: Vec<Raw> = (0..10).map(|_| tagged(&server)).collect();
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| disconnect(&server, &json!({"expr": "wave=1"})));
            server.kill_broker();
            let status = closing.join().unwrap().status();
            assert!(matches!(status, 200 | 202), "{status}");
        });
        for client in &mut clients {
            client.expect_closed(1000);
        }
    }
}

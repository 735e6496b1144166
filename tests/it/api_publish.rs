//! Publications by HTTP: whom they reach, what is answered, and what survives the broker.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::api::{AUTH, ApiAnswer, Clients, OTHER, PUBLISH, SHOP, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::{Folder, Open, Raw, Server, eventually, pause};

fn publish(server: &Server, body: &str) -> (u16, serde_json::Value) {
    let answer = server.post(PUBLISH, SHOP, body);
    (answer.status(), answer.json())
}

fn reached(matched: u64, workers: u64) -> (u16, serde_json::Value) {
    (200, json!({"matched": matched, "workers": workers}))
}

/// A51, A52, A53, A55, A56, A57.
#[test]
fn an_address_reaches_its_clients_and_they_are_counted() {
    let server = setup().workers(1).start();
    let mut clients = Clients::open(&server);
    let f = clients.f.uuid.clone();
    let french = r#"{"to":{"tags":{"language":"FR"}},"message":"Bonjour"}"#;
    assert_eq!(publish(&server, french), reached(1, 1));
    let both = r#"{"to":{"tags":{"language":"FR","room":"1"}},"message":1}"#;
    assert_eq!(publish(&server, both), reached(0, 0));
    let text = r#"{"to":{"tags":{"room":1}},"text":"a \"b\""}"#;
    assert_eq!(publish(&server, text), reached(1, 1));
    assert_eq!(publish(&server, r#"{"to":{"tags":{}},"message":"x"}"#), reached(3, 1));
    let one = format!(r#"{{"to":{{"uuid":"{f}"}},"message":{{"p":50}}}}"#);
    assert_eq!(publish(&server, &one), reached(1, 1));
    assert_eq!(publish(&server, r#"{"to":{"ident":"job"},"message":2}"#), reached(1, 1));
    let x = r#"{"opcode":"broadcast","message":"x"}"#;
    clients.expect_frames(
        &server,
        [
            &[
                r#"{"opcode":"broadcast","message":"Bonjour"}"#,
                x,
                r#"{"opcode":"feedback","message":{"p":50}}"#,
            ],
            &["\"a \\\"b\\\"\"", "\"x\""],
            &[x],
            &[r#"{"opcode":"feedback","message":2}"#],
            &[],
        ],
    );
}

/// A64, A65, A131, A138, A142, A145.
#[test]
fn an_expression_reaches_the_clients_that_fulfil_it() {
    let server = setup().workers(1).start();
    let mut clients = Clients::open(&server);
    for (expression, matched) in [
        (r#""language? & !room=1""#, 1),
        (r#"{"or":[{"tag":"language","is":"FR"},{"tag":"room","is":1}]}"#, 2),
        (r#""not language?""#, 1),
        (r#""room in (1,2) or language=F*""#, 2),
        (r#"{"tag":"language","prefix":"EN"}"#, 1),
    ] {
        let body = format!(r#"{{"to":{{"expr":{expression}}},"message":1}}"#);
        assert_eq!(publish(&server, &body), reached(matched, 1), "{expression}");
    }
    let one = r#"{"opcode":"broadcast","message":1}"#;
    clients.expect_frames(&server, [&[one, one, one], &["1", "1", "1"], &[one], &[], &[]]);
}

#[test]
fn feedback_keeps_to_the_recipients_that_its_application_may_have() {
    let auth = AUTH.replace("clientPublish: true", "clientPublish: true, maxRecipients: 0");
    let server = setup().auth(&auth).workers(1).start();
    let mut page = server.open(&Open::at("/web?key=shop"));
    let target = format!("/v1/apps/shop/connections/{}/feedback", page.uuid);
    let answer = server.post(&target, SHOP, r#"{"message":1}"#);
    answer.is_error(409, "too_many_recipients");
    page.expect_silence();
}

/// A60 to A63.
#[test]
fn clients_can_be_left_out() {
    let server = setup().workers(1).start();
    let mut clients = Clients::open(&server);
    let f = clients.f.uuid.clone();
    let gone = server.open(&Open::at("/web?key=shop")).uuid.clone();
    let publish = |to: &str, except: &[&str]| {
        let except = json!(except);
        publish(&server, &format!(r#"{{"to":{to},"except":{except},"message":1}}"#))
    };
    eventually("the client has left", || {
        (publish("\"all\"", &[&f]) == reached(2, 1)).then_some(())
    });
    assert_eq!(publish("\"all\"", &[&f, &f, &gone]), reached(2, 1));
    assert_eq!(publish(&format!(r#"{{"uuid":"{f}"}}"#), &[&f]).1["matched"], 0);
    assert_eq!(publish(r#"{"expr":"language?"}"#, &[&f, &gone]), reached(1, 1));
    let (status, answer) = publish("\"all\"", &[f.as_str(); 101]);
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid_value")));
    let (status, answer) = publish("\"all\"", &[&f, "x"]);
    assert_eq!((status, &answer["error"]["at"]), (400, &json!("/except/1")));
    assert_eq!(publish(r#"{"tags":{"language":"FR"}}"#, &[]), reached(1, 1));
    assert_eq!(clients.f.frame().as_text(), r#"{"opcode":"broadcast","message":1}"#);
}

/// A163 to A165, A171.
#[test]
fn an_error_of_an_expression_names_its_place() {
    let server = setup().workers(1).start();
    for (expression, code, at) in [
        (r#""role!=admin""#, "invalid_expression", json!(4)),
        (r#""role not in (a)""#, "invalid_expression", json!(5)),
        (r#""role=admin region=eu""#, "invalid_expression", json!(11)),
        (r#""""#, "invalid_expression", json!(0)),
        ("true", "invalid_expression", json!("/to/expr")),
        (r#"{"and":[]}"#, "invalid_expression", json!("/to/expr/and")),
        (r#"{"not":{"tag":"a","is":1.5}}"#, "invalid_expression", json!("/to/expr/not/is")),
        (r#"{"tag":"a","is":1,"is":2}"#, "duplicate_member", json!("/to/expr/is")),
    ] {
        let body = format!(r#"{{"to":{{"expr":{expression}}},"message":1}}"#);
        let (status, answer) = publish(&server, &body);
        let right = if code == "invalid_expression" { 422 } else { 400 };
        assert_eq!(
            (status, &answer["error"]["code"], &answer["error"]["at"]),
            (right, &json!(code), &at),
            "{expression}: {answer}"
        );
    }
}

/// A58, A59.
#[test]
fn a_uuid_is_one_that_the_server_has_issued_and_of_the_space() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let (f, o) = (clients.f.uuid.clone(), clients.o.uuid.clone());
    let to = |uuid: &str| {
        let body = format!(r#"{{"to":{{"uuid":"{uuid}"}},"message":1}}"#);
        server.post(PUBLISH, SHOP, &body)
    };
    let gone = {
        let client = server.open(&Open::at("/web?key=shop"));
        client.uuid.clone()
    };
    eventually("the client has left", || (to(&gone).json()["matched"] == 0).then_some(()));
    assert_eq!(to(&o).body, to(&gone).body);
    assert_eq!(to(&o).json(), json!({"matched": 0, "workers": 0}));
    let digit = f.chars().last().unwrap();
    let forged = format!("{}{}", &f[..f.len() - 1], if digit == '0' { '1' } else { '0' });
    for uuid in [forged.as_str(), &f.to_uppercase(), &f[..36]] {
        to(uuid).is_error(400, "invalid_uuid");
    }
}

/// A80, A81.
#[test]
fn feedback_goes_to_the_client_of_the_path() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let path = |uuid: &str| format!("/v1/apps/shop/connections/{uuid}/feedback");
    let (f, o) = (path(&clients.f.uuid), path(&clients.o.uuid));
    let answer = server.post(&f, SHOP, r#"{"message":1}"#);
    assert_eq!((answer.status(), answer.json()["matched"].as_u64()), (200, Some(1)));
    assert_eq!(clients.f.frame().as_text(), r#"{"opcode":"feedback","message":1}"#);
    server.post(&o, SHOP, r#"{"message":1}"#).is_error(404, "connection_not_found");
    server.post(&f, OTHER, r#"{"message":1}"#).is_error(401, "invalid_credentials");
    server.post(&path("x"), SHOP, r#"{"message":1}"#).is_error(400, "invalid_uuid");
    server.post(&f, SHOP, r#"{"to":"all","message":1}"#).is_error(400, "unknown_member");
}

#[test]
fn a_publication_without_acknowledgement_is_taken_over() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let (status, body) = publish(&server, r#"{"to":"all","message":7,"ack":"none"}"#);
    assert_eq!((status, body), (202, json!({"accepted": true})));
    assert_eq!(clients.e.frame().as_text(), "7");
}

/// A66, A67.
#[test]
fn recipients_can_be_counted_and_limited() {
    let server = setup().workers(1).start();
    let mut clients = Clients::open(&server);
    let dry = r#"{"to":"all","message":1,"dry_run":true}"#;
    assert_eq!(publish(&server, dry), (200, json!({"dry_run": true, "matched": 3, "workers": 1})));
    let answer = server.post(PUBLISH, SHOP, r#"{"to":"all","message":1,"max_recipients":2}"#);
    let error = &answer.is_error(409, "too_many_recipients").json()["error"];
    assert_eq!((error["matched"].as_u64(), error["max_recipients"].as_u64()), (Some(3), Some(2)));
    assert_eq!(publish(&server, r#"{"to":"all","message":2,"max_recipients":3}"#), reached(3, 1));
    let two = r#"{"opcode":"broadcast","message":2}"#;
    clients.expect_frames(&server, [&[two], &["2"], &[two], &[], &[]]);
}

#[test]
fn a_dry_run_is_answered_with_its_count_or_an_error() {
    let server = setup().ini("apiTimeout = 300ms").start();
    let mut clients = Clients::open(&server);
    for ack in ["none", "written"] {
        let body = format!(r#"{{"to":"all","message":1,"dry_run":true,"ack":"{ack}"}}"#);
        let answer = server.post(PUBLISH, SHOP, &body);
        assert_eq!(answer.error(), (400, "invalid_value".into(), "/ack".into()));
    }
    let broker = server.broker();
    send_signal(broker, Signal::STOP);
    let dry = server.post(PUBLISH, SHOP, r#"{"to":"all","message":1,"dry_run":true}"#);
    send_signal(broker, Signal::CONT);
    dry.is_error(503, "broker_unavailable");
    server.post(PUBLISH, SHOP, r#"{"to":"all","message":2}"#);
    assert_eq!(clients.e.frame().as_text(), "2");
}

#[test]
fn an_error_of_an_expression_comes_after_those_of_other_members() {
    let server = setup().start();
    for (members, code, at) in [
        (r#""message":1,"ack":"x""#, "invalid_value", json!("/ack")),
        (r#""message":1,"event":"""#, "invalid_value", json!("/event")),
        (r#""message":1,"max_recipients":-1"#, "wrong_type", json!("/max_recipients")),
        (r#""message":1,"except":["x"]"#, "invalid_uuid", json!("/except/0")),
        (r#""text":1"#, "wrong_type", json!("/text")),
        (r#""message":1"#, "invalid_expression", json!(1)),
    ] {
        let body = format!(r#"{{"to":{{"expr":"a!=b"}},{members}}}"#);
        let error = &publish(&server, &body).1["error"];
        assert_eq!((&error["code"], &error["at"]), (&json!(code), &at), "{error}");
    }
}

/// A69.
#[test]
fn a_message_fits_the_schema_of_its_application() {
    let files = Folder::new();
    files.write("schema.json", r#"{"type":"object","properties":{"price":{"type":"number"}}}"#);
    let schema = files.path("schema.json");
    let auth = format!(
        "applications:\n  - key: shop\n    secret: k3y-for-tests-only-0123456789abcdef\n    \
         authorizeOpen: true\n    schema: {}\n",
        schema.display()
    );
    let server = setup().auth(&auth).start();
    assert_eq!(publish(&server, r#"{"to":"all","message":{"price":1}}"#).0, 200);
    let answer = server.post(PUBLISH, SHOP, r#"{"to":"all","message":{"price":"x"}}"#);
    assert_eq!(answer.error(), (422, "schema_violation".into(), "/price".into()));
    let answer = server.post(PUBLISH, SHOP, r#"{"to":"all","text":"x"}"#);
    assert_eq!(answer.error(), (422, "schema_violation".into(), String::new()));
}

/// A71.
#[test]
fn one_connection_keeps_its_order_when_the_broker_is_killed() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let mut client = Raw::connect(server.port);
    let mut answers = [0, 0];
    let (count, mut kills) = (1_000, 0);
    for number in 0..count {
        if number % 300 == 150 && kills < 3 {
            server.kill_broker();
            kills += 1;
        }
        let body = format!(r#"{{"to":"all","message":{number}}}"#);
        match client.request(post(PUBLISH, &[SHOP], &body)).status() {
            200 => answers[0] += 1,
            202 => answers[1] += 1,
            other => panic!("{other} for {number}"),
        }
    }
    assert_eq!((answers[0] + answers[1], kills), (count, 3));
    for number in 0..count {
        assert_eq!(clients.e.frame().as_text(), number.to_string());
    }
    for client in [&mut clients.f, &mut clients.n] {
        for number in 0..count {
            client.expect_text(&format!(r#"{{"opcode":"broadcast","message":{number}}}"#));
        }
    }
}

/// A72.
#[test]
fn requests_wait_for_a_broker_that_pauses_briefly() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let broker = server.broker();
    send_signal(broker, Signal::STOP);
    let mut client = Raw::connect(server.port);
    client.send(post(PUBLISH, &[SHOP], r#"{"to":"all","message":1}"#));
    pause(Duration::from_millis(500));
    send_signal(broker, Signal::CONT);
    assert_eq!(client.read_answer().status(), 200);
    assert_eq!(clients.e.frame().as_text(), "1");
}

/// A30, A73.
#[test]
fn a_publication_beyond_the_window_is_refused_and_not_delivered() {
    // More than one broker is stopped: each successor would be, too.
    let server = setup().ini("apiTimeout = 300ms\nmaxMessage = 5M").start();
    let mut clients = Clients::open(&server);
    let broker = server.broker();
    send_signal(broker, Signal::STOP);
    let large = format!(r#"{{"to":"all","message":"{}","ack":"none"}}"#, "x".repeat(4_000_000));
    let answers: Vec<ApiAnswer> = (0..4).map(|_| server.post(PUBLISH, SHOP, &large)).collect();
    send_signal(broker, Signal::CONT);
    let taken = answers.iter().filter(|answer| answer.status() == 202).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() != 202).collect();
    assert!(taken >= 1 && !refused.is_empty(), "{taken} of 4");
    for answer in refused {
        answer.is_error(503, "broker_unavailable");
        assert_eq!(answer.head.header("Retry-After"), Some("1"));
    }
    for _ in 0..taken {
        assert_eq!(clients.e.frame().payload.len(), 4_000_002);
    }
    let last: ApiAnswer = server.post(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#);
    assert!([200, 202].contains(&last.status()));
    assert_eq!(clients.e.frame().as_text(), "\"last\"");
}

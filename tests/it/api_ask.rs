//! Questions of backends to clients by HTTP: one answer counts, from the client that was asked.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backend::chat::{SECRET, chat, silent, start};
use crate::harness::api::{AUTH, ApiAnswer, Clients, SHOP, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, pause};

fn path(uuid: &str) -> String {
    format!("/v1/apps/shop/connections/{uuid}/ask")
}

/// Sends a question over a connection of its own; the answer is read later.
fn ask(server: &Server, uuid: &str, body: &str) -> Raw {
    let mut backend = Raw::connect(server.port);
    backend.send(post(&path(uuid), &[SHOP], body));
    backend
}

/// The number of the question that the client receives next.
#[track_caller]
fn question(client: &mut Raw, message: &str) -> String {
    let frame = client.frame();
    let text = frame.as_text();
    let packet: Value = serde_json::from_str(text).unwrap();
    let number = packet["ask"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned();
    assert!(number.len() == 32 && number.bytes().all(|it| b"0123456789abcdef".contains(&it)));
    let right = format!(r#"{{"opcode":"feedback","message":{message},"ask":"{number}"}}"#);
    assert_eq!(text, right);
    number
}

fn answer(number: &str, message: &str) -> String {
    format!(r#"{{"opcode":"answer","ask":"{number}","message":{message}}}"#)
}

#[track_caller]
fn is_answered(got: &ApiAnswer, message: &Value) {
    let json = got.json();
    assert_eq!((got.status(), &json["answer"]), (200, message), "{json}");
    assert!(json["took_ms"].is_u64(), "{json}");
}

/// A82, and clients of the php type.
#[test]
fn the_answer_of_the_client_is_the_answer_to_the_request() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let mut backend = ask(&server, &clients.f.uuid.clone(), r#"{"message":{"q":1}}"#);
    let number = question(&mut clients.f, r#"{"q":1}"#);
    clients.f.text(answer(&number, r#"{"a":[1, 2]}"#));
    clients.f.expect_next();
    let got = backend.read_answer();
    is_answered(&got, &json!({"a": [1, 2]}));
    assert!(got.body.starts_with(r#"{"answer":{"a":[1, 2]},"took_ms":"#), "byte for byte");
    let mut backend = ask(&server, &clients.p.uuid.clone(), r#"{"text":"a \"b\""}"#);
    let number = question(&mut clients.p, r#""a \"b\"""#);
    clients.p.text(format!(r#"{{"opcode":"answer","ask":"{number}"}}"#));
    clients.p.expect_next();
    is_answered(&backend.read_answer(), &Value::Null);
}

/// A83, A85.
#[test]
fn one_answer_counts_and_only_that_of_the_client_that_was_asked() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let mut backend = ask(&server, &clients.f.uuid.clone(), r#"{"message":1}"#);
    let number = question(&mut clients.f, "1");
    clients.n.text(answer(&number, "\"of another\""));
    clients.n.expect_next();
    clients.f.text(answer(&"0".repeat(32), "\"of another number\""));
    clients.f.expect_next();
    clients.f.text(answer(&number, "\"first\""));
    clients.f.text(answer(&number, "\"second\""));
    clients.f.expect_next();
    clients.f.expect_next();
    is_answered(&backend.read_answer(), &json!("first"));
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A84. The answer that comes later is acknowledged and has no other effect.
#[test]
fn a_question_that_is_not_answered_in_time_fails() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let sent = Instant::now();
    let mut backend = ask(&server, &clients.f.uuid.clone(), r#"{"message":1,"timeout_ms":300}"#);
    let number = question(&mut clients.f, "1");
    backend.read_answer().is_error(504, "ask_timeout");
    assert!(sent.elapsed() >= Duration::from_millis(300));
    clients.f.text(answer(&number, "2"));
    clients.f.expect_next();
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A86; and one that has left before.
#[test]
fn a_client_that_leaves_does_not_answer() {
    let server = setup().start();
    let mut client = server.open(&Open::at("/web?key=shop"));
    let uuid = client.uuid.clone();
    let mut first = ask(&server, &uuid, r#"{"message":1,"timeout_ms":60000}"#);
    let mut second = ask(&server, &uuid, r#"{"message":1,"timeout_ms":60000}"#);
    question(&mut client, "1");
    question(&mut client, "1");
    drop(client);
    first.read_answer().is_error(410, "connection_closed");
    second.read_answer().is_error(410, "connection_closed");
    let late = ask(&server, &uuid, r#"{"message":1}"#).read_answer();
    assert!([404, 410].contains(&late.status()), "{}", late.body);
}

/// A87. Clients of an HTTP resource speak plain text; its backend learns their UUIDs.
#[test]
fn a_client_whose_protocol_has_no_answers_receives_nothing() {
    let backend = silent();
    let server = start(&backend, "");
    let mut client = chat(&server);
    let uuid = backend.wait_for("open", 1)[0]["uuid"].as_str().unwrap().to_owned();
    let path = |last: &str| format!("/v1/apps/chat/connections/{uuid}/{last}");
    let bearer = format!("Bearer {SECRET}");
    let post = |last: &str| {
        let secret = ("Authorization", bearer.as_str());
        server.post(&path(last), secret, r#"{"message":1}"#)
    };
    post("ask").is_error(409, "ask_unsupported");
    assert_eq!(post("feedback").status(), 200);
    client.expect_text("1");
}

#[test]
fn a_question_that_cannot_be_asked_is_refused() {
    let auth = AUTH.replace("tenant: shop, secret", "tenant: shop, permissions: [publish], secret");
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let o = clients.o.uuid.clone();
    ask(&server, &o, r#"{"message":1}"#).read_answer().is_error(404, "connection_not_found");
    ask(&server, "x", r#"{"message":1}"#).read_answer().is_error(400, "invalid_uuid");
    for (body, at) in [
        (r#"{"message":1,"timeout_ms":99}"#, "/timeout_ms"),
        (r#"{"message":1,"timeout_ms":60001}"#, "/timeout_ms"),
        (r#"{"message":1,"text":"x"}"#, "/text"),
    ] {
        let got = ask(&server, &o, body).read_answer();
        assert_eq!(got.error(), (400, "invalid_value".into(), at.into()));
    }
    let unknown = ask(&server, &o, r#"{"message":1,"ack":"none"}"#).read_answer();
    unknown.is_error(400, "unknown_member");
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
    let server = setup().auth(&auth).start();
    let got = ask(&server, &o, r#"{"message":1}"#).read_answer();
    assert_eq!(got.is_error(403, "permission_denied").json()["error"]["permission"], "ask");
}

/// A88.
#[test]
fn questions_are_answered_in_any_order() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let uuid = clients.f.uuid.clone();
    let mut first = ask(&server, &uuid, r#"{"message":1}"#);
    let one = question(&mut clients.f, "1");
    let mut second = ask(&server, &uuid, r#"{"message":2}"#);
    let two = question(&mut clients.f, "2");
    clients.f.text(answer(&two, "\"two\""));
    clients.f.text(answer(&one, "\"one\""));
    is_answered(&first.read_answer(), &json!("one"));
    is_answered(&second.read_answer(), &json!("two"));
}

#[test]
fn a_client_has_64_open_questions() {
    let server = setup().workers(1).start();
    let mut clients = Clients::open(&server);
    let uuid = clients.f.uuid.clone();
    let body = r#"{"message":1,"timeout_ms":60000}"#;
    let mut backends: Vec<Raw> = (0..64).map(|_| ask(&server, &uuid, body)).collect();
    let numbers: Vec<String> = (0..64).map(|_| question(&mut clients.f, "1")).collect();
    let got = ask(&server, &uuid, body).read_answer();
    assert_eq!(got.is_error(429, "rate_limited").json()["error"]["name"], "asks");
    assert!(got.head.header("Retry-After").is_some());
    // Other clients can be asked, and publications go through.
    let mut other = ask(&server, &clients.n.uuid.clone(), body);
    let of_other = question(&mut clients.n, "1");
    clients.n.text(answer(&of_other, "3"));
    is_answered(&other.read_answer(), &json!(3));
    for number in &numbers {
        clients.f.text(answer(number, "4"));
        clients.f.expect_next();
    }
    backends.iter_mut().for_each(|backend| is_answered(&backend.read_answer(), &json!(4)));
    let mut again = ask(&server, &uuid, body);
    let number = question(&mut clients.f, "1");
    clients.f.text(answer(&number, "5"));
    is_answered(&again.read_answer(), &json!(5));
}

/// The worker keeps the question, and the answer if no broker takes it.
#[test]
fn a_question_outlives_the_broker_and_is_not_asked_twice() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let uuid = clients.f.uuid.clone();
    for round in 0..6 {
        let mut backend =
            ask(&server, &uuid, &format!(r#"{{"message":{round},"timeout_ms":20000}}"#));
        let number = question(&mut clients.f, &round.to_string());
        server.kill_broker();
        if round % 2 == 0 {
            pause(Duration::from_millis(300));
        }
        clients.f.text(answer(&number, &round.to_string()));
        clients.f.expect_next();
        is_answered(&backend.read_answer(), &json!(round));
    }
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

#[test]
fn the_death_of_the_worker_of_a_client_ends_its_question() {
    let server = setup().workers(2).start();
    let mut client = server.open(&Open::at("/web?key=shop"));
    let mut backend = ask(&server, &client.uuid.clone(), r#"{"message":1,"timeout_ms":60000}"#);
    question(&mut client, "1");
    send_signal(server.worker_of(&client), Signal::KILL);
    backend.read_answer().is_error(410, "connection_closed");
}

#[test]
fn the_death_of_the_api_leaves_an_answer_without_effect() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let _backend = ask(&server, &clients.f.uuid.clone(), r#"{"message":1,"timeout_ms":60000}"#);
    let number = question(&mut clients.f, "1");
    send_signal(server.api_process(), Signal::KILL);
    clients.f.text(answer(&number, "2"));
    clients.f.expect_next();
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// An application may have an opcode `answer` of its own. With `broadcastWithoutOpcode` it is published as
/// before; what has the form of an answer to the server is not.
#[test]
fn an_opcode_answer_of_an_application_is_treated_as_before() {
    let number = "0".repeat(32);
    let own = [
        r#"{"opcode":"answer","message":1}"#.to_owned(),
        r#"{"opcode":"answer","ask":"7","message":1}"#.to_owned(),
        format!(r#"{{"opcode":"answer","ask":"{}","message":1}}"#, "A".repeat(32)),
    ];
    let server = setup().ini("[phpws]\nbroadcastWithoutOpcode = on").start();
    let mut clients = Clients::open(&server);
    clients.f.text(answer(&number, "\"for a backend\""));
    clients.f.expect_next();
    for packet in &own {
        clients.f.text(packet);
        clients.f.expect_next();
        assert_eq!(clients.n.frame().as_text(), packet);
    }
    let server = setup().start();
    let mut clients = Clients::open(&server);
    for packet in own.iter().chain([&answer(&number, "1")]) {
        clients.f.text(packet);
        clients.f.expect_next();
    }
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A page that uses chunks may answer in chunks.
#[test]
fn a_long_answer_arrives_whole() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let mut backend = ask(&server, &clients.f.uuid.clone(), r#"{"message":1}"#);
    let number = question(&mut clients.f, "1");
    let long = "x".repeat(2_000_000);
    let packet = answer(&number, &format!("\"{long}\""));
    let (begin, end) = packet.split_at(1_000_000);
    for text in ["bufferON", begin, end, "bufferOFF"] {
        clients.f.text(text);
        clients.f.expect_next();
    }
    is_answered(&backend.read_answer(), &json!(long));
}

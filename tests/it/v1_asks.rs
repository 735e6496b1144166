//! Questions between clients (`ask` and `answer` of `tagcast.v1`), and those of backends to clients of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::{AUTH, ApiAnswer, SHOP, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw};
use crate::metrics::wait_for;
use crate::v1_resume::{break_off, come_back, open};

const ONE: &str = "9f86d081884c7d659a2f";

fn to(client: &Raw) -> Value {
    json!({"uuid": client.uuid})
}

#[track_caller]
fn ask(client: &mut Raw, id: u64, to: &Value, data: &Value) {
    client.say(json!({"op": "ask", "id": id, "to": to, "timeout_ms": 10_000, "data": data}));
}

/// Reads a question, and returns its number.
#[track_caller]
fn question(client: &mut Raw, data: &Value) -> String {
    let frame = client.json();
    assert_eq!((&frame["op"], &frame["data"]), (&json!("ask"), data), "{frame}");
    let number = frame["ask"].as_str().unwrap();
    assert!(number.len() == 32 && number.bytes().all(|it| b"0123456789abcdef".contains(&it)));
    number.to_owned()
}

#[track_caller]
fn expect_failure(client: &mut Raw, id: u64, code: &str) {
    let retry = ["away", "timeout", "limit_exceeded"].contains(&code);
    let error = client.expect_error(code);
    assert_eq!((&error["id"], &error["retry"]), (&json!(id), &json!(retry)), "{error}");
}

#[test]
fn a_client_asks_another_one_and_gets_its_answer() {
    let server = setup().workers(2).start();
    let (mut asker, welcome) = open(&server, &json!({}));
    assert!(welcome["features"].as_array().unwrap().contains(&json!("ask")), "{welcome}");
    let (mut asked, _) = open(&server, &json!({"ident": "anna"}));
    asker.text(format!(
        r#"{{"op":"ask","id":9,"to":{{"uuid":"{}"}},"event":"confirm","timeout_ms":5000,"data":{{"q": 1.50}}}}"#,
        asked.uuid
    ));
    let frame = asked.frame();
    let text = frame.as_text();
    let number = serde_json::from_str::<Value>(text).unwrap()["ask"].as_str().unwrap().to_owned();
    let right = format!(
        r#"{{"op":"ask","ask":"{number}","event":"confirm","timeout_ms":5000,"data":{{"q": 1.50}}}}"#
    );
    assert_eq!(text, right);
    asked.text(format!(r#"{{"op":"answer","ask":"{number}","data":[true, 1.50]}}"#));
    assert_eq!(asker.frame().as_text(), r#"{"op":"answer","id":9,"data":[true, 1.50]}"#);
    ask(&mut asker, 10, &json!({"ident": "anna"}), &json!(2));
    let number = question(&mut asked, &json!(2));
    asked.say(json!({"op": "answer", "ask": number, "error": "the user said no"}));
    let error = asker.expect_error("refused");
    assert_eq!((&error["id"], &error["message"]), (&json!(10), &json!("the user said no")));
    ask(&mut asker, 11, &json!({"ident": "anna"}), &Value::Null);
    let number = question(&mut asked, &Value::Null);
    asked.say(json!({"op": "answer", "ask": number, "error": "unhandled"}));
    expect_failure(&mut asker, 11, "unhandled");
    ask(&mut asker, 12, &json!({"ident": "anna"}), &json!(4));
    let number = question(&mut asked, &json!(4));
    asked.say(json!({"op": "answer", "ask": number, "error": "\u{e9}".repeat(300)}));
    assert_eq!(asker.expect_error("refused")["message"], "\u{e9}".repeat(250));
    // A client may ask itself.
    let own = to(&asker);
    ask(&mut asker, 13, &own, &json!("self"));
    let number = question(&mut asker, &json!("self"));
    asker.say(json!({"op": "answer", "ask": number, "data": null}));
    asker.expect_json(json!({"op": "answer", "id": 13, "data": null}));
}

#[test]
fn a_question_that_is_not_valid_is_refused() {
    let server = setup().start();
    let (mut client, _) = open(&server, &json!({}));
    for (members, code, at) in [
        (json!({"to": {"all": true}, "data": 1}), "invalid_target", Value::Null),
        (json!({"to": {"topic": "news"}, "data": 1}), "invalid_target", Value::Null),
        (json!({"data": 1}), "invalid_target", Value::Null),
        (json!({"to": {"ident": "x"}}), "invalid_request", json!("/data")),
        (
            json!({"to": {"ident": "x"}, "data": 1, "timeout_ms": 99}),
            "invalid_request",
            json!("/timeout_ms"),
        ),
        (
            json!({"to": {"ident": "x"}, "data": 1, "timeout_ms": 60_001}),
            "invalid_request",
            json!("/timeout_ms"),
        ),
        (
            json!({"to": {"ident": "x"}, "data": 1, "event": "a b"}),
            "invalid_request",
            json!("/event"),
        ),
    ] {
        let mut frame = members.clone();
        (frame["op"], frame["id"]) = (json!("ask"), json!(5));
        client.say(frame);
        let error = client.expect_error(code);
        assert_eq!((&error["id"], &error["at"]), (&json!(5), &at), "{members}");
    }
    client.say(json!({"op": "ask", "to": {"ident": "x"}, "data": 1}));
    assert_eq!(client.expect_error("invalid_request")["at"], "/id");
    for (members, at) in [
        (json!({"data": 1}), "/ask"),
        (json!({"ask": "x"}), "/data"),
        (json!({"ask": "x", "data": 1, "error": "y"}), "/data"),
        (json!({"ask": "x", "error": 5}), "/error"),
    ] {
        let mut frame = members;
        frame["op"] = json!("answer");
        client.say(frame);
        assert_eq!(client.expect_error("invalid_request")["at"], at);
    }
}

/// V135: 10,000 questions of four clients to eight, 200 of them at the same time.
#[test]
fn each_of_many_questions_gets_its_own_answer() {
    const ASKERS: u64 = 4;
    /// Questions of one asker at the same time.
    const EACH: u64 = 50;
    let server = setup().workers(2).start();
    let mut askers: Vec<Raw> = (0..ASKERS).map(|_| open(&server, &json!({})).0).collect();
    let mut asked: Vec<Raw> = (0..8).map(|_| open(&server, &json!({})).0).collect();
    for round in 0..50 {
        let numbers = (0..ASKERS).flat_map(|by| (0..EACH).map(move |n| (by, round * EACH + n)));
        let target = |id: u64| usize::try_from(id % 8).unwrap();
        for (by, id) in numbers.clone() {
            let client = to(&asked[target(id)]);
            ask(&mut askers[usize::try_from(by).unwrap()], id, &client, &json!([by, id]));
        }
        let mut open = BTreeSet::from_iter(numbers);
        for _ in 0..open.len() / asked.len() + 8 {
            for (at, client) in asked.iter_mut().enumerate() {
                let expected = open.iter().filter(|(_, id)| target(*id) == at).count();
                if expected == 0 {
                    continue;
                }
                let frame = client.json();
                assert_eq!(frame["op"], "ask", "{frame}");
                let of: (u64, u64) = serde_json::from_value(frame["data"].clone()).unwrap();
                assert!(open.remove(&of) && target(of.1) == at, "twice, or to another: {frame}");
                client
                    .say(json!({"op": "answer", "ask": frame["ask"], "data": [of.0, of.1, "yes"]}));
            }
        }
        assert!(open.is_empty(), "not asked: {open:?}");
        for (by, asker) in askers.iter_mut().enumerate() {
            let mut answered = BTreeSet::new();
            for _ in 0..EACH {
                let frame = asker.json();
                let id = frame["id"].as_u64().unwrap();
                assert_eq!(frame, json!({"op": "answer", "id": id, "data": [by, id, "yes"]}));
                assert!(answered.insert(id), "twice: {frame}");
            }
            assert!(answered.into_iter().eq(round * EACH..(round + 1) * EACH));
        }
    }
}

/// V136, V142.
#[test]
fn a_question_to_no_client_or_without_permission_fails_at_once() {
    let server = setup().start();
    let (mut asker, _) = open(&server, &json!({}));
    let (mut ended, _) = open(&server, &json!({}));
    let mut stranger = server.open_v1("/", json!({"key": "other"}));
    let gone = ended.uuid.clone();
    ended.say(json!({"op": "bye"}));
    ended.expect_close(1000);
    let forged = format!("{}.{}", &gone[..36], "0".repeat(64));
    let began = Instant::now();
    for (id, to) in
        [json!({"uuid": gone}), json!({"uuid": forged}), json!({"ident": "none"}), to(&stranger)]
            .iter()
            .enumerate()
    {
        ask(&mut asker, id as u64, to, &json!(1));
        expect_failure(&mut asker, id as u64, "gone");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let target = to(&asker);
    ask(&mut stranger, 1, &target, &json!(1));
    expect_failure(&mut stranger, 1, "permission_denied");
    asker.expect_quiet();
}

/// V137, V140.
#[test]
fn a_client_that_is_away_or_goes_is_not_asked() {
    let server = setup().start();
    let (mut asker, _) = open(&server, &json!({}));
    let (client, first) = open(&server, &json!({"instance": ONE}));
    let to = to(&client);
    break_off(&server, client, &first["uuid"]);
    ask(&mut asker, 1, &to, &json!("while away"));
    expect_failure(&mut asker, 1, "away");
    let target = format!("/v1/apps/shop/connections/{}/ask", first["uuid"].as_str().unwrap());
    server.post(&target, SHOP, r#"{"message":1}"#).is_error(409, "away");
    let (mut client, second) = come_back(&server, &first, &json!({"instance": ONE}));
    // Questions are not kept.
    assert_eq!(client.json()["replayed"], 0);
    ask(&mut asker, 2, &to, &json!(2));
    let number = question(&mut client, &json!(2));
    client.say(json!({"op": "answer", "ask": number, "data": "back"}));
    asker.expect_json(json!({"op": "answer", "id": 2, "data": "back"}));
    ask(&mut asker, 3, &to, &json!(3));
    question(&mut client, &json!(3));
    client.stream().shutdown(Shutdown::Both).unwrap();
    expect_failure(&mut asker, 3, "away");
    let (mut client, _) = come_back(&server, &second, &json!({"instance": ONE}));
    assert_eq!(client.json()["op"], "recovery");
    ask(&mut asker, 4, &to, &json!(4));
    question(&mut client, &json!(4));
    client.say(json!({"op": "bye"}));
    expect_failure(&mut asker, 4, "gone");
}

/// V138, V139.
#[test]
fn late_and_foreign_answers_reach_no_client() {
    let server = setup().ini("apiAddress = http://127.0.0.1:0").start();
    let (mut asker, _) = open(&server, &json!({}));
    let (mut asked, _) = open(&server, &json!({}));
    let (mut other, _) = open(&server, &json!({}));
    let target = to(&asked);
    let began = Instant::now();
    asker.say(json!({"op": "ask", "id": 1, "to": target, "timeout_ms": 300, "data": 1}));
    let late = question(&mut asked, &json!(1));
    expect_failure(&mut asker, 1, "timeout");
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    asked.say(json!({"op": "answer", "ask": late, "data": "late"}));
    ask(&mut asker, 2, &target, &json!(2));
    let number = question(&mut asked, &json!(2));
    for wrong in [number.as_str(), late.as_str(), &"0".repeat(32), "no number"] {
        other.say(json!({"op": "answer", "ask": wrong, "data": "of another client"}));
    }
    other.expect_quiet();
    asked.say(json!({"op": "answer", "ask": "0".repeat(32), "data": "of another question"}));
    asked.say(json!({"op": "answer", "ask": number, "data": "first"}));
    asked.say(json!({"op": "answer", "ask": number, "data": "second"}));
    asked.expect_quiet();
    asker.expect_json(json!({"op": "answer", "id": 2, "data": "first"}));
    asker.expect_quiet();
    // The late answer, four of another client, one to another question, and the second one.
    wait_for(
        &server,
        &[
            ("tagcast_ask_answers_dropped_total", 7.0),
            ("tagcast_asks_total{outcome=\"answered\"}", 1.0),
            ("tagcast_asks_total{outcome=\"timeout\"}", 1.0),
        ],
    );
}

/// V141: other protocols are asked and answer in their own form, or cannot.
#[test]
fn clients_of_other_protocols_are_asked_as_they_can() {
    let server = setup().start();
    let (mut asker, _) = open(&server, &json!({}));
    let mut page = server.open(&Open::at("/web?key=shop"));
    let target = to(&page);
    ask(&mut asker, 1, &target, &json!({"q": 1}));
    let frame: Value = serde_json::from_str(page.frame().as_text()).unwrap();
    assert_eq!((&frame["opcode"], &frame["message"]), (&json!("feedback"), &json!({"q": 1})));
    let number = frame["ask"].as_str().unwrap();
    page.text(json!({"opcode": "answer", "ask": number, "message": {"a": 2}}).to_string());
    asker.expect_json(json!({"op": "answer", "id": 1, "data": {"a": 2}}));
    let mut gomoob = Open::at(r#"/?key=shop&tags={"x":"1"}"#).upgrade(server.port);
    let list = server.call("GET", "/v1/apps/shop/connections?expr=x%3D1", &[SHOP]).json();
    let target = json!({"uuid": list["connections"][0]["uuid"]});
    ask(&mut asker, 2, &target, &json!(1));
    expect_failure(&mut asker, 2, "unsupported");
    asker.request_v1(3, json!({"op": "pub", "to": target, "data": "nothing before"}));
    assert_eq!(gomoob.frame().as_text(), r#""nothing before""#);
}

/// A backend asks a client of this protocol.
#[test]
fn a_backend_asks_and_learns_why_an_answer_is_missing() {
    let server = setup().start();
    let (mut asked, _) = open(&server, &json!({}));
    let path = format!("/v1/apps/shop/connections/{}/ask", asked.uuid);
    let mut backend = Raw::connect(server.port);
    let mut got = |reply: Value| -> ApiAnswer {
        backend.send(post(&path, &[SHOP], r#"{"message":{"q":1},"event":"confirm"}"#));
        let frame = asked.json();
        assert_eq!((&frame["event"], &frame["data"]), (&json!("confirm"), &json!({"q": 1})));
        let mut answer = reply;
        (answer["op"], answer["ask"]) = (json!("answer"), frame["ask"].clone());
        asked.say(answer);
        backend.read_answer()
    };
    assert_eq!(got(json!({"data": [1]})).json()["answer"], json!([1]));
    let refused = got(json!({"error": "the user said no"}));
    refused.is_error(422, "refused");
    assert!(refused.body.contains("the user said no"), "{}", refused.body);
    got(json!({"error": "unhandled"})).is_error(409, "unhandled");
}

/// V143: at the asked client, which several clients ask, and at the asker.
#[test]
fn a_client_has_a_bounded_number_of_open_questions() {
    let server = setup().workers(2).start();
    let mut askers: Vec<Raw> = (0..2).map(|_| open(&server, &json!({})).0).collect();
    let mut asked: Vec<Raw> = (0..2).map(|_| open(&server, &json!({})).0).collect();
    let target = to(&asked[0]);
    for id in 0..40 {
        ask(&mut askers[0], id, &target, &json!(id));
    }
    let first: Vec<String> = (0..40).map(|id| question(&mut asked[0], &json!(id))).collect();
    for id in 0..25 {
        ask(&mut askers[1], id, &target, &json!(id));
    }
    (0..24).for_each(|id| drop(question(&mut asked[0], &json!(id))));
    expect_failure(&mut askers[1], 24, "limit_exceeded");
    asked[0].expect_quiet();
    asked[0].say(json!({"op": "answer", "ask": first[7], "data": 7}));
    askers[0].expect_json(json!({"op": "answer", "id": 7, "data": 7}));
    ask(&mut askers[1], 25, &target, &json!(25));
    question(&mut asked[0], &json!(25));
    let other = to(&asked[1]);
    for id in 100..125 {
        ask(&mut askers[0], id, &other, &json!(id));
    }
    (100..125).for_each(|id| drop(question(&mut asked[1], &json!(id))));
    ask(&mut askers[0], 125, &other, &json!(125));
    expect_failure(&mut askers[0], 125, "limit_exceeded");
    asked[1].expect_quiet();
}

/// V144, V145.
#[test]
fn questions_outlive_the_broker_but_not_the_worker_of_the_client() {
    let server = setup().workers(2).start();
    let (mut asker, _) = open(&server, &json!({}));
    let (mut asked, _) = open(&server, &json!({}));
    let target = to(&asked);
    let mut expected = BTreeSet::new();
    for id in 0..60 {
        ask(&mut asker, id, &target, &json!(id));
        expected.insert(id);
        if id == 20 || id == 40 {
            server.kill_broker();
        }
    }
    let mut numbers = BTreeMap::new();
    while numbers.len() < 60 {
        let frame = asked.json();
        let former = numbers.insert(frame["data"].as_u64().unwrap(), frame["ask"].clone());
        assert_eq!(former, None, "asked twice: {frame}");
        if numbers.len() == 30 {
            server.kill_broker();
        }
    }
    asked.expect_quiet();
    for (id, number) in &numbers {
        asked.say(json!({"op": "answer", "ask": number, "data": id}));
    }
    while !expected.is_empty() {
        let frame = asker.json();
        assert_eq!(frame["op"], "answer", "{frame}");
        assert!(expected.remove(&frame["data"].as_u64().unwrap()), "{frame}");
    }
    // Two clients, because one of them is on the worker of the asker.
    let (mut near, mut far) = (open(&server, &json!({})).0, open(&server, &json!({})).0);
    let own = server.worker_of(&asker);
    let asked = if server.worker_of(&near) == own { &mut far } else { &mut near };
    if server.worker_of(asked) != own {
        let target = to(asked);
        let began = Instant::now();
        ask(&mut asker, 99, &target, &json!(99));
        question(asked, &json!(99));
        send_signal(server.worker_of(asked), Signal::KILL);
        expect_failure(&mut asker, 99, "timeout");
        assert!(began.elapsed() < Duration::from_secs(11));
    }
}

/// The token of an asker may confine whom it asks.
#[test]
fn a_token_confines_whom_its_client_asks() {
    let server = setup().auth(&crate::harness::tokens::auth("")).start();
    let claims = json!({"sub": "7", "caps": {"publish": "room=1"}});
    let token = crate::harness::tokens::token(&claims);
    let mut asker = server.open_v1("/", json!({"token": token}));
    let mut inside = server.open_v1("/", json!({"key": "shop", "tags": {"room": "1"}}));
    let mut outside = server.open_v1("/", json!({"key": "shop", "tags": {"room": "2"}}));
    let target = to(&outside);
    ask(&mut asker, 1, &target, &json!(1));
    expect_failure(&mut asker, 1, "gone");
    let target = to(&inside);
    ask(&mut asker, 2, &target, &json!(2));
    question(&mut inside, &json!(2));
    outside.expect_quiet();
    assert!(AUTH.contains("clientPublish"));
}

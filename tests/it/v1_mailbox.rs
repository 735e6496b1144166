//! What is kept for a client of `tagcast.v1` while it is away, and what it learns when it comes back.

use serde_json::{Value, json};

use crate::harness::api::{PUBLISH, SHOP, SHOP_SECRET, post, setup};
use crate::harness::{Open, Raw, Server, eventually, feedback_to};
use crate::v1_resume::{break_off, come_back, hello, is_away, open};

const ONE: &str = "9f86d081884c7d659a2f";

/// Publishes to a client that is away, as a backend.
#[track_caller]
fn keep(server: &Server, uuid: &Value, message: &Value) {
    let body = json!({"to": {"uuid": uuid}, "message": message}).to_string();
    let answer = server.post(PUBLISH, SHOP, &body);
    assert_eq!(answer.json(), json!({"matched": 0, "workers": 0, "away": 1}));
}

/// Reads what was kept up to `recovery`: the data, the positions, and `recovery`.
#[track_caller]
fn kept(client: &mut Raw) -> (Vec<Value>, Vec<String>, Value) {
    let (mut data, mut positions) = (Vec::new(), Vec::new());
    loop {
        let mut frame = client.json();
        if frame["op"] == "recovery" {
            return (data, positions, frame);
        }
        assert_eq!((&frame["op"], &frame["direct"]), (&json!("msg"), &json!(true)), "{frame}");
        data.push(frame["data"].take());
        positions.push(frame["at"].as_str().unwrap().to_owned());
    }
}

/// V77, V39.
#[test]
fn publications_to_a_client_that_is_away_are_kept_in_their_order() {
    let server = setup().workers(2).start();
    let (client, first) = open(&server, &json!({}));
    let mut publisher = server.open_v1("/", hello(&json!({"secret": SHOP_SECRET})));
    let mut page = server.open(&Open::at(&format!("/web?key=shop&secret={SHOP_SECRET}")));
    break_off(&server, client, &first["uuid"]);
    let uuid = first["uuid"].as_str().unwrap();
    keep(&server, &first["uuid"], &json!("API"));
    let target = format!("/v1/apps/shop/connections/{uuid}/feedback");
    let answer = server.post(&target, SHOP, r#"{"message":"feedback"}"#);
    assert_eq!((answer.status(), &answer.json()["away"]), (200, &json!(1)), "{}", answer.body);
    let event = json!({"op": "pub", "id": 1, "to": {"uuid": uuid}, "event": "e", "report": true, "data": 5});
    publisher.say(event);
    publisher.expect_json(json!({"op": "ack", "id": 1, "matched": 0, "away": 1, "workers": 0}));
    page.text(feedback_to(uuid, "phpws"));
    page.expect_next();
    server.publish_well(&["--to-uuid", uuid, "--key", "shop", "command line"]);
    // To tags nothing is kept.
    publisher
        .request_v1(2, json!({"op": "pub", "to": {"all": true}, "except": "self", "data": "all"}));
    let (mut client, welcome) = come_back(&server, &first, &json!({}));
    assert_eq!(welcome["uuid"], first["uuid"]);
    publisher.request_v1(3, json!({"op": "pub", "to": {"uuid": uuid}, "data": "new"}));
    let (data, positions, recovery) = kept(&mut client);
    assert_eq!(
        data,
        [json!("API"), json!("feedback"), json!(5), json!("phpws"), json!("command line")]
    );
    let said = [&recovery["recovered"], &recovery["replayed"], &recovery["reason"]];
    assert_eq!(said, [&json!(false), &json!(5), &json!("off")], "{recovery}");
    assert_eq!(recovery["at"].as_str(), positions.last().map(String::as_str));
    client.expect_json(json!({"op": "msg", "direct": true, "data": "new"}));
}

/// V78.
#[test]
fn a_mailbox_survives_connections_that_break_again() {
    const ROUNDS: usize = 100;
    let server = setup().start();
    let (client, mut welcome) = open(&server, &json!({"instance": ONE}));
    break_off(&server, client, &welcome["uuid"]);
    (0..100).for_each(|number| keep(&server, &welcome["uuid"], &json!(number)));
    let (mut since, mut received) = (None, Vec::new());
    for round in 0..ROUNDS {
        let mut members = json!({"instance": ONE});
        if let Some(since) = &since {
            members["since"] = json!(since);
        }
        // The instance takes over a connection of which the server does not know yet that it is broken.
        let (mut client, next) = come_back(&server, &welcome, &members);
        // It reads up to two publications, and then its connection breaks.
        for _ in 0..if round == ROUNDS - 1 { usize::MAX } else { round % 3 } {
            let mut frame = client.json();
            if frame["op"] == "recovery" {
                break;
            }
            since = Some(frame["at"].as_str().unwrap().to_owned());
            received.push(frame["data"].take());
        }
        welcome = next;
    }
    assert_eq!(received, (0..100).map(|number| json!(number)).collect::<Vec<_>>());
    let members = json!({"instance": ONE, "since": since});
    let (mut client, _) = come_back(&server, &welcome, &members);
    assert_eq!(kept(&mut client).0, [] as [Value; 0]);
}

/// What a client has confirmed is not replayed, whatever it shows.
#[test]
fn a_mailbox_ends_when_its_client_sends_a_frame() {
    let server = setup().start();
    let (client, first) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    keep(&server, &first["uuid"], &json!(1));
    let (mut client, second) = come_back(&server, &first, &json!({}));
    assert_eq!(kept(&mut client).0, [json!(1)]);
    client.expect_quiet();
    break_off(&server, client, &first["uuid"]);
    keep(&server, &first["uuid"], &json!(2));
    let (mut client, _) = come_back(&server, &second, &json!({"since": "nonsense"}));
    assert_eq!(kept(&mut client).0, [json!(2)]);
}

/// V79.
#[test]
fn a_mailbox_has_room_for_so_many_publications_and_bytes() {
    let server = setup().start();
    let (client, first) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    (0..101).for_each(|number| keep(&server, &first["uuid"], &json!(number)));
    let (mut client, second) = come_back(&server, &first, &json!({}));
    let (data, _, recovery) = kept(&mut client);
    assert_eq!(data, (1..101).map(|number| json!(number)).collect::<Vec<_>>());
    assert_eq!((&recovery["replayed"], &recovery["reason"]), (&json!(100), &json!("mailbox")));
    client.expect_quiet();
    break_off(&server, client, &first["uuid"]);
    for number in 0..6 {
        let message = format!("{number}{}", "x".repeat(50 * 1024));
        keep(&server, &first["uuid"], &json!(message));
    }
    let (mut client, _) = come_back(&server, &second, &json!({}));
    let (data, _, recovery) = kept(&mut client);
    let numbers: Vec<&str> = data.iter().map(|text| &text.as_str().unwrap()[..1]).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5"]);
    assert_eq!(recovery["reason"], "mailbox");
}

/// V80.
#[test]
fn a_client_that_is_here_gets_what_is_for_its_name() {
    let server = setup().start();
    let (client, first) = open(&server, &json!({"ident": "anna"}));
    break_off(&server, client, &first["uuid"]);
    let (mut other, _) = open(&server, &json!({"ident": "anna"}));
    let body = r#"{"to":{"ident":"anna"},"message":1}"#;
    let answer = server.post(PUBLISH, SHOP, body);
    assert_eq!(answer.json(), json!({"matched": 1, "workers": 1}));
    other.expect_json(json!({"op": "msg", "direct": true, "data": 1}));
    let uuid = other.uuid.clone();
    other.say(json!({"op": "bye"}));
    other.expect_close(1000);
    eventually("the end of a client", || {
        let body = json!({"to": {"uuid": uuid}, "message": 1, "dry_run": true}).to_string();
        (server.post(PUBLISH, SHOP, &body).json()["matched"] == 0).then_some(())
    });
    let answer = server.post(PUBLISH, SHOP, body);
    assert_eq!(answer.json(), json!({"matched": 0, "workers": 0, "away": 1}));
    let (mut client, _) = come_back(&server, &first, &json!({}));
    assert_eq!(kept(&mut client).0, [json!(1)]);
}

/// V93.
#[test]
fn clients_that_have_been_away_longest_end_when_memory_is_used_up() {
    const COUNT: usize = 2000;
    const MEMORY: usize = 640 * 1024;
    let server = setup().ini("awayMemory = 640K").start();
    let uuids: Vec<Value> = (0..COUNT)
        .map(|_| {
            let (client, welcome) = open(&server, &json!({}));
            break_off(&server, client, &welcome["uuid"]);
            keep(&server, &welcome["uuid"], &json!(1));
            welcome["uuid"].clone()
        })
        .collect();
    let are_away: Vec<bool> = uuids.iter().map(|uuid| is_away(&server, uuid)).collect();
    let first = are_away.iter().position(|is_away| *is_away).unwrap();
    let each = MEMORY / (COUNT - first);
    assert!((300..900).contains(&each), "{each} bytes of each of {}", COUNT - first);
    assert!(are_away[first..].iter().all(|is_away| *is_away));
}

/// V106, V108: without stored publications every client that asks learns that it may have missed some.
#[test]
fn a_client_that_asks_for_what_it_missed_always_gets_an_answer() {
    let server = setup().start();
    for (members, reason) in [
        (json!({"since": "k3x9q1.2s"}), "off"),
        (json!({"since": "x".repeat(10_000)}), "off"),
        (json!({"rewind": 5}), "disabled"),
        (json!({"resume": "AQ", "since": "1.1"}), "new"),
    ] {
        let (mut client, welcome) = open(&server, &members);
        assert_eq!((&welcome["recovering"], welcome.get("at")), (&json!(true), None), "{welcome}");
        let (_, _, recovery) = kept(&mut client);
        let expected =
            json!({"op": "recovery", "recovered": false, "replayed": 0, "reason": reason});
        assert_eq!(recovery, expected);
    }
    for members in [json!({}), json!({"rewind": 0})] {
        let (mut client, welcome) = open(&server, &members);
        assert_eq!(welcome.get("recovering"), None);
        client.expect_quiet();
    }
    let answer =
        Raw::connect(server.port).request(post(PUBLISH, &[SHOP], r#"{"to":"all","message":1}"#));
    assert_eq!(answer.json().get("away"), None, "only for a single client");
}

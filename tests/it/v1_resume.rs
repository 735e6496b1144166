//! Clients of `tagcast.v1` that come back on another connection: their UUID, their tags, and who has them.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backend::{Act, Backend};
use crate::harness::api::{AUTH, PUBLISH, SHOP, SHOP_SECRET, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, Setup, eventually, frames, tokens};

const ONE: &str = "9f86d081884c7d659a2f";
const OTHER: &str = "4e07408562bedb8b60ce";

/// Members of `hello` of a client of `shop`.
pub fn hello(members: &Value) -> Value {
    let mut all = json!({"key": "shop"});
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    all
}

/// Opens a client, and returns its `welcome`.
#[track_caller]
pub fn open(server: &Server, members: &Value) -> (Raw, Value) {
    server.welcomed("/", hello(members))
}

/// Opens with the token of a `welcome`.
#[track_caller]
pub fn come_back(server: &Server, welcome: &Value, members: &Value) -> (Raw, Value) {
    let mut all = hello(members);
    all["resume"] = welcome["resume"].clone();
    server.welcomed("/", all)
}

/// Breaks a connection without a Close frame, and waits until the broker knows it.
#[track_caller]
pub fn break_off(server: &Server, client: Raw, uuid: &Value) {
    drop(client);
    eventually("a client that is away", || is_away(server, uuid).then_some(()));
}

pub fn is_away(server: &Server, uuid: &Value) -> bool {
    let body = json!({"to": {"uuid": uuid}, "message": 1, "dry_run": true}).to_string();
    server.post(PUBLISH, SHOP, &body).json()["away"] == 1
}

#[track_caller]
fn is_resumed(welcome: &Value, former: &Value) {
    is_resumed_with_ids(welcome, former, "lost");
}

/// Requests are recognised on a later connection of the same instance.
#[track_caller]
fn is_resumed_with_ids(welcome: &Value, former: &Value, ids: &str) {
    assert_eq!(welcome["uuid"], former["uuid"], "{welcome}");
    let said = [&welcome["resumed"], &welcome["ids"], &welcome["recovering"]];
    assert_eq!(said, [&json!(true), &json!(ids), &json!(true)], "{welcome}");
    assert!(welcome.get("reason").is_none() && welcome["resume"] != former["resume"], "{welcome}");
}

#[track_caller]
fn is_refused(client: &mut Raw, welcome: &Value, former: &Value, reason: &str) {
    assert_ne!(welcome["uuid"], former["uuid"], "{welcome}");
    assert_eq!((&welcome["resumed"], &welcome["reason"]), (&json!(false), &json!(reason)));
    client
        .expect_json(json!({"op": "recovery", "recovered": false, "replayed": 0, "reason": "new"}));
}

/// Reads `recovery`, and returns how many publications were replayed.
#[track_caller]
fn recovered(client: &mut Raw, reason: &str) -> u64 {
    let recovery = client.json();
    assert_eq!((&recovery["op"], &recovery["recovered"]), (&json!("recovery"), &json!(false)));
    assert_eq!(recovery["reason"], reason, "{recovery}");
    recovery["replayed"].as_u64().unwrap()
}

/// V75.
#[test]
fn a_client_that_was_reset_gets_its_uuid_and_its_tags_back() {
    let server = setup().start();
    let members = json!({"tags": {"language": "FR"}, "instance": ONE, "ident": "anna"});
    let (mut client, first) = open(&server, &members);
    assert_eq!((&first["resumed"], &first["grace"]), (&json!(false), &json!(60)), "{first}");
    assert!(first["resume"].as_str().unwrap().len() <= 200);
    client.request_v1(1, json!({"op": "tag", "set": {"room": "2"}}));
    break_off(&server, client, &first["uuid"]);
    let (mut client, second) = come_back(&server, &first, &json!({"tags": {"language": "EN"}}));
    is_resumed(&second, &first);
    assert_eq!(second["tags"], json!({"language": "FR", "room": "2"}));
    assert_eq!(recovered(&mut client, "off"), 0);
    let mut publisher = server.open_v1("/", hello(&json!({})));
    for to in
        [json!({"tags": {"room": "2"}}), json!({"uuid": first["uuid"]}), json!({"ident": "anna"})]
    {
        publisher.request_v1(1, json!({"op": "pub", "to": to, "data": 5}));
        assert_eq!(client.json()["data"], 5);
    }
}

/// V76.
#[test]
fn a_client_resumes_on_any_worker_and_after_the_death_of_its_own() {
    let server = setup().workers(2).start();
    let mut welcome = open(&server, &json!({"tags": {"language": "FR"}, "instance": ONE})).1;
    for round in 0..20 {
        let (mut client, next) = come_back(&server, &welcome, &json!({"instance": ONE}));
        is_resumed_with_ids(&next, &welcome, "kept");
        assert_eq!(next["tags"], json!({"language": "FR"}));
        recovered(&mut client, "off");
        if round % 10 == 4 {
            send_signal(server.worker_of(&client), Signal::KILL);
            client.wait_for_end();
        } else {
            drop(client);
        }
        welcome = next;
    }
}

/// V81.
#[test]
fn a_client_that_was_away_for_too_long_gets_its_uuid_only() {
    let auth = AUTH.replace("clientPublish: true", "clientPublish: true, resumeFor: 300ms");
    let server = setup().auth(&auth).start();
    let (client, first) = open(&server, &json!({"tags": {"language": "FR"}}));
    break_off(&server, client, &first["uuid"]);
    eventually("the end of a client", || (!is_away(&server, &first["uuid"])).then_some(()));
    let (mut client, second) = come_back(&server, &first, &json!({"tags": {"language": "EN"}}));
    is_resumed(&second, &first);
    assert_eq!(second["tags"], json!({"language": "EN"}));
    assert_eq!(recovered(&mut client, "expired"), 0);
}

/// V82.
#[test]
fn an_application_may_have_no_clients_that_resume() {
    let auth = AUTH.replace("clientPublish: true", "clientPublish: true, resumeFor: 0");
    let server = setup().auth(&auth).start();
    let (_, first) = open(&server, &json!({}));
    assert_eq!((first.get("resume"), first.get("grace")), (None, None));
    for token in ["AQ", "", "nonsense"] {
        let (mut client, welcome) = open(&server, &json!({"resume": token}));
        is_refused(&mut client, &welcome, &first, "disabled");
    }
}

/// V83.
#[test]
fn an_instance_takes_its_own_half_open_connection_over() {
    let server = setup().workers(2).start();
    let (mut former, first) = open(&server, &json!({"instance": ONE}));
    let began = Instant::now();
    let (mut client, second) = come_back(&server, &first, &json!({"instance": ONE}));
    is_resumed_with_ids(&second, &first, "kept");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    recovered(&mut client, "off");
    let bye = former.expect_bye(4012);
    assert_eq!(bye["reason"], "taken over by another connection");
    server.wait_for_output("4012");
    // The end of the old connection does not end the client.
    drop(former);
    let mut publisher = server.open_v1("/", hello(&json!({})));
    publisher.request_v1(1, json!({"op": "pub", "to": {"uuid": first["uuid"]}, "data": 5}));
    client.expect_json(json!({"op": "msg", "direct": true, "data": 5}));
}

/// V84.
#[test]
fn a_connection_that_answers_no_ping_is_taken_over() {
    let server = setup().start();
    let (mut former, first) = open(&server, &json!({}));
    let began = Instant::now();
    let (mut client, second) = come_back(&server, &first, &json!({}));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    is_resumed(&second, &first);
    recovered(&mut client, "off");
    former.expect_json(json!({"op": "ping"}));
    former.expect_bye(4012);
}

/// V85.
#[test]
fn a_client_that_is_alive_keeps_its_uuid() {
    let server = setup().workers(2).start();
    let (mut former, first) = open(&server, &json!({"instance": ONE}));
    for instance in [json!(OTHER), Value::Null] {
        let mut client = Open::v1("/").upgrade(server.port);
        let mut members = hello(&json!({"resume": first["resume"]}));
        if !instance.is_null() {
            members["instance"] = instance;
        }
        client.hello(members);
        former.expect_json(json!({"op": "ping"}));
        former.say(json!({"op": "pong"}));
        let welcome = client.expect_welcome();
        is_refused(&mut client, &welcome, &first, "taken");
    }
    former.expect_quiet();
}

/// V86, V91.
#[test]
fn a_token_that_is_not_accepted_makes_a_new_client() {
    let server = setup().start();
    let (_client, first) = open(&server, &json!({}));
    let token = first["resume"].as_str().unwrap();
    let mut members = json!({"key": "other", "resume": token});
    for key in ["other", "büro"] {
        members["key"] = json!(key);
        let (mut client, welcome) = server.welcomed("/", members.clone());
        is_refused(&mut client, &welcome, &first, "mismatch");
    }
    let changed =
        format!("{}{}", &token[..50], if &token[50..51] == "A" { "B" } else { "A" }) + &token[51..];
    for wrong in [changed, String::new(), "x".repeat(10 * 1024)] {
        let (mut client, welcome) = open(&server, &json!({"resume": wrong}));
        is_refused(&mut client, &welcome, &first, "invalid");
    }
    let other = Setup::new().ini(&format!("uuidKey = {}", "02".repeat(32))).auth(AUTH).start();
    let (mut client, welcome) = open(&other, &json!({"resume": token}));
    is_refused(&mut client, &welcome, &first, "invalid");
}

/// V87.
#[test]
fn a_token_is_not_accepted_once_a_later_one_is_confirmed() {
    let server = setup().start();
    let (client, first) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    let (mut client, second) = come_back(&server, &first, &json!({}));
    recovered(&mut client, "off");
    client.expect_quiet();
    break_off(&server, client, &first["uuid"]);
    let (mut client, welcome) = come_back(&server, &first, &json!({}));
    is_refused(&mut client, &welcome, &first, "expired_token");
    let (mut client, third) = come_back(&server, &second, &json!({}));
    is_resumed(&third, &second);
    recovered(&mut client, "off");
}

/// A large frame is read on another thread.
#[test]
fn a_large_frame_confirms_a_token_too() {
    let server = setup().start();
    let (mut client, first) = open(&server, &json!({}));
    let data = "x".repeat(200 * 1024);
    client.request_v1(1, json!({"op": "pub", "to": {"tags": {"no": "1"}}, "data": data}));
    break_off(&server, client, &first["uuid"]);
    let (mut client, second) = come_back(&server, &first, &json!({}));
    recovered(&mut client, "off");
    client.request_v1(1, json!({"op": "pub", "to": {"tags": {"no": "1"}}, "data": data}));
    break_off(&server, client, &first["uuid"]);
    let (mut client, welcome) = come_back(&server, &first, &json!({}));
    is_refused(&mut client, &welcome, &first, "expired_token");
    is_resumed(&come_back(&server, &second, &json!({})).1, &second);
}

/// V68, without stored publications.
#[test]
fn all_clients_resume_after_a_restart_of_the_workers() {
    let server = setup().workers(2).ini("drainTime = 2s").start();
    let clients: Vec<(Raw, Value)> =
        (0..20).map(|_| open(&server, &json!({"instance": ONE, "tags": {"room": "1"}}))).collect();
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| server.command(&["restart-workers"]));
        for (mut client, first) in clients {
            client.expect_bye(4200);
            let (mut client, second) = come_back(&server, &first, &json!({"instance": ONE}));
            is_resumed_with_ids(&second, &first, "kept");
            assert_eq!(second["tags"], json!({"room": "1"}));
            recovered(&mut client, "off");
            client.expect_quiet();
        }
        assert_eq!(restart.join().unwrap().code, Some(0));
    });
}

/// A backend that decides about openings gets the UUID before the broker knows which client it is.
#[test]
fn clients_of_a_resource_resume_unless_its_backend_decides_about_openings() {
    for (events, resumes) in [("message, close", true), ("open, message, close", false)] {
        let backend = Backend::start(|_| Act::Commands(""));
        let server = crate::backend::chat::start(&backend, &format!("events = {events}\n"));
        let (_former, first) = server.welcomed("/chat", json!({"instance": ONE}));
        assert_eq!(first.get("resume").is_some(), resumes, "{events}: {first}");
        let token = first.get("resume").cloned().unwrap_or_else(|| json!("AQ"));
        let members = json!({"instance": ONE, "resume": token});
        let (mut client, second) = server.welcomed("/chat", members);
        match resumes {
            true => is_resumed_with_ids(&second, &first, "kept"),
            false => is_refused(&mut client, &second, &first, "disabled"),
        }
    }
}

/// V88.
#[test]
fn a_welcome_may_be_lost_again_and_again() {
    let server = setup().start();
    let (client, first) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    for _ in 0..5 {
        let (client, welcome) = come_back(&server, &first, &json!({}));
        is_resumed(&welcome, &first);
        break_off(&server, client, &first["uuid"]);
    }
}

/// V89.
#[test]
fn a_token_replaces_no_credentials() {
    let server = setup().start();
    let (_client, first) = open(&server, &json!({}));
    let mut client = Open::v1("/").upgrade(server.port);
    client.hello(json!({"resume": first["resume"]}));
    client.expect_bye(4009);
}

/// V90, V110.
#[test]
fn a_client_keeps_its_uuid_when_the_broker_or_the_server_is_restarted() {
    let server = setup().start();
    let (client, first) = open(&server, &json!({"tags": {"language": "FR"}}));
    break_off(&server, client, &first["uuid"]);
    server.kill_broker();
    let (mut client, second) = come_back(&server, &first, &json!({}));
    is_resumed(&second, &first);
    assert_eq!(second["tags"], json!({}));
    recovered(&mut client, "lost");
    server.term_until_end(Duration::from_secs(15));
    let server = setup().start();
    let (mut client, third) = come_back(&server, &second, &json!({}));
    is_resumed(&third, &second);
    recovered(&mut client, "lost");
}

/// A client that is here when the broker dies loses nothing.
#[test]
fn a_client_that_is_here_when_the_broker_dies_resumes_later() {
    let server = setup().start();
    let (mut client, first) = open(&server, &json!({"tags": {"language": "FR"}, "instance": ONE}));
    server.kill_broker();
    client.request_v1(1, json!({"op": "tag", "set": {"room": "2"}}));
    break_off(&server, client, &first["uuid"]);
    let (mut client, second) = come_back(&server, &first, &json!({}));
    is_resumed(&second, &first);
    assert_eq!(second["tags"], json!({"language": "FR", "room": "2"}));
    recovered(&mut client, "off");
}

/// V92.
#[test]
fn a_backend_changes_the_tags_of_a_client_that_is_away() {
    let server = setup().start();
    let (client, first) = open(&server, &json!({"tags": {"language": "FR", "room": "1"}}));
    break_off(&server, client, &first["uuid"]);
    let uuid = first["uuid"].as_str().unwrap();
    let target = format!("/v1/apps/shop/connections/{uuid}/tags");
    let mut patch = post(&target, &[SHOP], r#"{"set":{"room":"2"},"remove":["language"]}"#);
    patch.splice(..4, *b"PATCH");
    let answer = Raw::connect(server.port).request(patch);
    assert_eq!(
        (answer.status(), &answer.json()["tags"]),
        (200, &json!({"room": "2"})),
        "{}",
        answer.body
    );
    let (_client, second) = come_back(&server, &first, &json!({}));
    assert_eq!(second["tags"], json!({"room": "2"}));
}

/// V72.
#[test]
fn a_client_ends_with_a_normal_close_and_is_away_after_any_other_end() {
    let server = setup().start();
    let (mut client, ended) = open(&server, &json!({}));
    client.say(json!({"op": "bye"}));
    client.expect_close(1000);
    let (mut client, closed) = open(&server, &json!({}));
    client.send(frames::close(1000, ""));
    client.expect_close(1000);
    for welcome in [ended, closed] {
        let (mut client, second) = come_back(&server, &welcome, &json!({}));
        is_resumed(&second, &welcome);
        recovered(&mut client, "expired");
    }
    let (mut client, first) = open(&server, &json!({}));
    client.send(frames::close(1001, ""));
    client.expect_close(1001);
    eventually("a client that is away", || is_away(&server, &first["uuid"]).then_some(()));
    let uuid = first["uuid"].as_str().unwrap();
    let target = format!("/v1/apps/shop/connections/{uuid}");
    let answer = server.call("DELETE", &target, &[SHOP]);
    assert_eq!(answer.json(), json!({"matched": 0, "workers": 0, "away": 1}));
    assert!(!is_away(&server, &first["uuid"]));
}

/// V94.
#[test]
fn clients_of_other_protocols_end_with_their_connection() {
    let server = setup().start();
    let client = server.open(&Open::at("/web?key=shop"));
    let uuid = json!(client.uuid);
    client.stream().shutdown(Shutdown::Both).unwrap();
    let mut next = server.open_v1("/", hello(&json!({"secret": SHOP_SECRET})));
    eventually("the end of a client", || {
        next.say(json!({"op": "pub", "id": 1, "to": {"uuid": uuid}, "report": true, "data": 1}));
        let ack = next.json();
        (ack["matched"] == 0).then(|| assert_eq!(ack["away"], 0, "{ack}"))
    });
}

/// A token fixes tags for the time of its connections only.
#[test]
fn tags_of_a_token_do_not_outlive_it() {
    let server = setup().auth(&tokens::auth("")).start();
    let token = tokens::token(&json!({"tags": {"plan": "pro"}}));
    let members = json!({"token": token, "tags": {"language": "FR"}});
    let (client, first) = server.welcomed("/", members);
    assert_eq!(first["tags"], json!({"language": "FR", "plan": "pro"}));
    break_off(&server, client, &first["uuid"]);
    let (_client, second) = come_back(&server, &first, &json!({}));
    is_resumed(&second, &first);
    assert_eq!(second["tags"], json!({"language": "FR"}));
}

/// V95.
#[test]
fn no_log_has_a_resume_token_or_an_instance() {
    let server = setup().ini("logLevel = trace").start();
    let (client, first) = open(&server, &json!({"instance": ONE}));
    break_off(&server, client, &first["uuid"]);
    let (client, second) = come_back(&server, &first, &json!({"instance": ONE}));
    let (_third, _) = open(&server, &json!({"instance": ONE, "resume": "AQnonsense"}));
    drop(client);
    // What a core file has of a process in addition to its memory.
    let mut shown = String::new();
    for (pid, _) in server.children() {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!bytes.is_empty() || file == "environ", "{file} of {pid}");
            shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    server.term_until_end(Duration::from_secs(15));
    shown.push_str(&server.output());
    let secret =
        [first["resume"].as_str().unwrap(), second["resume"].as_str().unwrap(), ONE, "AQnonsense"];
    for secret in secret {
        assert!(!shown.contains(&secret[..secret.len().min(20)]), "{secret}");
    }
}

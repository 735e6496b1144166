//! Events of the server, as operators read them: `GET /v1/server/events` and `/v1/server/events/stream`.

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::api::Clients;
use crate::harness::processes::send_signal;
use crate::harness::{Raw, Server, eventually};
use crate::operator_tail::Tail;
use crate::operators::{CI, EVE, operated};

const EVENTS: &str = "/v1/server/events";

/// Events of a kind.
fn of_kind(page: &Value, kind: &str) -> Vec<Value> {
    let events = page["events"].as_array().unwrap().iter();
    events.filter(|event| event["kind"] == kind).cloned().collect()
}

impl Server {
    /// Reads events; with an empty query, all of them.
    #[track_caller]
    fn events(&self, query: &str, token: &str) -> Value {
        let answer = self.operate("GET", &format!("{EVENTS}{query}"), token);
        assert_eq!(answer.status(), 200, "{}", answer.body);
        answer.json()
    }

    /// Waits for an event of a kind with this text, and returns it.
    #[track_caller]
    fn wait_for_event(&self, kind: &str, text: &str) -> Value {
        eventually(&format!("{kind}: {text}"), || {
            let events = of_kind(&self.events("", EVE), kind);
            events.into_iter().find(|event| event["text"].as_str().unwrap().contains(text))
        })
    }
}

#[test]
fn events_of_all_kinds_are_kept_in_their_order() {
    let server = operated("limitRequestsPerIP = 1/s\n");
    let anna = server.log_in();
    let first = server.events("", EVE);
    let ready = of_kind(&first, "ready");
    assert_eq!((ready.len(), &ready[0]["text"]), (1, &"server ready".into()), "{first}");
    assert!(ready[0]["time"].as_u64().unwrap() > 1_700_000_000);
    let broker = server.kill_broker();
    eventually("another broker", || (server.broker() != broker).then_some(()));
    server.wait_for_event("process_exit", "broker");
    let reason = r#"{"reason":"a test"}"#;
    assert_eq!(server.operate_with("/v1/server/reload", &anna, reason).status(), 200);
    server.folder.write("auth.yml", "applications: 7\n");
    server.operate_with("/v1/server/reload", &anna, reason).is_error(409, "not_possible");
    server.wait_for_event("reload", "reload failed");
    let change = server.wait_for_event("operator_change", "anna: POST /v1/server/reload: a test");
    assert_eq!(change["application"], Value::Null);
    let wrong = "tco_none";
    server.operate("GET", EVENTS, wrong).is_error(401, "invalid_credentials");
    let refused = server.wait_for_event("refusals", "invalid_credentials");
    assert_eq!(refused["text"], "1 credentials refused (operator): invalid_credentials");
    for _ in 0..3 {
        let request = crate::harness::api::head("GET", "/v1/apps/shop/stats", &[]);
        let _answer = Raw::connect(server.api_port("http")).request(request);
    }
    server.wait_for_event("rate_limited", "requests_per_ip");
    let all = server.events("", EVE);
    let ids: Vec<u64> = of_ids(&all);
    assert!(ids.iter().zip(1..).all(|(id, expected)| *id == expected), "{ids:?}");
    // Only what came after the first page.
    let cursor = first["cursor"].as_str().unwrap();
    let later = server.events(&format!("?cursor={cursor}"), EVE);
    assert_eq!(of_ids(&later)[0], of_ids(&first).last().unwrap() + 1);
    assert_eq!(later["missed"], 0);
    server.operate("GET", &format!("{EVENTS}?cursor=x"), EVE).is_error(400, "invalid_cursor");
}

fn of_ids(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_u64().unwrap()).collect()
}

#[test]
fn events_survive_the_api_process() {
    let server = operated("");
    let clients = Clients::open(&server);
    let anna = server.log_in();
    let path =
        format!("/v1/server/applications/shop/connections/{}?reason=an%20end", clients.f.uuid);
    assert_eq!(server.operate("DELETE", &path, &anna).status(), 200);
    let api = server.api_process();
    send_signal(api, Signal::KILL);
    eventually("another API process", || (server.api_process() != api).then_some(()));
    let change = server.wait_for_event("operator_change", "an end");
    assert_eq!(change["application"], "shop");
    let text = change["text"].as_str().unwrap();
    assert!(text.starts_with("anna: DELETE connections/{uuid}, client "), "{text}");
    assert!(!text.contains(&clients.f.uuid), "the whole UUID would open the client to others");
    server.wait_for_event("process_exit", "api");
}

/// Case A249, for events.
#[test]
fn an_operator_of_some_applications_sees_their_events_only() {
    let server = operated("");
    let anna = server.log_in();
    for application in ["shop", "other"] {
        let path = format!("/v1/server/applications/{application}/publish");
        let body = format!(r#"{{"to":"all","message":1,"reason":"to {application}"}}"#);
        assert_eq!(server.operate_with(&path, &anna, &body).status(), 200);
    }
    let reason = r#"{"reason":"of the whole server"}"#;
    assert_eq!(server.operate_with("/v1/server/reload", &anna, reason).status(), 200);
    server.wait_for_event("operator_change", "of the whole server");
    server.operate("GET", EVENTS, "tco_none").is_error(401, "invalid_credentials");
    server.wait_for_event("refusals", "invalid_credentials");
    let shown = server.events("", CI);
    let changes = of_kind(&shown, "operator_change");
    assert_eq!((changes.len(), &changes[0]["application"]), (1, &"shop".into()), "{shown}");
    assert!(of_kind(&shown, "refusals").is_empty());
    assert_eq!(of_kind(&shown, "ready").len(), 1);
}

#[test]
fn a_stream_has_each_event_once_and_ends_with_the_session() {
    let server = operated("");
    let anna = server.log_in();
    let mut stream = Tail::open_stream(&server, &format!("{EVENTS}/stream"), &anna);
    let broker = server.kill_broker();
    eventually("another broker", || (server.broker() != broker).then_some(()));
    let (name, exit) = stream.next().unwrap();
    assert_eq!((name.as_str(), &exit["kind"]), ("", &"process_exit".into()), "{exit}");
    // The same events from a cursor.
    let page = server.events("", EVE);
    let target = format!("{EVENTS}/stream?cursor={}", page["cursor"].as_str().unwrap());
    let mut later = Tail::open_stream(&server, &target, EVE);
    let reason = r#"{"reason":"a test"}"#;
    assert_eq!(server.operate_with("/v1/server/reload", &anna, reason).status(), 200);
    let is_later = |id: &Value| id.as_u64() > exit["id"].as_u64();
    for stream in [&mut stream, &mut later] {
        let (_, change) = stream.next().unwrap();
        assert!(is_later(&change["id"]), "{change}");
        assert_eq!(change["kind"], "operator_change");
        assert_eq!(change["text"], "anna: POST /v1/server/reload: a test");
    }
    assert_eq!(server.operate_with("/v1/server/logout", &anna, "{}").status(), 200);
    loop {
        match stream.next().unwrap() {
            (name, data) if name == "end" => {
                assert_eq!(data["reason"], "not_permitted");
                break;
            }
            (_, event) => assert_eq!(event["kind"], "reload"),
        }
    }
    assert_eq!(stream.next(), None);
}

#[test]
fn a_ninth_reader_of_events_waits_until_a_place_is_free() {
    let server = operated("");
    let target = format!("{EVENTS}/stream");
    let mut readers: Vec<Tail> = (0..8).map(|_| Tail::open_stream(&server, &target, EVE)).collect();
    server.operate("GET", &target, EVE).is_error(503, "busy");
    // Readers of publications have places of their own.
    drop(Tail::open_stream(&server, "/v1/server/tail", EVE));
    drop(readers.pop());
    eventually("a free place", || {
        let token = crate::operators::bearer(EVE);
        let request =
            crate::harness::api::head("GET", &target, &[("Authorization", token.as_str())]);
        let mut connection = Raw::connect(server.api_port("http"));
        connection.send(request);
        (connection.read_head().status() == 200).then_some(())
    });
}

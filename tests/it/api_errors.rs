//! Errors of the HTTP API: a stable code, the place, and the setting that limits the request.

use std::collections::BTreeMap;

use crate::harness::api::{ApiAnswer, Clients, OTHER, PUBLISH, SHOP, head, post, setup};
use crate::harness::processes::resident_bytes_max;
use crate::harness::{Raw, Server};

fn publish(server: &Server, body: &str) -> ApiAnswer {
    server.post(PUBLISH, SHOP, body)
}

/// A17 to A21.
#[test]
fn a_body_is_strict_json_and_an_error_names_the_place() {
    let server = setup().start();
    for (body, status, code, at) in [
        (r#"{"to":"all","message":1,"prio":1}"#, 400, "unknown_member", "/prio"),
        (r#"{"to":"all","message":1,"message":2}"#, 400, "duplicate_member", "/message"),
        (r#"{"to":{"tags":{"a":"1","a":"1"}},"message":1}"#, 400, "duplicate_member", "/to/tags/a"),
        (r#"{"to":"all"}"#, 400, "missing_member", "/message"),
        (r#"{"to":"all","message":1,"text":"a"}"#, 400, "invalid_value", "/text"),
        (r#"{"to":"all","message":null}"#, 400, "missing_member", "/message"),
        (r#"{"message":1}"#, 400, "missing_member", "/to"),
        (r#"{"to":"all","text":1}"#, 400, "wrong_type", "/text"),
        (r#"{"to":"others","message":1}"#, 400, "invalid_value", "/to"),
        (r#"{"to":{},"message":1}"#, 400, "invalid_value", "/to"),
        (r#"{"to":{"uuid":"x","ident":"y"},"message":1}"#, 400, "invalid_value", "/to"),
        (r#"{"to":5,"message":1}"#, 400, "wrong_type", "/to"),
        (r#"{"to":{"tags":[]},"message":1}"#, 400, "wrong_type", "/to/tags"),
        (r#"{"to":{"tags":{"a":1.5}},"message":1}"#, 400, "invalid_value", "/to/tags"),
        (r#"{"to":{"ident":""},"message":1}"#, 400, "invalid_value", "/to/ident"),
        (r#"{"to":{"uuid":"x"},"message":1}"#, 400, "invalid_uuid", "/to/uuid"),
        (
            r#"{"to":{"uuid":"x","__proto__":1},"message":1}"#,
            400,
            "unknown_member",
            "/to/__proto__",
        ),
        (r#"{"to":"all","message":1,"event":"a b"}"#, 400, "invalid_value", "/event"),
        (r#"{"to":"all","message":1,"event":"pusher:x"}"#, 400, "invalid_value", "/event"),
        (r#"{"to":"all","message":1,"ack":"later"}"#, 400, "invalid_value", "/ack"),
        (r#"{"to":{"uuid":"x"},"to":"all","message":1}"#, 400, "duplicate_member", "/to"),
        ("[1]", 400, "invalid_json", ""),
        ("", 400, "invalid_json", ""),
        (r#"{"to":"all","message":1,}"#, 400, "invalid_json", ""),
        ("{\"to\":\"all\",\"message\":\"\u{0}\"}", 400, "invalid_json", ""),
    ] {
        assert_eq!(publish(&server, body).error(), (status, code.into(), at.into()), "{body}");
    }
    let allowed = publish(&server, r#"{"to":"others","message":1}"#).json();
    assert!(
        allowed["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`uuid`, `ident`, `tags` and `expr`")
    );
    let json = ("Content-Type", "application/json");
    let mut bytes = head("POST", PUBLISH, &[SHOP, json, ("Content-Length", "2")]);
    bytes.extend_from_slice(b"\xff\xfe");
    Raw::connect(server.port).request(&bytes).is_error(400, "invalid_json");
}

/// A22, A25.
#[test]
fn a_message_is_forwarded_byte_for_byte() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    for body in [r#"{"to":"all","message":1.0e0}"#, r#"{"message": {"a" : [ ] } ,"to":"all"}"#] {
        assert_eq!(publish(&server, body).status(), 200);
    }
    assert_eq!(clients.e.frame().as_text(), "1.0e0");
    assert_eq!(clients.e.frame().as_text(), r#"{"a" : [ ] }"#);
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let body = format!("{{\"to\":\"all\",\"message\":{deep}}}");
    let memory = || server.children().into_iter().map(|(pid, _)| (pid, resident_bytes_max(pid)));
    let before: BTreeMap<u32, u64> = memory().collect();
    assert_eq!(publish(&server, &body).status(), 200);
    assert_eq!(clients.e.frame().as_text(), deep);
    for (pid, after) in memory() {
        let grown = after.saturating_sub(before[&pid]);
        assert!(grown < 4 * 1024 * 1024, "process {pid} has grown by {grown} bytes");
    }
}

/// A23, A24.
#[test]
fn what_is_too_large_names_the_limit_and_its_setting() {
    let server = setup().ini("maxMessage = 100K").start();
    let mut clients = Clients::open(&server);
    let of = |bytes: usize| format!(r#"{{"to":"all","message":"{}"}}"#, "x".repeat(bytes));
    let answer = publish(&server, &of(100 * 1024));
    let error = &answer.is_error(413, "payload_too_large").json()["error"];
    assert_eq!(
        (error["setting"].as_str(), error["limit"].as_u64()),
        (Some("maxMessage"), Some(102_400))
    );
    let mut client = Raw::connect(server.port);
    let json = ("Content-Type", "application/json");
    let length = [SHOP, json, ("Content-Length", "99999999")];
    let answer = client.request(head("POST", PUBLISH, &length));
    assert!(answer.is_error(413, "payload_too_large").closes());
    assert_eq!(answer.json()["error"]["setting"].as_str(), Some("apiMaxBody"));
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A271.
#[test]
fn a_body_is_json_and_not_compressed() {
    let server = setup().start();
    let with = |headers: &[(&str, &str)]| {
        let mut bytes =
            head("POST", PUBLISH, &[&[SHOP, ("Content-Length", "2")], headers].concat());
        bytes.extend_from_slice(b"{}");
        Raw::connect(server.port).request(&bytes)
    };
    for headers in [
        &[][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
    ] {
        with(headers).is_error(415, "unsupported_media_type");
    }
    with(&[("Content-Type", "application/json; charset=utf-8")]).is_error(400, "missing_member");
}

/// A26.
#[test]
fn a_request_has_an_id_in_answer_and_log() {
    let server = setup().ini("logLevel = debug").start();
    let id = |given: &str| {
        let answer = server.call("GET", "/v1/info", &[("X-Request-Id", given)]);
        answer.head.header("X-Request-Id").unwrap().to_owned()
    };
    assert_eq!(id("abc-1"), "abc-1");
    server.wait_for_output("request=abc-1");
    assert_ne!(id("a b"), "a b");
    let answer = publish(&server, "");
    let of_body = answer.json()["error"]["request_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.head.header("X-Request-Id"), Some(of_body.as_str()));
}

/// A29.
#[test]
fn parameters_and_paths_are_exact() {
    let server = setup().start();
    let query = format!("{PUBLISH}?secret=k3y");
    server.post(&query, SHOP, "{}").is_error(400, "unknown_parameter");
    for target in [
        "/v1/apps/shop/publish/",
        "//v1/apps/shop/publish",
        "/v1/apps/shop/../shop/publish",
        "/v1/apps/shop",
        "/v1/nothing",
    ] {
        server.post(target, SHOP, "{}").is_error(404, "not_found");
    }
}

/// A31, A32, A33.
#[test]
fn credentials_are_a_secret_of_the_application_of_the_path() {
    let server = setup().start();
    let one = r#"{"to":"all","message":1}"#;
    let answer = server.call("POST", PUBLISH, &[]);
    answer.is_error(401, "missing_credentials");
    assert_eq!(answer.head.header("WWW-Authenticate"), Some("Bearer realm=\"tagcast\""));
    server.post(PUBLISH, ("Authorization", "Basic czpz"), one).is_error(401, "missing_credentials");
    let without_id = |answer: &ApiAnswer| {
        let mut json = answer.json();
        json["error"]["request_id"].take();
        json
    };
    let of_other = server.post(PUBLISH, OTHER, one);
    let without_owner = server.post("/v1/apps/nobody/publish", OTHER, one);
    of_other.is_error(401, "invalid_credentials");
    assert_eq!(without_id(&of_other), without_id(&without_owner));
    let key = ("X-API-Key", "k3y-for-tests-only-0123456789abcdef");
    assert_eq!(server.post(PUBLISH, key, one).status(), 200);
    let mut client = Raw::connect(server.port);
    client.request(post(PUBLISH, &[SHOP, key], one)).is_error(400, "multiple_credentials");
    assert_eq!(server.post("/v1/apps/b%C3%BCro/publish", SHOP, one).status(), 200);
    let raw = Raw::connect(server.port).request(post("/v1/apps/büro/publish", &[SHOP], one));
    assert_eq!(raw.status(), 400);
    server.post("/v1/apps/%ff/publish", SHOP, one).is_error(400, "bad_request");
}

#[test]
fn wrong_secrets_are_counted_in_one_line_and_lock_nothing() {
    let server = setup().start();
    let mut client = Raw::connect(server.port);
    let wrong = ("Authorization", "Bearer guess-guess-guess");
    for _ in 0..300 {
        client.request(head("POST", PUBLISH, &[wrong])).is_error(401, "invalid_credentials");
    }
    assert_eq!(client.request(post(PUBLISH, &[SHOP], r#"{"to":"all","message":1}"#)).status(), 200);
    server.wait_for_output("event=api_credentials_refused");
    let log = server.output();
    assert_eq!(log.matches("event=api_credentials_refused").count(), 1);
    assert!(!log.contains("guess-guess") && !log.contains("k3y-for-tests"));
}

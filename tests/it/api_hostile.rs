//! Hostile requests to the HTTP API: deep bodies, smuggled requests, line ends and bytes that are not text.

use crate::harness::api::{ApiAnswer, Clients, LIST, PUBLISH, SHOP, head, post, setup, smuggled};
use crate::harness::{Raw, Server};

const EXPLAIN: &str = "/v1/apps/shop/explain";

fn with_raw(server: &Server, method: &str, target: &str, body: &[u8]) -> ApiAnswer {
    let length = body.len().to_string();
    let headers = [SHOP, ("Content-Type", "application/json"), ("Content-Length", &*length)];
    let mut bytes = head(method, target, &headers);
    bytes.extend_from_slice(body);
    Raw::connect(server.port).request(bytes)
}

/// A request whose header has these bytes as its value.
fn with_header(server: &Server, name: &str, value: &[u8]) -> ApiAnswer {
    let request =
        String::from_utf8(post(PUBLISH, &[SHOP, (name, "VALUE")], r#"{"to":"all","message":1}"#));
    let request = request.unwrap();
    let (before, after) = request.split_once("VALUE").unwrap();
    Raw::connect(server.port).request([before.as_bytes(), value, after.as_bytes()].concat())
}

/// A260.
#[test]
fn bodies_nested_without_end_are_refused_and_the_process_lives() {
    let server = setup().start();
    let api = server.api_process();
    for (begin, end) in [(r#"{"and":["#, "]}"), (r#"{"not":"#, "}"), ("[", "]"), (r#"{"a":"#, "}")]
    {
        let open = begin.repeat(200_000);
        let closed = format!("{open}1{}", end.repeat(200_000));
        for inner in [&open, &closed] {
            let whole = if inner.ends_with(end) { "}" } else { "" };
            for (target, body) in [
                (PUBLISH, format!(r#"{{"to":{inner}{whole}"#)),
                (PUBLISH, format!(r#"{{"message":1,"to":{{"expr":{inner}{whole}{whole}"#)),
                (EXPLAIN, format!(r#"{{"expr":{inner}{whole}"#)),
            ] {
                let answer = with_raw(&server, "POST", target, body.as_bytes());
                assert!(matches!(answer.status(), 400 | 422), "{begin}: {}", answer.body);
                assert!(answer.body.len() < 1000, "{begin}: {} bytes", answer.body.len());
            }
        }
    }
    assert_eq!(server.api_process(), api, "it lives");
}

/// A261.
#[test]
fn recipients_that_are_named_twice_get_nothing() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let one = format!(r#"{{"uuid":"{}"}}"#, clients.f.uuid);
    for (first, second) in [(&*one, "\"all\""), ("\"all\"", &*one), ("\"all\"", "\"all\"")] {
        for again in ["to", "t\\u006f"] {
            let body = format!(r#"{{"to":{first},"{again}":{second},"message":1}}"#);
            let error = server.post(PUBLISH, SHOP, &body).error();
            assert_eq!(error, (400, "duplicate_member".into(), "/to".into()), "{body}");
        }
    }
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A263, without a proxy.
#[test]
fn a_request_in_the_body_of_another_one_is_not_carried_out() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    for bytes in smuggled(&format!("{LIST}/{}", clients.f.uuid)) {
        let mut backend = Raw::connect(server.port);
        let status = backend.request(&bytes).status();
        assert!(matches!(status, 200 | 400), "{status}: {}", String::from_utf8_lossy(&bytes));
        backend.expect_end();
    }
    let outer = r#"{"opcode":"broadcast","message":"outer"}"#;
    clients.expect_frames(&server, [&[outer], &["\"outer\""], &[outer], &[], &[]]);
}

/// A265.
#[test]
fn line_ends_add_no_line_to_an_answer_a_log_or_a_frame() {
    let server = setup().ini("logLevel = trace").start();
    let mut clients = Clients::open(&server);
    let closing = format!("{LIST}/{}?reason=x%0d%0aSet-Cookie:%20a=b", clients.f.uuid);
    let mut answers = vec![server.call("DELETE", &closing, &[SHOP])];
    answers[0].is_error(400, "invalid_parameter");
    for target in
        ["/v1/apps/a%0d%0aSet-Cookie:%20a=b/publish", "/v1/apps/shop/x%0aSet-Cookie:%20a=b"]
    {
        answers.push(server.post(target, SHOP, r#"{"to":"all","message":1}"#));
    }
    let body = r#"{"all":true,"reason":"x\r\nSet-Cookie: a=b"}"#;
    answers.push(server.post(&format!("{LIST}:disconnect"), SHOP, body));
    answers.push(server.post(
        PUBLISH,
        SHOP,
        "{\"to\":\"all\",\"message\":1,\"a\\r\\nSet-Cookie: a=b\":1}",
    ));
    for bytes in [&b"a\r\nb"[..], b"a\rSet-Cookie: a=b", b"a\nb"] {
        answers.push(with_header(&server, "X-Request-Id", bytes));
    }
    // A header that follows a line end is a header of the request, and no id.
    answers.push(with_header(&server, "X-Request-Id", b"a\r\nSet-Cookie: a=b"));
    for (number, answer) in answers.iter().enumerate() {
        assert!(matches!(answer.status(), 400 | 404) || number + 1 == answers.len(), "{number}");
        assert!(answer.head.header("Set-Cookie").is_none(), "{}", answer.head.text);
        assert!(!answer.body.contains('\n'), "{}", answer.body);
    }
    let log = server.output();
    let begins = |line: &str| line.trim_start().starts_with("Set-Cookie");
    assert!(!log.lines().any(begins), "{log}");
    let one = r#"{"opcode":"broadcast","message":1}"#;
    clients.expect_frames(&server, [&[one], &["1"], &[one], &[], &[]]);
}

/// A268.
#[test]
fn bytes_that_are_not_text_are_refused() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    for body in [
        &b"{\"to\":\"all\",\"message\":\"\xff\"}"[..],
        b"{\"to\":\"all\",\"\xc3\":1}",
        b"\xff\xfe{}",
    ] {
        with_raw(&server, "POST", PUBLISH, body).is_error(400, "invalid_json");
    }
    for path in [&b"/v1/apps/\xff/publish"[..], b"/v1/apps/shop/\xc3\xbc"] {
        let request = [b"GET ", path, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
        assert_eq!(Raw::connect(server.port).request(request).status(), 400);
    }
    server.post("/v1/apps/%ff/publish", SHOP, "{}").is_error(400, "bad_request");
    for query in ["expr=%ff", "expr=a%3D%c3", "ident=%ff", "%ff=1"] {
        let answer = server.call("GET", &format!("{LIST}?{query}"), &[SHOP]);
        assert_eq!(answer.status(), 400, "{query}: {}", answer.body);
    }
    for name in ["Idempotency-Key", "X-Tagcast-Nonce", "X-Tagcast-Signature"] {
        with_header(&server, name, b"12345678\xff").is_error(400, "invalid_header");
    }
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A269.
#[test]
fn a_null_character_is_part_of_a_tag_value_and_of_nothing_else() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    with_raw(&server, "POST", PUBLISH, b"{\"to\":\"all\",\"message\":\"\0\"}")
        .is_error(400, "invalid_json");
    let request = b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nA: b\0c\r\n\r\n";
    assert_eq!(Raw::connect(server.port).request(request).status(), 400);
    let target = format!("{LIST}/{}/tags", clients.f.uuid);
    let changed = with_raw(&server, "PATCH", &target, br#"{"set":{"a":"x\u0000y"}}"#);
    assert_eq!(changed.json()["tags"]["a"], "x\0y", "{}", changed.body);
    let body = r#"{"to":{"tags":{"a":"x\u0000y"}},"message":1}"#;
    assert_eq!(server.post(PUBLISH, SHOP, body).json()["matched"], 1);
    // No client can have such a name.
    let named = server.post(PUBLISH, SHOP, r#"{"to":{"ident":"job\u0000"},"message":2}"#);
    assert!(named.status() == 400 || named.json()["matched"] == 0, "{}", named.body);
    let id = server.post(PUBLISH, SHOP, r#"{"to":"all","message":3,"id":"a\u0000"}"#);
    assert_eq!(id.error(), (400, "invalid_value".into(), "/id".into()));
    let reason =
        server.post(&format!("{LIST}:disconnect"), SHOP, r#"{"all":true,"reason":"a\u0000"}"#);
    assert_eq!(reason.error(), (400, "invalid_value".into(), "/reason".into()));
    let one = r#"{"opcode":"broadcast","message":1}"#;
    clients.expect_frames(&server, [&[one], &[], &[], &[], &[]]);
}

//! Server-sent events: what a stream sends, who may open it, and how it ends.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::api::{self, AUTH, OTHER, PUBLISH, SHOP};
use crate::harness::processes::send_signal;
use crate::harness::{Head, Open, Raw, Server, Setup, broadcast, eventually, frames, tokens};
use rustix::process::Signal;

const STREAM: (&str, &str) = ("Accept", "text/event-stream");

/// Sends a request for a stream.
fn request(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> Raw {
    let mut client = Raw::connect(server.port);
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    client
}

/// Opens a stream and reads up to its welcome.
fn open(server: &Server, target: &str) -> (Raw, Value) {
    let mut client = request(server, "GET", target, &[STREAM]);
    let head = client.read_head();
    assert_eq!(head.status(), 200, "{}", head.text);
    let retry = event(&mut client);
    assert!(retry.starts_with("retry: "), "{retry}");
    let welcome = event(&mut client);
    let welcome = welcome.strip_prefix("event: tagcast:welcome\ndata: ").unwrap();
    let welcome: Value = serde_json::from_str(welcome).unwrap();
    client.uuid = welcome["uuid"].as_str().unwrap().to_owned();
    (client, welcome)
}

/// Returns the lines of the next event, comments included.
#[track_caller]
fn event(client: &mut Raw) -> String {
    let mut lines = Vec::new();
    loop {
        let line = String::from_utf8(client.read_until(b'\n')).unwrap();
        if line.is_empty() {
            return lines.join("\n");
        }
        lines.push(line);
    }
}

/// Returns the status, the code of the error, and the head of a refusal.
fn refusal(client: &mut Raw) -> (u16, String, Head) {
    let head = client.read_head();
    let length = head.header("Content-Length").unwrap().parse().unwrap();
    let body: Value = serde_json::from_slice(&client.read_exactly(length)).unwrap();
    (head.status(), body["error"]["code"].as_str().unwrap().to_owned(), head)
}

/// V147: what other clients publish, in each protocol, and by HTTP.
#[test]
fn a_stream_shows_what_each_protocol_publishes() {
    let server = api::setup().start();
    let (mut stream, welcome) = open(&server, "/sse?key=shop&tags={\"language\":\"FR\"}");
    assert_eq!(welcome["resumed"], false);
    let (mut other, _) = open(&server, "/sse?key=other");

    let mut page = server.open(&Open::at("/web?key=shop"));
    page.text(broadcast("from a page"));
    assert_eq!(event(&mut stream), "data: \"from a page\"");
    let mut gomoob = Open::at("/?key=shop&tags={\"x\":\"1\"}").upgrade(server.port);
    gomoob.text(r#"{"message":{"a":[1.50]},"tags":{"language":"FR"}}"#);
    assert_eq!(event(&mut stream), "data: {\"a\":[1.50]}");
    let mut v1 = server.open_v1("/?key=shop", json!({}));
    v1.say(json!({"op":"pub","to":{"uuid":stream.uuid},"event":"price","data":{"p":3}}));
    assert_eq!(event(&mut stream), "event: price\ndata: {\"p\":3}");
    let body = r#"{"to":{"tags":{"language":"FR"}},"event":"done","text":"x"}"#;
    let answer = server.post(PUBLISH, SHOP, body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    assert_eq!(event(&mut stream), "event: done\ndata: \"x\"");

    server.post("/v1/apps/other/publish", OTHER, r#"{"to":"all","message":"last"}"#);
    assert_eq!(event(&mut other), "data: \"last\"", "nothing of another tenant");
}

/// V148.
#[test]
fn line_breaks_between_values_do_not_change_the_value() {
    let server = api::setup().start();
    let (mut stream, _) = open(&server, "/sse?key=shop");
    let mut gomoob = Open::at("/?key=shop&tags={\"x\":\"1\"}").upgrade(server.port);
    let large = "x".repeat(5 * 1024 * 1024 - 100);
    for message in ["{\n\"a\":\r1,\r\n\r\n\"b\":\t[\n]}".to_owned(), format!("[\"{large}\",\n1]")] {
        gomoob.text(format!("{{\"message\":{message},\"tags\":{{}}}}"));
        let lines = event(&mut stream);
        let data: Vec<_> = lines.lines().map(|line| line.strip_prefix("data: ").unwrap()).collect();
        let value: Value = serde_json::from_str(&data.join("\n")).unwrap();
        assert!(value == serde_json::from_str::<Value>(&message).unwrap());
    }
}

/// V151, V154: at the limit of connections `EventSource` gets a stream, and a program the status.
#[test]
fn a_limit_is_in_the_stream_of_event_source_and_in_the_status_of_others() {
    let server = Setup::new().ini("maxClients = 1\n").start();
    let (first, _) = open(&server, "/sse");
    let mut late = request(&server, "GET", "/sse", &[STREAM]);
    assert_eq!(late.read_head().status(), 200);
    assert!(event(&mut late).starts_with("retry: "));
    let bye = event(&mut late);
    let bye: Value =
        serde_json::from_str(bye.strip_prefix("event: tagcast:bye\ndata: ").unwrap()).unwrap();
    assert_eq!(bye["code"], 4100);
    assert!(bye["retry_after_ms"].is_u64(), "{bye}");
    late.expect_end();
    for headers in [&[("Accept", "*/*")][..], &[]] {
        let (status, code, head) = refusal(&mut request(&server, "GET", "/sse", headers));
        assert_eq!((status, &*code), (503, "busy"));
        assert_eq!(head.header("Retry-After"), Some("1"));
    }
    let (status, ..) = refusal(&mut request(&server, "GET", "/sse?status=http", &[STREAM]));
    assert_eq!(status, 503);

    drop(first);
    eventually("room", || {
        let mut client = request(&server, "GET", "/sse?status=http", &[STREAM]);
        (client.read_head().status() == 200).then_some(())
    });
}

/// V152.
#[test]
fn clients_of_broken_streams_come_back_at_different_times() {
    let server = Server::start();
    let times: BTreeSet<u64> = (0..200)
        .map(|_| {
            let mut client = request(&server, "GET", "/sse", &[STREAM]);
            client.read_head();
            event(&mut client).strip_prefix("retry: ").unwrap().parse().unwrap()
        })
        .collect();
    assert!(times.len() >= 100, "{times:?}");
    assert!(times.iter().all(|time| (1000..=4000).contains(time)), "{times:?}");
}

/// V153, V160: wrong credentials and origins are errors with a status, which a page of an admitted origin can read.
#[test]
fn credentials_and_origins_are_checked_before_the_stream_begins() {
    let server = Setup::new().auth(AUTH).ini("allowedOrigins = http://good\n").start();
    let good = ("Origin", "http://good");
    let (status, code, head) =
        refusal(&mut request(&server, "GET", "/sse?key=nobody", &[STREAM, good]));
    assert_eq!((status, &*code), (401, "invalid_credentials"));
    assert_eq!(head.header("Access-Control-Allow-Origin"), Some("http://good"));

    let bad = ("Origin", "http://bad");
    let (status, code, head) =
        refusal(&mut request(&server, "GET", "/sse?key=shop", &[STREAM, bad]));
    assert_eq!((status, &*code), (403, "permission_denied"));
    assert_eq!(head.header("Access-Control-Allow-Origin"), None);

    let head = request(&server, "GET", "/sse?key=shop", &[STREAM, good]).read_head();
    assert_eq!(head.status(), 200);
    assert_eq!(head.header("Access-Control-Allow-Origin"), Some("http://good"));
    assert_eq!(head.header("Vary"), Some("Origin"));
    let head = request(&server, "OPTIONS", "/sse?key=shop", &[good]).read_head();
    assert_eq!(
        (head.status(), head.header("Access-Control-Allow-Origin")),
        (204, Some("http://good"))
    );
    assert!(head.header("Access-Control-Allow-Headers").unwrap().contains("Authorization"));
    let (status, ..) = refusal(&mut request(&server, "OPTIONS", "/sse?key=shop", &[bad]));
    assert_eq!(status, 403);
    let (status, code, _) =
        refusal(&mut request(&server, "GET", "/sse?key=shop&tags={", &[STREAM, good]));
    assert_eq!((status, &*code), (400, "bad_request"));
}

/// V161.
#[test]
fn other_methods_and_types_are_refused_and_a_head_has_no_body() {
    let server = Server::start();
    assert_eq!(request(&server, "POST", "/sse", &[STREAM]).read_head().status(), 405);
    assert_eq!(request(&server, "OPTIONS", "/sse", &[]).read_head().status(), 204);
    let mut head = request(&server, "HEAD", "/sse", &[STREAM]);
    let text = head.read_head();
    assert_eq!((text.status(), text.header("Content-Type")), (200, Some("text/event-stream")));
    for (name, value) in [
        ("Cache-Control", "no-cache, no-transform"),
        ("X-Accel-Buffering", "no"),
        ("Connection", "close"),
    ] {
        assert_eq!(text.header(name), Some(value));
    }
    head.expect_end();
    let (status, code, _) =
        refusal(&mut request(&server, "GET", "/sse", &[("Accept", "text/html")]));
    assert_eq!((status, &*code), (406, "not_acceptable"));
    // A WebSocket on this path is what it was.
    server.open(&Open::at("/web"));
}

/// V159, V163: a token in the query needs a key of the configuration, and is in no log.
#[test]
fn a_token_in_the_query_is_accepted_only_where_the_operator_allows_it() {
    let token = tokens::token(&json!({}));
    let target = format!("/sse?token={token}");
    let server = Setup::new().auth(&tokens::auth("")).start();
    let (status, ..) = refusal(&mut request(&server, "GET", &target, &[STREAM]));
    assert_eq!(status, 401);
    let bearer = format!("Bearer {token}");
    let headers = [STREAM, ("Authorization", &*bearer)];
    assert_eq!(request(&server, "GET", "/sse", &headers).read_head().status(), 200);

    let server = Setup::new().auth(&tokens::auth("")).ini("sseQueryToken = on\n").start();
    open(&server, &target);
    server.wait_for_output("event=token_in_query");
    assert!(!server.output().contains(&token));
}

/// V163: the leeway of 30 s has passed for a token that ended 29 s ago within two seconds.
#[test]
fn a_stream_ends_with_its_token() {
    let server = Setup::new().auth(&tokens::auth("")).ini("sseQueryToken = on\n").start();
    let token = tokens::token(&json!({"exp": tokens::now() - 28}));
    let (mut stream, _) = open(&server, &format!("/sse?token={token}"));
    let bye = event(&mut stream);
    assert_eq!(bye, "event: tagcast:bye\ndata: {\"code\":4110,\"reason\":\"token expired\"}");
    stream.expect_end();
}

/// V155 in a shorter time: comments come while nothing is published.
#[test]
fn comments_show_that_a_quiet_stream_is_alive() {
    let server = Setup::new().ini("sseHeartbeat = 1s\n").start();
    let (mut stream, _) = open(&server, "/sse");
    for _ in 0..2 {
        assert_eq!(event(&mut stream), ":");
    }
}

#[test]
fn a_shutdown_asks_streams_to_come_back_after_different_times() {
    let server = Server::start();
    let mut streams: Vec<Raw> = (0..5).map(|_| open(&server, "/sse").0).collect();
    send_signal(server.pid(), Signal::TERM);
    let times: BTreeSet<u64> = streams
        .iter_mut()
        .map(|stream| {
            let retry = event(stream);
            let bye = event(stream);
            let bye = bye.strip_prefix("event: tagcast:bye\ndata: ").unwrap();
            let bye: Value = serde_json::from_str(bye).unwrap();
            assert_eq!(bye["code"], 4200);
            assert_eq!(retry, format!("retry: {}", bye["retry_after_ms"]));
            stream.expect_end();
            bye["retry_after_ms"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(times.len(), 5, "{times:?}");
}

/// V162.
#[test]
fn a_reload_without_the_path_leaves_open_streams_alone() {
    let server = Server::start();
    let (mut stream, _) = open(&server, "/sse");
    let ini = "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 2\nssePath = none\n";
    server.folder.write("websock.ini", ini);
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    let head = request(&server, "GET", "/sse", &[STREAM]).read_head();
    assert_eq!(head.status(), 404);
    server.publish_well(&["--all", "still here"]);
    assert_eq!(event(&mut stream), "data: \"still here\"");
}

/// V108 for streams.
#[test]
fn a_client_that_names_a_position_learns_that_nothing_is_kept() {
    let server = Server::start();
    let named = ("Last-Event-ID", "k3x9q1.2s");
    let mut stream = request(&server, "GET", "/sse", &[STREAM, named]);
    stream.read_head();
    event(&mut stream);
    assert!(event(&mut stream).contains("\"recovering\":true"));
    let expected = "event: tagcast:recovery\n\
                    data: {\"recovered\":false,\"replayed\":0,\"reason\":\"off\"}";
    assert_eq!(event(&mut stream), expected);
}

/// V141: a question to a client that cannot answer.
#[test]
fn a_stream_cannot_be_asked() {
    let server = api::setup().start();
    let (stream, _) = open(&server, "/sse?key=shop");
    let target = format!("/v1/apps/shop/connections/{}/ask", stream.uuid);
    let answer = server.post(&target, SHOP, r#"{"message":"?"}"#);
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (409, &json!("ask_unsupported"))
    );
}

#[test]
fn input_on_a_stream_is_ignored_and_much_of_it_closes_the_stream() {
    let server = Server::start();
    let (mut stream, _) = open(&server, "/sse");
    stream.send("\r\n");
    stream.send(frames::text("not a frame here"));
    server.publish_well(&["--all", "still here"]);
    assert_eq!(event(&mut stream), "data: \"still here\"");
    stream.send(vec![b'x'; 600]);
    assert!(event(&mut stream).contains("input on a stream of events"));
    stream.expect_end();
}

#[test]
fn a_stream_is_a_connection_in_lists_and_can_be_closed_by_http() {
    let server = api::setup().start();
    let (mut stream, _) = open(&server, "/sse?key=shop&tags={\"a\":\"1\"}");
    let (_, tags) = api::listed(&server, &stream.uuid);
    assert_eq!(tags, json!({"a": "1"}));
    let target = format!("/v1/apps/shop/connections/{}", stream.uuid);
    let answer = server.call("DELETE", &target, &[SHOP]);
    assert!(answer.status() < 300, "{}", answer.body);
    assert!(event(&mut stream).starts_with("event: tagcast:bye\n"));
    stream.expect_end();
}

/// V156.
#[test]
fn a_stream_that_is_not_read_is_closed_and_others_are_served() {
    let server = api::setup().ini("maxMessage = 512K\noutboxLimit = 1M\n").start();
    let (idle, _) = open(&server, "/sse?key=shop");
    let (mut other, _) = open(&server, "/sse?key=shop");
    let body = format!(r#"{{"to":"all","message":"{}"}}"#, "x".repeat(256 * 1024));
    eventually("a slow client", || {
        assert_eq!(server.post(PUBLISH, SHOP, &body).status(), 200);
        assert_eq!(event(&mut other).len(), "data: \"\"".len() + 256 * 1024);
        (server.counts().slow == 1).then_some(())
    });
    drop(idle);
}

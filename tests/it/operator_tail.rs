//! Publications while they are made, as operators read them: `GET /v1/server/tail`.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::{ApiAnswer, Clients, OTHER, PUBLISH, SHOP, SHOP_SECRET, head, post};
use crate::harness::processes::send_signal;
use crate::harness::tokens::{auth, token};
use crate::harness::{Open, Raw, Server, eventually};
use crate::metrics::wait_for;
use crate::operators::{CI, EVE, bearer, operated, secrets};

const TAIL: &str = "/v1/server/tail";

/// A reader of publications, or of another stream.
pub struct Tail {
    connection: Raw,
    text: String,
}

/// An event: its name and its data.
pub type Event = (String, Value);

impl Tail {
    /// Begins to read, and waits until publications are copied.
    #[track_caller]
    fn open(server: &Server, query: &str, token: &str) -> Self {
        Self::open_stream(server, &format!("{TAIL}{query}"), token)
    }

    /// Begins to read a stream, and waits until nothing more is left out.
    #[track_caller]
    pub fn open_stream(server: &Server, target: &str, token: &str) -> Self {
        let token = bearer(token);
        let mut connection = Raw::connect(server.api_port("http"));
        connection.send(head("GET", target, &[("Authorization", &token)]));
        let head = connection.read_head();
        assert_eq!(head.status(), 200);
        assert_eq!(head.header("Content-Type"), Some("text/event-stream"));
        let mut tail = Self { connection, text: String::new() };
        tail.text = tail.chunk().unwrap();
        assert!(tail.text.starts_with(":\n\n"), "{}", tail.text);
        tail.text.drain(..3);
        tail
    }

    /// Reads a chunk of the body (RFC 9112 §7.1); `None` after the last one.
    fn chunk(&mut self) -> Option<String> {
        let line = String::from_utf8(self.connection.read_until(b'\n')).unwrap();
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let text = String::from_utf8(self.connection.read_exactly(length)).unwrap();
        self.connection.read_exactly(2);
        (length > 0).then_some(text)
    }

    /// Reads the next event; `None` after the last one.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let name = field("event: ").unwrap_or_default().to_owned();
                let data = field("data: ").map(|data| serde_json::from_str(data).unwrap());
                self.text = rest.to_owned();
                match data {
                    Some(data) => return Some((name, data)),
                    None => continue,
                }
            }
            let chunk = self.chunk()?;
            self.text.push_str(&chunk);
        }
    }

    #[track_caller]
    fn publication(&mut self) -> Value {
        let (name, data) = self.next().expect("the stream ended");
        assert_eq!(name, "", "{data}");
        data
    }
}

#[track_caller]
fn refused(server: &Server, query: &str, token: &str) -> ApiAnswer {
    server.operate("GET", &format!("{TAIL}{query}"), token)
}

impl Server {
    /// Whether there is a place for one more reader.
    fn has_place(&self) -> bool {
        let token = bearer(EVE);
        let mut connection = Raw::connect(self.api_port("http"));
        connection.send(head("GET", TAIL, &[("Authorization", &token)]));
        connection.read_head().status() == 200
    }
}

#[track_caller]
fn publish(server: &Server, body: &str) {
    publish_to(server, PUBLISH, SHOP, body);
}

#[track_caller]
fn publish_to(server: &Server, target: &str, credentials: (&str, &str), body: &str) {
    let request = post(target, &[credentials], body);
    let answer = Raw::connect(server.api_port("http")).request(request);
    assert_eq!(answer.status(), 200, "{}", answer.body);
}

#[test]
fn publications_of_all_kinds_are_shown_in_their_order() {
    let server = operated("");
    let mut clients = Clients::open(&server);
    let mut tail = Tail::open(&server, "?rate=100", EVE);
    clients.f.text(r#"{"opcode":"broadcast","message":1}"#);
    clients.n.frame();
    publish(&server, r#"{"to":{"tags":{"language":"EN"}},"message":[2]}"#);
    publish(&server, r#"{"to":{"expr":"language?"},"message":3}"#);
    let to_f = format!(r#"{{"to":{{"uuid":"{}"}},"message":"four"}}"#, clients.f.uuid);
    publish(&server, &to_f);
    publish_to(&server, "/v1/apps/other/publish", OTHER, r#"{"to":"all","message":5}"#);
    let shown: Vec<Value> = (0..5).map(|_| tail.publication()).collect();
    let of = |at: usize, name: &str| shown[at][name].clone();
    assert_eq!(of(0, "to"), serde_json::json!({"all": true, "except": [clients.f.uuid]}));
    assert!(of(0, "process").as_str().unwrap().starts_with("worker "));
    assert_eq!(of(1, "to"), serde_json::json!({"tags": {"language": "EN"}}));
    assert_eq!((of(1, "process"), of(1, "bytes")), ("api".into(), 3.into()));
    assert_eq!((of(1, "matched"), of(1, "workers")), (1.into(), 1.into()));
    assert_eq!(of(2, "to"), serde_json::json!({"expr": "language?"}));
    assert_eq!(of(2, "matched"), 2);
    assert_eq!(of(3, "to"), serde_json::json!({"uuid": clients.f.uuid}));
    assert_eq!((of(3, "tenant"), of(4, "tenant")), ("shop".into(), "other".into()));
    assert!(of(0, "time").as_u64().unwrap() > 1_700_000_000_000);
    assert!(shown.iter().all(|it| it.get("payload").is_none()), "{shown:?}");
}

/// Case A248, for payloads.
#[test]
fn payloads_are_cut_and_need_a_permission() {
    let server = operated("");
    let _clients = Clients::open(&server);
    for choice in ["1", "true"] {
        refused(&server, &format!("?application=shop&payloads={choice}"), CI)
            .is_error(403, "permission_denied");
    }
    refused(&server, "?payloads=yes", EVE).is_error(400, "invalid_parameter");
    let mut tail = Tail::open(&server, "?payloads=1", EVE);
    publish(&server, r#"{"to":"all","message":{"a": "é"}}"#);
    let short = tail.publication();
    assert_eq!((&short["payload"], &short["truncated"]), (&r#"{"a": "é"}"#.into(), &Value::Null));
    let message = format!("\"a{}\"", "é".repeat(3000));
    publish(&server, &format!(r#"{{"to":"all","message":{message}}}"#));
    let long = tail.publication();
    assert_eq!(long["bytes"], message.len());
    assert_eq!(long["payload"].as_str().unwrap(), &message[..4096]);
    assert_eq!(long["truncated"], true);
}

/// Case A253, without the speed.
#[test]
fn publications_above_the_rate_are_counted() {
    const SENT: u64 = 3000;
    let server = operated("");
    let _clients = Clients::open(&server);
    let mut tail = Tail::open(&server, "?application=shop&rate=20", EVE);
    let began = Instant::now();
    let mut backend = Raw::connect(server.api_port("http"));
    for _ in 0..SENT / 100 {
        let one = r#"{"to":"all","message":1}"#;
        let body = format!(r#"{{"publications":[{}]}}"#, vec![one; 100].join(","));
        let request = post("/v1/apps/shop/publish:batch", &[SHOP], &body);
        assert_eq!(backend.request(request).status(), 200);
    }
    let (mut shown, mut dropped) = (0, 0);
    while shown + dropped < SENT {
        let (name, data) = tail.next().unwrap();
        match name.as_str() {
            "" => shown += 1,
            "dropped" => dropped += data["dropped"].as_u64().unwrap(),
            name => panic!("{name}"),
        }
    }
    // Copies for the first question are allowed at once.
    let allowed = 20.0 * (began.elapsed() + Duration::from_secs(1)).as_secs_f64();
    assert!(shown >= 5 && shown as f64 <= allowed, "{shown} of {allowed}");
    wait_for(&server, &[("tagcast_tail_events_dropped_total", dropped as f64)]);
}

/// Case A249.
#[test]
fn an_operator_of_some_applications_reads_those_only() {
    let server = operated("");
    let _clients = Clients::open(&server);
    refused(&server, "", CI).is_error(400, "invalid_parameter");
    refused(&server, "?application=other", CI).is_error(404, "not_found");
    refused(&server, "?application=none", EVE).is_error(404, "not_found");
    refused(&server, "?rate=0", EVE).is_error(400, "invalid_parameter");
    refused(&server, "?rate=101", EVE).is_error(400, "invalid_parameter");
    refused(&server, "?expr=a%3D1", EVE).is_error(400, "invalid_parameter");
    refused(&server, "?application=shop&expr=a%3D", EVE).is_error(422, "invalid_expression");
    let mut tail = Tail::open(&server, "?application=shop", CI);
    publish_to(&server, "/v1/apps/other/publish", OTHER, r#"{"to":"all","message":1}"#);
    publish(&server, r#"{"to":"all","message":2}"#);
    assert_eq!(tail.publication()["tenant"], "shop");
}

#[test]
fn an_expression_selects_by_the_clients_that_are_reached() {
    let server = operated("");
    let clients = Clients::open(&server);
    let query = "?application=shop&expr=language%3DFR&rate=100&payloads=1";
    let mut tail = Tail::open(&server, query, EVE);
    let to_e = format!(r#"{{"to":{{"uuid":"{}"}},"message":0}}"#, clients.n.uuid);
    publish(&server, &to_e);
    let except = format!(r#"{{"to":"all","except":["{}"],"message":0}}"#, clients.f.uuid);
    for body in [
        r#"{"to":{"tags":{"language":"EN"}},"message":0}"#,
        except.as_str(),
        r#"{"to":{"tags":{"language":"FR"}},"message":1}"#,
        r#"{"to":{"expr":"!room?"},"message":2}"#,
        r#"{"to":"all","message":3}"#,
    ] {
        publish(&server, body);
    }
    let payloads: Vec<Value> = (0..3).map(|_| tail.publication()["payload"].clone()).collect();
    assert_eq!(payloads, ["1", "2", "3"]);
}

/// Case A254 for the two streams: whatever clients and backends show, only the payload is in them.
#[test]
fn no_secret_is_in_a_stream() {
    let server = operated("");
    server.folder.write("auth.yml", &auth("    clientPublish: true"));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    let anna = server.log_in();
    let mut tail = Tail::open(&server, "?application=shop&rate=100&payloads=1", EVE);
    let mut events = Tail::open_stream(&server, "/v1/server/events/stream", EVE);
    let token = token(&json!({"sub": "1", "jti": "t-1"}));
    let mut client = server.open(&Open::at(&format!("/web?token={token}")));
    let secret = SHOP_SECRET;
    client
        .text(format!(r#"{{"opcode":"broadcast","message":1,"key":"shop","secret":"{secret}"}}"#));
    client.expect_next();
    let _guest = server.open(&Open::at("/web?key=shop&secret=wr0ng-guess"));
    server.operate("GET", "/v1/server/me", "wr0ng-guess").is_error(401, "invalid_credentials");
    let wrong =
        server.operate_with("/v1/server/login", "x", r#"{"name":"anna","password":"wr0ng-guess"}"#);
    wrong.is_error(401, "invalid_credentials");
    let revoked = server.command(&["token", "revoke", "--app", "shop", "--jti", "t-1"]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.text);
    publish(&server, r#"{"to":"all","message":"the last"}"#);
    let reason = r#"{"reason":"the last change"}"#;
    assert_eq!(server.operate_with("/v1/server/reload", &anna, reason).status(), 200);
    let until = |stream: &mut Tail, last: &str| {
        let mut all = String::new();
        while !all.contains(last) {
            let (name, data) = stream.next().expect("the stream ended");
            all += &format!("{name} {data}\n");
        }
        all
    };
    let shown =
        until(&mut tail, "the last") + &until(&mut events, "credentials refused (operator)");
    let shown = shown + &server.operate("GET", "/v1/server/events", EVE).body;
    assert!(shown.contains("the last change") && shown.contains(r#""payload":"#), "{shown}");
    let all = secrets(&anna).into_iter();
    for secret in all.chain([token, "wr0ng-guess".to_owned()]) {
        assert!(!shown.contains(&secret), "{secret} in {shown}");
    }
}

#[test]
fn a_reader_learns_of_another_broker_and_reads_on() {
    let server = operated("");
    let _clients = Clients::open(&server);
    let mut tail = Tail::open(&server, "", EVE);
    let broker = server.kill_broker();
    eventually("another broker", || (server.broker() != broker).then_some(()));
    let (name, data) = tail.next().unwrap();
    assert_eq!((name.as_str(), &data["reason"]), ("gap", &"broker_replaced".into()));
    publish(&server, r#"{"to":"all","message":1}"#);
    assert_eq!(tail.publication()["matched"], 3);
}

#[test]
fn a_reader_whose_session_ends_reads_no_more() {
    let server = operated("");
    let anna = server.log_in();
    let mut tail = Tail::open(&server, "?rate=100", &anna);
    assert_eq!(server.operate_with("/v1/server/logout", &anna, "{}").status(), 200);
    let end = |tail: &mut Tail| {
        let (name, data) = tail.next().unwrap();
        assert_eq!((name.as_str(), tail.next()), ("end", None));
        data["reason"].clone()
    };
    assert_eq!(end(&mut tail), "not_permitted");
    let mut tail = Tail::open(&server, "", EVE);
    server.term();
    assert_eq!(end(&mut tail), "draining");
}

#[test]
fn a_ninth_reader_waits_until_a_place_is_free() {
    let server = operated("");
    let mut readers: Vec<Tail> = (0..8).map(|_| Tail::open(&server, "", EVE)).collect();
    refused(&server, "", EVE).is_error(503, "busy");
    drop(readers.pop());
    eventually("a free place", || server.has_place().then_some(()));
    // A new API process has no readers.
    let api = server.api_process();
    send_signal(api, Signal::KILL);
    eventually("another API process", || (server.api_process() != api).then_some(()));
    readers.clear();
    readers.extend((0..8).map(|_| Tail::open(&server, "", EVE)));
}

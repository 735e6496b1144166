//! Streams of events that end and are opened again, with the position of the client.

use serde_json::{Value, json};

use crate::harness::api::{PUBLISH, SHOP, SHOP_SECRET};
use crate::harness::processes::send_signal;
use crate::harness::{Raw, Server, Setup, eventually};
use rustix::process::Signal;

/// An application that stores its last publications.
fn server(history: u32) -> Server {
    let auth = format!(
        "applications:\n  - key: shop\n    secret: {SHOP_SECRET}\n    authorizeOpen: true\n    \
         clientPublish: true\n    history: {history}\n"
    );
    Setup::new().auth(&auth).ini("sseHeartbeat = 1s\n").start()
}

/// An event with its position, and its other lines.
#[derive(Debug, PartialEq)]
struct Event {
    id: Option<String>,
    lines: String,
}

#[track_caller]
fn event(client: &mut Raw) -> Event {
    let mut event = Event { id: None, lines: String::new() };
    loop {
        let line = String::from_utf8(client.read_until(b'\n')).unwrap();
        match (line.strip_prefix("id: "), line.is_empty()) {
            (_, true) => return event,
            (Some(id), _) => event.id = Some(id.to_owned()),
            _ => event.lines = [&*event.lines, &*line].join("\n").trim_start().to_owned(),
        }
    }
}

/// Returns the next event that is not a heartbeat.
#[track_caller]
fn next(client: &mut Raw) -> Event {
    loop {
        let event = event(client);
        if !event.lines.is_empty() && event.lines != ":" {
            return event;
        }
    }
}

/// Opens a stream and returns its welcome.
#[track_caller]
fn open(server: &Server, tags: &str, last: Option<&str>) -> (Raw, Event) {
    let mut client = Raw::connect(server.port);
    let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
    client.send(format!(
        "GET /sse?key=shop&tags={tags} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n{last}\r\n"
    ));
    let head = client.read_head();
    assert_eq!(head.status(), 200, "{}", head.text);
    let retry = event(&mut client);
    assert!(retry.lines.starts_with("retry: "), "{retry:?}");
    let welcome = event(&mut client);
    assert!(welcome.lines.starts_with("event: tagcast:welcome\n"), "{welcome:?}");
    (client, welcome)
}

#[track_caller]
fn publish(server: &Server, tag: &str, message: u32) {
    let body = json!({"to": {"tags": {"a": tag}}, "message": message}).to_string();
    let answer = server.post(PUBLISH, SHOP, &body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
}

#[track_caller]
fn recovery(client: &mut Raw) -> (Value, Option<String>) {
    let event = next(client);
    let data = event.lines.strip_prefix("event: tagcast:recovery\ndata: ");
    (serde_json::from_str(data.unwrap_or_else(|| panic!("{event:?}"))).unwrap(), event.id)
}

/// The kind of V105 and V112 for streams: what matches the tags of the new request is replayed once, in order.
#[test]
fn a_stream_that_is_opened_again_gets_what_its_client_has_missed() {
    let server = server(100);
    let (mut stream, welcome) = open(&server, r#"{"a":"1"}"#, None);
    assert!(welcome.id.is_some(), "{welcome:?}");
    publish(&server, "1", 0);
    let first = next(&mut stream);
    assert_eq!(first.lines, "data: 0");
    drop(stream);
    for message in 1..=20 {
        publish(&server, if message % 2 == 0 { "1" } else { "2" }, message);
    }
    let (mut stream, welcome) = open(&server, r#"{"a":"1"}"#, first.id.as_deref());
    assert_eq!(welcome.id, None, "it would be after what is still missing");
    assert!(welcome.lines.contains("\"recovering\":true"), "{welcome:?}");
    let mut last = None;
    for message in (2..=20).step_by(2) {
        let event = next(&mut stream);
        assert_eq!(event.lines, format!("data: {message}"));
        last = event.id;
    }
    let (result, id) = recovery(&mut stream);
    assert_eq!((&result["recovered"], &result["replayed"]), (&json!(true), &json!(10)));
    assert_eq!((id.as_deref(), last.as_deref()), (result["at"].as_str(), id.as_deref()));
    publish(&server, "1", 21);
    assert_eq!(next(&mut stream).lines, "data: 21");

    drop(stream);
    let (mut stream, _) = open(&server, r#"{"a":"2"}"#, id.as_deref());
    let (result, _) = recovery(&mut stream);
    assert_eq!((&result["recovered"], &result["replayed"]), (&json!(true), &json!(0)));
}

/// The kind of V99: a client that receives nothing still learns its position.
#[test]
fn heartbeats_have_the_position_of_a_quiet_stream() {
    let server = server(2);
    let (mut stream, welcome) = open(&server, r#"{"a":"1"}"#, None);
    for message in 0..10 {
        publish(&server, "2", message);
    }
    let id = eventually("another position", || {
        let heartbeat = event(&mut stream);
        assert_eq!(heartbeat.lines, "", "it is no event");
        heartbeat.id.filter(|id| welcome.id.as_ref() != Some(id))
    });
    drop(stream);
    publish(&server, "1", 10);
    let (mut stream, _) = open(&server, r#"{"a":"1"}"#, Some(&id));
    assert_eq!(next(&mut stream).lines, "data: 10");
    assert_eq!(recovery(&mut stream).0["recovered"], true);
}

/// V106, V104, V110 and V150 for streams.
#[test]
fn a_stream_learns_why_it_may_have_missed_something() {
    let server = server(3);
    let (stream, welcome) = open(&server, "{}", None);
    drop(stream);
    (0..4).for_each(|message| publish(&server, "1", message));
    let long = "x".repeat(8000);
    for (position, reason) in
        [(welcome.id.as_deref(), "evicted"), (Some("x"), "lost"), (Some(&*long), "lost")]
    {
        let (mut stream, _) = open(&server, r#"{"a":"1"}"#, position);
        let (result, _) = recovery(&mut stream);
        assert_eq!(result["recovered"], false, "{result}");
        assert_eq!(result["reason"], reason, "{result}");
    }
    let (stream, welcome) = open(&server, "{}", None);
    drop(stream);
    send_signal(server.broker(), Signal::KILL);
    eventually("a new broker", || {
        let (mut stream, _) = open(&server, "{}", welcome.id.as_deref());
        let (result, _) = recovery(&mut stream);
        (result["reason"] == "lost").then_some(())
    });
}

//! HTTP resources: the events that a backend gets, and the effects of its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::chat::{APPLICATIONS, SECRET, chat, echo, hmac, setup, silent, start};
use crate::backend::{Act, Backend};
use crate::harness::{Open, Setup, frames};
use serde_json::{Value, json};

#[test]
fn a_backend_gets_signed_events_of_a_connection_in_order() {
    let backend = silent();
    let server = start(&backend, "");
    let open = Open::at(&format!("/chat?key=chat&secret={SECRET}&x=y")).header("X-Thing", "1");
    let mut client = open.upgrade(server.port);
    client.text("h\u{e9}");
    client.send(frames::binary([0, 255]));
    client.send(frames::close(4001, "bye"));
    client.expect_closed(4001);
    backend.wait_for("close", 1);
    let requests = backend.received();
    receives_events_of_one_client(&backend);
    let names: Vec<&str> = requests.iter().map(|it| it.event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["open", "message", "message", "close"]);
    assert_eq!(requests[1].event["text"], "h\u{e9}");
    assert_eq!(requests[2].event["binary"], "AP8=");
    assert_eq!(
        (&requests[3].event["code"], &requests[3].event["reason"]),
        (&json!(4001), &json!("bye"))
    );
}

/// Checks that each event identifies the client and is signed.
fn receives_events_of_one_client(backend: &Backend) {
    for request in &backend.received() {
        let event = &request.event;
        assert_eq!((&event["resource"], &event["path"]), (&json!("/chat"), &json!("/chat")));
        assert_eq!(event["query"], "key=chat&x=y");
        assert_eq!(event["headers"]["x-thing"], "1");
        assert_eq!(event["uuid"], backend.received()[0].event["uuid"]);
        assert_eq!(event["uuid"].as_str().unwrap().len(), 101);
        assert!(event["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert!(!request.body.contains(SECRET));
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("x-tagcast-event"), event["event"]);
        let signed = format!("{}.{}", request.header("x-tagcast-timestamp"), request.body);
        assert_eq!(request.header("x-tagcast-signature"), hmac(SECRET, &signed));
    }
}

#[test]
fn an_accepted_opening_has_its_tags_and_user_at_once() {
    let backend = Backend::start(|event| match event["event"].as_str().unwrap() {
        "open" => Act::Commands(
            r#"[{"command":"accept","user":{"id":7},"tags":{"room":"1"}},
                {"command":"reply","message":"welcome"},
                {"command":"publish","to":{"tags":{"room":"1"}},"text":"somebody came"}]"#,
        ),
        _ => Act::Commands(""),
    });
    let server = start(&backend, "");
    let mut client = chat(&server);
    client.expect_text("welcome");
    client.expect_text("somebody came");
    client.text("x");
    let message = &backend.wait_for("message", 1)[0];
    assert_eq!((&message["user"], &message["tags"]["room"]), (&json!({ "id": 7 }), &json!("1")));
}

#[test]
fn a_refused_opening_gets_403_with_the_reason() {
    let backend = Backend::start(|event| match event["query"].as_str().unwrap() {
        "how=command" => Act::Commands(r#"{"command":"refuse","reason":"the room is full"}"#),
        "how=status" => Act::Answer(403, "no JSON".to_owned()),
        _ => Act::Commands(""),
    });
    let server = start(&backend, "");
    for how in ["command", "status"] {
        let mut client = Open::at(&format!("/chat?how={how}")).ask(server.port);
        client.expect_refusal(403);
    }
    server.wait_for_output("the room is full");
    let mut last = chat(&server);
    last.send(frames::close(1000, ""));
    last.expect_closed(1000);
    assert_eq!(backend.wait_for("close", 1).len(), 1);
    assert_eq!(backend.events("open").len(), 3);
}

#[test]
fn with_refuse_after_upgrade_a_refusal_is_a_close_with_a_reason() {
    let backend =
        Backend::start(|_| Act::Commands(r#"{"command":"refuse","reason":"the room is full"}"#));
    let ini = format!(
        "refuse = afterUpgrade\n[resource /chat]\nkind = http\nurl = {}\napplication = chat",
        backend.url()
    );
    let server = Setup::new().ini(&ini).auth(APPLICATIONS).start();
    let frame = chat(&server).expect_close(1008);
    assert_eq!(&frame.payload[2..], b"the room is full");
}

#[test]
fn commands_reach_whom_they_name() {
    let backend = Backend::start(|event| {
        let Some(text) = event["text"].as_str() else { return Act::Commands("") };
        let to: Value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        Act::Answer(200, json!([{ "command": "publish", "to": to, "text": "hear" }]).to_string())
    });
    let server = start(&backend, "");
    let (mut one, mut other) = server.upgrade_apart(&Open::at("/chat"), &Open::at("/chat"));
    let mut page = server.open(&Open::web().ident("me"));
    let packet = r#"{"opcode":"broadcast","message":"hear"}"#;
    let one_packet = r#"{"opcode":"feedback","message":"hear"}"#;
    one.text("all");
    one.expect_text("hear");
    other.expect_text("hear");
    page.expect_text(packet);
    one.text("resource");
    one.expect_text("hear");
    other.expect_text("hear");
    one.text("others");
    other.expect_text("hear");
    page.expect_text(packet);
    for to in [json!({ "uuid": page.uuid }), json!({ "ident": "me" })] {
        one.text(to.to_string());
        let frame = page.frame();
        assert!([packet, one_packet].contains(&frame.as_text()), "{}", frame.shown());
    }
    one.expect_silence();
    other.expect_silence();
}

#[test]
fn the_commands_tags_fyi_presence_and_close_work() {
    let backend = Backend::start(|event| {
        match (event["event"].as_str(), event["text"].as_str()) {
        (Some("message"), Some("tag")) => Act::Commands(
            r#"[{"command":"tag","set":{"nick":"anna","room":"1"}},{"command":"tag","remove":["room"]},
                {"command":"who","tags":{"nick":"anna"},"tag":"nick"}]"#,
        ),
        (Some("message"), _) => {
            Act::Commands(r#"{"commands":[{"command":"close","code":4000,"reason":"enough"}]}"#)
        }
        (Some("who"), _) => Act::Answer(
            200,
            json!({ "command": "reply", "message": [event["clients"], event["values"], event["asked"]] })
                .to_string(),
        ),
        _ => Act::Commands(""),
    }
    });
    let server = start(&backend, "");
    let mut client = chat(&server);
    client.text("tag");
    let found = client.frame();
    let found: Value = serde_json::from_str(found.as_text()).unwrap();
    assert_eq!(found, json!([1, ["anna"], { "tags": { "nick": "anna" }, "tag": "nick" }]));
    client.text("end");
    let frame = client.expect_closed(4000);
    assert_eq!(&frame.payload[2..], b"enough");
    let close = &backend.wait_for("close", 1)[0];
    assert_eq!((&close["code"], &close["reason"]), (&json!(4000), &json!("enough")));
    assert_eq!(close["tags"]["nick"], "anna");
    assert!(close["tags"].get("room").is_none());
}

#[test]
fn a_thousand_events_of_one_connection_arrive_one_at_a_time_and_in_order() {
    let backend = Backend::start(echo);
    let server = start(&backend, "");
    let mut client = chat(&server);
    let all: Vec<u8> = (0..1000).flat_map(|n| frames::text(n.to_string())).collect();
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &all).unwrap());
    for number in 0..1000 {
        client.expect_text(&format!("re: {number}"));
    }
    sender.join().unwrap();
    let texts: Vec<_> = backend.events("message").iter().map(|it| it["text"].clone()).collect();
    assert_eq!(texts, (0..1000).map(|n| json!(n.to_string())).collect::<Vec<_>>());
}

#[test]
fn the_close_event_follows_the_answer_to_the_last_message() {
    let is_answered = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&is_answered);
    let backend = Backend::start(move |event| match event["event"].as_str() {
        Some("message") => {
            std::thread::sleep(Duration::from_millis(300));
            script.store(true, Ordering::SeqCst);
            Act::Commands("")
        }
        Some("close") if !script.load(Ordering::SeqCst) => panic!("it overtook the message"),
        _ => Act::Commands(""),
    });
    let server = start(&backend, "");
    let mut client = chat(&server);
    client.text("slow");
    backend.wait_for("message", 1);
    client.send(frames::close(1000, ""));
    client.expect_closed(1000);
    backend.wait_for("close", 1);
    assert!(is_answered.load(Ordering::SeqCst));
}

#[test]
fn a_client_that_waits_for_its_backend_delays_no_other() {
    let backend = Backend::start(|event| match event["text"].as_str() {
        Some("hang") => Act::Hang,
        _ => echo(event),
    });
    let server = setup(&backend, "deadline = 30s").workers(1).start();
    let (mut slow, mut quick) = (chat(&server), chat(&server));
    slow.text("hang");
    slow.text("behind it");
    backend.wait_for("message", 1);
    for number in 0..50 {
        quick.text(number.to_string());
        quick.expect_text(&format!("re: {number}"));
    }
    let texts: Vec<_> = backend.events("message").iter().map(|it| it["text"].clone()).collect();
    assert!(!texts.contains(&json!("behind it")), "{texts:?}");
}

#[test]
fn a_client_that_waits_for_its_backend_does_not_count_as_silent() {
    let backend = Backend::start(|event| match event["text"].as_str() {
        Some("slow") => {
            std::thread::sleep(Duration::from_millis(1500));
            echo(event)
        }
        _ => echo(event),
    });
    let ini = format!(
        "pingInterval = 200ms\n[resource /chat]\nkind = http\nurl = {}\napplication = chat",
        backend.url()
    );
    let server = Setup::new().ini(&ini).auth(APPLICATIONS).start();
    let mut client = chat(&server);
    client.text("slow");
    client.text("then");
    let mut texts = Vec::new();
    while texts.len() < 2 {
        let frame = client.frame();
        if frame.first == 0x81 {
            texts.push(frame.as_text().to_owned());
        } else {
            assert_eq!(frame.first, 0x89, "{}", frame.shown());
        }
    }
    assert_eq!(texts, ["re: slow", "re: then"]);
}

#[test]
fn an_answer_with_an_invalid_command_is_ignored_and_reported_once() {
    let backend = Backend::start(|event| match event["text"].as_str() {
        Some("right") => Act::Commands(r#"{"command":"reply","text":"right"}"#),
        Some("parse") => {
            Act::Commands(r#"[{"command":"reply","text":"no"},{"command":"reply","txt":"no"}]"#)
        }
        Some("carry") => Act::Commands(
            r#"[{"command":"reply","text":"no"},{"command":"publish","to":"all","text":"no"},{"command":"accept"}]"#,
        ),
        _ => Act::Commands(""),
    });
    let server = start(&backend, "");
    let mut client = chat(&server);
    for text in ["carry", "parse", "carry"] {
        client.text(text);
    }
    client.text("right");
    for _ in 0..3 {
        client.expect_text(r#"{"error":"try again later"}"#);
    }
    client.expect_text("right");
    let line = server.wait_for_output("event=webhook_response_invalid");
    assert!(line.contains("event `open` only") && line.contains("/chat"), "{line}");
    let lines = server.output().matches("event=webhook_response_invalid").count();
    assert!(lines <= 2, "{}", server.output());
}

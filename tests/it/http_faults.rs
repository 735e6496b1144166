//! HTTP resources when the backend, a process or the configuration fails or changes.

use std::time::Duration;

use crate::backend::chat::{APPLICATIONS, SECRET, chat, echo, hmac, setup, silent, start};
use crate::backend::{Act, Backend};
use crate::harness::{Folder, Open, Setup, frames};
use serde_json::json;

#[test]
fn backend_errors_reach_the_client_and_the_event_is_not_repeated() {
    let huge = || {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n".to_vec();
        answer.resize(3_000_000, b' ');
        answer
    };
    let backend = Backend::start(move |event| match event["text"].as_str() {
        Some("reset") => Act::Reset,
        Some("500") => Act::Answer(500, "{}".to_owned()),
        Some("garbage") => Act::Raw(b"HELLO\r\n\r\n".to_vec()),
        Some("html") => Act::Answer(200, "<html>".to_owned()),
        Some("huge") => Act::Raw(huge()),
        Some("short") => Act::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_vec()),
        Some("redirect") => Act::Answer(302, String::new()),
        Some("hang") => Act::Hang,
        _ => echo(event),
    });
    let ini = format!(
        "maxMessage = 1M\n[resource /chat]\nkind = http\nurl = {}\napplication = chat\n\
         deadline = 1s\nwhenDown = {{\"sorry\":1}}",
        backend.url()
    );
    let server = Setup::new().ini(&ini).auth(APPLICATIONS).start();
    let mut client = chat(&server);
    let faults = ["reset", "500", "garbage", "html", "huge", "short", "redirect", "hang"];
    for fault in faults {
        client.text(fault);
        client.expect_text(r#"{"sorry":1}"#);
        client.text("well?");
        client.expect_text("re: well?");
    }
    for fault in faults {
        let count = backend.events("message").iter().filter(|it| it["text"] == fault).count();
        assert_eq!(count, 1, "{fault}");
    }
    server.wait_for_output("event=webhook_event_failed");
}

#[test]
fn a_closed_idle_connection_to_the_backend_loses_no_event() {
    let backend = Backend::start(|event| {
        let text = event["text"].as_str().unwrap_or_default();
        Act::AnswerAndEnd(json!({ "command": "reply", "text": text }).to_string())
    });
    let server = start(&backend, "events = message");
    let mut client = chat(&server);
    for number in 0..200 {
        client.text(number.to_string());
        client.expect_text(&number.to_string());
        crate::harness::eventually("the end of the kept connection", || {
            (backend.closed() > number).then_some(())
        });
    }
    assert_eq!(backend.events("message").len(), 200);
}

#[test]
fn a_backend_that_comes_back_within_the_deadline_gets_every_event_once() {
    let backend = Backend::start(echo);
    let server = start(&backend, "deadline = 20s");
    let mut client = chat(&server);
    client.text("one");
    client.expect_text("re: one");
    let address = backend.address;
    drop(backend);
    client.text("two");
    client.send(frames::ping("listening"));
    client.expect_pong(b"listening");
    let again = Backend::start_at(address, echo);
    client.expect_text("re: two");
    let requests = again.received();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("x-tagcast-event-id").len(), 36);
}

#[test]
fn a_dead_backend_opens_the_circuit_breaker_and_is_retried() {
    let backend = Backend::start(|_| Act::Answer(503, String::new()));
    let server = setup(&backend, "events = message").workers(1).start();
    let mut client = chat(&server);
    for _ in 0..7 {
        client.text("x");
        client.expect_text(r#"{"error":"try again later"}"#);
    }
    server.wait_for_output("event=circuit_opened");
    assert_eq!(backend.events("message").len(), 5);
    backend.script(echo);
    crate::harness::eventually("an answer of the backend", || {
        client.text("y");
        (client.frame().as_text() == "re: y").then_some(())
    });
    server.wait_for_output("event=circuit_closed");
}

#[test]
fn while_the_backend_is_down_when_down_decides_about_openings() {
    let backend = Backend::start(|_| Act::Answer(500, String::new()));
    let server = start(&backend, "");
    Open::at("/chat").ask(server.port).expect_refusal(503);
    let server = start(&backend, "openWhenDown = accept");
    let mut client = chat(&server);
    client.text("x");
    client.expect_text(r#"{"error":"try again later"}"#);
}

#[test]
fn a_phpws_client_is_answered_in_its_dialect() {
    let backend = Backend::start(|event| match event["event"].as_str() {
        Some("message") => Act::Commands(
            r#"[{"command":"fyi","text":"hi"},{"command":"reply","message":{"a":1}}]"#,
        ),
        _ => Act::Commands(""),
    });
    let server = start(&backend, "");
    let mut client = Open::at("/chat").ident("me").ready(server.port);
    let packet = r#"{"opcode":"echo","message":"x"}"#;
    client.text(packet);
    client.expect_next();
    client.expect_text(r#"{"opcode":"feedback","message":{"a":1}}"#);
    client.text(packet);
    client.expect_text(r#"{"opcode":"next","fyi":"hi"}"#);
    let message = &backend.wait_for("message", 1)[0];
    assert_eq!((&message["text"], &message["ident"]), (&json!(packet), &json!("me")));
}

#[test]
fn check_names_what_is_wrong_with_a_backend_by_line_and_key() {
    let folder = Folder::new();
    folder.write("auth.yml", APPLICATIONS);
    for (lines, finding) in [
        ("application = chat", "1: [resource /chat]: has no `url`"),
        ("url = http://h/", "1: [resource /chat]: has no `application`"),
        ("url = ftp://h/\napplication = chat", "3: url: is not an address of a backend"),
        ("url = http://token@h/\napplication = chat", "3: url: names a user"),
        ("url = http://h/\napplication = shoop", "4: application: `shoop` is not an application"),
        ("url = http://h/\napplication = chat\nwhenDown = {", "5: whenDown: is not valid JSON"),
        ("url = http://h/\napplication = chat\nevents = open, x", "5: events: is not known"),
        ("url = http://h/\napplication = chat\ndeadline = 0", "5: deadline: is out of range"),
        ("url = http://h/\napplication = chat\nevery = 1ms", "5: every: is out of range"),
        ("url = http://h/\napplication = chat\nca = none.pem", "5: ca: cannot be read"),
        ("url = http://h/\napplication = chat\ntimeout = 5s", "5: timeout: unknown key of this"),
        ("url = http://h/\nurl = http://i/\napplication = chat", "4: url: was already set"),
    ] {
        folder.write("websock.ini", &format!("[resource /chat]\nkind = http\n{lines}"));
        let finished = crate::harness::run_to_end(&folder, &["check", "-i", "websock.ini"]);
        assert_eq!(finished.code, Some(78), "{lines}: {}", finished.text);
        assert!(finished.text.contains(finding), "{lines}: {}", finished.text);
        assert!(!finished.text.contains("token"), "{}", finished.text);
    }
    folder.write("websock.ini", "[resource /chat]\nkind = echo\nurl = http://h/");
    let finished = crate::harness::run_to_end(&folder, &["check", "-i", "websock.ini"]);
    assert!(finished.text.contains("3: url: unknown key of this resource"), "{}", finished.text);
}

#[test]
fn a_backend_inside_tls_is_trusted_by_its_certificate_only() {
    let folder = Folder::new();
    crate::harness::tls::certificate_in(&folder);
    let pem = std::fs::read_to_string(folder.path("cert.pem")).unwrap();
    let key = std::fs::read_to_string(folder.path("key.pem")).unwrap();
    let port = crate::backend::start_tls((&pem, &key), r#"{"command":"reply","text":"inside"}"#);
    let ini = |more: &str| {
        format!(
            "[resource /chat]\nkind = http\nurl = https://localhost:{port}/chat\n\
             application = chat\nevents = message\ndeadline = 1s\n{more}"
        )
    };
    let ca = format!("ca = {}", folder.path("cert.pem").display());
    let server = Setup::new().ini(&ini(&ca)).auth(APPLICATIONS).start();
    let mut client = chat(&server);
    client.text("x");
    client.expect_text("inside");
    let server = Setup::new().ini(&ini("")).auth(APPLICATIONS).start();
    let mut client = chat(&server);
    client.text("x");
    client.expect_text(r#"{"error":"try again later"}"#);
}

#[test]
fn a_client_of_another_tenant_is_refused() {
    let backend = silent();
    let server = start(&backend, "");
    Open::at("/chat?key=shop").ask(server.port).expect_refusal(401);
    chat(&server).expect_silence();
    assert_eq!(backend.events("open").len(), 1);
}

#[test]
fn ticks_come_and_publish_without_a_client() {
    let backend = Backend::start(|event| match event["event"].as_str() {
        Some("tick") => Act::Commands(
            r#"[{"command":"publish","to":"resource","text":"tick"},{"command":"who","tag":"x"}]"#,
        ),
        _ => Act::Commands(""),
    });
    let server = start(&backend, "every = 200ms");
    let mut client = chat(&server);
    client.expect_text("tick");
    client.expect_text("tick");
    let who = &backend.wait_for("who", 1)[0];
    assert!(who.get("uuid").is_none());
    assert!(who["clients"].is_u64());
}

#[test]
fn the_death_of_the_broker_or_a_worker_ends_no_conversation_of_others() {
    let backend = Backend::start(echo);
    let server = start(&backend, "");
    let (mut one, mut other) = server.upgrade_apart(&Open::at("/chat"), &Open::at("/chat"));
    let holder = server.worker_of(&other);
    server.kill_broker();
    for number in 0..20 {
        one.text(number.to_string());
        one.expect_text(&format!("re: {number}"));
    }
    crate::harness::processes::send_signal(holder, rustix::process::Signal::KILL);
    other.wait_for_end();
    one.text("still");
    one.expect_text("re: still");
    let mut again = chat(&server);
    again.text("new");
    again.expect_text("re: new");
}

#[test]
fn a_drain_waits_for_pending_events() {
    let backend = Backend::start(|event| {
        if event["event"] == "message" {
            std::thread::sleep(Duration::from_millis(700));
        }
        Act::Commands("")
    });
    let server = start(&backend, "");
    let mut client = chat(&server);
    client.text("slow");
    backend.wait_for("message", 1);
    // The `close` event waits for the message before it.
    server.term();
    client.expect_closed(1001);
    drop(client);
    assert!(server.wait_exit(crate::harness::DEADLINE).success());
    let close = &backend.wait_for("close", 1)[0];
    assert_eq!(close["code"], 1001);
    assert!(!server.output().contains("event=exit_with_webhooks"), "{}", server.output());
}

#[test]
fn a_reload_changes_the_secret_and_keeps_connections() {
    let backend = Backend::start(echo);
    let server = start(&backend, "");
    let mut client = chat(&server);
    let auth = APPLICATIONS.replace(SECRET, "another-secret-of-the-chat-for-this-test");
    server.folder.write("auth.yml", &auth);
    assert_eq!(server.command(&["reload"]).code, Some(0));
    client.text("x");
    client.expect_text("re: x");
    let request = backend.received().pop().unwrap();
    let signed = format!("{}.{}", request.header("x-tagcast-timestamp"), request.body);
    let expected = hmac("another-secret-of-the-chat-for-this-test", &signed);
    assert_eq!(request.header("x-tagcast-signature"), expected);
}

#[test]
fn a_client_that_leaves_while_authorized_is_closed_for_the_backend() {
    let backend = Backend::start(|event| {
        if event["event"] == "open" {
            std::thread::sleep(Duration::from_millis(300));
        }
        Act::Commands("")
    });
    let ini = format!(
        "maxClients = 1\n[resource /chat]\nkind = http\nurl = {}\napplication = chat",
        backend.url()
    );
    let server = Setup::new().ini(&ini).auth(APPLICATIONS).start();
    let _first = chat(&server);
    Open::at("/chat").ask(server.port).expect_refusal(503);
    let close = &backend.wait_for("close", 1)[0];
    assert_eq!(close["code"], 1006);
}

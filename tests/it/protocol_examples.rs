//! The JSON examples of `docs/protocol.md`, each sent to a server or expected from one, in the order of the
//! document.

use std::os::unix::net::UnixDatagram;

use crate::harness::{Open, Raw, Server, Setup, api, frames};

/// The secret as the document writes it.
const AUTH: &str = "applications:\n  - key: shop\n    secret: \"…\"\n    authorizeOpen: true\n    \
                    clientPublish: true\n    tenant: shop\nanonymous: shop\n";

fn server(ini: &str) -> Server {
    Setup::new().ini(ini).auth(AUTH).start()
}

/// Returns the JSON examples of the document. Other blocks are skipped.
fn examples() -> Vec<String> {
    let document = std::fs::read_to_string("docs/protocol.md").unwrap();
    let blocks = document.split("```json\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_example_is_sent_or_accepted_by_the_server() {
    let all = examples();
    let [
        close,
        ready,
        next,
        feedback,
        broadcast,
        arrives,
        question,
        answer,
        register,
        next_with_uuid,
        report,
        request,
        sent,
        typed,
        chat_examples,
        status_examples,
        pushed,
        close_of_raw,
        event,
    ] = all.as_slice()
    else {
        panic!("{} examples: each one has a place in this test", all.len());
    };
    let server = server("");
    let mut lost = Open::at("/nope").upgrade(server.port);
    lost.expect_text(close);

    let (mut a, mut b) = server.open_apart(&Open::web(), &Open::web());
    let (head, tail) = ready.split_once("a0eebc99").unwrap();
    let output = Open::web().upgrade(server.port).frame().as_text().to_owned();
    assert!(output.starts_with(head) && output.ends_with(&tail[tail.len() - 2..]), "{output}");
    assert_eq!(output.len() - head.len() - 2, 36 + 1 + 64);

    a.text("{}");
    a.expect_text(next);
    let feedback = feedback.replace("<the UUID of a page>", &b.uuid);
    a.text(&feedback);
    a.expect_text(next);
    b.expect_text(&feedback);
    a.text(broadcast);
    a.expect_text(next);
    b.expect_text(arrives);

    let mut gomoob = Open::tags(r#"{"language":"FR"}"#).upgrade(server.port);
    gomoob.text(r#"{"message":"to all"}"#);
    for client in [&mut a, &mut b] {
        client.expect_text(arrives);
    }
    gomoob.expect_text("\"to all\"");
    gomoob.text(request);
    gomoob.expect_text(sent);

    a.text(register);
    a.expect_text(r#"{"opcode":"next","fyi":"","uuid":""}"#);
    a.text("{}");
    a.expect_text(next_with_uuid);

    let asking = Open::at("/web?key=shop&secret=%E2%80%A6").header("Tagcast-Report", "8f7a1c");
    let mut asking = server.open(&asking);
    asking.text(broadcast);
    asking.expect_text(next);
    let output = asking.frame();
    assert!(output.as_text().contains(r#""token":"8f7a1c""#), "{}", output.as_text());
    assert_eq!(shape(output.as_text()), shape(report));

    let server = self::server("[gomoob]\nmessages = typed");
    let mut client = Open::tags("{}").upgrade(server.port);
    client.text(r#"{"message":{"type":"X"}}"#);
    client.expect_text(typed);
    bloatless(chat_examples, status_examples, pushed);
    is_asked(question, answer);
    assert_eq!(close_of_raw, close);
    assert!(shape(event).contains(&"text".to_owned()));
}

/// Tests the question of a backend and the answer of a page.
fn is_asked(question: &str, answer: &str) {
    let server = api::setup().start();
    let mut page = server.open(&Open::at("/web?key=shop"));
    let mut backend = Raw::connect(server.port);
    let target = format!("/v1/apps/shop/connections/{}/ask", page.uuid);
    let body = r#"{"message":{"question":"Delete it?"}}"#;
    backend.send(api::post(&target, &[api::SHOP], body));
    let frame = page.frame();
    let number = |text: &str| text.split("\"ask\":\"").nth(1).unwrap()[..32].to_owned();
    let asked = number(frame.as_text());
    assert_eq!(frame.as_text(), question.replace(&number(question), &asked));
    page.text(answer.replace(&number(answer), &asked));
    page.expect_next();
    assert!(backend.read_answer().body.starts_with(r#"{"answer":{"yes":true},"took_ms":"#));
}

/// Tests the examples of bloatless/php-websocket's applications.
fn bloatless(output: &str, status_frames: &str, pushed: &str) {
    let ini = "[bloatless]\napplications = chat, status\npushSocket = push.sock";
    let server = server(ini);
    let mut status = Open::at("/status").upgrade(server.port);
    let mut chat = Open::at("/chat").upgrade(server.port);
    chat.text(r#"{"action":"echo","data":"hello"}"#);
    let frame = chat.frame();
    let without_digits = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "");
    assert_eq!(without_digits(frame.as_text()), without_digits(output));
    UnixDatagram::unbound()
        .unwrap()
        .send_to(pushed.as_bytes(), server.folder.path("push.sock"))
        .unwrap();
    chat.expect_text(r#"{"action":"echo","data":"System Message: maintenance at ten"}"#);
    chat.send(frames::close(1000, ""));
    let mut left: Vec<_> = status_frames.lines().map(shape).collect();
    while !left.is_empty() {
        let received = shape(status.frame().as_text());
        left.retain(|shape| *shape != received);
    }
}

/// Returns the names of the members of an object and of its `data`, and its `action`.
fn shape(json: &str) -> Vec<String> {
    let object: serde_json::Value = serde_json::from_str(json).unwrap();
    let members = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let mut shape = members(&object);
    shape.extend(object["action"].as_str().map(str::to_owned));
    shape.extend(members(&object["data"]));
    shape
}

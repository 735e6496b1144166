//! A reply about an effect is sent after the broker has applied the effect: a client that has read the reply
//! finds the command done (rule L9). The tests stop the broker to see which data waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::chat::start;
use crate::backend::{Act, Backend};
use crate::harness::processes::send_signal;
use crate::harness::{Folder, NEXT, Open, Raw, Server, feedback_to};
use rustix::process::Signal;
use serde_json::{Value, json};
use tagcast::config::{self, ConfigSources};
use tagcast::resource::{ClientHandle, Resource};
use tagcast::server::Builder;
use tagcast::session::Message;

/// The time for which a client waits without an answer while the broker is stopped: far longer than an answer
/// takes, and shorter than the time after which a silent broker is replaced.
const IN_VAIN: Duration = Duration::from_millis(400);

/// Keeps the broker stopped until this is dropped.
struct Stopped(u32);

impl Stopped {
    fn broker_of(server: &Server) -> Self {
        let broker = server.broker();
        send_signal(broker, Signal::STOP);
        Self(broker)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        send_signal(self.0, Signal::CONT);
    }
}

#[track_caller]
fn receives_nothing_yet(client: &mut Raw) {
    let read = client.read_segment(IN_VAIN);
    assert!(read.is_err(), "{:?}", String::from_utf8_lossy(&client.take_all()));
}

/// Starts a backend that executes the command in its client's message.
fn obedient() -> Backend {
    Backend::start(|event| match event["text"].as_str() {
        Some(commands) => Act::Answer(200, commands.to_owned()),
        None => Act::Commands(""),
    })
}

fn tagged(room: &str) -> Value {
    json!({ "command": "tag", "set": { "room": room } })
}

fn ok() -> Value {
    json!({ "command": "reply", "text": "ok" })
}

fn to_room(room: &str, message: &str) -> String {
    json!({ "message": message, "tags": { "room": room } }).to_string()
}

#[test]
fn a_reply_after_a_command_waits_until_the_broker_has_carried_that_out() {
    let backend = obedient();
    let server = start(&backend, "");
    let (mut client, mut other) = server.upgrade_apart(&Open::at("/chat"), &Open::at("/chat"));
    let published = json!({ "command": "publish", "to": "others", "text": "news" });
    let removed = json!({ "command": "tag", "remove": ["room"] });
    let commands = [
        json!([tagged("1"), ok()]),
        json!([ok(), tagged("2"), ok()]),
        json!([removed, ok()]),
        json!([published, ok()]),
    ];
    for (place, commands) in commands.iter().enumerate() {
        let stopped = Stopped::broker_of(&server);
        client.text(commands.to_string());
        backend.wait_for("message", place + 1);
        receives_nothing_yet(&mut client);
        drop(stopped);
        let oks = commands.as_array().unwrap().iter().filter(|it| **it == ok()).count();
        (0..oks).for_each(|_| drop(client.expect_text("ok")));
    }
    other.expect_text("news");
    let stopped = Stopped::broker_of(&server);
    client.text(json!([ok()]).to_string());
    client.expect_text("ok");
    drop(stopped);
}

/// The Close may refer to earlier effects too, and so may the next reply; both wait.
#[test]
fn later_replies_wait_too_in_order() {
    let backend = obedient();
    let server = start(&backend, "");
    let mut client = Open::at("/chat").upgrade(server.port);
    let stopped = Stopped::broker_of(&server);
    client.text(json!([tagged("1")]).to_string());
    backend.wait_for("message", 1);
    client.text(json!([ok(), { "command": "close", "code": 4001, "reason": "done" }]).to_string());
    backend.wait_for("message", 2);
    receives_nothing_yet(&mut client);
    drop(stopped);
    client.expect_text("ok");
    client.expect_closed(4001);
}

#[test]
fn after_the_reply_a_publication_reaches_the_new_tag_only() {
    let backend = obedient();
    let server = start(&backend, "");
    let (mut client, mut publisher) =
        server.upgrade_apart(&Open::at("/chat"), &Open::tags(r#"{"publisher":"1"}"#));
    for round in 0..300 {
        let (new, old) = (format!("n{}", round + 1), format!("n{round}"));
        client.text(json!([tagged(&new), ok()]).to_string());
        client.expect_text("ok");
        publisher.text(to_room(&old, "to the old tag"));
        publisher.text(to_room(&new, "to the new tag"));
        client.expect_text("to the new tag");
    }
}

#[test]
fn an_open_that_sets_tags_is_answered_when_they_are_set() {
    let backend = Backend::start(|event| match event["event"].as_str() {
        Some("open") => Act::Commands(
            r#"[{"command":"accept"},{"command":"tag","set":{"room":"1"}},{"command":"reply","text":"in"}]"#,
        ),
        _ => Act::Commands(""),
    });
    let server = start(&backend, "");
    let mut publisher = Open::tags(r#"{"publisher":"1"}"#).upgrade(server.port);
    for _ in 0..100 {
        let mut client = Open::at("/chat").upgrade(server.port);
        publisher.text(to_room("1", "to the tag"));
        client.expect_text("in");
        client.expect_text("to the tag");
    }
}

#[test]
fn the_answer_to_the_opcode_uuid_waits_until_the_alias_is_granted() {
    let server = Server::start();
    let (mut client, mut other) = server.open_apart(&Open::at("/"), &Open::web());
    let register = |name: &str| format!(r#"{{"opcode":"uuid","message":"{name}"}}"#);
    let next = |uuid: &str| format!(r#"{{"opcode":"next","fyi":"","uuid":"{uuid}"}}"#);
    let stopped = Stopped::broker_of(&server);
    client.text(register("one"));
    client.text(register("two"));
    client.text(register("three"));
    receives_nothing_yet(&mut client);
    drop(stopped);
    for output in ["", "one", "two"] {
        client.expect_text(&next(output));
    }
    for round in 0..200 {
        let name = format!("name {round}");
        client.text(register(&name));
        client.frame();
        let packet = feedback_to(&name, "by alias");
        other.text(&packet);
        other.expect_text(NEXT);
        client.expect_text(&packet);
    }
}

/// A broker dies while replies wait for it. The new broker releases them.
#[test]
fn deferred_replies_are_sent_after_the_new_broker_knows() {
    let backend = obedient();
    let server = start(&backend, "");
    let (mut client, mut publisher) =
        server.upgrade_apart(&Open::at("/chat"), &Open::tags(r#"{"publisher":"1"}"#));
    for round in 0..3 {
        let stopped = Stopped::broker_of(&server);
        let room = format!("r{round}");
        client.text(json!([tagged(&room), ok()]).to_string());
        backend.wait_for("message", round + 1);
        send_signal(stopped.0, Signal::KILL);
        client.expect_text("ok");
        publisher.text(to_room(&room, "found"));
        client.expect_text("found");
    }
}

/// A resource of an embedding program that changes the tag of its client and replies.
struct Mover;

impl Resource for Mover {
    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        client.set_tag("room", message.text().unwrap()).unwrap();
        client.reply_text("moved");
    }
}

#[test]
fn a_custom_resource_replies_after_its_effects() {
    let folder = Folder::new();
    let flags = [("address", "ws://127.0.0.1:0"), ("workers", "2"), ("console", "off")];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let source =
        ConfigSources { flags, folder: folder.root().to_owned(), ..ConfigSources::default() };
    let config = config::load(&source).unwrap().config;
    let server = Builder::new().resource("/own", || Mover).start_in_process(config).unwrap();
    let port = server.addresses()[0].port();
    let stop = AtomicBool::new(false);
    let mut clients: Vec<Raw> = (0..4).map(|_| Open::at("/own").upgrade(port)).collect();
    let mut publishers: Vec<Raw> =
        (0..4).map(|_| Open::tags(r#"{"publisher":"1"}"#).upgrade(port)).collect();
    let mut noise = Open::at("/own").upgrade(port);
    std::thread::scope(|scope| {
        let stop = &stop;
        // Another client keeps the links busy.
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                noise.text("elsewhere");
                noise.expect_text("moved");
            }
        });
        for round in 0..400 {
            let (client, publisher) = (&mut clients[round % 4], &mut publishers[round / 4 % 4]);
            let room = format!("n{round}");
            client.text(&room);
            client.expect_text("moved");
            publisher.text(to_room(&room, "here"));
            client.expect_text(r#""here""#);
        }
        stop.store(true, Ordering::Relaxed);
    });
    server.stop();
}

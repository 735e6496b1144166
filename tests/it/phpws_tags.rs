//! The member `tags` of a phpWebSocketServer broadcast. By default it belongs to the page; with a setting it
//! selects the recipients.

use crate::harness::{Open, Server, Setup, eventually};

const TAGGED: &str = r#"{"opcode":"broadcast","message":"Bonjour","tags":{"language":"FR"}}"#;
const ALL: &str = r#"{"opcode":"broadcast","message":"all"}"#;

fn tagged(language: &str) -> Open {
    Open::at(&format!(r#"/web?tags={{"language":"{language}"}}"#))
}

fn notes(server: &Server) -> usize {
    server.output().matches("event=broadcast_tags_ignored").count()
}

#[test]
fn by_default_tags_are_ignored_with_one_warning_per_connection() {
    let server = Setup::new().start();
    let mut english = server.open(&tagged("EN"));
    let (mut one, mut other) = server.open_apart(&Open::web(), &Open::web());
    for _ in 0..3 {
        one.text(TAGGED);
        one.expect_next();
        english.expect_text(TAGGED);
        other.expect_text(TAGGED);
    }
    eventually("the note", || (notes(&server) == 1).then_some(()));
    other.text(TAGGED);
    other.expect_next();
    english.expect_text(TAGGED);
    eventually("another note", || (notes(&server) == 2).then_some(()));
    other.text(ALL);
    other.expect_next();
    english.expect_text(ALL);
    assert_eq!(notes(&server), 2);
}

#[test]
fn select_reaches_clients_with_all_tags_except_the_sender() {
    let server = Setup::new().ini("[phpws]\nbroadcastTags = select").start();
    let mut french = server.open(&tagged("FR"));
    let mut english = server.open(&tagged("EN"));
    let mut sender = server.open(&tagged("FR"));
    sender.text(TAGGED);
    sender.expect_next();
    french.expect_text(TAGGED);
    for tags in ["{}", "[]"] {
        let all_clients = format!(r#"{{"opcode":"broadcast","message":"m","tags":{tags}}}"#);
        sender.text(&all_clients);
        sender.expect_next();
        french.expect_text(&all_clients);
        english.expect_text(&all_clients);
    }
    for (tags, why) in [
        ("5", "The 'tags' property is not an array !"),
        ("null", "The 'tags' property is not an array !"),
        (r#"["FR"]"#, "The tag name '0' is not a string !"),
        (
            r#"{"language":1e400}"#,
            "The tag named 'language' has a value which is not an integer or a string !",
        ),
    ] {
        sender.text(format!(r#"{{"opcode":"broadcast","message":"m","tags":{tags}}}"#));
        sender.expect_next();
        sender.expect_text(&format!(r#"{{"opcode":"error","error":"{why}"}}"#));
    }
    // No client received any of those, and a packet without tags is for all clients.
    sender.text(ALL);
    sender.expect_next();
    french.expect_text(ALL);
    english.expect_text(ALL);
    assert_eq!(notes(&server), 0);
}

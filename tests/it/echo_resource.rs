//! The resource `echo`, bound to a path by the configuration: it returns every message.

use crate::harness::{Open, Raw, Server, Setup, broadcast, frames};

fn server() -> Server {
    Setup::new().ini("[resource /echo]\nkind = echo").start()
}

fn open() -> Open {
    Open::at("/echo")
}

#[test]
fn text_and_binary_come_back_with_their_type() {
    let server = server();
    let mut client = open().upgrade(server.port);
    for length in [1, 125, 126, 65_535, 65_536, 200_000] {
        let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
        client.text(&text);
        client.expect_text(&text);
        let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
        client.send(frames::binary(&bytes));
        client.expect_binary(&bytes);
    }
}

#[test]
fn it_sends_no_greeting_and_no_acknowledgement() {
    let server = server();
    let mut client = open().upgrade(server.port);
    client.expect_silence();
    for text in [r#"{"opcode":"quit"}"#, "bufferON", "not json", ""] {
        client.text(text);
        client.expect_text(text);
    }
    client.expect_silence();
}

#[test]
fn fragments_come_back_as_one_message_and_a_ping_between_them_at_once() {
    let server = server();
    let mut client = open().upgrade(server.port);
    client.send(frames::text_begins("one, "));
    client.send(frames::continues("two"));
    client.send(frames::ping("still there?"));
    client.expect_pong(b"still there?");
    client.send(frames::ends(", three"));
    client.expect_text("one, two, three");
}

#[test]
fn pipelined_messages_come_back_in_order() {
    let server = server();
    let mut client = open().upgrade(server.port);
    let texts: Vec<_> = (0..1000).map(|number| format!("message {number}")).collect();
    client.send(texts.iter().flat_map(frames::text).collect::<Vec<_>>());
    for text in &texts {
        client.expect_text(text);
    }
    client.expect_silence();
}

#[test]
fn a_close_is_answered_by_its_code() {
    let server = server();
    for code in [1000, 1001, 3000, 4999] {
        let mut client = open().upgrade(server.port);
        client.send(frames::close(code, "bye"));
        client.expect_close(code);
        client.expect_end();
    }
}

/// The witness is on the same worker, so if it has received a publication, the echo client would have
/// received it too.
#[test]
fn it_takes_no_publications() {
    let server = server();
    let mut echo = open().upgrade(server.port);
    let mut witness = server.open_on(server.worker_of(&echo), &Open::web());
    let mut publisher = server.open_away_from(server.worker_of(&echo), &Open::web());
    let packet = broadcast("to whoever takes it");
    publisher.text(&packet);
    publisher.expect_next();
    witness.expect_text(&packet);
    expect_only(&mut echo, "mine");
    echo.text(broadcast("not a packet here"));
    echo.expect_text(&broadcast("not a packet here"));
    crate::harness::received_nothing(&mut publisher, &mut witness);
}

#[track_caller]
fn expect_only(client: &mut Raw, text: &str) {
    client.text(text);
    client.expect_text(text);
    client.expect_silence();
}

#[test]
fn other_paths_are_what_they_were() {
    let server = server();
    server.open(&Open::web()).expect_silence();
    Open::at("/echo/").upgrade(server.port).expect_text(r#"{"opcode":"close"}"#);
    let mut client = Open::at("/echo?with=query").upgrade(server.port);
    expect_only(&mut client, "and a query");
}

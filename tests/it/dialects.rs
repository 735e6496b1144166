//! Publications of one dialect reach clients of the others, in their own format.

use crate::harness::{Open, Server, Setup, broadcast, received_nothing};

const FR: &str = r#"{"language":"FR"}"#;

#[test]
fn a_page_of_phpws_is_in_the_group_that_it_names() {
    let server = Server::start();
    let with = |tags: &str| Open::at(&format!("/web?tags={tags}"));
    let (mut french, mut english) = server.open_apart(&with(FR), &with(r#"{"language":"EN"}"#));
    let mut script = server.open(&Open::php().target(&format!("/php?tags={FR}")));
    let mut gomoob = Open::tags(FR).upgrade(server.port);
    gomoob.text(format!(r#"{{"message":{{"n": 1}},"tags":{FR}}}"#));
    gomoob.expect_text(r#"{"n": 1}"#);
    french.expect_text(r#"{"opcode":"broadcast","message":{"n": 1}}"#);
    english.expect_silence();
    received_nothing(&mut english, &mut script);
}

#[test]
fn a_packet_reaches_gomoobs_clients_as_its_message() {
    let server = Server::start();
    let (mut page, mut other) = server.open_apart(&Open::web(), &Open::web());
    let mut gomoob = Open::tags(FR).upgrade(server.port);
    for (packet, message) in [
        (broadcast("é/"), r#""é/""#),
        (r#"{"opcode":"broadcast","message":{ "a": 1.0 },"more":2}"#.to_owned(), r#"{ "a": 1.0 }"#),
        (r#"{"opcode":"broadcast"}"#.to_owned(), "null"),
    ] {
        page.text(&packet);
        page.expect_next();
        other.expect_text(&packet);
        gomoob.expect_text(message);
    }
    page.received_nothing_of_its_own();
}

#[test]
fn clients_of_echo_take_nothing() {
    let server = Setup::new().ini("[resource /echo]\nkind = echo\n").start();
    let mut echo = Open::at(&format!("/echo?tags={FR}")).upgrade(server.port);
    let mut gomoob = Open::tags(FR).upgrade(server.port);
    gomoob.text(r#"{"message":"to all"}"#);
    gomoob.text(format!(r#"{{"message":"to FR","tags":{FR}}}"#));
    gomoob.expect_text(r#""to all""#);
    gomoob.expect_text(r#""to FR""#);
    echo.text("alone");
    echo.expect_text("alone");
}

#[test]
fn p1_messages_of_one_publisher_arrive_in_order_in_both_dialects() {
    let server = Server::start();
    let (mut page, mut other) = server.open_apart(&Open::web(), &Open::web());
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    let all: Vec<u8> =
        (0..300).flat_map(|n| crate::harness::frames::text(broadcast(&n.to_string()))).collect();
    page.send(all);
    for number in 0..300 {
        page.expect_next();
        other.expect_text(&broadcast(&number.to_string()));
        gomoob.expect_text(&format!("\"{number}\""));
    }
}

//! The resource `broadcast`, bound to a path and to a subprotocol.

use crate::harness::{NEXT, Open, Server, Setup, frames};

const INI: &str = "[resource /room]\nkind = broadcast\n[resource Room]\nkind = broadcast\n\
                   [resource Foo]\nkind = echo";

fn server() -> Server {
    Setup::new().workers(2).ini(INI).start()
}

#[test]
fn a_text_reaches_the_clients_of_its_resource_only() {
    let server = server();
    let (mut one, mut other) =
        server.upgrade_apart(&Open::at("/room"), &Open::at("/room?tags={\"a\":\"b\"}"));
    let mut other_client = Open::at("/any?Room").upgrade(server.port);
    one.text("h\u{e9} \"q\"");
    one.expect_text("h\u{e9} \"q\"");
    other.expect_text("h\u{e9} \"q\"");
    other_client.text("to the room of the name");
    other_client.expect_text("to the room of the name");
    other.text("last");
    one.expect_text("last");
    other.expect_text("last");
    one.send(frames::binary([1, 2]));
    one.expect_closed(1003);
}

#[test]
fn other_dialects_wrap_invalid_json() {
    let server = server();
    let mut room = Open::at("/room?tags={\"a\":\"b\"}").upgrade(server.port);
    let mut page = Open::web().ready(server.port);
    page.text(r#"{"opcode":"broadcast","message":"from the page"}"#);
    page.expect_text(NEXT);
    room.expect_text("from the page");
    let mut gomoob = Open::tags(r#"{"x":"y"}"#).upgrade(server.port);
    gomoob.text(r#"{"message":{"a":1.50},"tags":{"a":"b"}}"#);
    room.expect_text(r#"{"a":1.50}"#);
}

#[test]
fn a_known_subprotocol_is_agreed_and_an_unknown_one_is_not() {
    let server = server();
    let opened = |target: &str, protocols: &str| {
        let open = Open::at(target).header("Sec-WebSocket-Protocol", protocols);
        let mut client = open.ask(server.port);
        let head = client.expect_upgrade();
        (client, head.header("Sec-WebSocket-Protocol").map(str::to_owned))
    };
    let (mut echo, protocol) = opened("/", "zip, Foo, Room");
    assert_eq!(protocol.as_deref(), Some("Foo"));
    echo.text("back");
    echo.expect_text("back");
    let (mut page, protocol) = opened("/", "zip");
    assert_eq!(protocol, None);
    page.expect_ready();
    let (_, protocol) = opened("/room", "Foo");
    assert_eq!(protocol, None, "the path chose");
}

#[test]
fn a_tag_of_the_server_cannot_be_requested() {
    let server = server();
    let mut client = Open::tags(r#"{"@resource":"/room"}"#).upgrade(server.port);
    client.expect_closed(1008);
}

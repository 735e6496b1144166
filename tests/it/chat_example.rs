//! `examples/chat.rs`: rooms, nicknames and presence, over two workers.

use crate::harness::{Open, Raw, Server, Setup, eventually, example};

fn chat() -> Server {
    Setup::new().program(example("chat")).start()
}

fn at(target: &str) -> Open {
    Open::at(&format!("/chat?{target}"))
}

/// Opens a connection and reads the client's own `entered` message.
#[track_caller]
fn enter(server: &Server, nick: &str, room: &str) -> Raw {
    let query = format!("nick={nick}&room={}", room.replace(' ', "+"));
    let mut client = at(&query).upgrade(server.port);
    client.expect_text(&format!(r#"{{"entered":"{nick}","room":"{room}"}}"#));
    client
}

/// Opens two clients in one room on different workers.
fn anna_and_berta(server: &Server) -> (Raw, Raw) {
    let anna = enter(server, "Anna", "lobby");
    let mut misplaced = Vec::new();
    let berta = loop {
        let berta = enter(server, "Berta", &format!("hall {}", misplaced.len()));
        if server.worker_of(&berta) != server.worker_of(&anna) {
            break berta;
        }
        misplaced.push(berta);
        assert!(misplaced.len() < 100, "no connection on the other worker");
    };
    drop(misplaced);
    let (mut anna, mut berta) = (anna, berta);
    berta.text("/join lobby");
    berta.expect_text(r#"{"left":"Berta"}"#);
    for client in [&mut anna, &mut berta] {
        client.expect_text(r#"{"entered":"Berta","room":"lobby"}"#);
    }
    (anna, berta)
}

#[test]
fn a_message_reaches_the_clients_of_its_room_only() {
    let server = chat();
    let (mut anna, mut berta) = anna_and_berta(&server);
    let mut elsewhere = enter(&server, "Carl", "kitchen");
    anna.text("hello \"all\"");
    for client in [&mut anna, &mut berta] {
        client.expect_text(r#"{"from":"Anna","text":"hello \"all\""}"#);
    }
    elsewhere.text("it is quiet here");
    elsewhere.expect_text(r#"{"from":"Carl","text":"it is quiet here"}"#);
}

#[test]
fn a_new_nickname_updates_the_list_of_every_client() {
    let server = chat();
    let (mut anna, mut berta) = anna_and_berta(&server);
    berta.text("/nick Bea");
    for client in [&mut anna, &mut berta] {
        client.expect_text(r#"{"renamed":"Berta","to":"Bea"}"#);
    }
    anna.text("/who");
    anna.expect_text(r#"{"here":["Anna","Bea"]}"#);
    berta.text("/join kitchen");
    anna.expect_text(r#"{"left":"Bea"}"#);
    anna.text("/who");
    anna.expect_text(r#"{"here":["Anna"]}"#);
    anna.text(format!("/nick {}", "n".repeat(256)));
    assert!(anna.frame().as_text().contains("255 at most"));
}

#[test]
fn a_lost_client_leaves_the_list_at_once() {
    let server = chat();
    let (mut anna, berta) = anna_and_berta(&server);
    drop(berta);
    anna.expect_text(r#"{"left":"Berta"}"#);
    anna.text("/who");
    anna.expect_text(r#"{"here":["Anna"]}"#);
}

#[test]
fn a_change_of_room_outlives_the_broker() {
    let server = chat();
    let (mut anna, mut berta) = anna_and_berta(&server);
    let mut carl = enter(&server, "Carl", "lobby");
    for client in [&mut anna, &mut berta] {
        client.expect_text(r#"{"entered":"Carl","room":"lobby"}"#);
    }
    berta.text("/join kitchen");
    berta.expect_text(r#"{"left":"Berta"}"#);
    berta.expect_text(r#"{"entered":"Berta","room":"kitchen"}"#);
    // Carl reads this before the broker dies. If the broker had delivered it only to Berta's worker, the new
    // broker would resolve it again by the tags at that time, and Carl would already have left the lobby.
    carl.expect_text(r#"{"left":"Berta"}"#);
    let dead = server.kill_broker();
    carl.text("/join kitchen");
    eventually("another broker", || (server.broker() != dead).then_some(()));
    berta.expect_text(r#"{"entered":"Carl","room":"kitchen"}"#);
    // Publications that no broker had resolved use the current tags: Carl has left before he could receive
    // this one.
    let entered = r#"{"entered":"Carl","room":"kitchen"}"#;
    while carl.frame().as_text() != entered {}
    carl.text("by the new tags");
    for client in [&mut berta, &mut carl] {
        client.expect_text(r#"{"from":"Carl","text":"by the new tags"}"#);
    }
    for text in [r#"{"left":"Berta"}"#, r#"{"left":"Carl"}"#] {
        anna.expect_text(text);
    }
    anna.text("nobody else");
    anna.expect_text(r#"{"from":"Anna","text":"nobody else"}"#);
}

#[test]
fn php_scripts_reach_the_chat_in_their_own_protocol() {
    let server = chat();
    let mut anna = enter(&server, "Anna", "lobby");
    let mut script = Open::php().target("/chat?nick=Script").ready(server.port);
    anna.expect_text(r#"{"entered":"Script","room":"lobby"}"#);
    script.text("done");
    script.expect_next();
    anna.expect_text(r#"{"from":"Script","text":"done"}"#);
    let mut page = server.open(&at("nick=Page").header("Client-Type", "web"));
    page.expect_text(r#"{"opcode":"broadcast","message":{"entered":"Page","room":"lobby"}}"#);
}

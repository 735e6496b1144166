//! One-shot push scripts: their key is not 16 bytes, and their `Content-Length` is the length of their first
//! frame.

use crate::backend::chat::{silent, start};
use crate::harness::{NEXT, Open, Raw, Server, Setup, broadcast, frames};

/// 25 letters, as scripts generate them with `str_shuffle`.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxy";

fn with_key(path: &str, key: &str) -> Open {
    Open::at(path).header("Sec-WebSocket-Key", key)
}

#[test]
fn any_visible_key_opens_where_the_old_servers_served() {
    let ini = "[bloatless]\napplications = chat\n[resource /old]\nkind = phpws";
    let server = Setup::new().ini(ini).start();
    for path in ["/", "/web", "/php", "/old"] {
        for key in [LETTERS, "x", "1234567890123456", "!#~\"", &"k".repeat(128)] {
            let mut client = with_key(path, key).ask(server.port);
            let head = client.read_head();
            assert_eq!(head.status(), 101, "{path} {key}");
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            assert_eq!(head.header("Sec-WebSocket-Accept"), Some(&*accept));
            client.expect_ready();
        }
    }
    for open in [with_key("/any?Foo", LETTERS), with_key("/chat", LETTERS)] {
        assert_eq!(open.ask(server.port).read_head().status(), 101, "{open:?}");
    }
}

#[test]
fn a_key_that_nothing_can_be_made_of_is_refused_there_too() {
    let server = Server::start();
    for path in ["/", "/web", "/php"] {
        for key in ["", "two words", "t\tb", "\u{e9}", &"k".repeat(129)] {
            with_key(path, key).ask(server.port).expect_refusal(400);
        }
        let twice = with_key(path, LETTERS).and_header("Sec-WebSocket-Key", LETTERS);
        twice.ask(server.port).expect_refusal(400);
    }
}

#[test]
fn other_paths_need_a_key_of_sixteen_bytes_and_no_body() {
    let backend = silent();
    let more = "[resource /all]\nkind = broadcast\n[resource /strict]\nkind = echo";
    let server = start(&backend, more);
    for path in ["/chat", "/all", "/strict", "/nowhere"] {
        with_key(path, LETTERS).ask(server.port).expect_refusal(400);
        // A header that changes the dialect of the path does not change this.
        with_key(path, LETTERS).header("Client-Type", "php").ask(server.port).expect_refusal(400);
        Open::at(path).header("Content-Length", "5").ask(server.port).expect_refusal(400);
        Open::at(path).header("Content-Length", "0").upgrade(server.port);
    }
    assert!(backend.received().iter().all(|it| it.event["headers"]["content-length"] != "5"));
}

#[test]
fn the_first_frame_of_a_script_may_be_the_body_of_its_head() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    for (path, length) in [("/php", "0"), ("/php", "57"), ("/", "5"), ("/web", "1000000")] {
        let open = with_key(path, LETTERS).without("Origin").header("Content-Length", length);
        let mut script = Raw::connect(server.port);
        let packet = broadcast(&format!("from {path} {length}"));
        script.send([open.request().as_bytes(), &frames::text(&packet)].concat());
        assert_eq!(script.read_head().status(), 101);
        script.expect_ready();
        assert_eq!(script.frame().as_text(), NEXT);
        page.expect_text(&packet);
    }
    let gomoob = Open::tags("{}").header("Content-Length", "5").upgrade(server.port);
    drop(gomoob);
}

#[test]
fn a_body_with_an_ambiguous_end_is_refused_everywhere() {
    let server = Setup::new().ini("[resource /all]\nkind = broadcast").start();
    for path in ["/", "/web", "/php", "/all", "/?tags={}", "/nowhere"] {
        for (name, value) in [
            ("Transfer-Encoding", "chunked"),
            ("Transfer-Encoding", "identity"),
            ("Content-Length", "5, 5"),
            ("Content-Length", "-1"),
            ("Content-Length", "0x5"),
            ("Content-Length", ""),
        ] {
            let open = Open::at(path).header(name, value);
            let mut client = Raw::connect(server.port);
            client.send(format!("{}5\r\nhello\r\n0\r\n\r\n", open.request()));
            client.expect_refusal(400);
        }
        let two = Open::at(path).and_header("Content-Length", "5");
        two.and_header("Content-Length", "6").ask(server.port).expect_refusal(400);
    }
}

#[test]
fn doubled_slashes_are_one() {
    let backend = silent();
    let server = start(&backend, "[resource /a/b]\nkind = echo");
    for path in ["//web", "//php", "///", "//", "http://127.0.0.1//web"] {
        server.open(&Open::at(path));
    }
    for path in ["//chat", "/a//b", "//a/b?x=//y", "//a///b"] {
        Open::at(path).upgrade(server.port).expect_silence();
    }
    assert_eq!(backend.wait_for("open", 1)[0]["path"], "/chat");
    Open::at("//nope").upgrade(server.port).expect_text(r#"{"opcode":"close"}"#);
    let exact = Setup::new().ini("[phpws]\nexactTarget = on").start();
    exact.open(&Open::web());
    Open::at("//web").upgrade(exact.port).expect_text(r#"{"opcode":"close"}"#);
}

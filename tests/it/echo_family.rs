//! Clients of PHP-WebSockets-Server and of nVentis: cases 121 to 128 and 150 of the contract.

use crate::harness::{Folder, Open, Raw, Server, Setup, frames, run_to_end};

/// Starts a server with the configuration of an operator who replaces one of these servers.
fn server(echo: &str) -> Server {
    let ini = format!("unknownPath = echo\ndefaultDialect = echo\n[echo]\n{echo}");
    Setup::new().ini(&ini).start()
}

/// Opens the path of the demo pages.
fn page() -> Open {
    Open::at("/phpwebsockets/server.php")
}

fn offering(protocols: &str) -> Open {
    page().header("Sec-WebSocket-Protocol", protocols)
}

/// Opens a connection and checks the subprotocol of the answer.
#[track_caller]
fn open(server: &Server, open: &Open, agreed: Option<&str>) -> Raw {
    let mut client = open.ask(server.port);
    let head = client.expect_upgrade();
    assert_eq!(head.header("Sec-WebSocket-Protocol"), agreed, "{}", head.text);
    assert!(head.text.len() <= 1024, "{}", head.text);
    client
}

#[track_caller]
fn echoes(client: &mut Raw) {
    client.text("hello");
    client.expect_text("hello");
    client.send(frames::binary([1, 2]));
    client.expect_binary(&[1, 2]);
}

#[test]
fn case_121_any_path_without_a_subprotocol_is_an_echo() {
    let server = server("");
    for path in ["/phpwebsockets/server.php", "/", "/any/path?with=query"] {
        echoes(&mut open(&server, &Open::at(path), None));
    }
}

#[test]
fn case_122_an_application_is_chosen_by_its_subprotocol_which_is_agreed() {
    echoes(&mut open(&server(""), &offering("Foo"), Some("Foo")));
    // This also works without any configuration.
    let plain = Server::start();
    echoes(&mut open(&plain, &offering("Foo"), Some("Foo")));
    echoes(&mut open(&plain, &offering("Foo").target("/"), Some("Foo")));
}

#[test]
fn case_123_bar_answers_unless_configured_to_be_silent() {
    echoes(&mut open(&server(""), &offering("Bar"), Some("Bar")));
    let silent = server("barSilent = on");
    let mut bar = open(&silent, &offering("Bar"), Some("Bar"));
    bar.text("hello");
    bar.send(frames::binary([1, 2]));
    bar.send(frames::ping("there?"));
    bar.expect_pong(b"there?");
    echoes(&mut open(&silent, &offering("Foo"), Some("Foo")));
}

#[test]
fn case_124_an_application_is_chosen_by_a_query_that_is_its_name() {
    let server = Server::start();
    for target in ["/phpwebsockets/server.php?Foo", "/?Foo", "/?Bar"] {
        echoes(&mut open(&server, &Open::at(target), None));
    }
    // Any other query is not a name.
    Open::at("/x?Foo=1").upgrade(server.port).expect_text(r#"{"opcode":"close"}"#);
    Open::at("/x?foo").upgrade(server.port).expect_text(r#"{"opcode":"close"}"#);
}

#[test]
fn case_125_of_several_subprotocols_the_first_known_one_is_agreed() {
    let ours = server("");
    echoes(&mut open(&ours, &offering("Foo, Bar"), Some("Foo")));
    echoes(&mut open(&ours, &offering("zip,Bar , Foo"), Some("Bar")));
    echoes(&mut open(
        &ours,
        &offering("zip").and_header("Sec-WebSocket-Protocol", "Foo"),
        Some("Foo"),
    ));
    let legacy = server("protocols = legacy");
    let mut both = open(&legacy, &offering("Foo, Bar"), Some("Foo, Bar"));
    both.text("hello");
    both.expect_closed(1008);
    echoes(&mut open(&legacy, &offering("Foo"), Some("Foo")));
}

#[test]
fn case_126_an_unknown_subprotocol_is_not_agreed_and_without_echo_refused() {
    echoes(&mut open(&server(""), &offering("Nope"), None));
    let plain = Server::start();
    offering("Nope").ask(plain.port).expect_refusal(400);
    // A path that is served is served in any case.
    let mut web = open(&plain, &Open::web().header("Sec-WebSocket-Protocol", "Nope"), None);
    web.expect_ready();
    let legacy = server("protocols = legacy");
    let mut nope = open(&legacy, &offering("Nope"), Some("Nope"));
    nope.text("hello");
    nope.expect_closed(1008);
    // A value that could corrupt the answer is not returned.
    open(&legacy, &offering(&"x".repeat(256)), None);
    open(&legacy, &offering("é"), None);
}

#[test]
fn case_127_frames_are_those_of_rfc_6455() {
    let server = server("");
    let mut client = open(&server, &offering("Foo"), Some("Foo"));
    client.send(frames::ping("abc"));
    client.expect_pong(b"abc");
    client.send(frames::ping(""));
    client.expect_pong(b"");
    let long = "a".repeat(130);
    client.text(&long);
    client.expect_text(&long);
    client.text("");
    client.expect_text("");
    client.send(frames::text_begins("hel"));
    client.send(frames::ends("lo"));
    client.expect_text("hello");
    client.send([frames::text("one"), frames::text("two")].concat());
    client.expect_text("one");
    client.expect_text("two");
    let split = frames::text("hello");
    for byte in &split {
        client.send([*byte]);
    }
    client.expect_text("hello");
    client.send(frames::close(1000, ""));
    client.expect_close(1000);
    client.expect_end();
}

#[test]
fn case_128_version_8_with_its_own_origin_works_and_version_7_does_not() {
    let server = server("");
    let of_2011 = |version: &str| {
        page()
            .without("Origin")
            .header("Sec-WebSocket-Origin", "http://o")
            .header("Sec-WebSocket-Version", version)
    };
    echoes(&mut open(&server, &of_2011("8"), None));
    echoes(&mut open(&server, &of_2011("8").header("Sec-WebSocket-Protocol", "Foo"), Some("Foo")));
    let head = of_2011("7").ask(server.port).expect_refusal(400);
    assert_eq!(head.header("Sec-WebSocket-Version"), Some("13, 8"), "{}", head.text);
}

/// K01, K02 and K18 of the recordings.
#[test]
fn the_handshake_may_have_the_lines_that_it_had() {
    let server = server("handshake = legacy");
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let begin = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n";
    let origin = "Sec-WebSocket-Origin: http://127.0.0.1\r\n";
    for (open, middle) in [
        (page(), origin.to_owned()),
        (offering("Foo"), format!("{origin}Sec-WebSocket-Protocol: Foo\r\n")),
        (page().without("Origin"), String::new()),
        (
            page().without("Origin").header("Sec-WebSocket-Origin", "http://o"),
            "Sec-WebSocket-Origin: http://o\r\n".to_owned(),
        ),
        (page().header("Origin", &"x".repeat(300)), String::new()),
    ] {
        let mut client = open.ask(server.port);
        assert_eq!(client.read_head().text, format!("{begin}{middle}{accept}"));
        echoes(&mut client);
    }
    // Clients of other dialects are not affected.
    let head = Open::web().ask(server.port).expect_upgrade();
    assert!(head.text.contains("Upgrade: websocket\r\n"), "{}", head.text);
}

#[test]
fn case_150_nventis_clients_get_their_echo_on_any_path() {
    let anywhere = server("");
    let bound = Setup::new().ini("[resource /]\nkind = echo\n[resource /ws]\nkind = echo").start();
    for (server, path) in [(&anywhere, "/"), (&anywhere, "/x/y"), (&bound, "/"), (&bound, "/ws")] {
        let mut client = open(server, &Open::at(path).without("Origin"), None);
        echoes(&mut client);
        let long = "b".repeat(126);
        client.text(&long);
        client.expect_text(&long);
        client.send(frames::ping("p"));
        client.expect_pong(b"p");
        client.send(frames::close(1000, "bye"));
        client.expect_close(1000);
        client.expect_end();
    }
}

#[test]
fn configured_names_win_and_may_be_replaced_or_absent() {
    let ini = "[echo]\napplications = Foo, Chat\n[resource Foo]\nkind = broadcast";
    let server = Setup::new().ini(ini).start();
    let (mut one, mut other) =
        (open(&server, &offering("Foo"), Some("Foo")), open(&server, &Open::at("/?Foo"), None));
    one.text("to all");
    one.expect_text("to all");
    other.expect_text("to all");
    echoes(&mut open(&server, &offering("Chat"), Some("Chat")));
    offering("Bar").ask(server.port).expect_refusal(400);
    let none = Setup::new().ini("[echo]\napplications = none").start();
    offering("Foo").ask(none.port).expect_refusal(400);
}

#[test]
fn a_reload_changes_the_names_for_new_connections_only() {
    let server = Server::start();
    let mut foo = open(&server, &offering("Foo"), Some("Foo"));
    let head = "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 2\n";
    server.folder.write("websock.ini", &format!("{head}[echo]\napplications = Baz\n"));
    let output = server.command(&["reload"]);
    assert_eq!(output.code, Some(0), "{}", output.text);
    assert!(output.text.contains("echo.applications"), "{}", output.text);
    echoes(&mut foo);
    offering("Foo").ask(server.port).expect_refusal(400);
    echoes(&mut open(&server, &offering("Baz"), Some("Baz")));
}

#[test]
fn a_name_that_no_subprotocol_has_is_a_finding() {
    for (line, expected) in [
        ("applications = Foo, a b", "holds `a b`, which is not a name"),
        ("applications = /path", "holds `/path`, which is not a name"),
        ("protocols = all", "is not known; use negotiated or legacy"),
    ] {
        let folder = Folder::new();
        folder.write("websock.ini", &format!("[echo]\n{line}\n"));
        let check = run_to_end(&folder, &["check"]);
        assert_eq!(check.code, Some(78), "{}", check.text);
        assert!(check.text.contains(expected), "{}", check.text);
    }
}

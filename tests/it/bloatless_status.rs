//! bloatless/php-websocket's status application: events when clients connect, send and disconnect.

use crate::harness::{Open, Raw, Server, Setup};

fn server(lines: &str) -> Server {
    let ini = format!("[bloatless]\napplications = chat, status, echo\n{lines}");
    Setup::new().workers(2).ini("maxClients = 300\nmaxPerIP = 100").ini(&ini).start()
}

fn address(client: &Raw) -> String {
    format!("127.0.0.1:{}", client.port())
}

/// Expects messages about a client that connected or disconnected.
#[track_caller]
fn expect_story(status: &mut Raw, word: &str, client: &str, count: usize) {
    let frame = status.frame();
    let text = frame.as_text();
    let begin = r#"{"action":"statusMsg","data":{"type":"info","text":"["#;
    let rest = text.strip_prefix(begin).unwrap_or_else(|| panic!("no statusMsg but {text}"));
    let (time, rest) = rest.split_at("11-20 22:56".len());
    assert!(time.bytes().enumerate().all(|(at, byte)| match at {
        2 => byte == b'-',
        5 => byte == b' ',
        8 => byte == b':',
        _ => byte.is_ascii_digit(),
    }));
    assert_eq!(rest, format!(r#"] Client {word}: {client}"}}}}"#));
    let action = if word == "connected" { "clientConnected" } else { "clientDisconnected" };
    let (ip, port) = client.split_once(':').unwrap();
    status.expect_text(&format!(
        r#"{{"action":"{action}","data":{{"client":"{client}","ip":"{ip}","port":{port},"clientCount":{count}}}}}"#
    ));
}

fn server_info(count: usize, clients: &str) -> String {
    format!(
        r#"{{"action":"serverInfo","data":{{"maxClients":300,"maxConnectionsPerIp":100,"maxRequetsPerMinute":0,"clientCount":{count},"clients":{clients}}}}}"#
    )
}

/// Case 138.
#[test]
fn status_lists_clients_and_then_their_changes() {
    let server = server("");
    let mut status = Open::at("/status").upgrade(server.port);
    let own = address(&status);
    status.expect_text(&server_info(0, "[]"));
    expect_story(&mut status, "connected", &own, 1);
    let worker = server.worker_of(&status);

    let mut chat = Open::at("/chat").upgrade(server.port);
    let mut more = Vec::new();
    let mut count = 2;
    expect_story(&mut status, "connected", &address(&chat), count);
    // One of the clients has to be on another worker.
    while server.worker_of(&chat) == worker {
        more.push(chat);
        chat = Open::at(if more.len() % 2 == 0 { "/chat" } else { "/echo" }).upgrade(server.port);
        count += 1;
        expect_story(&mut status, "connected", &address(&chat), count);
        assert!(count < 100, "all clients on one worker");
    }
    chat.text("anything");
    status.expect_text(&format!(r#"{{"action":"clientActivity","data":"{}"}}"#, address(&chat)));
    let gone = address(&chat);
    drop(chat);
    expect_story(&mut status, "disconnected", &gone, count - 1);
    status.text("its own");
    status.expect_text(&format!(r#"{{"action":"clientActivity","data":"{own}"}}"#));
}

/// Case 138.
#[test]
fn a_second_status_client_gets_the_others_first() {
    let server = server("");
    let mut first = Open::at("/status").upgrade(server.port);
    first.expect_text(&server_info(0, "[]"));
    let own = address(&first);
    expect_story(&mut first, "connected", &own, 1);
    let chat = Open::at("/chat").upgrade(server.port);
    expect_story(&mut first, "connected", &address(&chat), 2);
    let mut second = Open::at("/status").upgrade(server.port);
    let info = second.frame();
    assert!(info.as_text().contains(r#""clientCount":2,"#), "{}", info.as_text());
    for other in [&first, &chat] {
        let there = format!(r#""{}":true"#, address(other));
        assert!(info.as_text().contains(&there), "{}", info.as_text());
    }
    assert!(!info.as_text().contains(&address(&second)));
    let own = address(&second);
    expect_story(&mut first, "connected", &own, 3);
    expect_story(&mut second, "connected", &own, 3);
}

/// Case 138, for pages of version 1.
#[test]
fn pages_of_version_1_get_ports() {
    let server = server("status = v1");
    let mut first = Open::at("/status").upgrade(server.port);
    first.expect_text(&server_info(0, "[]"));
    let own = address(&first);
    expect_story(&mut first, "connected", &own, 1);
    let mut second = Open::at("/status").upgrade(server.port);
    second.expect_text(&server_info(1, &format!(r#"{{"{}":"127.0.0.1"}}"#, first.port())));
    let own = address(&second);
    expect_story(&mut first, "connected", &own, 2);
    second.text("anything");
    first.expect_text(&format!(r#"{{"action":"clientActivity","data":{}}}"#, second.port()));
}

const AUTH: &str = "applications:
  - {key: a, secret: a-secret-of-this-test-alone, authorizeOpen: true, clientPublish: false}
  - {key: b, secret: b-secret-of-this-test-alone, authorizeOpen: true, tenant: elsewhere}
anonymous: a
";

#[test]
fn status_needs_the_right_to_publish_and_covers_one_tenant() {
    let ini = "[bloatless]\napplications = chat, status";
    let server = Setup::new().workers(2).ini(ini).auth(AUTH).start();
    Open::at("/status").ask(server.port).expect_refusal(401);
    Open::at("/status?key=a").ask(server.port).expect_refusal(401);
    let target = "/status?key=a&secret=a-secret-of-this-test-alone";
    let mut status = Open::at(target).upgrade(server.port);
    status.frame();
    let own = address(&status);
    expect_story(&mut status, "connected", &own, 1);
    let _elsewhere = Open::at("/chat?key=b").upgrade(server.port);
    let here = Open::at("/chat").upgrade(server.port);
    expect_story(&mut status, "connected", &address(&here), 2);
}

#[test]
fn a_reload_that_takes_the_right_to_publish_ends_status_and_not_the_chat() {
    let auth = AUTH.replace("clientPublish: false", "clientPublish: true");
    let ini = "[bloatless]\napplications = chat, status";
    let server = Setup::new().workers(2).ini(ini).auth(&auth).start();
    let mut status = Open::at("/status").upgrade(server.port);
    status.frame();
    let own = address(&status);
    expect_story(&mut status, "connected", &own, 1);
    let mut chat = Open::at("/chat").upgrade(server.port);
    expect_story(&mut status, "connected", &address(&chat), 2);
    server.folder.write("auth.yml", AUTH);
    server.signal(rustix::process::Signal::HUP);
    status.expect_closed(1008);
    chat.expect_silence();
}

#[test]
fn a_reload_binds_and_unbinds_applications_and_keeps_clients() {
    let server = Setup::new().workers(1).ini("[bloatless]\napplications = chat").start();
    let mut chat = Open::at("/chat").upgrade(server.port);
    chat.expect_silence();
    let ini = "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 1\nunknownPath = 404\n\
               [bloatless]\napplications = status\n";
    server.folder.write("websock.ini", ini);
    server.signal(rustix::process::Signal::HUP);
    server.wait_for_output("event=config_applied");
    Open::at("/chat").ask(server.port).expect_refusal(404);
    let mut status = Open::at("/status").upgrade(server.port);
    let info = status.frame();
    assert!(info.as_text().contains(&address(&chat)), "{}", info.as_text());
    let own = address(&status);
    expect_story(&mut status, "connected", &own, 2);
    chat.text(r#"{"action":"echo","data":"x"}"#);
    assert!(chat.frame().as_text().ends_with(r#": x"}"#));
    status.expect_text(&format!(r#"{{"action":"clientActivity","data":"{}"}}"#, address(&chat)));
}

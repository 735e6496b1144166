//! bloatless/php-websocket's applications with messages: chat, demo, echo and time.

use crate::harness::{NEXT, Open, Raw, Server, Setup, frames};

fn server(applications: &str) -> Server {
    let ini = format!("[bloatless]\napplications = {applications}");
    Setup::new().workers(2).ini(&ini).start()
}

/// Sends data in an `echo`. Returns the guest number and the text that the sender gets back.
#[track_caller]
fn message(client: &mut Raw, data: &str) -> (u16, String) {
    client.text(format!(r#"{{"action":"echo","data":{data}}}"#));
    received(client)
}

#[track_caller]
fn received(client: &mut Raw) -> (u16, String) {
    let frame = client.frame();
    let text = frame.as_text();
    let line = text
        .strip_prefix(r#"{"action":"echo","data":"Guest"#)
        .and_then(|rest| rest.strip_suffix(r#""}"#))
        .and_then(|line| line.split_once(": "));
    let (guest, rest) = line.unwrap_or_else(|| panic!("no line of a chat but {text}"));
    (guest.parse().unwrap(), rest.to_owned())
}

/// Cases 132 and 135.
#[test]
fn a_line_reaches_all_of_the_chat_with_a_name_that_stays() {
    let server = server("chat");
    let (mut one, mut other) = server.upgrade_apart(&Open::at("/chat"), &Open::at("/chat"));
    one.expect_silence();
    let (guest, line) = message(&mut one, r#""h\u00e9/ <b>""#);
    assert!((10..=999).contains(&guest), "{guest}");
    assert_eq!(line, "h\u{e9}/ <b>");
    assert_eq!(received(&mut other), (guest, line));
    let (again, _) = message(&mut one, r#""once more""#);
    assert_eq!(again, guest);
    received(&mut other);
    let (guest, _) = message(&mut other, r#""and I""#);
    assert_eq!(received(&mut one), (guest, "and I".to_owned()));
}

/// Case 137: PHP converts a number to text.
#[test]
fn numbers_are_repeated_as_they_were_written() {
    let server = server("chat");
    let mut client = Open::at("/chat").upgrade(server.port);
    for (data, line) in [("5", "5"), ("\"0\"", "0"), ("0", "0"), ("true", "1")] {
        assert_eq!(message(&mut client, data).1, line);
    }
}

/// Case 136.
#[test]
fn messages_that_are_not_an_echo_with_data_are_ignored() {
    let server = server("chat");
    let mut client = Open::at("/chat").upgrade(server.port);
    for text in [
        r#"{"action":"echo","data":""}"#,
        r#"{"action":"echo","data":null}"#,
        r#"{"action":"Echo","data":"x"}"#,
        r#"{"action":"other","data":"x"}"#,
        r#"{"action":"echo"}"#,
        r#"{"data":"x"}"#,
        "hello",
        "[]",
        "5",
        "",
    ] {
        client.text(text);
    }
    client.expect_silence();
    assert_eq!(message(&mut client, "\"still\"").1, "still");
}

#[test]
fn a_client_without_the_right_to_publish_is_denied() {
    let auth = "applications:\n  - {key: a, secret: a-secret-of-this-test-alone, \
                authorizeOpen: true, clientPublish: false}\nanonymous: a\n";
    let ini = "[bloatless]\napplications = chat";
    let server = Setup::new().workers(2).ini(ini).auth(auth).start();
    let mut listener = Open::at("/chat").upgrade(server.port);
    let mut speaker =
        Open::at("/chat?key=a&secret=a-secret-of-this-test-alone").upgrade(server.port);
    let mut denied = Open::at("/chat").upgrade(server.port);
    denied.text(r#"{"action":"echo","data":"x"}"#);
    denied.expect_closed(1008);
    assert_eq!(message(&mut speaker, "\"y\"").1, "y");
    assert_eq!(received(&mut listener).1, "y");
}

#[test]
fn other_dialects_and_the_chat_reach_each_other() {
    let server = server("chat");
    let mut chat = Open::at("/chat?tags={\"a\":\"b\"}").upgrade(server.port);
    let mut page = Open::web().ready(server.port);
    page.text(r#"{"opcode":"broadcast","message":{"x":1.50}}"#);
    page.expect_text(NEXT);
    chat.expect_text(r#"{"action":"echo","data":{"x":1.50}}"#);
    let mut gomoob = Open::tags(r#"{"x":"y"}"#).upgrade(server.port);
    gomoob.text(r#"{"message":"hello","tags":{"a":"b"}}"#);
    chat.expect_text(r#"{"action":"echo","data":"hello"}"#);
    let mut php = Open::at("/chat").header("Client-Type", "web").ready(server.port);
    let (guest, _) = message(&mut chat, "\"x\"");
    php.expect_text(&format!(r#"{{"opcode":"broadcast","message":"Guest{guest}: x"}}"#));
}

/// Case 148.
#[test]
fn the_demo_sends_data_to_all_of_its_clients() {
    let server = server("chat, demo");
    let mut other_tenant = Open::at("/chat").upgrade(server.port);
    let (mut one, mut other) = server.upgrade_apart(&Open::at("/demo"), &Open::at("/demo"));
    one.text(r#"{"action":"echo","data":"x"}"#);
    for client in [&mut one, &mut other] {
        client.expect_text(r#"{"action":"echo","data":"x"}"#);
    }
    one.text(r#"{ "data": {"action":"y","data":[1.50]}, "action":"Echo" }"#);
    for client in [&mut one, &mut other] {
        client.expect_text(r#"{"action":"echo","data":{"action":"y","data":[1.50]}}"#);
    }
    one.text(r#"{"action":"setFilename","data":"/etc/passwd"}"#);
    one.send(frames::binary([1, 2]));
    one.expect_text(r#"{"action":"echo","data":"Error receiving file."}"#);
    other.expect_silence();
    other_tenant.expect_silence();
}

/// Case 149.
#[test]
fn the_echo_application_sends_bare_texts_to_all_of_its_clients() {
    let server = server("echo");
    let (mut one, mut other) = server.upgrade_apart(&Open::at("/echo"), &Open::at("/echo"));
    one.text("h\u{e9} {");
    one.expect_text("h\u{e9} {");
    other.expect_text("h\u{e9} {");
}

/// Case 149.
#[test]
fn the_time_comes_by_itself_and_once_to_each() {
    let auth = "applications:\n  - {key: a, secret: a-secret-of-this-test-alone, tenant: x, \
                authorizeOpen: true}\n  - {key: b, secret: b-secret-of-this-test-alone, \
                authorizeOpen: true}\nanonymous: b\n";
    let ini = "[bloatless]\napplications = time";
    let server = Setup::new().workers(2).ini(ini).auth(auth).start();
    let (mut one, mut other) = server.upgrade_apart(&Open::at("/time?key=a"), &Open::at("/time"));
    let next = |client: &mut Raw| client.frame().as_text().parse::<u64>().unwrap();
    let (mut here, mut there) = (next(&mut one), next(&mut other));
    assert!(here > 1_700_000_000, "{here}");
    // A tick may occur between the two handshakes.
    while here != there {
        if here < there { here = next(&mut one) } else { there = next(&mut other) }
    }
    let (here_next, there_next) = (next(&mut one), next(&mut other));
    assert_eq!(here_next, there_next);
    assert!(here_next > here, "{here_next} after {here}");
}

//! bloatless/php-websocket's push socket: messages that scripts on the same machine write.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::processes::send_signal;
use crate::harness::{DEADLINE, Folder, Open, Raw, Server, Setup, run_to_end};

const INI: &str = "[bloatless]\napplications = chat, status\npushSocket = push.sock\n";

fn server() -> Server {
    Setup::new().workers(2).ini(INI).start()
}

fn socket_of(server: &Server) -> PathBuf {
    server.folder.root().join("push.sock")
}

fn push(server: &Server, datagram: &str) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(datagram.as_bytes(), socket_of(server)).unwrap();
}

fn line(text: &str) -> String {
    format!(r#"{{"type":2,"action":"chat","data":{{"action":"echo","data":"{text}"}}}}"#)
}

fn message(text: &str) -> String {
    format!(r#"{{"action":"echo","data":"System Message: {text}"}}"#)
}

/// Cases 139 and 140.
#[test]
fn a_pushed_line_reaches_the_whole_chat_once() {
    let server = server();
    let (mut one, mut other) = server.upgrade_apart(&Open::at("/chat"), &Open::at("/chat"));
    push(&server, &line("x"));
    push(&server, r#"{"type":1,"action":"shutdown","data":[]}"#);
    push(&server, r#"{"type":2,"action":"chat","data":{"action":"nope","data":"x"}}"#);
    push(&server, r#"{"type":2,"action":"chat","data":{"action":"ECHO","data":"case"}}"#);
    push(&server, r#"{"type":"2","action":"chat","data":{"action":"echo","data":5}}"#);
    for client in [&mut one, &mut other] {
        for text in ["x", "case", "5"] {
            client.expect_text(&message(text));
        }
        client.expect_silence();
    }
    assert!(!server.output().contains("event=push_datagram_dropped"));
}

/// Case 141: each of these crashes the original.
#[test]
fn invalid_messages_are_logged_and_close_no_client() {
    let server = server();
    let mut client = Open::at("/chat").upgrade(server.port);
    let too_large = line(&"x".repeat(65_536));
    for (datagram, why) in [
        ("not json", "no JSON object"),
        (r#"{"type":3,"action":"chat","data":[]}"#, "neither 1 nor 2"),
        (r#"{"type":2,"action":"nope","data":[]}"#, "no application has this name"),
        (r#"{"type":2,"action":"chat","data":"str"}"#, "neither an object nor a list"),
        (r#"{"type":2,"action":"chat","data":{"x":1}}"#, "has no action"),
        (r#"{"type":2,"action":"status","data":[]}"#, "takes nothing that is pushed"),
        (too_large.as_str(), "larger than 65,536 bytes"),
    ] {
        push(&server, datagram);
        server.wait_for_output(why);
    }
    push(&server, "");
    push(&server, &line("still"));
    client.expect_text(&message("still"));
}

#[test]
fn a_datagram_of_the_largest_size_arrives() {
    let server = server();
    let mut client = Open::at("/chat").upgrade(server.port);
    let text = "x".repeat(65_536 - line("").len());
    push(&server, &line(&text));
    client.expect_text(&message(&text));
}

#[test]
fn complaints_are_few_however_many_datagrams_are_wrong() {
    let server = server();
    let mut client = Open::at("/chat").upgrade(server.port);
    for _ in 0..300 {
        push(&server, "not json");
    }
    push(&server, &line("last"));
    client.expect_text(&message("last"));
    let complaints = server.output().matches("event=push_datagram_dropped").count();
    assert!((1..=20).contains(&complaints), "{complaints}");
}

/// A message that is pushed while the leader is dead waits in the kernel for the next leader.
#[test]
fn a_death_of_any_worker_loses_nothing_that_is_pushed_afterwards() {
    let server = server();
    for worker in 0..2 {
        send_signal(server.workers(2)[worker], rustix::process::Signal::KILL);
        push(&server, &line("while one is dead"));
        server.wait_for_output("event=child_died");
        server.workers(2);
        let (mut one, mut other) = server.upgrade_apart(&Open::at("/chat"), &Open::at("/chat"));
        push(&server, &line("after a death"));
        expect_after(&mut one);
        expect_after(&mut other);
    }
}

/// Expects the message that was pushed after the death. The client gets the message that was pushed during
/// the death too, unless it connected later.
#[track_caller]
fn expect_after(client: &mut Raw) {
    let first = client.frame();
    if first.as_text() == message("while one is dead") {
        client.expect_text(&message("after a death"));
    } else {
        assert_eq!(first.as_text(), message("after a death"));
    }
}

/// While the broker is stopped, the window of the leader fills (rule L4). Pushed messages then wait in the
/// kernel, and finally in the script.
#[test]
fn pushed_messages_wait_for_a_stopped_broker() {
    const COUNT: usize = 300;
    const BEFORE_ALL_IS_FULL: usize = 150;
    // The whole window arrives at once when the broker continues.
    let server = Setup::new().workers(2).ini("outboxLimit = 64M").ini(INI).start();
    let mut client = Open::at("/chat").upgrade(server.port);
    let (broker, path) = (server.broker(), socket_of(&server));
    send_signal(broker, rustix::process::Signal::STOP);
    let text = |number: usize| format!("{number:05}{}", "x".repeat(50_000));
    let (report_done, done) = std::sync::mpsc::channel();
    let script = std::thread::spawn(move || {
        let socket = UnixDatagram::unbound().unwrap();
        for number in 0..COUNT {
            socket.send_to(line(&text(number)).as_bytes(), &path).unwrap();
            report_done.send(()).unwrap();
        }
    });
    for _ in 0..BEFORE_ALL_IS_FULL {
        done.recv_timeout(DEADLINE).unwrap();
    }
    send_signal(broker, rustix::process::Signal::CONT);
    for number in 0..COUNT {
        client.expect_text(&message(&text(number)));
    }
    script.join().unwrap();
}

#[test]
fn the_tenant_is_that_of_the_anonymous_application() {
    let auth = "applications:\n  - {key: a, secret: a-secret-of-this-test-alone, tenant: x, \
                authorizeOpen: true}\n  - {key: b, secret: b-secret-of-this-test-alone, \
                authorizeOpen: true}\nanonymous: a\n";
    let server = Setup::new().workers(2).ini(INI).auth(auth).start();
    let mut anonymous = Open::at("/chat").upgrade(server.port);
    let mut elsewhere = Open::at("/chat?key=b").upgrade(server.port);
    push(&server, &line("x"));
    anonymous.expect_text(&message("x"));
    elsewhere.expect_silence();
}

#[test]
fn the_socket_has_its_mode_and_is_removed_with_the_server() {
    let server = server();
    let there = std::fs::metadata(socket_of(&server)).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o777, 0o660);
    server.term();
    assert!(server.wait_exit(DEADLINE).success());
    assert!(!socket_of(&server).exists());
}

#[test]
fn a_file_that_is_not_a_socket_stays_and_prevents_the_start() {
    let folder = Folder::new();
    folder.write("websock.ini", &format!("[websocketserver]\nadress = ws://127.0.0.1:0\n{INI}"));
    folder.write("push.sock", "precious");
    let start = run_to_end(&folder, &["serve"]);
    assert_eq!(start.code, Some(78), "{}", start.text);
    assert!(
        start.text.contains("push.sock") && start.text.contains("not a socket"),
        "{}",
        start.text
    );
    assert_eq!(std::fs::read_to_string(folder.root().join("push.sock")).unwrap(), "precious");
}

#[test]
fn a_stale_socket_is_replaced() {
    let folder = Folder::new();
    drop(UnixDatagram::bind(folder.root().join("push.sock")).unwrap());
    let ini = format!("[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 1\n{INI}");
    folder.write("websock.ini", &ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let mut client = Open::at("/chat").upgrade(server.port);
    push(&server, &line("x"));
    client.expect_text(&message("x"));
}

/// Two messages written in PushClient's format, by both methods that PHP has.
const SCRIPT: &str = r#"<?php
function pushed(string $text): string {
    return json_encode(['type' => 2, 'action' => 'chat',
        'data' => ['action' => 'echo', 'data' => $text]]);
}
$first = pushed('Hello from PHP! é/');
if (function_exists('socket_create')) {
    $socket = socket_create(AF_UNIX, SOCK_DGRAM, 0);
    $sent = socket_sendto($socket, $first, strlen($first), 0, $argv[1], 0);
    socket_close($socket);
} else {
    $stream = stream_socket_client('udg://' . $argv[1]);
    $sent = fwrite($stream, $first);
}
$stream = stream_socket_client('udg://' . $argv[1], $code, $text);
$second = pushed('and by a stream');
$written = fwrite($stream, $second);
exit($sent === strlen($first) && $written === strlen($second) ? 0 : 1);
"#;

/// Case 139, from PHP.
pub fn a_php_script_pushes() {
    let server = server();
    let mut client = Open::at("/chat").upgrade(server.port);
    server.folder.write("push.php", SCRIPT);
    let script = server.folder.root().join("push.php");
    let run = Command::new("php").arg(script).arg(socket_of(&server)).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    client.expect_text(&message("Hello from PHP! \u{e9}/"));
    client.expect_text(&message("and by a stream"));
}

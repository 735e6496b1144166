//! The log in phpWebSocketServer's format: case 93 of the contract.

use std::process::{Command, Stdio};

use crate::harness::{DEADLINE, Folder, Open, Setup, binary, eventually};

/// Returns whether a text has the form `Sat, 21 Nov 2026 01:02:03 +0000`.
fn is_date(text: &str) -> bool {
    let pattern = "Aaa, 00 Aaa 0000 00:00:00 +0000";
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, expected)| match expected {
            b'A' => byte.is_ascii_uppercase(),
            b'a' => byte.is_ascii_lowercase(),
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// Checks that every line is `<date>;<text>` with CRLF and that there are no other CR or LF. Returns the
/// texts.
#[track_caller]
fn texts(log: &str) -> Vec<&str> {
    let whole = log.strip_suffix("\r\n").unwrap_or_else(|| panic!("cut: {log:?}"));
    let lines = whole.split("\r\n").map(|line| {
        let (date, text) = line.split_once(';').unwrap_or_else(|| panic!("no date: {line:?}"));
        assert!(is_date(date), "{line:?}");
        assert!(!text.contains(['\r', '\n', '\u{1b}']), "{line:?}");
        text
    });
    lines.collect()
}

#[test]
fn case_93_each_event_is_a_date_a_semicolon_a_text_and_crlf() {
    let server = Setup::new()
        .ini("logFormat = phpws\nlogfile = websock.log\nlogLevel = debug\nconsole = true")
        .start();
    let file = server.folder.path("websock.log");
    let mut client = server.open(&Open::web().target("/web?x=\u{9b}[2J;y"));
    client.text("{\"opcode\":\"quit\"}");
    client.expect_next();
    client.expect_closed(1000);
    Open::at("/nope;\u{202e}").ask(server.port).wait_for_end();
    server.term();
    assert!(server.wait_exit(DEADLINE).success());
    let log = std::fs::read_to_string(&file).unwrap();
    let texts = texts(&log);
    for event in [
        "listening on ws://127.0.0.1:",
        "connection opened event=connection_opened connection=",
        "connection closed",
    ] {
        assert!(texts.iter().any(|text| text.starts_with(event)), "{event}: {texts:#?}");
    }
    // The console must have the same lines, which are compared by their texts.
    let console = server.output();
    for text in texts {
        assert!(console.contains(text), "{text:?} is not in\n{console}");
    }
}

#[test]
fn case_93_the_console_ends_its_lines_with_crlf_too() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\nlogFormat = phpws\n");
    // Without applications a warning for the operator would come first, which is not a log line.
    let auth = "applications:\n  - key: shop\n    secret: shop-secret-1\n    authorizeOpen: true\n";
    folder.write("auth.yml", auth);
    let console = std::fs::File::create(folder.path("console")).unwrap();
    let mut server = Command::new(binary())
        .args(["serve", "-i", "websock.ini"])
        .current_dir(folder.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(console)
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(folder.path("console")).unwrap();
    eventually("the end of the start", || read().contains("event=listening").then_some(()));
    crate::harness::processes::send_signal(server.id(), rustix::process::Signal::TERM);
    server.wait().unwrap();
    assert!(!texts(&read()).is_empty());
}

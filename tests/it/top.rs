//! `tagcast top`: in a terminal, as text, and as JSON.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::harness::{DEADLINE, Open, Server, Setup, binary, broadcast, eventually};

#[test]
fn json_has_processes_applications_and_events() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    client.text(broadcast("x"));
    client.expect_next();
    let finished = server.command(&["top", "--json"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    let report: serde_json::Value = serde_json::from_str(&finished.text).unwrap();
    let processes = report["figures"]["processes"].as_array().unwrap();
    let roles: Vec<_> = processes.iter().map(|one| one["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["supervisor", "broker", "api", "worker", "worker"]);
    assert!(processes.iter().all(|one| one["resident_bytes"].as_u64().unwrap() > 1_000_000));
    // Clients, messages, publications.
    let own = &report["figures"]["applications"]["-"];
    assert_eq!((&own[0], &own[1], &own[2]), (&1.into(), &1.into(), &1.into()), "{own}");
    let events = report["events"].as_array().unwrap();
    assert_eq!(events[0]["text"], "server ready");
}

#[test]
fn without_a_terminal_it_prints_one_screen() {
    let server = Server::start();
    let finished = server.command(&["top"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    for part in
        ["tagcast ", "serving", "PROCESS ", "worker 1", "APPLICATION", "OUTBOX OF", "server ready"]
    {
        assert!(finished.text.contains(part), "{part} in\n{}", finished.text);
    }
    assert!(!finished.text.contains('\u{1b}'), "no control sequences");
    assert!(finished.text.lines().all(|line| line.chars().count() <= 80), "{}", finished.text);
}

#[test]
fn without_a_server_it_exits_with_69() {
    let folder = crate::harness::Folder::new();
    let finished = crate::harness::run_to_end(&folder, &["top", "--json"]);
    assert_eq!(finished.code, Some(69), "{}", finished.text);
}

#[test]
fn an_unread_outbox_is_listed() {
    let server = Setup::new().workers(1).ini("outboxLimit = 8M").start();
    let _stopped = server.open(&Open::web());
    let mut publisher = server.open(&Open::web());
    let packet = broadcast(&"x".repeat(400_000));
    for _ in 0..10 {
        publisher.text(&packet);
        publisher.expect_next();
    }
    let outbox = eventually("an outbox", || {
        let finished = server.command(&["top", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&finished.text).unwrap();
        report["outboxes"].get(0).cloned()
    });
    assert_eq!(outbox["client"].as_str().unwrap().len(), 8, "{outbox}");
    assert!(outbox["bytes"].as_u64().unwrap() > 100_000, "{outbox}");
}

/// Runs it in a pseudo-terminal, presses `s` and `q`, and waits for its end.
pub fn keys_work_in_a_terminal() {
    let server = Server::start();
    let folder = server.folder.path("").display().to_string();
    let command = format!("cd {folder} && stty rows 24 cols 80 && {} top", binary().display());
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut output) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let seen = Arc::new(Mutex::new(String::new()));
    let shown = Arc::clone(&seen);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = output.read(&mut buffer) {
            shown.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
    let contains = |part: &str| seen.lock().unwrap().contains(part);
    eventually("the screen", || contains("sorts").then_some(()));
    keys.write_all(b"s").unwrap();
    // Only cells that have changed are written again: `size` becomes `name`.
    eventually("the next order", || contains("nam").then_some(()));
    keys.write_all(b"q").unwrap();
    let status = eventually("its end", || script.try_wait().unwrap());
    assert!(status.success(), "{status} within {DEADLINE:?}");
    drop(keys);
    reader.join().unwrap();
    assert!(contains("\u{1b}[?1049l"), "the former screen is back");
}

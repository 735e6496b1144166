//! Admin commands to a running server: status, restart of the workers, drain.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{DEADLINE, Folder, Open, Raw, Server, Setup, broadcast, run_to_end};
use rustix::process::Signal;

const UNAVAILABLE: i32 = 69;

#[test]
fn status_names_every_process_with_what_it_holds() {
    let server = Server::start();
    let (mut here, mut there) =
        server.open_apart(&Open::at("/web?tags=%7B%22a%22:1%7D"), &Open::web());
    here.expect_silence();
    there.expect_silence();
    let finished = server.command(&["status"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    for words in ["serving", "connections", "broker", "worker 0", "worker 1", "ready"] {
        assert!(finished.text.contains(words), "{words} in\n{}", finished.text);
    }
    let status = server.status();
    let roles: Vec<_> = status.processes.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(roles, ["broker", "api", "worker 0", "worker 1"]);
    let mut pids: Vec<u32> = status.processes.iter().filter_map(|process| process.pid).collect();
    let mut children: Vec<u32> = server.children().into_iter().map(|(pid, _)| pid).collect();
    pids.sort_unstable();
    children.sort_unstable();
    assert_eq!(pids, children);
    assert!(status.processes.iter().all(|it| it.resident_bytes.unwrap() > 1_000_000));
    let broker = status.broker().unwrap();
    assert_eq!(broker.workers, 2);
    assert!(broker.clients >= 2 && broker.rows >= 1, "{broker:?}");
    // Connections that were opened only to reach both workers are closed, or will be soon.
    crate::harness::eventually("one connection on each worker", || {
        let open: Vec<u64> = server.status().workers().map(|counts| counts.open).collect();
        (open == [1, 1]).then_some(())
    });
}

#[test]
fn status_as_json_is_one_object() {
    let server = Server::start();
    let finished = server.command(&["status", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&finished.text).unwrap();
    assert_eq!(value["stage"], "serving");
    assert_eq!(value["pid"], server.pid());
    assert_eq!(value["processes"][0]["role"], "broker");
    assert_eq!(value["processes"][1]["counts"]["api"]["open"], 0);
    assert_eq!(value["processes"][2]["counts"]["worker"]["open"], 0);
}

#[test]
fn a_process_that_does_not_answer_is_shown_without_counts() {
    let server = Server::start();
    let worker = server.workers(2)[0];
    crate::harness::processes::send_signal(worker, Signal::STOP);
    let status = server.status();
    crate::harness::processes::send_signal(worker, Signal::CONT);
    let silent = status.processes.iter().find(|process| process.pid == Some(worker)).unwrap();
    assert_eq!(silent.counts, None);
    assert_eq!(status.workers().count(), 1);
}

#[test]
fn without_a_server_the_error_has_its_own_text_and_code() {
    let folder = Folder::new();
    for command in ["status", "reload", "drain", "restart-workers"] {
        let finished = run_to_end(&folder, &[command]);
        assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.text);
        assert!(finished.text.contains("no server is running"), "{}", finished.text);
    }
}

#[test]
fn the_socket_is_private_to_its_owner_and_survives_garbage() {
    let server = Server::start();
    let path = server.folder.path("state/control.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let endless = vec![b'x'; 100_000];
    for rubbish in [b"nonsense\n".as_slice(), b"\n", b"\"reload", b"{\"status\":1}\n", &endless] {
        let mut socket = UnixStream::connect(&path).unwrap();
        // The server may close the socket before it has read everything.
        let _taken = socket.write_all(rubbish);
        let _shut = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = socket.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("done"));
    }
    // These idle connections fill the limit of the admin socket. A request waits for them only until their
    // time is over.
    let _silent: Vec<_> = (0..15).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(server.status().configuration.number, 1);
}

#[test]
fn clients_are_served_until_their_turn_to_be_closed_comes() {
    let server = Setup::new().ini("drainTime = 6s").start();
    // All on one worker, so that they are closed in order and the last one has three seconds left.
    let worker = server.workers(2)[0];
    let mut clients: Vec<Raw> = (0..6).map(|_| server.open_on(worker, &Open::web())).collect();
    server.term();
    clients[0].expect_closed(1001);
    let last = clients.last_mut().unwrap();
    last.text(broadcast("one more thing"));
    last.expect_next();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = Setup::new().ini("drainTime = 60s").start();
    let mut clients: Vec<Raw> = (0..20).map(|_| server.open(&Open::web())).collect();
    server.term();
    clients[0].expect_closed(1001);
    server.term_until_end(Duration::from_secs(5));
    for client in clients.iter_mut().skip(1) {
        client.wait_for_end();
    }
}

#[test]
fn the_command_drain_waits_for_the_end() {
    let server = Setup::new().ini("drainTime = 2s").start();
    let mut client = server.open(&Open::web());
    let finished = server.command(&["drain"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    assert!(finished.text.contains("the server has stopped"), "{}", finished.text);
    client.expect_closed_somehow(1001);
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
}

#[test]
fn a_rolling_restart_refuses_no_connection() {
    let server = Setup::new().ini("drainTime = 1s").start();
    let before = server.workers(2);
    let mut old: Vec<Raw> = (0..20).map(|_| server.open(&Open::web())).collect();
    let stop = AtomicBool::new(false);
    let opened = std::thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            let mut opened = 0;
            while !stop.load(Ordering::Relaxed) {
                // A refused, reset or unanswered connection panics here.
                let mut client = Open::web().upgrade(server.port);
                client.expect_ready();
                opened += 1;
            }
            opened
        });
        let finished = server.command(&["restart-workers"]);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(finished.code, Some(0), "{}", finished.text);
        assert!(finished.text.contains("worker 0 is replaced by worker 2"), "{}", finished.text);
        connecting.join().unwrap()
    });
    assert!(opened > 0, "a newcomer came in while the workers were restarted");
    old.iter_mut().for_each(|client| drop(client.expect_closed(1001)));
    let after = server.workers(2);
    assert!(before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
    let (mut one, mut other) = server.open_apart(&Open::web(), &Open::web());
    one.text(broadcast("through new workers"));
    one.expect_next();
    other.expect_text(&broadcast("through new workers"));
}

#[test]
fn workers_can_be_restarted_again_and_again_also_when_there_is_one() {
    let server = Setup::new().workers(1).start();
    let mut seen = server.workers(1);
    for _ in 0..5 {
        let finished = server.command(&["restart-workers"]);
        assert_eq!(finished.code, Some(0), "{}", finished.text);
        seen.extend(server.workers(1));
        server.open(&Open::web()).expect_silence();
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn a_restart_while_one_is_under_way_is_denied() {
    let server = Setup::new().ini("drainTime = 3s").start();
    let _clients: Vec<Raw> = (0..10).map(|_| server.open(&Open::web())).collect();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.command(&["restart-workers"]));
        server.wait_for_output("event=worker_replaced");
        let second = server.command(&["restart-workers"]);
        assert_eq!(second.code, Some(1), "{}", second.text);
        assert!(second.text.contains("already"), "{}", second.text);
        assert_eq!(first.join().unwrap().code, Some(0));
    });
}

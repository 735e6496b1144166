//! Signals as terminals and wrappers send them: to every process at once, and more than once.

use rustix::process::Signal;

use crate::harness::processes::send_signal;
use crate::harness::{DEADLINE, Open, Raw, Server, Setup};

/// Expects that all clients are closed in order and the server exits with 0.
#[track_caller]
fn expect_orderly_end(server: &Server, clients: &mut [Raw]) {
    for client in clients {
        client.expect_closed(1001);
    }
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    let output = server.output();
    assert!(!output.contains("event=child_died"), "{output}");
}

#[test]
fn ctrl_c_for_every_process_is_an_orderly_end() {
    let server = Setup::new().ini("drainTime = 2s").start();
    let mut clients: Vec<Raw> = (0..6).map(|_| server.open(&Open::web())).collect();
    let children: Vec<_> = server.children().into_iter().map(|(pid, _)| pid).collect();
    for pid in children.into_iter().chain([server.pid()]) {
        send_signal(pid, Signal::INT);
    }
    expect_orderly_end(&server, &mut clients);
}

#[test]
fn sigint_to_a_single_child_is_ignored() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    for (pid, _) in server.children() {
        send_signal(pid, Signal::INT);
    }
    client.text("{}");
    client.expect_next();
    let children = server.children();
    client.text("{}");
    client.expect_next();
    assert_eq!(server.children(), children);
    assert!(!server.output().contains("event=child_died"));
}

#[test]
fn a_repeated_signal_does_not_skip_the_drain() {
    for again in [Signal::INT, Signal::TERM] {
        let server = Setup::new().ini("drainTime = 2s").start();
        let mut clients: Vec<Raw> = (0..6).map(|_| server.open(&Open::web())).collect();
        server.signal(Signal::INT);
        server.wait_for_output("event=shutdown_requested");
        server.signal(again);
        server.wait_for_output("event=signal_ignored");
        expect_orderly_end(&server, &mut clients);
    }
}

//! The supervisor is killed or told to exit, at any moment, once or twice. No process is left running (fault
//! 37).

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::harness::processes::{processes_in, send_signal};
use crate::harness::{
    DEADLINE, Folder, Open, Raw, Running, Server, Setup, broadcast, eventually, frames, pause,
    received_nothing,
};
use rustix::process::Signal;

#[track_caller]
fn expect_nothing_left(folder: &Path) {
    eventually("the end of every process", || processes_in(folder).is_empty().then_some(()));
}

#[test]
fn a_supervisor_killed_under_load_leaves_no_process_or_connection() {
    [Signal::KILL, Signal::ABORT].into_iter().for_each(ends_under_load);
}

fn ends_under_load(signal: Signal) {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    assert_eq!(processes_in(server.folder.root()).len(), 5);
    let mut socket = publisher.writer();
    std::thread::scope(|scope| {
        // Writes until the server has exited.
        let packet = frames::text(broadcast("again and again"));
        scope.spawn(move || while socket.write_all(&packet).is_ok() {});
        for _ in 0..100 {
            receiver.frame();
        }
        server.signal(signal);
        receiver.wait_for_end();
        publisher.wait_for_end();
    });
    expect_nothing_left(server.folder.root());
}

/// Children that were just started, or are about to be replaced, notice it too.
#[test]
fn a_supervisor_killed_at_any_moment_of_its_start_leaves_no_process() {
    for moment in moments() {
        let folder = prepared();
        let running = Running::start(&folder, &["serve", "-i", "websock.ini"]);
        pause(moment);
        running.signal(Signal::KILL);
        expect_nothing_left(folder.root());
    }
}

#[test]
fn a_signal_at_any_moment_of_the_start_leaves_no_process() {
    for moment in moments() {
        let folder = prepared();
        let running = Running::start(&folder, &["serve", "-i", "websock.ini"]);
        pause(moment);
        running.signal(Signal::TERM);
        let (code, output, errors) = running.wait_for_end();
        // Before the supervisor handles signals, this signal kills it like any other program.
        assert!(matches!(code, Some(0) | None), "after {moment:?}: {code:?} {output} {errors}");
        assert!(!output.contains("ERROR"), "after {moment:?}: {output}");
        expect_nothing_left(folder.root());
    }
}

/// Moments from before it has read its configuration until it serves.
fn moments() -> impl Iterator<Item = Duration> {
    (0..12).map(|step| Duration::from_millis(3 * step))
}

fn prepared() -> Folder {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 3\n");
    folder
}

#[test]
fn a_second_signal_means_now() {
    let server = Setup::new().ini("drainTime = 60s").start();
    // These clients do not answer the Close, so the first signal would wait for them.
    let mut silent: Vec<_> = (0..4).map(|_| server.open(&Open::web())).collect();
    let mut half_open = Raw::connect(server.port);
    half_open.send("GET /web HTTP/1.1\r\n");
    let hung = server.worker_of(&silent[0]);
    send_signal(hung, Signal::STOP);
    server.term();
    server.wait_for_output("event=shutdown_requested");
    let status = server.term_until_end(DEADLINE);
    assert_eq!(status.code(), Some(0));
    for client in &mut silent {
        client.wait_for_end();
    }
    expect_nothing_left(server.folder.root());
}

#[test]
fn a_signal_to_end_while_children_die_ends_all_the_same() {
    for doomed in 0..3 {
        let server = Server::start();
        let mut client = server.open(&Open::web());
        let children: Vec<_> = server.children().into_iter().map(|(pid, _)| pid).collect();
        send_signal(children[doomed], Signal::KILL);
        server.term();
        client.wait_for_end();
        assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
        expect_nothing_left(server.folder.root());
    }
}

#[test]
fn a_stopped_supervisor_closes_no_client_and_continues() {
    let server = Server::start();
    let (mut here, mut there) = server.open_apart(&Open::web(), &Open::web());
    let (doomed, safe) = (server.worker_of(&here), server.worker_of(&there));
    let mut other_client = server.open_on(safe, &Open::web());
    server.signal(Signal::STOP);
    send_signal(doomed, Signal::KILL);
    here.wait_for_end();
    for number in 0..100 {
        let packet = broadcast(&format!("nobody decides {number}"));
        there.text(&packet);
        there.expect_next();
        other_client.expect_text(&packet);
    }
    let mut new_client = server.open(&Open::web());
    new_client.expect_silence();
    server.signal(Signal::CONT);
    assert!(server.workers(2).contains(&safe));
    let (_, mut last) = server.open_apart(&Open::web(), &Open::web());
    received_nothing(&mut there, &mut last);
    received_nothing(&mut there, &mut new_client);
}

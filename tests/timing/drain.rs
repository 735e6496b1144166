//! Measures how long shutdowns and restarts take, and how a drain is spread over its time.

use std::time::{Duration, Instant};

use crate::harness::processes::{is_alive, send_signal};
use crate::harness::{Open, Raw, Server, Setup, eventually};
use rustix::process::Signal;

#[test]
fn a_drain_closes_one_after_the_other_over_the_drain_time() {
    let _quiet = crate::harness::among_idle();
    let server = Setup::new().workers(1).ini("drainTime = 2s").start();
    let mut clients: Vec<Raw> = (0..30).map(|_| server.open(&Open::web())).collect();
    let began = Instant::now();
    server.term();
    let mut ended_at: Vec<Duration> = Vec::new();
    for client in &mut clients {
        client.expect_closed(1001);
        ended_at.push(began.elapsed());
    }
    assert_eq!(server.wait_exit(Duration::from_secs(4)).code(), Some(0));
    // This does not test speed. It tests that the clients are not all closed at once.
    let late = ended_at.iter().filter(|at| **at > Duration::from_millis(500)).count();
    assert!((5..30).contains(&late), "{ended_at:?}");
    assert!(ended_at[0] < Duration::from_millis(500), "{ended_at:?}");
}

#[test]
fn new_connections_do_not_wait_for_the_successor_of_a_killed_worker() {
    let _quiet = crate::harness::among_idle();
    let server = Server::start();
    send_signal(server.workers(2)[0], Signal::KILL);
    let began = Instant::now();
    let _new_clients: Vec<Raw> = (0..10).map(|_| server.open(&Open::web())).collect();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn children_of_a_killed_supervisor_exit_within_the_orphan_time() {
    let _quiet = crate::harness::among_idle();
    let server = Server::start();
    let (mut one, mut other) = server.open_apart(&Open::web(), &Open::web());
    let children: Vec<u32> = server.children().into_iter().map(|(pid, _)| pid).collect();
    let began = Instant::now();
    server.signal(Signal::KILL);
    for client in [&mut one, &mut other] {
        client.expect_closed_somehow(1001);
    }
    for pid in children {
        eventually("the end of every process", || (!is_alive(pid)).then_some(()));
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// A stopped child cannot handle the signal for the death of its parent, so it must be continued.
#[test]
fn a_killed_supervisor_leaves_no_process_though_its_children_were_stopped() {
    let _quiet = crate::harness::among_idle();
    // The kernel continues a stopped process group that becomes orphaned, which means that none of
    // its processes has a parent in another group of the same session. Here this test adopts the
    // children within its own session, so the kernel does not continue them.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let server = Server::start();
    let mut client = server.open(&Open::web());
    let children: Vec<_> = server.children().into_iter().map(|(pid, _)| pid).collect();
    assert_eq!(children.len(), 4);
    children.iter().for_each(|pid| send_signal(*pid, Signal::STOP));
    server.signal(Signal::KILL);
    client.expect_closed_somehow(1001);
    for pid in children {
        eventually("the end of every process", || (!is_alive(pid)).then_some(()));
    }
}

//! A restart of the workers while clients reconnect: each client is closed once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Open, Raw, Server, Setup, pause};

const CLIENTS: u64 = 25;
const RESTARTS: usize = 3;

/// Reconnects after each Close, with a delay of 50 to 250 ms. Returns how often the client was closed. A
/// refusal panics.
fn comes_back(server: &Server, number: u64, is_over: &AtomicBool) -> usize {
    let (mut client, mut closed) = (server.open(&Open::web()), 0);
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        if client.read_segment(Duration::from_millis(20)).is_err() {
            if was_over {
                return closed;
            }
            continue;
        }
        client.expect_closed(1001);
        closed += 1;
        pause(Duration::from_millis(50 + number * 83 % 200));
        client = Open::web().ready(server.port);
    }
}

#[test]
fn a_restart_closes_each_client_once() {
    let server = Setup::new().workers(2).ini("drainTime = 2s").start();
    for _ in 0..RESTARTS {
        let is_over = AtomicBool::new(false);
        let closings: Vec<usize> = std::thread::scope(|scope| {
            let (server, is_over) = (&server, &is_over);
            let comes_back = |number| scope.spawn(move || comes_back(server, number, is_over));
            let clients: Vec<_> = (0..CLIENTS).map(comes_back).collect();
            while server.status().connections() < CLIENTS {
                pause(Duration::from_millis(10));
            }
            let finished = server.command(&["restart-workers"]);
            assert_eq!(finished.code, Some(0), "{}", finished.text);
            is_over.store(true, Ordering::SeqCst);
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert!(closings.iter().all(|count| *count == 1), "{closings:?}");
    }
}

/// All clients can connect even if the new worker dies during the restart.
#[test]
fn a_restart_serves_new_connections_though_the_new_worker_dies() {
    let server = Setup::new().workers(2).ini("drainTime = 2s").start();
    let old = server.workers(2);
    let _clients: Vec<Raw> = (0..10).map(|_| server.open(&Open::web())).collect();
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| server.command(&["restart-workers"]));
        server.wait_for_output("event=drain_started");
        let new = server.workers(3).into_iter().find(|pid| !old.contains(pid)).unwrap();
        crate::harness::processes::send_signal(new, rustix::process::Signal::KILL);
        for _ in 0..20 {
            server.open(&Open::web()).expect_silence();
        }
        assert_eq!(restart.join().unwrap().code, Some(0));
    });
}

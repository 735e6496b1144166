//! Clients that make the server hold much memory and never finish. The memory limit is not reached,
//! the clients that use the most are closed, and other clients are not affected (fault 39).

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::frames::{BINARY, FIN, TEXT, masked, text};
use crate::harness::processes::send_signal;
use crate::harness::{
    Bystander, Frame, Open, Raw, Server, Setup, broadcast, echo, eventually, feedback_to, pause,
};
use rustix::process::Signal;
use tagcast::types::{Pressure, WorkerCounts};

const MIB: usize = 1024 * 1024;
const CEILING: u64 = 200 * MIB as u64;
/// Bytes that one client sends, slightly less than the largest message.
const MUCH: usize = 5 * MIB - 1024;
const CLIENTS: usize = 100;
/// Clients that send at the same time.
const AT_ONCE: usize = 4;
/// Time after which a client that can no longer send gives up.
const WRITE_WAIT: Duration = Duration::from_secs(2);

fn server() -> Server {
    Setup::new().ini("maxMemory = 200M\n").start()
}

fn hold(server: &Server, bytes: &[u8]) -> Vec<Raw> {
    all_hold(server, CLIENTS, bytes)
}

/// Lets `count` clients send these bytes while a bystander is served. A new client must be able to
/// connect afterwards.
fn all_hold(server: &Server, count: usize, bytes: &[u8]) -> Vec<Raw> {
    let mut bystander = Bystander::connect(server);
    let mut clients: Vec<Raw> = (0..count).map(|_| server.open(&Open::web())).collect();
    thread::scope(|scope| {
        let senders: Vec<_> = clients
            .chunks_mut(count / AT_ONCE)
            .map(|some| {
                scope.spawn(move || {
                    for client in some {
                        client.stream().set_write_timeout(Some(WRITE_WAIT)).unwrap();
                        // The connection may be closed before everything is sent.
                        let _sent = client.writer().write_all(bytes);
                    }
                })
            })
            .collect();
        let is_over = AtomicBool::new(false);
        let highest = thread::scope(|watching| {
            let watch = watching.spawn(|| highest_until(server, &is_over));
            while senders.iter().any(|sender| !sender.is_finished()) {
                bystander.is_served();
            }
            is_over.store(true, Ordering::Relaxed);
            watch.join().unwrap()
        });
        assert!(highest < CEILING, "{} MiB of {}", highest / MIB as u64, CEILING / MIB as u64);
    });
    for _ in 0..20 {
        bystander.is_served();
    }
    let mut new_client = server.open(&Open::web());
    new_client.text(broadcast("from somebody new"));
    new_client.expect_next();
    bystander.receives(&broadcast("from somebody new"));
    clients
}

/// Returns the highest memory of all processes that was sampled.
fn highest_until(server: &Server, is_over: &AtomicBool) -> u64 {
    let mut highest = 0;
    while !is_over.load(Ordering::Relaxed) {
        highest = highest.max(server.memory("VmRSS:"));
        pause(Duration::from_millis(1));
    }
    highest
}

/// Returns the counters after some clients were closed. Their data may stay in the kernel for a
/// while before that.
#[track_caller]
fn counts_with_closed(server: &Server) -> WorkerCounts {
    eventually("clients that are closed", || Some(server.counts()).filter(|it| it.shed > 0))
}

/// Checks that some clients were closed with the expected reason and that the others are still
/// open.
fn some_were_closed(server: &Server, clients: Vec<Raw>) {
    let counts = counts_with_closed(server);
    assert!(counts.shed < CLIENTS as u64, "{counts:?}");
    assert_eq!(counts.slow, 0, "they read what they get");
    server.wait_for_output("event=closed_for_memory");
    let closes = clients.into_iter().filter_map(|mut client| {
        let frame = client.frame_or_end().ok().filter(Frame::is_close)?;
        Some((frame.close_code(), String::from_utf8_lossy(&frame.payload[2..]).into_owned()))
    });
    for close in closes.take(usize::try_from(counts.shed).unwrap()) {
        assert_eq!(close, (Some(1013), "the server is short of memory".to_owned()));
    }
}

#[test]
fn first_pieces_that_nothing_follows() {
    let _quiet = crate::harness::alone();
    let server = server();
    let clients = hold(&server, &masked(BINARY, vec![b'x'; MUCH]));
    some_were_closed(&server, clients);
}

#[test]
fn frames_that_lack_their_last_byte() {
    let _quiet = crate::harness::alone();
    let server = server();
    let frame = masked(FIN | TEXT, vec![b'x'; MUCH]);
    let clients = hold(&server, &frame[..frame.len() - 1]);
    some_were_closed(&server, clients);
}

#[test]
fn chunks_after_buffer_on() {
    let _quiet = crate::harness::alone();
    let server = server();
    let mut chunks = text("bufferON");
    let chunk = text("x".repeat(64 * 1024));
    (0..MUCH / (64 * 1024)).for_each(|_| chunks.extend_from_slice(&chunk));
    let clients = hold(&server, &chunks);
    let counts = counts_with_closed(&server);
    assert!(counts.shed < CLIENTS as u64, "{counts:?}");
    drop(clients);
}

/// The allocator keeps blocks of this size, so the processes do not shrink when clients are closed.
#[test]
fn many_small_holders_and_the_room_that_they_leave() {
    let _quiet = crate::harness::alone();
    let server = server();
    let frame = masked(FIN | BINARY, vec![b'x'; 240_000]);
    let clients = all_hold(&server, 900, &frame[..frame.len() - 1]);
    counts_with_closed(&server);
    eventually("room", || {
        (server.status().memory.unwrap().pressure == Pressure::None).then_some(())
    });
    // Some clients have not read their Close yet.
    drop(clients);
    for _ in 0..20 {
        server.open(&Open::web());
    }
}

/// The window holds eight megabytes. The other clients keep their messages until there is a new
/// broker.
#[test]
fn messages_that_wait_for_a_stopped_broker() {
    let _quiet = crate::harness::alone();
    let server = server();
    let mut receiver = server.open(&Open::web());
    let clients: Vec<Raw> = (0..CLIENTS).map(|_| server.open(&Open::web())).collect();
    let broker = server.broker();
    let message = text(feedback_to("nobody", &"x".repeat(MUCH)));
    send_signal(broker, Signal::STOP);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| highest_until(&server, &is_over));
        for client in &clients {
            client.stream().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            let _sent = client.writer().write_all(&message);
        }
        is_over.store(true, Ordering::Relaxed);
        let highest = watch.join().unwrap();
        assert!(highest < CEILING, "{} MiB of {}", highest / MIB as u64, CEILING / MIB as u64);
    });
    counts_with_closed(&server);
    drop(clients);
    // The hung broker was replaced.
    let mut publisher = server.open(&Open::web());
    eventually("room for a publication", || {
        publisher.text(broadcast("goes on"));
        publisher.expect_next();
        publisher.text(echo("was it denied?"));
        let denied = publisher.frame().as_text().contains("busy");
        if denied {
            publisher.expect_next();
        }
        publisher.expect_text(&echo("was it denied?"));
        (!denied).then_some(())
    });
    receiver.expect_text(&broadcast("goes on"));
}

/// Memory stays below the stage that closes clients and above the stage that stops accepting.
#[test]
fn clients_just_below_the_closing_stage_block_others_only_briefly() {
    let _quiet = crate::harness::alone();
    let server = server();
    let used = || server.status().memory.unwrap().used_bytes;
    let piece = masked(BINARY, vec![b'x'; MUCH]);
    let mut clients = Vec::new();
    while used() < CEILING * 85 / 100 {
        let mut client = server.open(&Open::web());
        client.send(&piece);
        // Memory is checked ten times per second.
        pause(Duration::from_millis(120));
        clients.push(client);
    }
    let mut new_client = Open::web().ask(server.port);
    new_client.expect_upgrade();
    new_client.expect_ready();
    counts_with_closed(&server);
}

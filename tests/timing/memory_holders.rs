//! Clients that make the server hold much and never come to an end: the ceiling of memory is not
//! reached, those who hold the most are closed, and nobody else notices (fault 39).

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::frames::{
    BINARY, FIN, MASK, PONG, TEXT, announces, goes_on, masked, text, text_begins,
};
use crate::harness::processes::{resident_bytes, send_signal};
use crate::harness::{Bystander, Frame, Open, Raw, Server, Setup, broadcast, eventually, pause};
use rustix::process::Signal;
use tagcast::types::Pressure;

const MIB: usize = 1024 * 1024;
const CEILING: u64 = 200 * MIB as u64;
/// What one client sends: almost the largest message.
const MUCH: usize = 5 * MIB - 1024;
const CLIENTS: usize = 100;
/// Clients that send at the same time.
const AT_ONCE: usize = 4;
/// A client that is not read any more gives up after this.
const WRITE_WAIT: Duration = Duration::from_secs(2);

fn server() -> Server {
    Setup::new().ini("maxMemory = 200M\n").start()
}

/// `CLIENTS` clients each send this, while a bystander is served, and a newcomer gets in afterwards.
fn hold(server: &Server, bytes: &[u8]) -> Vec<Raw> {
    let mut bystander = Bystander::beside(server);
    let mut clients: Vec<Raw> = (0..CLIENTS).map(|_| server.open(&Open::web())).collect();
    thread::scope(|scope| {
        let senders: Vec<_> = clients
            .chunks_mut(CLIENTS / AT_ONCE)
            .map(|some| {
                scope.spawn(move || {
                    for client in some {
                        client.stream().set_write_timeout(Some(WRITE_WAIT)).unwrap();
                        // It may be closed before it has sent all.
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
    let mut newcomer = server.open(&Open::web());
    newcomer.text(broadcast("from somebody new"));
    newcomer.expect_next();
    bystander.hears(&broadcast("from somebody new"));
    clients
}

/// The most that all processes together were seen to have.
fn highest_until(server: &Server, is_over: &AtomicBool) -> u64 {
    let children = server.children().into_iter().map(|(pid, _)| pid);
    let all: Vec<u32> = children.chain([server.pid()]).collect();
    let mut highest = 0;
    while !is_over.load(Ordering::Relaxed) {
        highest = highest.max(all.iter().map(|pid| resident_bytes(*pid)).sum());
        pause(Duration::from_millis(1));
    }
    highest
}

/// Some were closed, each with the reason; the others are still there.
fn some_were_closed(server: &Server, clients: Vec<Raw>) {
    let counts = server.counts();
    assert!(counts.shed > 0 && counts.shed < CLIENTS as u64, "{counts:?}");
    assert_eq!(counts.slow, 0, "they read what they get");
    server.wait_for_output("closed for memory");
    let told = clients.into_iter().filter_map(|mut client| {
        let frame = client.frame_or_end().ok().filter(Frame::is_close)?;
        Some((frame.close_code(), String::from_utf8_lossy(&frame.payload[2..]).into_owned()))
    });
    for said in told.take(usize::try_from(counts.shed).unwrap()) {
        assert_eq!(said, (Some(1013), "the server is short of memory".to_owned()));
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
    let counts = server.counts();
    assert!(counts.shed > 0 && counts.shed < CLIENTS as u64, "{counts:?}");
    drop(clients);
}

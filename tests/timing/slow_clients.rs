//! Clients that do not read. They are closed by bytes and by time, with a code and a reason, while
//! memory stays within its limit and other clients are not affected (fault 19, promise P3, rule
//! L7).

use std::io::Write;

use crate::harness::processes::resident_bytes_max;
use crate::harness::{Frame, Open, Raw, Server, Setup, broadcast, frames, received_nothing};

const MIB: u64 = 1024 * 1024;

/// Maximum growth of a process for one client that does not read and for data in transit: an outbox
/// (`maxMessage` + 1 MiB) with the message that exceeds its limit, a window (8 MiB) with its copy
/// on the way to the link, publications queued in a worker (1 MiB), and half as much again for the
/// allocator.
const GROWTH_MAX: u64 = 40 * MIB;

const MESSAGE_BYTES: usize = 64 * 1024;
/// Messages that the publisher may be ahead of the witness.
const AHEAD_MAX: usize = 32;
/// Number of messages, 90 MB in total.
const MESSAGES: usize = 1440;

fn processes(server: &Server) -> Vec<(u32, String)> {
    let mut all = server.children();
    all.push((server.pid(), "the supervisor".to_owned()));
    all
}

#[test]
fn memory_stays_bounded_while_a_client_does_not_read_90_mb() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    let (mut publisher, mut witness) = server.open_apart(&Open::web(), &Open::web());
    let mut stopped = server.open_on(server.worker_of(&witness), &Open::web());
    let before: Vec<_> =
        processes(&server).iter().map(|(pid, _)| resident_bytes_max(*pid)).collect();
    let packet = broadcast(&"x".repeat(MESSAGE_BYTES));
    let frame = frames::text(&packet);
    let mut socket = publisher.writer();
    // The witness must not fall so far behind that it becomes a slow client itself.
    let (written, ahead) = std::sync::mpsc::sync_channel(AHEAD_MAX);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                written.send(number).unwrap();
                socket.write_all(&frame).unwrap();
            }
        });
        scope.spawn(|| (0..MESSAGES).for_each(|_| drop(publisher.expect_next())));
        for number in 0..MESSAGES {
            let frame = witness.frame();
            ahead.recv().unwrap();
            assert!(frame.payload == packet.as_bytes(), "{number}: {}", frame.shown());
        }
    });
    server.wait_for_output("event=slow_client");
    for ((pid, role), before) in processes(&server).iter().zip(before) {
        let growth = resident_bytes_max(*pid) - before;
        assert!(growth < GROWTH_MAX, "{role} grew by {} MiB", growth / MIB);
    }
    stopped.wait_for_end();
    received_nothing(&mut publisher, &mut witness);
}

/// Reads to the end of the connection and returns the last frame.
fn last_words(client: &mut Raw) -> Frame {
    let mut last = client.frame();
    while let Ok(frame) = client.frame_or_end() {
        last = frame;
    }
    last
}

/// Publishes until the server closes a client as slow.
fn publish_until_slow(server: &Server, publisher: &mut Raw, packet: &str) {
    let frame = frames::text(packet);
    for _ in 0..4000 {
        publisher.send(&frame);
        publisher.expect_next();
        if server.output().contains("event=slow_client") {
            return;
        }
    }
    panic!("nobody was too slow");
}

/// A client that reads again in time gets the rest of the frame that was being sent, followed by
/// the Close.
#[test]
fn a_slow_client_that_reads_again_finds_a_close_with_code_and_reason() {
    let _quiet = crate::harness::alone();
    let server = Setup::new().ini("maxMessage = 64K\noutboxLimit = 256K\n").start();
    let (mut publisher, mut stopped) = server.open_apart(&Open::web(), &Open::web());
    publish_until_slow(&server, &mut publisher, &broadcast(&"x".repeat(32 * 1024)));
    let last = last_words(&mut stopped);
    assert!(last.is_close(), "no Close but {}", last.shown());
    assert_eq!(last.close_code(), Some(1013));
    assert_eq!(&last.payload[2..], b"slow client");
    // The client is removed from the index, so a message to it now reaches no client and does no
    // harm.
    publisher.text(crate::harness::feedback_to(&stopped.uuid, "too late"));
    publisher.expect_next();
    publisher.received_nothing_of_its_own();
}

/// Many slow clients on both workers at once. Each of them is closed on its own.
#[test]
fn twenty_stopped_readers_are_closed_and_twenty_others_miss_nothing() {
    let _quiet = crate::harness::alone();
    let server = Setup::new().ini("maxMessage = 64K\noutboxLimit = 128K\n").start();
    let mut publisher = server.open(&Open::php());
    let mut stopped: Vec<_> = (0..20).map(|_| server.open(&Open::web())).collect();
    let mut readers: Vec<_> = (0..20).map(|_| server.open(&Open::web())).collect();
    let packet = broadcast(&"x".repeat(32 * 1024));
    for _ in 0..400 {
        publisher.text(&packet);
        publisher.expect_next();
        for reader in &mut readers {
            let frame = reader.frame();
            assert!(frame.payload == packet.as_bytes(), "{}", frame.shown());
        }
    }
    for client in &mut stopped {
        client.wait_for_end();
    }
    let output = server.output();
    let closed =
        |line: &&str| line.contains("event=connection_closed") && line.contains("slow client");
    assert_eq!(output.matches("event=slow_client").count(), 20, "a warning each");
    assert_eq!(output.lines().filter(closed).count(), 20, "a close each");
    readers.iter_mut().for_each(Raw::expect_silence);
}

//! Clients that do not read, and clients that send nothing: they are closed, and other clients are not
//! affected.

use crate::harness::{Open, Raw, Setup, broadcast, frames, received_nothing};
use rustix::net::sockopt::set_socket_recv_buffer_size;

const PING: &[u8] = br#"{"opcode":"PING"}"#;

#[test]
fn a_stopped_reader_is_closed_as_slow_and_the_others_miss_nothing() {
    let server = Setup::new().ini("maxMessage = 64K\noutboxLimit = 128K\n").start();
    let (mut publisher, mut witness) = server.open_apart(&Open::web(), &Open::web());
    let mut stopped = server.open(&Open::web());
    let packet = broadcast(&"x".repeat(32 * 1024));
    // Far more than the outbox, the kernel's buffers and the network can hold.
    for _ in 0..400 {
        publisher.text(&packet);
        publisher.expect_next();
        witness.expect_text(&packet);
    }
    server.wait_for_output("event=slow_client");
    stopped.wait_for_end();
    witness.expect_silence();
}

/// Fewer bytes than the outbox holds, but no byte was read for ten seconds.
#[test]
fn a_client_that_reads_nothing_for_ten_seconds_is_closed() {
    let server = Setup::new().ini("pingInterval = 0\n").start();
    let mut stopped = Raw::connect(server.port);
    // The receive buffer is small, because the kernel would otherwise hold more on the same machine.
    set_socket_recv_buffer_size(stopped.stream(), 4096).unwrap();
    stopped = Open::web().upgrade_over(stopped);
    stopped.expect_ready();
    let (mut publisher, mut witness) = server.open_apart(&Open::web(), &Open::web());
    let packet = broadcast(&"x".repeat(64 * 1024));
    for _ in 0..32 {
        publisher.text(&packet);
        publisher.expect_next();
        witness.expect_text(&packet);
    }
    assert!(!server.output().contains("event=slow_client"), "within the limit of bytes");
    let printed = server.wait_for_output("event=slow_client");
    assert!(printed.contains("WARN") && printed.contains("bytes="), "{printed}");
    stopped.wait_for_end();
    received_nothing(&mut publisher, &mut witness);
}

#[test]
fn an_unanswered_ping_is_closed_1001_and_an_answered_one_is_not() {
    let server = Setup::new().ini("pingInterval = 300ms\n").start();
    let mut silent = server.open(&Open::web());
    let mut php = server.open(&Open::php());
    let mut alive = server.open(&Open::web());
    for _ in 0..4 {
        let ping = alive.frame();
        assert_eq!((ping.first & 0x0f, ping.payload.as_slice()), (frames::PING, PING));
        alive.send(frames::masked(frames::FIN | frames::PONG, PING));
    }
    for _ in 0..2 {
        assert_eq!(silent.frame().payload, PING);
    }
    silent.expect_closed(1001);
    // Php-type clients get no pings and are not closed for missing answers.
    php.text(r#"{"opcode":"echo"}"#);
    php.expect_next();
    php.expect_text(r#"{"opcode":"echo"}"#);
}

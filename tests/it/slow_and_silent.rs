//! Clients that do not read, and clients that say nothing: they are closed, and nobody else notices.

use crate::harness::{Open, Setup, broadcast, frames};

const PING: &[u8] = br#"{"opcode":"PING"}"#;

#[test]
fn a_reader_that_stops_is_closed_as_slow_and_its_neighbours_hear_everything() {
    let server = Setup::new().ini("maxMessage = 64K\noutboxLimit = 128K\n").start();
    let (mut publisher, mut witness) = server.open_apart(&Open::web(), &Open::web());
    let mut stopped = server.open(&Open::web());
    let packet = broadcast(&"x".repeat(32 * 1024));
    // Far more than the outbox, the kernel's buffers and the network in between can hold.
    for _ in 0..400 {
        publisher.text(&packet);
        publisher.expect_next();
        witness.expect_text(&packet);
    }
    server.wait_for_output("slow client");
    stopped.wait_for_end();
    witness.expect_silence();
}

#[test]
fn a_client_that_answers_no_ping_is_closed_1001_and_one_that_answers_stays() {
    let server = Setup::new().ini("pingInterval = 100ms\n").start();
    let mut silent = server.open(&Open::web());
    let mut php = server.open(&Open::php());
    let mut alive = server.open(&Open::web());
    for _ in 0..6 {
        let ping = alive.frame();
        assert_eq!((ping.first & 0x0f, ping.payload.as_slice()), (frames::PING, PING));
        alive.send(frames::masked(frames::FIN | frames::PONG, PING));
    }
    for _ in 0..2 {
        assert_eq!(silent.frame().payload, PING);
    }
    silent.expect_closed(1001);
    // Php-type clients get no pings and are thrown out by none.
    php.text(r#"{"opcode":"echo"}"#);
    php.expect_next();
    php.expect_text(r#"{"opcode":"echo"}"#);
}

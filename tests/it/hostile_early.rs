//! Data that arrives too early, after a request that has not been answered yet: fault 5 of `docs/faults.md`.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use crate::harness::processes::send_signal;
use crate::harness::watch::resident_of_workers;
use crate::harness::{Open, Raw, Server, echo, frames, pause, with_a_bystander};
use rustix::net::sockopt;
use rustix::process::Signal;

#[test]
fn fault_5_frames_before_the_upgrade_wait_and_are_served_in_order() {
    let server = Server::start();
    with_a_bystander(&server, |_| {
        let packets: Vec<_> = (0..20).map(|number| echo(&format!("early {number}"))).collect();
        let early: Vec<u8> = packets.iter().flat_map(frames::text).collect();
        let mut client = Raw::connect(server.port);
        client.send([Open::web().request().as_bytes(), &early].concat());
        client.expect_upgrade();
        client.expect_ready();
        let mut echoed = Vec::new();
        while echoed.len() < packets.len() {
            let frame = client.frame();
            if frame.as_text() != crate::harness::NEXT {
                echoed.push(frame.as_text().to_owned());
            }
        }
        assert_eq!(echoed, packets);
    });
}

/// No client is admitted without the broker. Data that arrives meanwhile is read only up to a limit.
#[test]
fn fault_5_frames_without_end_before_the_upgrade_are_not_read() {
    let server = Server::start();
    let watch = crate::harness::Watch::over(&server);
    // The buffer is small, so that data in the kernels' buffers can be distinguished from data in the worker.
    let mut client = Raw::connect(server.port);
    sockopt::set_socket_send_buffer_size(client.stream(), 64 * 1024).unwrap();
    let packet = echo(&"early ".repeat(1000));
    let frame = frames::text(&packet);
    let broker = server.broker();
    let before = resident_of_workers(&server);
    send_signal(broker, Signal::STOP);
    client.send(Open::web().request());
    client.stream().set_nonblocking(true).unwrap();
    let sent = send_until_stuck(&mut client.writer(), &frame);
    let grown = resident_of_workers(&server).saturating_sub(before);
    send_signal(broker, Signal::CONT);
    client.stream().set_nonblocking(false).unwrap();
    assert!(sent < 32 * 1024 * 1024, "it is read without end");
    assert!(grown < 2 * 1024 * 1024, "{grown} bytes are held of one that waits");
    client.expect_upgrade();
    client.expect_ready();
    // The last frame may be incomplete.
    for _ in 0..sent / frame.len() {
        client.expect_next();
        client.expect_text(&packet);
    }
    drop(client);
    watch.nothing_is_left();
}

/// Sends the same bytes repeatedly until no more are accepted. Returns the number of bytes sent.
fn send_until_stuck(writer: &mut impl Write, bytes: &[u8]) -> usize {
    let (mut sent, mut refusals) = (0, 0);
    while sent < 32 * 1024 * 1024 && refusals < 20 {
        match writer.write(&bytes[sent % bytes.len()..]) {
            Ok(count) => (sent, refusals) = (sent + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refusals += 1;
                pause(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

#[test]
fn fault_5_a_second_request_is_not_a_frame() {
    let server = Server::start();
    with_a_bystander(&server, |_| {
        let mut client = server.open(&Open::web());
        client.send(Open::web().request());
        client.expect_closed_somehow(1002);
        let mut client = Raw::connect(server.port);
        client.send(Open::web().request().repeat(2));
        client.expect_upgrade();
        client.expect_ready();
        client.expect_closed_somehow(1002);
    });
}

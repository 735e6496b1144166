//! Peers that flood, trickle, stop reading or disconnect without a Close: faults 15, 17 and 18 of
//! `docs/faults.md`. During each of them a bystander is served as usual, and nothing is left
//! behind.

use std::net::Shutdown;

use crate::harness::frames::{FIN, PONG, masked};
use crate::harness::wait::in_one_of_a_few;
use crate::harness::watch::{cpu_time_of_workers, resident_of_workers};
use crate::harness::{
    End, Frame, Open, Raw, Server, Watch, broadcast, echo, frames, with_a_bystander,
};
use rustix::net::sockopt;

#[test]
fn fault_15_a_peer_that_vanishes_counts_as_lost() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for _ in 0..20 {
            let mut half_frame = server.open(&Open::web());
            half_frame.send(&frames::text(echo("cut"))[..9]);
            drop(half_frame);
            let mut half_closed = server.open(&Open::web());
            half_closed.stream().shutdown(Shutdown::Write).unwrap();
            half_closed.wait_for_end();
            reset(&server.open(&Open::web()));
            bystander.is_served();
        }
        crate::harness::eventually("a line about each of them", || {
            let lost = server.output().matches(" event=connection_lost ").count();
            // 20 rounds with 3 connections each.
            (lost >= 60).then_some(())
        });
        assert!(!server.output().contains(" event=connection_closed "), "nobody has said goodbye");
    });
}

/// Makes the socket send a reset when it is dropped.
fn reset(client: &Raw) {
    sockopt::set_socket_linger(client.stream(), Some(std::time::Duration::ZERO)).unwrap();
}

/// Each client has received a Close and reacts in its own way. All of them keep their sockets open.
#[test]
fn fault_15_an_unanswered_close_is_waited_for_only_briefly() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let watch = Watch::over(&server);
        let mut silent = closed_by_quit(&server);
        let mut talks_on = closed_by_quit(&server);
        let mut deaf = server.open(&Open::web());
        deaf.text(r#"{"opcode":"quit"}"#);
        for number in 0..200 {
            let packet = frames::text(broadcast(&format!("too late {number}")));
            talks_on.try_send(packet).ok();
            bystander.is_served();
        }
        assert_eq!(silent.expect_end(), End::Fin);
        watch.descriptors_are_back();
        deaf.expect_next();
        deaf.expect_close(1000);
        deaf.expect_end();
        talks_on.wait_for_end();
    });
}

#[track_caller]
fn closed_by_quit(server: &Server) -> Raw {
    let mut client = server.open(&Open::web());
    client.text(r#"{"opcode":"quit"}"#);
    client.expect_next();
    client.expect_close(1000);
    client
}

/// The bystander would receive a publication that the server accepts after a Close.
#[test]
fn fault_15_what_follows_a_close_is_ignored() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for _ in 0..10 {
            let mut client = server.open(&Open::web());
            let after = frames::text(broadcast("behind the end")).repeat(100);
            let bytes = [frames::close(1000, ""), after, vec![0xFF; 100_000]].concat();
            client.try_send(bytes).ok();
            client.expect_close(1000);
            client.expect_end();
            bystander.is_served();
        }
    });
}

/// Returns the next frame that is not a pong.
#[track_caller]
fn behind_pongs(client: &mut Raw) -> Frame {
    loop {
        let frame = client.frame();
        if frame.first != FIN | PONG {
            return frame;
        }
    }
}

/// The limit is one hundred control frames per second.
#[test]
fn fault_17_a_storm_of_pings_is_closed_1008() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for frame in [frames::ping("x".repeat(125)), masked(FIN | PONG, "nobody asked")] {
            let mut client = server.open(&Open::web());
            client.try_send(frame.repeat(50_000)).ok();
            bystander.is_served();
            let close = behind_pongs(&mut client);
            assert_eq!(close.close_code(), Some(1008), "{}", close.shown());
            assert_eq!(&close.payload[2..], b"too many control frames");
            bystander.is_served();
        }
    });
}

#[test]
fn fault_17_pings_from_peers_that_never_read_use_no_memory() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let watch = Watch::over(&server);
        let before = resident_of_workers(&server);
        let mut storm: Vec<_> = (0..20).map(|_| server.open(&Open::web())).collect();
        let pings = frames::ping("x".repeat(125)).repeat(5000);
        for client in &mut storm {
            client.try_send(&pings).ok();
            bystander.is_served();
        }
        watch.descriptors_are_back();
        let grown = resident_of_workers(&server).saturating_sub(before);
        assert!(grown < 4 * 1024 * 1024, "{grown} bytes for pings");
        drop(storm);
    });
}

#[test]
fn fault_17_a_few_pings_at_once_are_allowed() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |_| {
        let mut client = server.open(&Open::web());
        client.send(frames::ping("x").repeat(20));
        // RFC 6455 §5.5.3: only the latest ping needs an answer.
        client.expect_pong(b"x");
        client.text(echo("after pings"));
        assert_eq!(behind_pongs(&mut client).as_text(), crate::harness::NEXT);
        client.expect_text(&echo("after pings"));
    });
}

#[test]
fn fault_18_each_byte_in_a_segment_of_its_own_is_understood() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |_| {
        let mut client = Raw::connect(server.port);
        let packet = echo(&"dribble ".repeat(40));
        let bytes = [Open::web().request().as_bytes(), &frames::text(&packet)].concat();
        for byte in bytes {
            client.send([byte]);
        }
        client.expect_upgrade();
        client.expect_ready();
        client.expect_next();
        client.expect_text(&packet);
    });
}

/// A parser that scans a frame from its start for each byte would take much longer for the last
/// bytes.
#[test]
fn fault_18_every_byte_of_a_long_frame_costs_the_same() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(bytes_of_a_long_frame);
}

/// Where the worker is late it reads several bytes at once, early or late.
fn bytes_of_a_long_frame() -> Result<(), String> {
    const BYTES: usize = 20_000;
    const LENGTH: usize = 2_000_000;
    let server = Server::start();
    let mut outcome = Ok(());
    with_a_bystander(&server, |bystander| {
        let mut client = server.open(&Open::web());
        client.send(frames::announces(FIN | frames::BINARY, 2_000_000));
        let mut cost_of = |filler: usize| {
            client.send(vec![0; filler]);
            bystander.is_served();
            let before = cpu_time_of_workers(&server);
            (0..BYTES).for_each(|_| client.send([0]));
            bystander.is_served();
            cpu_time_of_workers(&server) - before
        };
        let (early, late) = (cost_of(0), cost_of(1_500_000));
        if late >= early * 3 {
            outcome = Err(format!("{early:?} for early bytes, {late:?} for late ones"));
        }
        client.send(vec![0; LENGTH - 1_500_000 - 2 * BYTES]);
        client.expect_next();
    });
    outcome
}

/// The receive window is only a few kilobytes, so nearly every write is short.
#[test]
fn fault_18_short_writes_lose_nothing_and_keep_the_order() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let mut slow = server.open(&Open::web());
        sockopt::set_socket_recv_buffer_size(slow.stream(), 16 * 1024).unwrap();
        let sizes = [1, 125, 126, 65_535, 65_536, 200_000, 1_000_000];
        let packets = sizes.map(|size| echo(&"x".repeat(size)));
        packets.iter().for_each(|packet| slow.text(packet));
        bystander.is_served();
        for packet in &packets {
            slow.expect_next();
            slow.expect_text(packet);
        }
        slow.expect_silence();
    });
}

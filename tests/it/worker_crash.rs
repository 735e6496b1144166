//! Workers exit in every way and repeatedly, under load. Only their own connections are closed, all other
//! clients receive everything once and in order, and clients that reconnect are served (fault 32).

use std::io::Write;
use std::net::TcpStream;

use crate::harness::processes::{is_alive, send_signal};
use crate::harness::{
    Bystander, NEXT, Open, Raw, Server, Setup, broadcast, eventually, feedback_to, frames,
    received_nothing,
};
use rustix::process::Signal;

const PADDING: usize = 512;

/// A number of broadcasts by one publisher.
#[derive(Clone, Copy)]
struct Stream {
    count: usize,
}

impl Stream {
    fn packet(number: usize) -> String {
        broadcast(&format!("{number} {}", "x".repeat(PADDING)))
    }

    fn publish(self, mut socket: TcpStream) {
        for number in 0..self.count {
            socket.write_all(&frames::text(Self::packet(number))).unwrap();
        }
    }

    /// Expects all messages, once and in order, and nothing else.
    fn listen(self, client: &mut Raw) {
        for number in 0..self.count {
            client.expect_text(&Self::packet(number));
        }
        client.expect_silence();
    }

    fn acknowledgements(self, client: &mut Raw) {
        for _ in 0..self.count {
            client.expect_text(NEXT);
        }
        client.expect_silence();
    }

    /// Returns the number of messages that a client received between its join and its close. There must be no
    /// gap in them.
    fn listen_to_a_part(client: &mut Raw) -> usize {
        let (mut received, mut last) = (0, None);
        while let Ok(frame) = client.frame_or_end() {
            let text = frame.as_text();
            let number = text.split(['"', ' ']).find_map(|word| word.parse::<usize>().ok());
            let number = number.unwrap_or_else(|| panic!("no number in {text:.80}"));
            assert!(last.is_none_or(|last| number == last + 1), "{number} came after {last:?}");
            (received, last) = (received + 1, Some(number));
        }
        received
    }
}

fn end(pid: u32, signal: Signal) {
    send_signal(pid, signal);
    eventually("the end of a process", || (!is_alive(pid)).then_some(()));
}

#[test]
fn a_worker_that_dies_under_load_loses_only_its_own_connections() {
    for signal in [Signal::KILL, Signal::ABORT, Signal::STOP] {
        let server = Server::start();
        let (mut publisher, mut doomed) = server.open_apart(&Open::web(), &Open::web());
        let (safe, ending) = (server.worker_of(&publisher), server.worker_of(&doomed));
        let mut receivers: Vec<_> = (0..3).map(|_| server.open_on(safe, &Open::web())).collect();
        // More than the window holds (L4): the dead worker must not block acknowledgements.
        let stream = Stream { count: 5000 };
        std::thread::scope(|scope| {
            let socket = publisher.writer();
            scope.spawn(move || stream.publish(socket));
            for receiver in &mut receivers {
                scope.spawn(move || stream.listen(receiver));
            }
            let publisher = &mut publisher;
            scope.spawn(move || stream.acknowledgements(publisher));
            doomed.frame();
            end(ending, signal);
            Stream::listen_to_a_part(&mut doomed);
        });
        assert!(server.workers(2).contains(&safe), "after {signal:?}");
        Bystander::connect(&server).is_served();
    }
}

/// A page that reconnects reaches the other worker at once, and gets every publication after its `ready`.
#[test]
fn a_series_of_deaths_under_load_affects_no_other_worker() {
    let server = Server::start();
    let (mut publisher, mut witness) = server.open_apart(&Open::web(), &Open::web());
    let (safe, mut ending) = (server.worker_of(&publisher), server.worker_of(&witness));
    let mut receiver = server.open_on(safe, &Open::web());
    let stream = Stream { count: 3000 };
    std::thread::scope(|scope| {
        let socket = publisher.writer();
        scope.spawn(move || stream.publish(socket));
        let (receiver, publisher) = (&mut receiver, &mut publisher);
        scope.spawn(move || stream.listen(receiver));
        scope.spawn(move || stream.acknowledgements(publisher));
        for _ in 0..4 {
            end(ending, Signal::KILL);
            Stream::listen_to_a_part(&mut witness);
            ending = *server.workers(2).iter().find(|worker| **worker != safe).unwrap();
            witness = server.open_on(ending, &Open::web());
        }
    });
    Bystander::connect(&server).is_served();
    assert!(server.workers(2).contains(&safe));
}

#[test]
fn a_worker_and_broker_dying_together_do_not_affect_other_workers() {
    let server = Server::start();
    for _ in 0..3 {
        let (mut publisher, doomed) = server.open_apart(&Open::web(), &Open::web());
        let (safe, ending) = (server.worker_of(&publisher), server.worker_of(&doomed));
        let mut receiver = server.open_on(safe, &Open::web());
        let packets: Vec<_> = (0..600).map(Stream::packet).collect();
        for packet in &packets[..300] {
            publisher.text(packet);
        }
        let broker = server.broker();
        send_signal(broker, Signal::KILL);
        end(ending, Signal::KILL);
        for packet in &packets[300..] {
            publisher.text(packet);
        }
        for packet in &packets {
            receiver.expect_text(packet);
            publisher.expect_next();
        }
        received_nothing(&mut publisher, &mut receiver);
        eventually("the broker's end", || (!is_alive(broker)).then_some(()));
        server.workers(2);
    }
}

#[test]
fn a_crash_loop_is_logged_and_slowed_while_other_workers_serve() {
    let server = Server::start();
    let first = server.open(&Open::web());
    let safe = server.worker_of(&first);
    let (mut one, mut other) =
        (server.open_on(safe, &Open::web()), server.open_on(safe, &Open::web()));
    let mut number = 0;
    let mut is_served = || {
        number += 1;
        let packet = feedback_to(&other.uuid, &format!("{number}"));
        one.text(&packet);
        one.expect_next();
        other.expect_text(&packet);
    };
    for _ in 0..7 {
        let doomed = *server.workers(2).iter().find(|worker| **worker != safe).unwrap();
        end(doomed, Signal::KILL);
        is_served();
    }
    let printed = server.wait_for_output("event=child_restart_delayed");
    assert!(printed.contains("ERROR") && printed.contains("backoff_ms=100"), "{printed}");
    is_served();
    // Meanwhile no client is refused, and in the end both workers are running.
    for _ in 0..20 {
        server.open(&Open::web()).expect_silence();
    }
    assert!(server.workers(2).contains(&safe));
    Bystander::connect(&server).is_served();
}

/// Fault 24: half of a few hundred clients lose their worker at once and reconnect at once.
#[test]
fn all_clients_reconnect_when_one_of_two_workers_is_killed() {
    const CLIENTS: usize = 300;
    let server = Setup::new().start();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.open(&Open::web())).collect();
    let doomed = server.worker_of(&clients[0]);
    end(doomed, Signal::KILL);
    let mut lost = 0;
    for client in &mut clients {
        client.try_send(frames::ping("still there?")).ok();
        if client.frame_or_end().is_err() {
            lost += 1;
            *client = server.open(&Open::web());
        }
    }
    assert!(
        (CLIENTS / 4..=CLIENTS * 3 / 4).contains(&lost),
        "{lost} of {CLIENTS} lost their worker"
    );
    let mut publisher = server.open(&Open::web());
    publisher.text(broadcast("everybody is back"));
    publisher.expect_next();
    for client in &mut clients {
        client.expect_text(&broadcast("everybody is back"));
    }
    let printed = server.output();
    assert_eq!(printed.matches("event=child_died").count(), 1, "{printed}");
}

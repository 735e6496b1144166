//! The counters of a server: they agree with what its clients received, and nothing is left afterwards.

use std::collections::BTreeMap;

use crate::harness::admin::imbalances;
use crate::harness::{Open, Raw, Server, Setup, Watch, broadcast, eventually, feedback_to};
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// Returns the number of descriptors of each process, by its role.
fn descriptors(server: &Server) -> BTreeMap<String, u64> {
    let processes = server.status().processes.into_iter();
    processes.map(|process| (process.role, process.descriptors.unwrap())).collect()
}

#[test]
fn counters_balance_when_all_clients_have_left() {
    let server = Setup::new().ini("[resource /echo]\nkind = echo").start();
    // Waits until all links are established and have their descriptors.
    Watch::over(&server);
    let before = descriptors(&server);
    for round in 0..3 {
        let openings = [
            Open::web(),
            Open::at("/web?tags=%7B%22round%22:1,%22language%22:%22FR%22%7D"),
            Open::php().ident(&format!("script-{round}")),
        ];
        let mut clients: Vec<Raw> =
            (0..30).map(|n| server.open(&openings[n % openings.len()])).collect();
        clients.extend((0..10).map(|_| Open::tags("{\"a\":1}").upgrade(server.port)));
        clients.extend((0..10).map(|_| Open::at("/echo").upgrade(server.port)));
        let uuid = clients[1].uuid.clone();
        clients[0].text(broadcast("to all"));
        clients[0].text(feedback_to(&uuid, "to one"));
        clients[0].expect_next();
        clients[0].expect_next();
        // Otherwise the clients of the next round could receive the first one.
        clients[1].expect_text(&broadcast("to all"));
        clients[1].expect_text(&feedback_to(&uuid, "to one"));
        // Some connections are closed with a Close frame; most are dropped.
        for client in clients.iter_mut().step_by(4) {
            client.send(crate::harness::frames::close(1000, ""));
        }
        drop(clients);
        let half = Raw::connect(server.port);
        drop(half);
    }
    // A client that sent nothing may be accepted after all others have disconnected.
    eventually("every connection in the books", || {
        (server.counts().accepted == 3 * 51).then_some(())
    });
    let status = server.wait_until_empty();
    assert_eq!(imbalances(&status), Vec::<String>::new());
    let counts = server.counts();
    assert_eq!(counts.accepted, 3 * 51);
    assert_eq!((counts.accepted, counts.open), (counts.closed, 0));
    assert_eq!(counts.opened, 3 * 50);
    assert_eq!(counts.messages, 3 * 2);
    assert_eq!(counts.published, 3 * 2);
    assert_eq!(counts.waiting, 0);
    eventually("every descriptor back", || (descriptors(&server) == before).then_some(()));
}

#[test]
fn the_deliveries_that_are_counted_are_those_that_clients_read() {
    let server = Server::start();
    let (mut publisher, first) = server.open_apart(&Open::web(), &Open::web());
    let mut receivers: Vec<Raw> = (0..9).map(|_| server.open(&Open::web())).collect();
    receivers.push(first);
    eventually("nobody else", || (server.counts().open == 11).then_some(()));
    let before = server.counts();
    for number in 0..100 {
        publisher.text(broadcast(&number.to_string()));
        publisher.expect_next();
    }
    for receiver in &mut receivers {
        for number in 0..100 {
            receiver.expect_text(&broadcast(&number.to_string()));
        }
    }
    eventually("all of it in the books", || {
        let counts = server.counts();
        let delivered = counts.delivered - before.delivered;
        (delivered == 1000 && counts.unacknowledged == 0).then_some(())
    });
    let counts = server.counts();
    assert_eq!(counts.matched - before.matched, 1000);
    assert_eq!(counts.missed, before.missed);
    assert_eq!(counts.published - before.published, 100);
    assert_eq!(server.status().broker().unwrap().publications, counts.published);
}

#[test]
fn what_a_slow_client_misses_is_counted_and_balances() {
    let server = Setup::new().workers(1).ini("maxMessage = 64K\noutboxLimit = 128K").start();
    let slow = server.open(&Open::web());
    set_socket_recv_buffer_size(slow.stream(), 1).unwrap();
    let (mut publisher, mut reader) = (server.open(&Open::web()), server.open(&Open::web()));
    let packet = broadcast(&"x".repeat(30_000));
    let mut sent = 0;
    while server.counts().slow == 0 {
        publisher.text(&packet);
        publisher.expect_next();
        reader.expect_text(&packet);
        sent += 1;
        assert!(sent < 1000, "the slow client is never thrown out");
    }
    eventually("its end", || (server.counts().open == 2).then_some(()));
    let counts = server.counts();
    assert_eq!(counts.slow, 1);
    assert!(counts.missed > 0, "{counts:?}");
    assert_eq!(counts.matched, counts.delivered + counts.missed);
    assert!(counts.delivered >= sent, "the reader got all {sent}: {counts:?}");
}

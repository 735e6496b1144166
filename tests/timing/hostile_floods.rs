//! Floods of connections, deliveries, publications, and clients that come and go: faults 7, 20, 21
//! and 23 of `docs/faults.md`. During each of them a bystander is served as usual, and nothing is
//! left behind.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::harness::{Open, Raw, Server, Setup, broadcast, feedback_to, frames, with_a_bystander};
use rustix::net::sockopt;

/// Returns one of many source addresses.
fn address(number: u32) -> String {
    format!("127.0.{}.{}", 1 + number / 20 % 9, 1 + number % 20)
}

/// Makes the socket send a reset when it is dropped.
fn resets(client: &Raw) {
    sockopt::set_socket_linger(client.stream(), Some(Duration::ZERO)).unwrap();
}

/// Opens and ends one connection of the flood, in one of six ways.
fn come_and_go(server: &Server, number: u32) {
    let mut client = Raw::connect_from(&address(number), server.port);
    let open = Open::at(&format!("/web?tags={{%22n%22:{}}}", number % 50));
    match number % 6 {
        0 => {}
        1 => resets(&client),
        2 => client.send(&open.request().as_bytes()[..60]),
        3 => {
            client.send(open.request());
            resets(&client);
        }
        4 => drop(open.upgrade_over(client)),
        _ => {
            let mut client = open.upgrade_over(client);
            client.expect_ready();
            client.send(&frames::text(broadcast("cut in the middle"))[..20]);
        }
    }
}

#[test]
fn fault_7_a_flood_of_dropped_connections_leaks_no_descriptor() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for number in 0..3000 {
            come_and_go(&server, number);
            if number % 50 == 0 {
                bystander.is_served();
            }
        }
        server.open(&Open::web()).expect_silence();
    });
}

#[test]
fn fault_7_a_connection_over_a_limit_is_refused_and_frees_its_place() {
    let _quiet = crate::harness::alone();
    let server = Setup::new().ini("maxPerIP = 40\nmaxClients = 200").start();
    with_a_bystander(&server, |bystander| {
        let mut inside = Vec::new();
        for number in 0..400 {
            let source = format!("127.0.0.{}", 10 + number % 4);
            let mut client = Open::web().upgrade_over(Raw::connect_from(&source, server.port));
            let first = client.frame();
            if first.as_text().contains("ready") {
                inside.push(client);
            } else {
                assert!(first.as_text().contains("Too many connections from"), "{first:?}");
                client.expect_closed(1013);
            }
            if number % 20 == 0 {
                bystander.is_served();
            }
        }
        assert_eq!(inside.len(), 160, "four addresses have forty places each");
        let mut others = Vec::new();
        for number in 0..60 {
            let source = format!("127.0.1.{}", 10 + number);
            let mut client = Open::web().upgrade_over(Raw::connect_from(&source, server.port));
            if client.frame().as_text().contains("ready") {
                others.push(client);
            }
        }
        assert_eq!(others.len(), 38, "two hundred in all, with the two bystanders");
    });
}

/// Publishes forty thousand deliveries to the clients that have the tag. The bystander does not
/// have it.
#[test]
fn fault_20_a_hot_tag_delays_no_client_and_reaches_all() {
    let _quiet = crate::harness::alone();
    const SUBSCRIBERS: usize = 400;
    const MESSAGES: usize = 100;
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let hot = Open::tags("{%22hot%22:1}");
        let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| hot.upgrade(server.port)).collect();
        let mut publisher = Open::tags("{}").upgrade(server.port);
        let text = "x".repeat(1000);
        let message = |number: usize| format!(r#""{number} {text}""#);
        for number in 0..MESSAGES {
            publisher.text(format!(r#"{{"message":{},"tags":{{"hot":1}}}}"#, message(number)));
            // The subscribers have not read anything yet.
            if number % 5 == 0 {
                bystander.is_served();
            }
        }
        for subscriber in &mut subscribers {
            for number in 0..MESSAGES {
                subscriber.expect_text(&message(number));
            }
            subscriber.expect_silence();
            bystander.is_served();
        }
    });
}

/// Counts the messages of the storm that are answered during one message of the bystander. The
/// count is the latency of the bystander.
#[test]
fn fault_21_a_storm_of_one_publisher_barely_delays_the_others() {
    let _quiet = crate::harness::alone();
    const STORM: u32 = 20_000;
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let mut storm = server.open(&Open::web());
        let mut writer = Raw::over(storm.writer());
        let packet = feedback_to(&storm.uuid, "a drop of it");
        let frame = frames::text(&packet);
        let (answered, mut longest, mut rounds) = (AtomicU32::new(0), 0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..STORM / 100).for_each(|_| writer.send(frame.repeat(100))));
            scope.spawn(|| {
                for _ in 0..2 * STORM {
                    storm.frame();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                // All messages of the storm were answered and delivered, and nothing else arrived.
                storm.expect_silence();
            });
            let mut before = answered.load(Ordering::Relaxed);
            while before < 2 * STORM {
                bystander.is_served();
                let after = answered.load(Ordering::Relaxed);
                longest = longest.max(after - before);
                (before, rounds) = (after, rounds + 1);
            }
        });
        assert!(rounds >= 10, "the bystander was served {rounds} times in the storm");
        assert!(longest < STORM / 2, "{longest} answers of the storm while one message crossed");
    });
}

/// Tags come and go while other clients publish to them.
#[test]
fn fault_23_churn_under_publications_leaks_nothing() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        std::thread::scope(|scope| {
            for part in 0..4 {
                let server = &server;
                scope.spawn(move || {
                    (0..300).for_each(|number| come_and_go(server, part + 4 * number));
                });
            }
            let mut publisher = Open::tags("{}").upgrade(server.port);
            for number in 0..500 {
                let tag = number % 50;
                publisher.text(format!(r#"{{"message":{number},"tags":{{"n":{tag}}}}}"#));
                if number % 10 == 0 {
                    bystander.is_served();
                }
            }
            publisher.expect_silence();
        });
        // A tag whose clients have all left has no recipients.
        let mut last = Open::tags("{%22n%22:7}").upgrade(server.port);
        last.text(r#"{"message":"alone","tags":{"n":7}}"#);
        last.expect_text(r#""alone""#);
        last.expect_silence();
    });
}

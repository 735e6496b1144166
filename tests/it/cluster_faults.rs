//! Deaths and outages between hosts: no publication is lost, repeated or out of order.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::nats::{
    Nats, OUTAGE, host, host_with, hosts, wait_until_joined, wait_until_settled,
};
use crate::harness::{Open, Raw, Server, broadcast, eventually, feedback_to, frames, pause};

/// Publications of a test.
const MESSAGES: usize = 4000;
/// Publications that may be on their way at once.
const IN_FLIGHT: usize = 200;

fn page(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

/// Publishes on one host to a client of another, and does something at three places on the way. All must arrive once,
/// in order.
#[track_caller]
fn carry_through([from, to]: [&Server; 2], mut interfere: impl FnMut(usize)) {
    let mut publisher = page(from);
    let mut receiver = page(to);
    let packet = |number: usize| match number % 4 {
        0 => feedback_to(&receiver.uuid, &number.to_string()),
        _ => broadcast(&number.to_string()),
    };
    let packets: Vec<String> = (0..MESSAGES).map(packet).collect();
    let mut writer = publisher.writer();
    let (arrived, allowed) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        // It ends with this closure, so that the publisher ends if something is missing.
        let arrived = arrived;
        let (packets, writer) = (&packets, &mut writer);
        scope.spawn(move || {
            for (number, packet) in packets.iter().enumerate() {
                if number >= IN_FLIGHT && allowed.recv().is_err() {
                    return;
                }
                writer.write_all(&frames::text(packet)).unwrap();
            }
        });
        scope.spawn(|| (0..MESSAGES).for_each(|_| drop(publisher.expect_next())));
        let places = [MESSAGES / 4, MESSAGES / 2, 3 * MESSAGES / 4];
        for (number, packet) in packets.iter().enumerate() {
            if let Some(place) = places.iter().position(|place| *place == number) {
                interfere(place);
            }
            receiver.expect_text(packet);
            arrived.send(()).ok();
        }
    });
    let mut last = page(from);
    last.text(broadcast("last"));
    receiver.expect_text(&broadcast("last"));
    for host in [from, to] {
        let counts = eventually("the counters", || host.bridge_counts());
        assert_eq!((counts.gaps, counts.evicted_unconfirmed), (0, 0), "{counts:?}");
    }
}

pub fn killed_bridges_lose_and_repeat_no_publication() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    carry_through([&a, &b], |place| {
        let host = if place == 1 { &b } else { &a };
        host.kill_bridge();
    });
}

pub fn killed_brokers_lose_and_repeat_no_publication_between_hosts() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    carry_through([&a, &b], |place| {
        let host = if place == 1 { &b } else { &a };
        host.kill_broker();
    });
}

pub fn a_restarted_nats_server_loses_no_publication() {
    let mut nats = Nats::start("");
    let [a, b] = hosts(&nats);
    carry_through([&a, &b], |place| {
        nats.kill();
        pause(Duration::from_millis(200) * u32::try_from(place).unwrap());
        nats.restart();
    });
}

pub fn without_nats_hosts_serve_their_own_clients_and_catch_up_later() {
    let mut nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut publisher = page(&a);
    let (mut near, mut far) = (page(&a), page(&b));
    nats.kill();
    a.wait_for_output("nats_disconnected");
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < OUTAGE {
        let packet = broadcast(&number.to_string());
        publisher.text(&packet);
        publisher.expect_next();
        let sent = Instant::now();
        near.expect_text(&packet);
        assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
        number += 1;
        pause(Duration::from_millis(5));
    }
    // The API waits until publications are safe: without NATS that is what this host keeps.
    let answer = a.post(
        crate::harness::api::PUBLISH,
        crate::harness::api::SHOP,
        r#"{"to":"all","message":"kept","ack":"accepted"}"#,
    );
    assert_eq!(answer.status(), 200, "{}", answer.body);
    nats.restart();
    for number in 0..number {
        far.expect_text(&broadcast(&number.to_string()));
    }
    far.expect_text(r#"{"opcode":"broadcast","message":"kept"}"#);
    let hosts = [a, b];
    wait_until_joined(&hosts);
    for host in &hosts {
        assert_eq!(host.bridge_counts().unwrap().gaps, 0);
    }
}

pub fn hosts_that_start_before_nats_join_when_it_comes() {
    let mut nats = Nats::start("");
    nats.kill();
    let both = [host(&nats).start(), host(&nats).start()];
    let (mut publisher, mut near) = (page(&both[0]), page(&both[0]));
    publisher.text(broadcast("alone"));
    near.expect_text(&broadcast("alone"));
    nats.restart();
    wait_until_joined(&both);
    let mut far = page(&both[1]);
    publisher.text(broadcast("together"));
    far.expect_text(&broadcast("together"));
}

pub fn a_suspended_nats_server_delays_no_local_client() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut publisher = page(&a);
    let (mut near, mut far) = (page(&a), page(&b));
    nats.signal(Signal::STOP);
    for number in 0..300 {
        let packet = broadcast(&number.to_string());
        publisher.text(&packet);
        publisher.expect_next();
        near.expect_text(&packet);
    }
    a.wait_for_output("cluster_cannot");
    nats.signal(Signal::CONT);
    for number in 0..300 {
        far.expect_text(&broadcast(&number.to_string()));
    }
}

/// Two accounts, and a password that changes.
fn accounts(password: &str, publish: &str) -> String {
    format!(
        "authorization {{ users: [ {{ user: tagcast, password: \"{password}\", permissions: {{ \
         publish: [\"{publish}\"], subscribe: [\"tagcast.test.>\"] }} }} ] }}"
    )
}

pub fn wrong_credentials_are_reported_and_used_again_when_they_are_right() {
    let nats = Nats::start(&accounts("right", "tagcast.test.>"));
    let folder = crate::harness::Folder::new();
    let user = folder.write("nats.user", "tagcast:wrong\n");
    let file = format!("userFile = {}", user.display());
    let both = [host_with(&nats, &file).start(), host_with(&nats, &file).start()];
    for host in &both {
        let line = host.wait_for_output("nats_disconnected");
        assert!(line.contains("the server refuses the credentials"), "{line}");
        assert!(!line.contains("wrong"), "no password in the log: {line}");
    }
    std::fs::write(&user, "tagcast:right\n").unwrap();
    wait_until_joined(&both);
    let (mut publisher, mut far) = (page(&both[0]), page(&both[1]));
    publisher.text(broadcast("in"));
    far.expect_text(&broadcast("in"));
}

pub fn a_user_that_may_not_publish_is_reported() {
    let nats = Nats::start(&accounts("right", "elsewhere"));
    let folder = crate::harness::Folder::new();
    let user = folder.write("nats.user", "tagcast:right\n");
    let host = host_with(&nats, &format!("userFile = {}", user.display())).start();
    let line = host.wait_for_output("nats_error");
    assert!(line.contains("Permissions Violation"), "{line}");
    let line = host.wait_for_output("cluster_cannot");
    assert!(line.contains("permission"), "{line}");
}

pub fn a_nats_server_for_small_messages_only_is_refused() {
    let nats = Nats::start("max_payload: 32768\n");
    let host = host(&nats).start();
    let line = host.wait_for_output("nats_disconnected");
    assert!(line.contains("max_payload"), "{line}");
}

pub fn what_the_replay_buffer_does_not_hold_is_a_gap() {
    let mut nats = Nats::start("");
    let small =
        || host_with(&nats, "replayBytes = 64K").variable("TAGCAST_MAX_MESSAGE", "16K").start();
    let both = [small(), small()];
    wait_until_joined(&both);
    wait_until_settled(both.each_ref());
    let mut publisher = page(&both[0]);
    let mut far = page(&both[1]);
    nats.kill();
    both[0].wait_for_output("nats_disconnected");
    let padding = "x".repeat(1000);
    let packet = |number: usize| broadcast(&format!("{number} {padding}"));
    for number in 0..300 {
        publisher.text(packet(number));
        publisher.expect_next();
    }
    nats.restart();
    // The last ones are there, and the number of the others is that of the gap.
    let first = far.frame();
    let number = (0..300).find(|number| packet(*number) == first.as_text()).unwrap();
    assert!(number > 200, "{number}");
    for number in number + 1..300 {
        far.expect_text(&packet(number));
    }
    let line = both[1].wait_for_output("cluster_gap");
    assert!(line.contains("replay_buffer"), "{line}");
    let counts = both[1].bridge_counts().unwrap();
    assert_eq!(counts.lost_items, number as u64, "{counts:?}");
}

//! Stored publications of `tagcast.v1` while connections break and processes die: each arrives once and in order.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::SHOP_SECRET;
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, eventually};
use crate::v1_history::{Past, come_back_at, publish, publish_to_all, storing};
use crate::v1_repeat::Publisher;
use crate::v1_resume::{break_off, come_back, hello, open};

const ONE: &str = "9f86d081884c7d659a2f";

/// A client that counts: it expects the data 1, 2, 3… and keeps its position.
struct Counting {
    client: Raw,
    welcome: Value,
    at: Value,
    received: u64,
}

impl Counting {
    fn open(server: &Server) -> Self {
        let (client, welcome) = open(server, &json!({"instance": ONE}));
        let at = welcome["at"].clone();
        Self { client, welcome, at, received: 0 }
    }

    fn open_with(server: &Server, tags: &Value) -> Self {
        // Each is a program of its own.
        let (client, welcome) = open(server, &json!({ "tags": tags }));
        let at = welcome["at"].clone();
        Self { client, welcome, at, received: 0 }
    }

    /// Reads one frame. Returns false if the connection has ended.
    fn reads_or_ends(&mut self) -> bool {
        let Ok(frame) = self.client.frame_or_end() else { return false };
        if frame.is_close() {
            return false;
        }
        let frame = serde_json::from_str(frame.as_text()).unwrap();
        self.takes(frame);
        true
    }

    /// Reads one frame. Returns whether it was `recovery`.
    #[track_caller]
    fn reads(&mut self) -> bool {
        let frame = self.client.json();
        self.takes(frame)
    }

    #[track_caller]
    fn takes(&mut self, mut frame: Value) -> bool {
        if frame["op"] == "msg" {
            self.received += 1;
            assert_eq!(frame["data"], self.received, "{frame}");
        }
        if frame.get("at").is_some() {
            self.at = frame["at"].take();
        }
        if frame["op"] == "recovery" {
            assert_eq!(frame["recovered"], true, "{frame}");
        }
        frame["op"] == "recovery"
    }

    /// Comes back while the server may think that its last connection is alive.
    #[track_caller]
    fn comes_back(&mut self, server: &Server) {
        let members = json!({"instance": ONE, "since": self.at});
        (self.client, self.welcome) = come_back(server, &self.welcome, &members);
        assert_eq!(self.welcome["resumed"], true, "{}", self.welcome);
    }
}

/// Publishes numbers from 1 on until it must end. Returns the last one.
fn publish_without_pause(server: &Server, is_over: &AtomicBool) -> u64 {
    let mut publisher = server.open_v1("/", hello(&json!({"secret": SHOP_SECRET})));
    let mut last = 0;
    while !is_over.load(Ordering::Relaxed) {
        last += 1;
        publisher.request_v1(
            last,
            json!({"op": "pub", "to": {"tags": {"counts": "yes"}}, "data": last}),
        );
    }
    last
}

/// Ends the publisher, also when a check fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets numbers be published while `cut` runs. Returns the last one.
fn while_published(server: &Server, cut: impl FnOnce()) -> u64 {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_without_pause(server, &is_over));
        let end = EndOnDrop(&is_over);
        cut();
        drop(end);
        publisher.join().unwrap()
    })
}

/// V97, V98.
#[test]
fn a_client_that_is_cut_again_and_again_gets_everything_once() {
    let server = storing("history: 1000").workers(2).start();
    let mut client = Counting::open(&server);
    client.client.request_v1(1, json!({"op": "tag", "set": {"counts": "yes"}}));
    let last = while_published(&server, || {
        for round in 0..200_u64 {
            // It reads some frames and a part of the next one.
            for _ in 0..round % 7 {
                client.reads();
            }
            let mut part = [0; 64];
            let bytes = usize::try_from(round * 13 % 64).unwrap();
            let _end: std::io::Result<usize> = client.client.stream().read(&mut part[..bytes]);
            client.comes_back(&server);
        }
    });
    while client.received < last {
        client.reads();
    }
    assert_eq!(client.received, last);
}

/// V113: `recovery` comes between what was stored and what is new.
#[test]
fn clients_come_back_while_others_publish_without_pause() {
    let server = storing("history: 20000, historyBytes: 3M").workers(2).start();
    let away: Vec<Value> = (0..100)
        .map(|_| {
            let (client, welcome) = open(&server, &json!({"tags": {"counts": "yes"}}));
            drop(client);
            welcome
        })
        .collect();
    let mut back: Vec<Raw> = Vec::new();
    while_published(&server, || {
        back = away
            .iter()
            .map(|welcome| {
                let (mut client, _) = come_back_at(&server, welcome, &welcome["at"]);
                let past = Past::read(&mut client);
                let first: Vec<Value> = (1..=past.data.len()).map(|number| json!(number)).collect();
                past.is_all(&first);
                let next = client.json();
                assert_eq!((&next["op"], &next["data"]), (&json!("msg"), &json!(first.len() + 1)));
                client
            })
            .collect();
    });
    drop(back);
}

/// V42: the workers of the publisher and of the recipients die.
#[test]
fn each_publication_comes_once_while_all_workers_die() {
    const COUNT: u64 = 10_000;
    let server = storing("history: 20000, historyBytes: 3M").workers(2).start();
    let mut publisher = Publisher::open(&server);
    let mut receivers: Vec<Counting> =
        (0..4).map(|_| Counting::open_with(&server, &json!({"room": "1"}))).collect();
    for up_to in [COUNT / 4, COUNT / 2, 3 * COUNT / 4] {
        assert!(publisher.publishes(up_to));
        server.workers(2).into_iter().for_each(|worker| send_signal(worker, Signal::KILL));
        while publisher.publishes(publisher.next() + 50) {}
        publisher.comes_back(&server);
        for receiver in &mut receivers {
            while receiver.reads_or_ends() {}
            receiver.comes_back(&server);
        }
    }
    let last = publisher.next().max(COUNT);
    assert!(publisher.publishes(last));
    for receiver in &mut receivers {
        while receiver.received < last {
            receiver.reads();
        }
        receiver.client.expect_quiet();
    }
}

/// V100.
#[test]
fn clients_of_a_worker_that_is_killed_miss_nothing() {
    let server = storing("history: 1000").workers(2).start();
    let mut clients: Vec<(Raw, Value)> =
        (0..1000).map(|_| open(&server, &json!({"tags": {"room": "1"}}))).collect();
    let victim = server.worker_of(&clients[0].0);
    let (its, others): (Vec<_>, Vec<_>) =
        clients.drain(..).partition(|(client, _)| server.worker_of(client) == victim);
    let to = json!({"tags": {"room": "1"}});
    publish(&server, &to, &json!(1));
    send_signal(victim, Signal::KILL);
    (2..=4).for_each(|number| publish(&server, &to, &json!(number)));
    for (mut client, welcome) in its {
        client.wait_for_end();
        let (mut client, next) = come_back_at(&server, &welcome, &welcome["at"]);
        assert_eq!(next["uuid"], welcome["uuid"], "{next}");
        Past::read(&mut client).is_all(&[json!(1), json!(2), json!(3), json!(4)]);
    }
    for (mut client, _) in others {
        let data: Vec<Value> = (0..4).map(|_| client.json()["data"].take()).collect();
        assert_eq!(data, [json!(1), json!(2), json!(3), json!(4)]);
    }
}

/// V109, V110.
#[test]
fn a_client_that_is_here_when_the_broker_dies_has_a_new_position_soon() {
    let server = storing("history: 100").ini("pingInterval = 500ms").start();
    let (away, lost) = open(&server, &json!({}));
    break_off(&server, away, &lost["uuid"]);
    let (mut client, first) = open(&server, &json!({}));
    server.kill_broker();
    let epoch = |at: &Value| at.as_str().unwrap_or_default().split('.').next().unwrap().to_owned();
    let before = epoch(&first["at"]);
    let pinged = eventually("a position of the next broker", || {
        let ping = client.json();
        client.say(json!({"op": "pong"}));
        let is_new = ping["at"].is_string() && epoch(&ping["at"]) != before;
        is_new.then_some(ping)
    });
    break_off(&server, client, &first["uuid"]);
    publish_to_all(&server, [1]);
    let (mut client, _) = come_back_at(&server, &first, &pinged["at"]);
    Past::read(&mut client).is_all(&[json!(1)]);
    // Records of clients that were away have ended with the broker.
    let (mut client, second) = come_back_at(&server, &lost, &lost["at"]);
    assert_eq!(second["uuid"], lost["uuid"]);
    Past::read(&mut client).is_not_known("lost");
}

/// V111: where something is missing the client learns it, and nothing comes twice.
#[test]
fn nothing_comes_twice_when_the_broker_dies_while_a_client_is_cut() {
    let server = storing("history: 1000").workers(2).start();
    let mut client = Counting::open(&server);
    client.client.request_v1(1, json!({"op": "tag", "set": {"counts": "yes"}}));
    while_published(&server, || {
        for _ in 0..15 {
            for _ in 0..20 {
                client.reads();
            }
            server.kill_broker();
            let members = json!({"instance": ONE, "since": client.at});
            (client.client, client.welcome) = come_back(&server, &client.welcome, &members);
            let before = client.received;
            let mut replayed = Vec::new();
            let recovery = loop {
                let frame = client.client.json();
                if frame.get("at").is_some() {
                    client.at = frame["at"].clone();
                }
                match frame["data"].as_u64() {
                    Some(number) => replayed.push(number),
                    None if frame["op"] == "recovery" => break frame,
                    None => {}
                }
            };
            let next = loop {
                let frame = client.client.json();
                if frame.get("at").is_some() {
                    client.at = frame["at"].clone();
                }
                if let Some(number) = frame["data"].as_u64() {
                    break number;
                }
            };
            replayed.push(next);
            assert!(replayed[0] > before && replayed.is_sorted_by(|a, b| a < b), "{replayed:?}");
            if recovery["recovered"] == true {
                let all: Vec<u64> = (before + 1..).take(replayed.len()).collect();
                assert_eq!(replayed, all, "after {before}: {recovery}");
            }
            client.received = next;
        }
    });
}

/// V114.
#[test]
fn a_client_that_reads_slowly_gets_two_megabytes_and_delays_no_other() {
    let server = storing("history: 100").start();
    let (client, first) = open(&server, &json!({"tags": {"big": "yes"}}));
    let (mut other, _) = open(&server, &json!({}));
    break_off(&server, client, &first["uuid"]);
    let text = "x".repeat(100 * 1024);
    for number in 0..20 {
        publish(&server, &json!({"tags": {"big": "yes"}}), &json!(format!("{number} {text}")));
    }
    let mut slow = Open::v1("/").upgrade(server.port);
    set_socket_recv_buffer_size(slow.stream(), 4096).unwrap();
    slow.hello(hello(&json!({"resume": first["resume"], "since": first["at"]})));
    assert_eq!(slow.expect_welcome()["recovering"], true);
    let began = Instant::now();
    for number in 0..50 {
        publish_to_all(&server, [number]);
        assert_eq!(other.json()["data"], number);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let past = Past::read(&mut slow);
    let begins: Vec<String> = past
        .data
        .iter()
        .map(|data| data.as_str().unwrap().split_once(' ').unwrap().0.to_owned())
        .collect();
    assert_eq!(begins, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(past.recovery["recovered"], true, "{}", past.recovery);
    assert_eq!(slow.json()["data"], 0);
}

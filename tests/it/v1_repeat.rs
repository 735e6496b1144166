//! Requests that clients of `tagcast.v1` repeat after a reconnection: each is carried out once.

use std::collections::VecDeque;
use std::net::Shutdown;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::setup;
use crate::harness::processes::send_signal;
use crate::harness::{Raw, Server, frames};
use crate::v1_resume::{break_off, come_back, open};

const ONE: &str = "9f86d081884c7d659a2f";
const OTHER: &str = "4e07408562bedb8b60ce";
const ROUNDS: u64 = 1000;

fn instance() -> Value {
    json!({"instance": ONE})
}

/// Opens a client that receives what is published to the room 1.
fn receiver(server: &Server) -> Raw {
    open(server, &json!({"tags": {"room": "1"}})).0
}

fn publication(id: u64) -> Value {
    json!({"op": "pub", "id": id, "to": {"tags": {"room": "1"}}, "data": id})
}

#[track_caller]
fn expect_data(client: &mut Raw, data: impl IntoIterator<Item = u64>) {
    for data in data {
        client.expect_json(json!({"op": "msg", "data": data}));
    }
}

#[track_caller]
fn expect_repeated(client: &mut Raw, id: u64) {
    client.expect_json(json!({"op": "ack", "id": id, "repeated": true}));
}

/// Reads `recovery`, which follows `welcome` of a client that has come back.
#[track_caller]
fn expect_recovery(client: &mut Raw) {
    assert_eq!(client.json()["op"], "recovery");
}

/// V43.
#[test]
fn a_request_that_was_accepted_is_acknowledged_and_not_carried_out_again() {
    let server = setup().start();
    let mut receiver = receiver(&server);
    let (mut client, first) = open(&server, &instance());
    client.say(publication(1));
    client.expect_ack(1);
    client.say(publication(1));
    expect_repeated(&mut client, 1);
    client.request_v1(2, json!({"op": "tag", "set": {"room": "2"}}));
    client.request_v1(3, json!({"op": "tag", "set": {"room": "3"}}));
    drop(client);
    let (mut client, second) = come_back(&server, &first, &instance());
    assert_eq!(second["ids"], "kept", "{second}");
    expect_recovery(&mut client);
    for id in [1, 2, 3] {
        match id {
            1 => client.say(publication(1)),
            _ => client.say(json!({"op": "tag", "id": id, "set": {"room": "2"}})),
        }
        expect_repeated(&mut client, id);
    }
    client.say(json!({"op": "pub", "to": {"tags": {"room": "3"}}, "data": "own"}));
    assert_eq!(client.json()["data"], "own", "the tags of request 3 apply");
    client.say(publication(4));
    client.expect_ack(4);
    expect_data(&mut receiver, [1, 4]);
    receiver.expect_quiet();
}

/// V44.
#[test]
fn requests_are_recognised_up_to_255_below_the_latest() {
    let server = setup().start();
    let (mut client, _) = open(&server, &instance());
    for id in [1, 300, 45] {
        client.say(publication(id));
        client.expect_ack(id);
    }
    client.say(publication(44));
    let error = client.expect_error("too_old");
    assert_eq!((&error["id"], &error["retry"]), (&json!(44), &json!(false)));
}

/// V45, with a limit of the server that a reload raises.
#[test]
fn a_request_that_was_refused_is_carried_out_when_it_is_repeated() {
    let server = setup().ini("exprScanMax = 1").start();
    let mut receivers: Vec<Raw> =
        (1..=3).map(|room| open(&server, &json!({"tags": {"room": room}})).0).collect();
    let (mut client, first) = open(&server, &instance());
    let refused =
        json!({"op": "pub", "id": 5, "to": {"expr": "room=1* | room=2* | room=3*"}, "data": 5});
    client.say(refused.clone());
    client.expect_error("limit_exceeded");
    client.say(publication(6));
    client.expect_ack(6);
    expect_data(&mut receivers[0], [6]);
    drop(client);
    let ini = std::fs::read_to_string(server.folder.path("websock.ini")).unwrap();
    server.folder.write("websock.ini", &ini.replace("exprScanMax = 1", "exprScanMax = 1000"));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    let (mut client, _) = come_back(&server, &first, &instance());
    expect_recovery(&mut client);
    client.say(refused);
    client.expect_ack(5);
    client.say(publication(6));
    expect_repeated(&mut client, 6);
    receivers.iter_mut().for_each(|receiver| {
        expect_data(receiver, [5]);
        receiver.expect_quiet();
    });
}

/// V46.
#[test]
fn a_publication_is_made_once_wherever_its_connection_was_cut() {
    let server = setup().workers(2).start();
    let mut receiver = receiver(&server);
    let (mut client, mut welcome) = open(&server, &instance());
    for id in 1..=ROUNDS {
        let frame = frames::text(publication(id).to_string());
        let cut = usize::try_from(id * 7919).unwrap() % (frame.len() + 1);
        client.send(&frame[..cut]);
        if id % 3 == 0 {
            client.stream().shutdown(Shutdown::Both).unwrap();
        }
        // Otherwise it is half open.
        let former = client;
        (client, welcome) = come_back(&server, &welcome, &instance());
        assert_eq!(welcome["ids"], "kept", "{welcome}");
        expect_recovery(&mut client);
        client.say(publication(id));
        let ack = client.json();
        assert_eq!((&ack["op"], &ack["id"]), (&json!("ack"), &json!(id)));
        assert!(cut == frame.len() || ack.get("repeated").is_none(), "cut after {cut}: {ack}");
        drop(former);
    }
    expect_data(&mut receiver, 1..=ROUNDS);
    receiver.expect_quiet();
}

/// V47.
#[test]
fn another_instance_numbers_its_requests_afresh() {
    let server = setup().start();
    let mut receiver = receiver(&server);
    let (mut client, first) = open(&server, &instance());
    client.say(publication(1));
    client.expect_ack(1);
    break_off(&server, client, &first["uuid"]);
    let (mut client, second) = come_back(&server, &first, &json!({"instance": OTHER}));
    assert_eq!((&second["resumed"], &second["ids"]), (&json!(true), &json!("lost")));
    expect_recovery(&mut client);
    client.say(publication(1));
    client.expect_ack(1);
    expect_data(&mut receiver, [1, 1]);
}

#[test]
fn requests_are_known_to_the_next_broker_unless_their_client_was_away() {
    let server = setup().start();
    let mut receiver = receiver(&server);
    let (mut client, first) = open(&server, &instance());
    client.say(publication(1));
    client.expect_ack(1);
    server.kill_broker();
    client.say(publication(2));
    client.expect_ack(2);
    drop(client);
    let (mut client, second) = come_back(&server, &first, &instance());
    assert_eq!(second["ids"], "kept", "{second}");
    expect_recovery(&mut client);
    for id in [1, 2] {
        client.say(publication(id));
        expect_repeated(&mut client, id);
    }
    break_off(&server, client, &second["uuid"]);
    server.kill_broker();
    let (_, third) = come_back(&server, &second, &instance());
    assert_eq!((&third["resumed"], &third["ids"]), (&json!(true), &json!("lost")));
    expect_data(&mut receiver, [1, 2]);
    receiver.expect_quiet();
}

/// A publisher that repeats what was not answered, as libraries do.
pub struct Publisher {
    client: Raw,
    welcome: Value,
    unanswered: VecDeque<u64>,
    next: u64,
}

impl Publisher {
    pub fn open(server: &Server) -> Self {
        let (client, welcome) = open(server, &instance());
        Self { client, welcome, unanswered: VecDeque::new(), next: 1 }
    }

    /// Number of the next publication.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Keeps some requests in flight until all are acknowledged or its connection ends. Returns false if it has ended.
    pub fn publishes(&mut self, up_to: u64) -> bool {
        while self.next <= up_to || !self.unanswered.is_empty() {
            while self.next <= up_to && self.unanswered.len() < 100 {
                self.unanswered.push_back(self.next);
                if self.client.try_send(frames::text(publication(self.next).to_string())).is_err() {
                    self.next += 1;
                    return false;
                }
                self.next += 1;
            }
            let Ok(frame) = self.client.frame_or_end() else { return false };
            if frame.is_close() {
                return false;
            }
            let ack: Value = serde_json::from_str(frame.as_text()).unwrap();
            if ack["op"] == "ack" {
                assert_eq!(ack["id"], self.unanswered.pop_front().unwrap(), "{ack}");
            }
        }
        true
    }

    /// Resumes, and repeats what was not answered.
    pub fn comes_back(&mut self, server: &Server) {
        self.resumes_where(server, |_| true);
    }

    /// Resumes on a worker other than this one, and repeats what was not answered.
    fn comes_back_beside(&mut self, server: &Server, worker: u32) {
        self.resumes_where(server, |of| of != worker);
    }

    fn resumes_where(&mut self, server: &Server, is_meant: impl Fn(u32) -> bool) {
        loop {
            (self.client, self.welcome) = come_back(server, &self.welcome, &instance());
            assert_eq!(self.welcome["ids"], "kept", "{}", self.welcome);
            expect_recovery(&mut self.client);
            if is_meant(server.worker_of(&self.client)) {
                break;
            }
        }
        let all: String =
            self.unanswered.iter().map(|id| publication(*id).to_string() + "\n").collect();
        all.lines().for_each(|one| self.client.text(one));
    }
}

/// V41.
#[test]
fn every_publication_is_delivered_once_while_workers_of_the_publisher_die() {
    const COUNT: u64 = 10_000;
    let server = setup().workers(3).start();
    let mut receiver = receiver(&server);
    let place = server.worker_of(&receiver);
    let mut publisher = Publisher::open(&server);
    publisher.comes_back_beside(&server, place);
    for up_to in [COUNT / 4, COUNT / 2, 3 * COUNT / 4] {
        assert!(publisher.publishes(up_to));
        let worker = server.worker_of(&publisher.client);
        let writer = std::thread::spawn(move || send_signal(worker, Signal::KILL));
        while publisher.publishes(publisher.next + 50) {}
        writer.join().unwrap();
        publisher.comes_back_beside(&server, place);
    }
    let last = publisher.next.max(COUNT);
    assert!(publisher.publishes(last));
    expect_data(&mut receiver, 1..=last);
    receiver.expect_quiet();
}

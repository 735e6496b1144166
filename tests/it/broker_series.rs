//! The broker exits repeatedly, in every way, while two workers publish at full speed to everyone, to groups
//! and to single clients. Each client gets its own publications, once and in order (promises P1, P2, P3 and
//! P6, rule L6, faults 33 and 34).

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::processes::{is_alive, send_signal};
use crate::harness::{
    NEXT, Open, Raw, Server, broadcast, eventually, feedback_to, frames, received_nothing,
};
use rustix::process::Signal;

const PAGES: usize = 10;
const FRENCH: usize = 10;
const ENGLISH: usize = 10;
const MESSAGES_EACH: usize = 1500;
/// Digits of each message, enough to fill links and windows, so that publications are under way whenever the
/// broker exits.
const PADDING: usize = 1024;
/// Clients that receive publications, including the two publishers: the page gets `next`, and Gomoob's client
/// gets nothing.
const LISTENERS: usize = PAGES + FRENCH + ENGLISH + 2;

/// A client, the messages that it must still receive from each publisher, and the number of `next` that it
/// must still get.
struct Listener {
    client: Raw,
    due: [VecDeque<String>; 2],
    acknowledgements: usize,
}

impl Listener {
    fn new(client: Raw) -> Self {
        Self { client, due: [VecDeque::new(), VecDeque::new()], acknowledgements: 0 }
    }

    fn is_done(&self) -> bool {
        self.acknowledgements == 0 && self.due.iter().all(VecDeque::is_empty)
    }

    /// Reads everything that is due, and checks that nothing follows.
    fn listen(&mut self, received: &AtomicUsize) {
        while !self.is_done() {
            let frame = self.client.frame();
            let text = frame.as_text();
            if text == NEXT {
                self.acknowledgements = self.acknowledgements.checked_sub(1).unwrap();
                continue;
            }
            let due = self.due.iter_mut().find(|due| due.front().is_some_and(|one| one == text));
            let Some(due) = due else {
                let next = self.due.each_ref().map(|due| due.front().cloned());
                panic!("{text} came, due was one of {next:?}");
            };
            due.pop_front();
            received.fetch_add(1, Ordering::Relaxed);
        }
        self.client.expect_silence();
    }
}

/// The messages of the publishers, in order, and all clients with the messages for them.
struct Plan {
    listeners: Vec<Listener>,
    sent: [Vec<u8>; 2],
}

const PAGE: usize = LISTENERS - 2;
const GOMOOB: usize = LISTENERS - 1;

impl Plan {
    /// The publishers are on different workers; the other clients are wherever the server placed them.
    fn of(server: &Server) -> Self {
        let tags = |language: &str| Open::tags(&format!(r#"{{"language":"{language}"}}"#));
        let (page, gomoob) = server.upgrade_apart(&Open::web(), &Open::tags("{}"));
        let mut clients: Vec<_> = (0..PAGES).map(|_| server.open(&Open::web())).collect();
        clients.extend((0..FRENCH).map(|_| tags("FR").upgrade(server.port)));
        clients.extend((0..ENGLISH).map(|_| tags("EN").upgrade(server.port)));
        clients.extend([page, gomoob]);
        clients[PAGE].expect_ready();
        let listeners = clients.into_iter().map(Listener::new).collect();
        let mut plan = Self { listeners, sent: [Vec::new(), Vec::new()] };
        for number in 0..MESSAGES_EACH {
            plan.publish_from_page(number);
            plan.publish_from_gomoob(number);
        }
        plan
    }

    fn publish_from_page(&mut self, number: usize) {
        let message = format!("page {number} {PADDING:PADDING$}");
        self.listeners[PAGE].acknowledgements += 1;
        let packet = if number.is_multiple_of(3) {
            let one = &mut self.listeners[number % PAGES];
            let packet = feedback_to(&one.client.uuid, &message);
            one.due[0].push_back(packet.clone());
            packet
        } else {
            let packet = broadcast(&message);
            for (place, listener) in self.listeners.iter_mut().enumerate() {
                let is_page = place < PAGES;
                let text = if is_page { packet.clone() } else { format!("\"{message}\"") };
                if place != PAGE {
                    listener.due[0].push_back(text);
                }
            }
            packet
        };
        self.sent[0].extend(frames::text(packet));
    }

    fn publish_from_gomoob(&mut self, number: usize) {
        let message = format!("gomoob {number} {PADDING:PADDING$}");
        let (tags, places) = match number % 3 {
            0 => (r#"{"language":"FR"}"#, PAGES..PAGES + FRENCH),
            1 => (r#"{"language":"EN"}"#, PAGES + FRENCH..PAGES + FRENCH + ENGLISH),
            _ => ("{}", 0..LISTENERS),
        };
        for place in places {
            let is_page = place < PAGES || place == PAGE;
            let bare = format!("\"{message}\"");
            let text = if is_page { broadcast(&message) } else { bare };
            self.listeners[place].due[1].push_back(text);
        }
        let packet = format!(r#"{{"message":"{message}","tags":{tags}}}"#);
        self.sent[1].extend(frames::text(packet));
    }

    /// Publishes as fast as the server reads. Meanwhile `disturb` is called with the number of deliveries so
    /// far and the total.
    fn carry_out(mut self, disturb: impl FnOnce(&AtomicUsize, usize)) {
        let all = self.listeners.iter().flat_map(|one| &one.due).map(VecDeque::len).sum();
        let received = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (place, sent) in [PAGE, GOMOOB].into_iter().zip(&self.sent) {
                let mut socket = self.listeners[place].client.writer();
                scope.spawn(move || socket.write_all(sent).unwrap());
            }
            for listener in &mut self.listeners {
                scope.spawn(|| listener.listen(&received));
            }
            disturb(&received, all);
        });
    }
}

fn wait_for(received: &AtomicUsize, count: usize) {
    eventually("enough deliveries", || (received.load(Ordering::Relaxed) >= count).then_some(()));
}

#[test]
fn dying_brokers_lose_and_repeat_nothing_at_full_speed() {
    let server = Server::start();
    let workers = server.workers(2);
    Plan::of(&server).carry_out(|received, all| {
        for (number, signal) in (1..).zip([Signal::KILL, Signal::ABORT, Signal::ILL]) {
            wait_for(received, number * all / 5);
            let broker = server.broker();
            send_signal(broker, signal);
            eventually("its end", || (!is_alive(broker)).then_some(()));
        }
    });
    assert_eq!(server.workers(2), workers, "the workers outlive their broker");
    assert_eq!(server.output().matches("event=child_died role=broker").count(), 3);
}

/// One worker reads nothing while the broker dies, so the other worker gets some publications twice. It must
/// deliver each of them only once.
#[test]
fn a_publication_that_only_one_worker_got_reaches_both_once() {
    let server = Server::start();
    let (mut publisher, mut near) = (server.open(&Open::web()), server.open(&Open::web()));
    let here = server.worker_of(&publisher);
    if server.worker_of(&near) != here {
        near = server.open_on(here, &Open::web());
    }
    let mut far = server.open_away_from(here, &Open::web());
    let (other, broker) = (server.worker_of(&far), server.broker());
    let publish = |number: usize| broadcast(&format!("{number} {}", "x".repeat(50_000)));
    send_signal(other, Signal::STOP);
    for number in 0..100 {
        publisher.text(publish(number));
        publisher.expect_next();
        near.expect_text(&publish(number));
    }
    send_signal(broker, Signal::KILL);
    eventually("its end", || (!is_alive(broker)).then_some(()));
    send_signal(other, Signal::CONT);
    for number in 0..100 {
        far.expect_text(&publish(number));
    }
    for receiver in [&mut near, &mut far] {
        received_nothing(&mut publisher, receiver);
    }
}

#[test]
fn a_stopped_broker_is_replaced_without_loss_or_repetition() {
    let server = Server::start();
    let workers = server.workers(2);
    Plan::of(&server).carry_out(|received, all| {
        wait_for(received, all / 3);
        send_signal(server.broker(), Signal::STOP);
        server.wait_for_output("event=child_unresponsive");
    });
    assert_eq!(server.workers(2), workers, "the workers outlive their broker");
}

/// Five deaths are free. After that the restart is delayed, and only messages that need the broker wait.
#[test]
fn a_crash_loop_of_the_broker_is_slowed_and_loses_nothing() {
    let server = Server::start();
    let workers = server.workers(2);
    Plan::of(&server).carry_out(|received, all| {
        for number in 0..8 {
            wait_for(received, number * all / 10);
            let broker = server.kill_broker();
            eventually("its end", || (!is_alive(broker)).then_some(()));
        }
        server.wait_for_output("event=child_restart_delayed");
    });
    assert_eq!(server.workers(2), workers, "the workers outlive their broker");
}

//! A broker that stalled or was restarted. The publications that it held back arrive at once and
//! are more than an outbox may hold. Clients that keep up are not closed for that; clients that do
//! not read are (rule L7).

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, Setup, eventually, frames, pause};
use rustix::process::Signal;

const PUBLISHERS: usize = 4;
const RECEIVERS: usize = 6;
/// Size of one message. Each publisher sends 3 MB per second, so the windows of both workers (16
/// MiB) are full when the broker has stalled for two seconds.
const MESSAGE_BYTES: usize = 64 * 1024;
const EVERY: Duration = Duration::from_millis(20);

fn message(publisher: usize, number: usize) -> Vec<u8> {
    let pad = "x".repeat(MESSAGE_BYTES);
    let tags = r#"{"kind":"receiver"}"#;
    frames::text(format!(r#"{{"message":"{publisher} {number} {pad}","tags":{tags}}}"#))
}

/// Reads until all messages of each publisher have arrived, in order and without gaps.
fn receive_all(receiver: &mut Raw, sent: &[AtomicUsize], is_over: &AtomicBool) {
    let mut next = [0; PUBLISHERS];
    let has_all = |next: &[usize; PUBLISHERS]| {
        is_over.load(Ordering::SeqCst)
            && next
                .iter()
                .zip(sent)
                .all(|(received, sent)| *received == sent.load(Ordering::SeqCst))
    };
    while !has_all(&next) {
        let frame = receiver.frame();
        assert!(!frame.is_close(), "after {next:?}: {}", frame.shown());
        let text = frame.as_text();
        let mut words = text.trim_start_matches('"').split(' ');
        let mut word = || words.next().unwrap().parse::<usize>().unwrap();
        let (publisher, number) = (word(), word());
        assert_eq!(number, next[publisher], "from {publisher}");
        next[publisher] += 1;
    }
}

/// Publishes and receives while `what` is done to the server.
fn keep_up_while(server: &Server, what: impl FnOnce()) {
    let mut receivers: Vec<Raw> =
        (0..RECEIVERS).map(|_| Open::tags(r#"{"kind":"receiver"}"#).upgrade(server.port)).collect();
    let publishers: Vec<Raw> =
        (0..PUBLISHERS).map(|_| Open::tags("{}").upgrade(server.port)).collect();
    let sent: [AtomicUsize; PUBLISHERS] = Default::default();
    let (is_over, stops) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let hearing: Vec<_> = receivers
            .iter_mut()
            .map(|receiver| scope.spawn(|| receive_all(receiver, &sent, &is_over)))
            .collect();
        let speaking: Vec<_> = publishers
            .iter()
            .enumerate()
            .map(|(name, publisher)| {
                let (sent, stops) = (&sent[name], &stops);
                scope.spawn(move || {
                    while !stops.load(Ordering::SeqCst) {
                        let number = sent.load(Ordering::SeqCst);
                        publisher.writer().write_all(&message(name, number)).unwrap();
                        sent.store(number + 1, Ordering::SeqCst);
                        pause(EVERY);
                    }
                })
            })
            .collect();
        pause(Duration::from_millis(300));
        what();
        pause(Duration::from_millis(300));
        stops.store(true, Ordering::SeqCst);
        speaking.into_iter().for_each(|it| it.join().unwrap());
        is_over.store(true, Ordering::SeqCst);
        // Each publisher sends one more message, so that receivers that wait for a last message see
        // the end.
        for (name, publisher) in publishers.iter().enumerate() {
            let number = sent[name].fetch_add(1, Ordering::SeqCst);
            publisher.writer().write_all(&message(name, number)).unwrap();
        }
        hearing.into_iter().for_each(|it| it.join().unwrap());
    });
    assert_eq!(server.counts().slow, 0, "they keep up");
}

#[test]
fn a_broker_that_paused_closes_no_receiver_that_keeps_up() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    let broker = server.broker();
    keep_up_while(&server, || {
        send_signal(broker, Signal::STOP);
        pause(Duration::from_millis(2200));
        send_signal(broker, Signal::CONT);
    });
    assert_eq!(server.broker(), broker, "it was stopped for less than what counts as hanging");
}

#[test]
fn a_broker_that_hangs_and_is_replaced_closes_no_receiver() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    let broker = server.broker();
    keep_up_while(&server, || {
        send_signal(broker, Signal::STOP);
        eventually("another broker", || (server.broker() != broker).then_some(()));
    });
}

#[test]
fn a_worker_that_paused_closes_no_receiver() {
    let _quiet = crate::harness::alone();
    let server = Server::start();
    let worker = server.workers(2)[0];
    keep_up_while(&server, || {
        send_signal(worker, Signal::STOP);
        pause(Duration::from_millis(2000));
        send_signal(worker, Signal::CONT);
    });
    assert!(server.workers(2).contains(&worker));
}

/// Pacing waits for a slow client for at most a second. Then it is closed as usual.
#[test]
fn a_client_that_does_not_read_our_backlog_is_closed_as_slow() {
    let _quiet = crate::harness::alone();
    let server = Setup::new().ini("pingInterval = 0\n").start();
    let broker = server.broker();
    let mut stopped = Open::tags(r#"{"kind":"receiver"}"#).upgrade(server.port);
    let publishers: Vec<Raw> =
        (0..PUBLISHERS).map(|_| Open::tags("{}").upgrade(server.port)).collect();
    send_signal(broker, Signal::STOP);
    thread::scope(|scope| {
        for (name, publisher) in publishers.iter().enumerate() {
            scope.spawn(move || {
                for number in 0..100 {
                    publisher.writer().write_all(&message(name, number)).unwrap();
                }
            });
        }
        pause(Duration::from_millis(1500));
        send_signal(broker, Signal::CONT);
    });
    server.wait_for_output("event=slow_client");
    stopped.wait_for_end();
    eventually("all to be acknowledged", || (server.counts().unacknowledged == 0).then_some(()));
}

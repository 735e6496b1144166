//! A broker that dies while the server ends: what was acknowledged arrives (promises P3 and P6).

use std::collections::HashSet;
use std::io::Write;
use std::net::Shutdown;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::harness::processes::send_signal;
use crate::harness::{
    DEADLINE, NEXT, Open, Raw, Server, Setup, broadcast, eventually, frames, pause,
};
use rustix::process::Signal;

const CLIENTS: usize = 12;
/// A message that was acknowledged so long before a client was closed had been sent to it: far
/// longer than a reader of this test is kept from its processor.
const CLEARLY_BEFORE: Duration = Duration::from_secs(1);

/// What one client has seen of its life.
#[derive(Debug)]
struct Story {
    /// When each of its own messages was acknowledged, in order.
    acknowledged: Vec<Instant>,
    heard: HashSet<String>,
    ended_at: Instant,
}

/// Reads to the end, and answers the Close by hanging up.
fn listen(mut client: Raw) -> Story {
    let mut story =
        Story { acknowledged: Vec::new(), heard: HashSet::new(), ended_at: Instant::now() };
    while let Ok(frame) = client.frame_or_end() {
        if frame.is_close() {
            assert_eq!(frame.close_code(), Some(1001));
            break;
        }
        match frame.as_text() {
            NEXT => story.acknowledged.push(Instant::now()),
            text => drop(story.heard.insert(text.to_owned())),
        }
    }
    story.ended_at = Instant::now();
    client.stream().shutdown(Shutdown::Both).ok();
    story
}

fn message(client: usize, number: usize) -> String {
    broadcast(&format!("{number} of {client}"))
}

/// Sends these messages, one after the other, while its client is open.
fn speak(mut to: impl Write, client: usize, numbers: std::ops::Range<usize>, gap: Duration) {
    for number in numbers {
        if to.write_all(&frames::text(message(client, number))).is_err() {
            return;
        }
        pause(gap);
    }
}

type Listening<'s> = Vec<ScopedJoinHandle<'s, Story>>;

/// What was acknowledged clearly before another client was closed, and never reached it.
fn lost(stories: &[Story]) -> Vec<String> {
    let mut lost = Vec::new();
    for (by, story) in stories.iter().enumerate() {
        for (number, at) in story.acknowledged.iter().enumerate() {
            let text = message(by, number);
            let missed = stories.iter().enumerate().filter(|(client, other)| {
                let was_there = *at + CLEARLY_BEFORE < other.ended_at;
                *client != by && was_there && !other.heard.contains(&text)
            });
            lost.extend(missed.map(|(client, _)| format!("{text} by {client}")));
        }
    }
    lost
}

/// Half of them on each worker, so that none ends long before the others.
fn clients_of(server: &Server) -> Vec<Raw> {
    server
        .workers(2)
        .into_iter()
        .flat_map(|worker| (0..CLIENTS / 2).map(move |_| worker))
        .map(|worker| server.open_on(worker, &Open::web()))
        .collect()
}

fn begin<'s, 'e>(scope: &'s Scope<'s, 'e>, clients: Vec<Raw>) -> Listening<'s> {
    clients.into_iter().map(|client| scope.spawn(move || listen(client))).collect()
}

fn stories(listening: Listening<'_>) -> Vec<Story> {
    listening.into_iter().map(|one| one.join().unwrap()).collect()
}

#[test]
fn clients_that_publish_after_the_death_of_the_broker_in_a_drain_are_heard() {
    let server = Setup::new().ini("drainTime = 5s").start();
    let clients = clients_of(&server);
    let writers: Vec<_> = clients.iter().map(Raw::writer).collect();
    let stories = std::thread::scope(|scope| {
        let listening = begin(scope, clients);
        server.term();
        let first = "the first one to be closed";
        eventually(first, || listening.iter().any(ScopedJoinHandle::is_finished).then_some(()));
        send_signal(server.broker(), Signal::KILL);
        for (client, writer) in writers.iter().enumerate() {
            speak(writer, client, 0..1, Duration::ZERO);
        }
        stories(listening)
    });
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    assert_eq!(lost(&stories), [""; 0]);
    let acknowledged = stories.iter().filter(|story| !story.acknowledged.is_empty()).count();
    let heard = stories.iter().map(|story| story.heard.len()).max();
    assert!(acknowledged >= CLIENTS / 2, "{acknowledged} of {CLIENTS} were acknowledged");
    assert!(heard >= Some(CLIENTS / 2), "{heard:?} messages at most reached one client");
}

/// The first to be closed would have been gone before its successor had heard of anything.
#[test]
fn what_was_acknowledged_while_the_broker_hung_at_the_signal_is_heard() {
    let server = Setup::new().ini("drainTime = 5s").start();
    let mut clients = clients_of(&server);
    send_signal(server.broker(), Signal::STOP);
    for (client, raw) in clients.iter_mut().enumerate() {
        speak(raw.stream(), client, 0..10, Duration::ZERO);
        (0..10).for_each(|_| drop(raw.expect_next()));
    }
    let stories = std::thread::scope(|scope| {
        let listening = begin(scope, clients);
        server.term();
        stories(listening)
    });
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    for (client, story) in stories.iter().enumerate() {
        assert_eq!(story.heard.len(), (CLIENTS - 1) * 10, "by {client}");
    }
}

/// One drain under load, in which the broker dies so long after the signal: it may be before all is
/// quiet, while clients are closed, and more than once.
fn dies_under_load(deaths: &[Duration]) {
    let server = Setup::new().ini("drainTime = 4s").start();
    let clients = clients_of(&server);
    let writers: Vec<_> = clients.iter().map(Raw::writer).collect();
    let stories = std::thread::scope(|scope| {
        let listening = begin(scope, clients);
        for (client, writer) in writers.into_iter().enumerate() {
            scope.spawn(move || speak(writer, client, 0..100_000, Duration::from_millis(4)));
        }
        pause(Duration::from_millis(200));
        server.term();
        let signalled = Instant::now();
        for death in deaths {
            pause(death.saturating_sub(signalled.elapsed()));
            // On a busy machine all may have ended by then.
            let broker = server.children().into_iter().find(|(_, line)| line.contains("broker"));
            broker.inspect(|(pid, _)| send_signal(*pid, Signal::KILL));
        }
        stories(listening)
    });
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    let acknowledged: usize = stories.iter().map(|story| story.acknowledged.len()).sum();
    assert!(acknowledged > CLIENTS, "{acknowledged} were acknowledged");
    let lost = lost(&stories);
    assert!(lost.is_empty(), "{deaths:?}: {} of {acknowledged} lost: {:?}", lost.len(), &lost[..1]);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_broker_dies_in_a_drain_under_load() {
    dies_under_load(&[Duration::ZERO]);
    dies_under_load(&[Duration::from_millis(500)]);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_broker_dies_late_or_often_in_a_drain_under_load() {
    dies_under_load(&[Duration::from_millis(1300)]);
    dies_under_load(&[200, 600, 1000, 1400].map(Duration::from_millis));
}

//! A broker that dies during a shutdown: acknowledged publications still arrive (promises P3 and P6).

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
/// A message that was acknowledged this long before a client was closed must have been sent to that client.
/// The time is far longer than any delay of a reading thread of this test.
const CLEARLY_BEFORE: Duration = Duration::from_secs(1);

/// The events that one client has seen.
#[derive(Debug)]
struct Story {
    /// The times at which its own messages were acknowledged, in order.
    acknowledged: Vec<Instant>,
    received: HashSet<String>,
    ended_at: Instant,
}

/// Reads until the Close, and answers it by disconnecting.
fn listen(mut client: Raw) -> Story {
    let mut story =
        Story { acknowledged: Vec::new(), received: HashSet::new(), ended_at: Instant::now() };
    while let Ok(frame) = client.frame_or_end() {
        if frame.is_close() {
            assert_eq!(frame.close_code(), Some(1001));
            break;
        }
        match frame.as_text() {
            NEXT => story.acknowledged.push(Instant::now()),
            text => drop(story.received.insert(text.to_owned())),
        }
    }
    story.ended_at = Instant::now();
    client.stream().shutdown(Shutdown::Both).ok();
    story
}

fn message(client: usize, number: usize) -> String {
    broadcast(&format!("{number} of {client}"))
}

/// Sends these messages one after another while its client is open.
fn speak(mut to: impl Write, client: usize, numbers: std::ops::Range<usize>, gap: Duration) {
    for number in numbers {
        if to.write_all(&frames::text(message(client, number))).is_err() {
            return;
        }
        pause(gap);
    }
}

type Listening<'s> = Vec<ScopedJoinHandle<'s, Story>>;

/// Returns the messages that were acknowledged clearly before another client was closed, and that this client
/// never got.
fn lost(stories: &[Story]) -> Vec<String> {
    let mut lost = Vec::new();
    for (by, story) in stories.iter().enumerate() {
        for (number, at) in story.acknowledged.iter().enumerate() {
            let text = message(by, number);
            let missed = stories.iter().enumerate().filter(|(client, other)| {
                let was_there = *at + CLEARLY_BEFORE < other.ended_at;
                *client != by && was_there && !other.received.contains(&text)
            });
            lost.extend(missed.map(|(client, _)| format!("{text} by {client}")));
        }
    }
    lost
}

/// Opens half of the clients on each worker, so that no worker finishes long before the other.
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
fn publications_after_a_broker_death_in_a_drain_are_delivered() {
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
    let received = stories.iter().map(|story| story.received.len()).max();
    assert!(acknowledged >= CLIENTS / 2, "{acknowledged} of {CLIENTS} were acknowledged");
    assert!(received >= Some(CLIENTS / 2), "{received:?} messages at most reached one client");
}

/// Without the wait, the first client would be closed before the new broker knows any client.
#[test]
fn a_drain_delivers_what_was_acknowledged_during_a_hang() {
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
        assert_eq!(story.received.len(), (CLIENTS - 1) * 10, "by {client}");
    }
}

/// Runs one drain under load. The broker dies at these times after the signal: possibly before all
/// publications are acknowledged, while clients are closed, and more than once.
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
            // On a busy machine all processes may have exited by then.
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
fn a_broker_death_in_a_drain_loses_nothing_acknowledged() {
    dies_under_load(&[Duration::ZERO]);
    dies_under_load(&[Duration::from_millis(500)]);
}

#[test]
fn late_and_repeated_broker_deaths_in_a_drain_lose_nothing() {
    dies_under_load(&[Duration::from_millis(1300)]);
    dies_under_load(&[200, 600, 1000, 1400].map(Duration::from_millis));
}

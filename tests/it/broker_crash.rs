//! `kill -9` of the broker under load: no publication is lost or delivered twice, and no client is closed
//! (promises P1, P2, P3 and P6, rule L6).

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{
    NEXT, Open, Raw, Server, broadcast, feedback_to, feedback_to_ident, frames, received_nothing,
};
use rustix::process::Signal;

const PUBLISHERS: usize = 2;
const RECEIVERS: usize = 20;
const MESSAGES_EACH: usize = 600;
/// Publications of one publisher that have not reached all clients yet.
const IN_FLIGHT: usize = 64;
/// The broker is killed when the slowest receiver has this many deliveries.
const KILL_AT: [usize; 3] = [240, 560, 880];
/// Time limit that allows for three restarts on a busy machine.
const WHOLE_TEST: Duration = Duration::from_secs(60);

/// Number of publications of each publisher that each listener has received.
struct Progress {
    seen: Mutex<Vec<[usize; PUBLISHERS]>>,
    moved: Condvar,
    deadline: Instant,
}

impl Progress {
    fn of(listeners: usize) -> Self {
        let seen = Mutex::new(vec![[0; PUBLISHERS]; listeners]);
        Self { seen, moved: Condvar::new(), deadline: Instant::now() + WHOLE_TEST }
    }

    /// Records a delivery, which must be the next one of its publisher.
    fn note(&self, listener: usize, publisher: usize, number: usize) {
        let mut seen = self.seen.lock().unwrap();
        let due = seen[listener][publisher];
        assert_eq!(number, due, "listener {listener}: of publisher {publisher}");
        seen[listener][publisher] += 1;
        self.moved.notify_all();
    }

    /// Waits until `enough` accepts the counts of all receivers.
    fn wait_until(&self, enough: impl Fn(&[[usize; PUBLISHERS]]) -> bool) {
        let mut seen = self.seen.lock().unwrap();
        while !enough(&seen[..RECEIVERS]) {
            let left = self.deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no progress: {seen:?}");
            seen = self.moved.wait_timeout(seen, left).unwrap().0;
        }
    }
}

/// Publishes broadcasts, with [`IN_FLIGHT`] of them under way at any time.
fn publish(publisher: usize, mut socket: TcpStream, progress: &Progress) {
    for number in 0..MESSAGES_EACH {
        progress.wait_until(|seen| {
            seen.iter().all(|receiver| number < receiver[publisher] + IN_FLIGHT)
        });
        let packet = broadcast(&format!("{publisher} {number}"));
        socket.write_all(&frames::text(packet)).unwrap();
    }
}

/// Reads the given numbers of broadcasts and acknowledgements, and checks that nothing follows.
fn listen(listener: usize, client: &mut Raw, due: (usize, usize), progress: &Progress) {
    let (mut broadcasts, mut acknowledgements) = (0, 0);
    while (broadcasts, acknowledgements) != due {
        let frame = client.frame();
        let text = frame.as_text();
        if text == NEXT {
            acknowledgements += 1;
            continue;
        }
        broadcasts += 1;
        let message = text
            .strip_prefix(r#"{"opcode":"broadcast","message":""#)
            .and_then(|rest| rest.strip_suffix(r#""}"#));
        let (publisher, number) = message.and_then(|message| message.split_once(' ')).unwrap();
        progress.note(listener, publisher.parse().unwrap(), number.parse().unwrap());
    }
    client.expect_silence();
}

#[test]
fn three_killed_brokers_lose_and_repeat_no_publication() {
    let server = Server::start();
    let (one, other) = server.open_apart(&Open::web(), &Open::web());
    let sides = [server.worker_of(&one), server.worker_of(&other)];
    let mut publishers = [one, other];
    let mut receivers: Vec<_> =
        (0..RECEIVERS).map(|number| server.open_on(sides[number % 2], &Open::web())).collect();
    let progress = Progress::of(RECEIVERS + PUBLISHERS);

    std::thread::scope(|scope| {
        let progress = &progress;
        for (number, receiver) in receivers.iter_mut().enumerate() {
            let due = (PUBLISHERS * MESSAGES_EACH, 0);
            scope.spawn(move || listen(number, receiver, due, progress));
        }
        for (number, publisher) in publishers.iter_mut().enumerate() {
            let socket = publisher.writer();
            scope.spawn(move || publish(number, socket, progress));
            let due = ((PUBLISHERS - 1) * MESSAGES_EACH, MESSAGES_EACH);
            scope.spawn(move || listen(RECEIVERS + number, publisher, due, progress));
        }
        for deliveries in KILL_AT {
            progress.wait_until(|seen| {
                seen.iter().all(|each| each.iter().sum::<usize>() >= deliveries)
            });
            server.kill_broker();
        }
    });

    // Each publisher sends one more message to all clients. A repeated delivery would arrive before it.
    let [one, other] = &mut publishers;
    for receiver in &mut receivers {
        received_nothing(one, receiver);
        received_nothing(other, receiver);
    }
    assert_eq!(server.workers(2).len(), 2);
}

/// Keeps the broker away for as long as the test needs: the supervisor, which would replace it, is stopped.
struct Away<'a>(&'a Server);

impl<'a> Away<'a> {
    fn broker_of(server: &'a Server) -> Self {
        server.broker();
        server.signal(Signal::STOP);
        server.kill_broker();
        Self(server)
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

#[test]
fn a_client_may_connect_while_the_broker_is_down() {
    let server = Server::start();
    let mut publisher = server.open(&Open::web());
    let away = Away::broker_of(&server);
    let mut new_clients: Vec<_> = (0..8).map(|_| Open::web().ask(server.port)).collect();
    drop(away);
    for new_client in &mut new_clients {
        new_client.expect_upgrade();
        new_client.expect_ready();
        received_nothing(&mut publisher, new_client);
    }
}

#[test]
fn publications_during_an_outage_are_acknowledged_and_delivered() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let mut named = server.open(&Open::php().ident("script"));
    let away = Away::broker_of(&server);
    let packets: Vec<_> = (0..64).map(|number| broadcast(&format!("away {number}"))).collect();
    let single = feedback_to(&receiver.uuid, "to one");
    let by_name = feedback_to_ident("script", "by name");
    let sent = packets.iter().chain([&single, &by_name]);
    publisher.send(sent.flat_map(frames::text).collect::<Vec<_>>());
    for _ in 0..packets.len() + 2 {
        publisher.expect_next();
    }
    drop(away);
    for packet in &packets {
        receiver.expect_text(packet);
    }
    receiver.expect_text(&single);
    named.expect_text(&by_name);
    received_nothing(&mut publisher, &mut receiver);
    received_nothing(&mut publisher, &mut named);
}

/// The new broker must not give the ident or the place of a closed client to another client.
#[test]
fn a_client_that_leaves_during_an_outage_is_unknown_to_the_new_broker() {
    let server = Server::start();
    let mut first = server.open(&Open::web().ident("role"));
    let mut heir = server.open(&Open::web().ident("role"));
    let mut publisher = server.open_away_from(server.worker_of(&first), &Open::web());
    let away = Away::broker_of(&server);
    first.send(frames::close(1000, ""));
    first.expect_closed(1000);
    drop(away);
    let packet = feedback_to_ident("role", "for the heir");
    publisher.text(&packet);
    publisher.expect_next();
    heir.expect_text(&packet);
    received_nothing(&mut publisher, &mut heir);
}

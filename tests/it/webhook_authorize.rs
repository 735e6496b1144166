//! Handshakes that a backend authorizes: one address cannot block others, and time in the server's own queue
//! does not count against the backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::backend::chat::{APPLICATIONS, start};
use crate::backend::{Act, Backend};
use crate::harness::{Open, Raw, Server, Setup, eventually, frames, pause};

/// Starts a backend that answers each event after a delay.
fn slow(wait: Duration) -> Backend {
    Backend::start(move |event| {
        pause(wait);
        match event["text"].as_str() {
            Some(_) => Act::Commands(r#"{"command":"reply","text":"heard"}"#),
            None => Act::Commands(""),
        }
    })
}

/// Sends handshakes and returns them unanswered.
fn asked_from(address: &str, server: &Server, count: usize) -> Vec<Raw> {
    let request = Open::at("/chat").request();
    let ask = |_| {
        let mut client = Raw::connect_from(address, server.port);
        client.send(&request);
        client
    };
    (0..count).map(ask).collect()
}

/// Returns the number of answers for each status.
fn statuses(clients: &mut [Raw]) -> [usize; 3] {
    let mut counts = [0; 3];
    for client in clients {
        let status = client.read_head().status();
        let known = [101, 429, 503].iter().position(|it| *it == status);
        counts[known.unwrap_or_else(|| panic!("status {status}"))] += 1;
    }
    counts
}

#[track_caller]
fn is_let_in(address: &str, server: &Server) -> Raw {
    Open::at("/chat").upgrade_over(Raw::connect_from(address, server.port))
}

#[test]
fn openings_count_by_address_before_the_backend_is_asked() {
    let backend = slow(Duration::from_millis(50));
    let ini = format!(
        "maxPerIP = 10\n[resource /chat]\nkind = http\nurl = {}\napplication = chat",
        backend.url()
    );
    let server = Setup::new().ini(&ini).auth(APPLICATIONS).start();
    let mut flood = asked_from("127.0.0.1", &server, 400);
    is_let_in("127.0.0.7", &server);
    assert_eq!(statuses(&mut flood), [10, 390, 0]);
    let opens = backend.events("open");
    let of_flood = opens.iter().filter(|it| it["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(of_flood.count(), 10, "no other one was asked about");
    drop(flood);
    eventually("room for one more", || {
        let mut client = Open::at("/chat").ask(server.port);
        (client.read_head().status() == 101).then_some(())
    });
}

/// A client that disconnects or is refused while its backend is asked frees its place. So does the death of
/// the broker.
#[test]
fn a_place_by_address_is_freed_however_the_opening_ends() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let backend = Backend::start(move |event| {
        if event["event"] == "open" {
            count.fetch_add(1, Ordering::SeqCst);
            pause(Duration::from_millis(100));
            if event["query"] == "no" {
                return Act::Commands(r#"{"command":"refuse"}"#);
            }
        }
        Act::Commands("")
    });
    let ini = format!(
        "maxPerIP = 2\n[resource /chat]\nkind = http\nurl = {}\napplication = chat",
        backend.url()
    );
    let server = Setup::new().ini(&ini).auth(APPLICATIONS).start();
    for _ in 0..3 {
        for _ in 0..2 {
            eventually("a place", || {
                let head = Open::at("/chat?no").ask(server.port).read_head();
                (head.status() == 403).then_some(())
            });
        }
        // A place is free a moment after its client got its answer.
        let gone = eventually("two questions", || {
            let before = asked.load(Ordering::SeqCst);
            let both = asked_from("127.0.0.1", &server, 2);
            let are_asked = |_| {
                pause(Duration::from_millis(2));
                asked.load(Ordering::SeqCst) >= before + 2
            };
            (0..25).any(are_asked).then_some(both)
        });
        Open::at("/chat").ask(server.port).expect_refusal(429);
        drop(gone);
        eventually("two places", || {
            let mut both = asked_from("127.0.0.1", &server, 2);
            (statuses(&mut both) == [2, 0, 0]).then_some(())
        });
        let dead = server.kill_broker();
        eventually("another broker", || (server.broker() != dead).then_some(()));
    }
}

#[test]
fn a_timeout_in_our_own_queue_is_not_a_failure_of_the_backend() {
    let backend = slow(Duration::from_millis(150));
    let server = start(&backend, "maxConcurrent = 1\ndeadline = 1s");
    let mut early = is_let_in("127.0.0.9", &server);
    let mut flood = asked_from("127.0.0.1", &server, 60);
    let [in_time, _, late] = statuses(&mut flood);
    assert!(in_time > 0 && late > 20, "{in_time} in time, {late} late");
    early.text("still there?");
    early.expect_text("heard");
    is_let_in("127.0.0.7", &server).send(frames::close(1000, ""));
    assert!(!server.output().contains("event=circuit_opened"), "{}", server.output());
}

#[test]
fn openings_of_one_address_take_a_part_of_the_queue_only() {
    let backend = slow(Duration::from_millis(20));
    let server = start(&backend, "");
    let mut flood = asked_from("127.0.0.1", &server, 900);
    is_let_in("127.0.0.7", &server);
    let [let_in, _, turned_away] = statuses(&mut flood);
    assert_eq!(let_in + turned_away, 900);
    assert!(let_in >= 256, "{let_in}");
}

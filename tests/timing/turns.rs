//! A turn of the worker has a bound in time: what many connections ask for at the same moment is
//! served a part at a time, and clients that say little do not wait for it. Fault 43 of
//! `docs/faults.md`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Bystander, Open, Raw, Server, Setup, feedback_to, frames};

/// One worker: whoever is served is served next to the crowd.
fn server() -> (Server, u32) {
    let server = Setup::new().workers(1).start();
    let worker = server.workers(1)[0];
    (server, worker)
}

fn bystander(server: &Server) -> Bystander {
    Bystander::between(server.open(&Open::web()), server.open(&Open::web()))
}

/// Serves the bystander until `work` is done: how often, and the longest that it waited.
fn served_during(bystander: &mut Bystander, work: impl FnOnce() + Send) -> (u32, Duration) {
    let is_done = AtomicBool::new(false);
    let (mut rounds, mut longest) = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            work();
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            let begun = Instant::now();
            bystander.is_served();
            longest = longest.max(begun.elapsed());
            rounds += 1;
        }
    });
    (rounds, longest)
}

/// A message that costs much to read: many small objects beside what is asked for.
fn costly(objects: usize) -> Vec<u8> {
    let objects = vec![r#"{"":0}"#; objects].join(",");
    frames::text(format!(r#"{{"opcode":"uuid","message":"u","x":[{objects}]}}"#))
}

/// A client that has said all but the last byte of a message.
fn about_to_say(server: &Server, message: &[u8]) -> Raw {
    let mut client = server.open(&Open::web());
    client.send(&message[..message.len() - 1]);
    client
}

/// The last bytes at once; all answers.
fn say_at_once(clients: &mut [Raw], message: &[u8]) {
    let last = &message[message.len() - 1..];
    clients.iter_mut().for_each(|client| client.send(last));
    clients.iter_mut().for_each(|client| drop(client.frame_or_end()));
}

fn costly_messages_at_once(message: &[u8], clients: usize) {
    let (server, worker) = server();
    let mut bystander = bystander(&server);
    let mut alone = [about_to_say(&server, message)];
    bystander.is_served();
    let begun = Instant::now();
    say_at_once(&mut alone, message);
    let one = begun.elapsed();
    let mut crowd: Vec<Raw> = (0..clients).map(|_| about_to_say(&server, message)).collect();
    bystander.is_served();
    let begun = Instant::now();
    let (rounds, longest) = served_during(&mut bystander, || say_at_once(&mut crowd, message));
    let all = begun.elapsed();
    println!(
        "one {one:?}, {clients} {all:?}; {rounds} rounds of the bystander, longest {longest:?}"
    );
    // A round is four ways through the worker, each of which waits for one message at most.
    let bound = all / 2;
    assert!(longest < bound, "{longest:?} where {clients} messages take {all:?}");
    assert_eq!(server.workers(1), [worker], "the worker lives");
}

#[test]
fn fault_43_costly_messages_that_are_completed_at_once_are_served_one_in_a_turn() {
    let _quiet = crate::harness::alone();
    costly_messages_at_once(&costly(60_000), 20);
}

#[test]
fn fault_43_requests_with_many_tags_at_once_are_served_one_in_a_turn() {
    let _quiet = crate::harness::alone();
    let (server, worker) = server();
    let mut bystander = bystander(&server);
    let tags = vec![r#""same":1"#; 30_000].join(",");
    let message = frames::text(format!(r#"{{"message":1,"tags":{{{tags}}}}}"#));
    let mut crowd: Vec<Raw> = (0..20)
        .map(|_| {
            let mut client = Open::tags("{}").upgrade(server.port);
            client.send(&message[..message.len() - 1]);
            client
        })
        .collect();
    bystander.is_served();
    let begun = Instant::now();
    let (rounds, longest) = served_during(&mut bystander, || {
        let last = &message[message.len() - 1..];
        crowd.iter_mut().for_each(|client| client.send(last));
        crowd.iter_mut().for_each(|client| {
            client.stream().shutdown(std::net::Shutdown::Write).unwrap();
            client.wait_for_end();
        });
    });
    let all = begun.elapsed();
    println!("20 {all:?}; {rounds} rounds of the bystander, longest {longest:?}");
    assert!(longest < all / 2, "{longest:?} where all messages take {all:?}");
    assert_eq!(server.workers(1), [worker], "the worker lives");
}

/// Each of the crowd has said everything before the first of it is served, so that all their sockets
/// are always ready. Nothing that is said is lost.
fn crowd_of_small_messages(clients: usize, messages: usize) {
    let (server, worker) = server();
    let mut bystander = bystander(&server);
    let mut crowd: Vec<Raw> = (0..clients).map(|_| server.open(&Open::web())).collect();
    let nobody = frames::text(feedback_to("nobody", "x")).repeat(messages);
    bystander.is_served();
    let begun = Instant::now();
    let (rounds, longest) = served_during(&mut bystander, || {
        crowd.iter_mut().for_each(|client| client.send(&nobody));
        for client in &mut crowd {
            (0..messages).for_each(|_| drop(client.expect_next()));
        }
    });
    let all = begun.elapsed();
    println!("all {all:?}; {rounds} rounds of the bystander, longest {longest:?}");
    assert!(longest < all / 4, "{longest:?} where the crowd takes {all:?}");
    assert_eq!(server.workers(1), [worker], "the worker lives");
    bystander.is_served();
}

#[test]
fn fault_43_a_crowd_that_never_pauses_is_served_in_turns_and_after_who_says_little() {
    let _quiet = crate::harness::alone();
    crowd_of_small_messages(100, 600);
}

#[test]
fn fault_43_three_senders_that_never_pause_have_their_turns_too() {
    let _quiet = crate::harness::alone();
    crowd_of_small_messages(3, 20_000);
}

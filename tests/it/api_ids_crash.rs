//! Publications with ids, repeated until they are answered with 200, while processes are killed: every socket
//! receives each of them once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::api::{PUBLISH, SHOP, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, pause};

const RECEIVERS: usize = 4;
const PUBLISHERS: usize = 4;
/// Answers between the kills of two processes.
const ANSWERED_BETWEEN: usize = 25;
/// Time in which processes are killed.
const KILLING: Duration = Duration::from_secs(20);
/// Time limit that allows for a busy machine.
const WHOLE_TEST: Duration = Duration::from_secs(120);

/// Sends a request over a kept connection. Returns its status; `None` if there was no answer.
fn status(connection: &mut Option<TcpStream>, port: u16, request: &[u8]) -> Option<u16> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect(("127.0.0.1", port)).ok()?,
    };
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream.write_all(request).ok()?;
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    loop {
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
        if body.len() >= length {
            let status = head.split(' ').nth(1)?.parse().ok();
            *connection = (!head.contains("connection: close")).then_some(stream);
            return status;
        }
    }
}

/// Publishes every fourth number under its own id.
fn publish(server: &Server, first: usize, count: usize, answered: &AtomicUsize) {
    let mut connection = None;
    for number in (first..count).step_by(PUBLISHERS) {
        let body = format!(r#"{{"to":"all","message":{number},"id":"n-{number}"}}"#);
        let request = post(PUBLISH, &[SHOP], &body);
        let deadline = Instant::now() + WHOLE_TEST;
        while status(&mut connection, server.port, &request) != Some(200) {
            assert!(Instant::now() < deadline, "{number} is not answered");
            pause(Duration::from_millis(5));
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads one broadcast of each number, in any order.
fn receive(client: &mut Raw, count: usize) {
    let mut heard = vec![0_usize; count];
    for _ in 0..count {
        let frame = client.frame();
        let number = frame.as_text().strip_prefix(r#"{"opcode":"broadcast","message":"#);
        let number: usize = number.unwrap().trim_end_matches('}').parse().unwrap();
        heard[number] += 1;
    }
    let wrong: Vec<_> = heard.iter().enumerate().filter(|(_, times)| **times != 1).collect();
    assert!(wrong.is_empty(), "(number, times): {wrong:?}");
}

/// Kills one process after the other. Returns how many.
fn kill(count: usize, answered: &AtomicUsize, mut next: impl FnMut(usize) -> u32) -> usize {
    let (started, mut kills) = (Instant::now(), 0);
    let mut killed_at = 0;
    while started.elapsed() < KILLING {
        let now = answered.load(Ordering::Relaxed);
        if now + ANSWERED_BETWEEN >= count {
            break;
        }
        if now >= killed_at + ANSWERED_BETWEEN {
            send_signal(next(kills), Signal::KILL);
            killed_at = answered.load(Ordering::Relaxed);
            kills += 1;
        }
        pause(Duration::from_millis(2));
    }
    kills
}

fn each_is_received_once(count: usize, next: impl Fn(&Server, usize) -> u32) -> usize {
    let server = setup().start();
    let mut clients: Vec<_> =
        (0..RECEIVERS).map(|_| server.open(&Open::at("/web?key=shop"))).collect();
    let answered = AtomicUsize::new(0);
    let kills = thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| receive(client, count));
        }
        for first in 0..PUBLISHERS {
            let (server, answered) = (&server, &answered);
            scope.spawn(move || publish(server, first, count, answered));
        }
        kill(count, &answered, |kills| next(&server, kills))
    });
    // A last publication shows that nothing else came.
    assert_eq!(server.post(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#).status(), 200);
    for client in &mut clients {
        assert_eq!(client.frame().as_text(), r#"{"opcode":"broadcast","message":"last"}"#);
    }
    kills
}

#[test]
fn each_id_is_received_once_while_brokers_are_killed() {
    let kills = each_is_received_once(5000, |server, _| server.broker());
    println!("{kills} brokers were killed");
    assert!(kills >= 5, "{kills}");
}

#[test]
fn each_id_is_received_once_while_any_process_but_workers_is_killed() {
    let kills = each_is_received_once(1500, |server, kills| match kills % 2 {
        0 => server.api_process(),
        _ => server.broker(),
    });
    println!("{kills} processes were killed");
    assert!(kills >= 5, "{kills}");
}

//! Waves of large messages: many clients complete one at the same moment. Bystanders of another
//! tenant do not wait until they are read. Fault 46 of `docs/faults.md`. Broadcasts are not among
//! them: their many deliveries delay bystanders by more than the goal.
//!
//! The figures of `docs/benchmarks.md` are those of a release build:
//! `TAGCAST_BIN=target/release/tagcast cargo test --test timing waves:: -- --nocapture`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::wait::{in_one_of_a_few, pause};
use crate::harness::{Open, Raw, Server, Setup, feedback_to, frames};

/// The attackers have a tenant of their own, so nothing that they send is delivered to a bystander.
const APPLICATIONS: &str = "
anonymous: shared
applications:
  - {key: shared, secret: shared-secret, authorizeOpen: true, clientPublish: true}
  - {key: other, secret: other-secret, authorizeOpen: true, clientPublish: true, tenant: other}
";

/// Length of a message in bytes, just below the default limit.
const MESSAGE_BYTES: usize = 5 * 1024 * 1024 - 4096;
/// Attackers of one wave.
const ATTACKERS: usize = 28;
const WAVES: usize = 4;
const BYSTANDERS: usize = 20;
/// Time between two messages of a bystander.
const PERIOD: Duration = Duration::from_millis(50);
/// Time over which bystanders are measured without an attack.
const QUIET: Duration = Duration::from_secs(3);
/// The goal: so much longer than without the attack.
const DELAY: Duration = Duration::from_millis(20);

/// One kind of wave.
struct Kind {
    name: &'static str,
    /// Lines of `websock.ini` that it needs.
    ini: &'static str,
    target: &'static str,
    /// Frame of the message.
    frame: Vec<u8>,
}

impl Kind {
    fn new(name: &'static str, target: &'static str, text: impl AsRef<[u8]>) -> Self {
        Self { name, ini: "", target, frame: frames::text(text) }
    }
}

/// Returns a text of the length of a message: `part` again and again between two texts.
fn filled(before: &str, part: &str, after: &str) -> String {
    let times = (MESSAGE_BYTES - before.len() - after.len()) / part.len();
    [before, &part.repeat(times), after].concat()
}

/// Times of the round trips of bystanders, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn percentile_99(&self) -> Duration {
        self.0[self.0.len() * 99 / 100]
    }

    fn longest(&self) -> Duration {
        *self.0.last().unwrap()
    }
}

/// Sends feedbacks of each bystander to itself until `is_done`, and returns their times.
fn serve(bystanders: &mut [Raw], is_done: &AtomicBool) -> Times {
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let each = bystanders.iter_mut().enumerate().map(|(place, client)| {
            scope.spawn(move || {
                let mut times = Vec::new();
                pause(PERIOD.mul_f64(place as f64 / BYSTANDERS as f64));
                while !is_done.load(Ordering::Acquire) {
                    let begun = Instant::now();
                    let text = feedback_to(&client.uuid, "of a bystander");
                    client.text(&text);
                    client.expect_next();
                    client.expect_text(&text);
                    let time = begun.elapsed();
                    times.push(time);
                    pause(PERIOD.saturating_sub(time));
                }
                times
            })
        });
        let each: Vec<_> = each.collect();
        each.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    times.sort_unstable();
    Times(times)
}

/// Serves the bystanders while `work` is done.
fn serve_during(bystanders: &mut [Raw], work: impl FnOnce() + Send) -> Times {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            work();
            is_done.store(true, Ordering::Release);
        });
        serve(bystanders, &is_done)
    })
}

/// Reads and drops everything up to the end of the connection.
fn read_to_end(client: &Raw) {
    let (mut socket, mut scratch) = (client.writer(), vec![0; 256 * 1024]);
    while socket.read(&mut scratch).is_ok_and(|read| read > 0) {}
}

/// Opens clients that send all but the last byte of a message. Then all of them send the rest, and a
/// Close, and read to the end.
fn wave(server: &Server, kind: &Kind, clients: usize) {
    let (begin, last) = kind.frame.split_at(kind.frame.len() - 1);
    let attackers: Vec<Raw> = (0..clients)
        .map(|_| {
            let mut client = Open::at(kind.target).upgrade(server.port);
            client.try_send(begin).ok();
            client
        })
        .collect();
    let rest = [last, &frames::close(1000, "")].concat();
    for client in &attackers {
        client.writer().write_all(&rest).ok();
    }
    std::thread::scope(|scope| {
        for client in &attackers {
            scope.spawn(|| read_to_end(client));
        }
    });
    for client in &attackers {
        client.stream().shutdown(Shutdown::Both).ok();
    }
}

fn waves(kind: &Kind) -> Result<(), String> {
    let server = Setup::new().auth(APPLICATIONS).ini(kind.ini).start();
    let workers = server.workers(2);
    let mut bystanders: Vec<Raw> = (0..BYSTANDERS).map(|_| server.open(&Open::web())).collect();
    let quiet = serve_during(&mut bystanders, || pause(QUIET));
    let begun = Instant::now();
    wave(&server, kind, 1);
    let one = begun.elapsed();
    let begun = Instant::now();
    let attacked = serve_during(&mut bystanders, || {
        (0..WAVES).for_each(|_| wave(&server, kind, ATTACKERS));
    });
    let all = begun.elapsed();
    println!(
        "{}: one {one:.0?}, {WAVES} waves {all:.1?}; a bystander's p99 {:.1?} (longest {:.1?}), without \
         the attack {:.1?} ({:.1?})",
        kind.name,
        attacked.percentile_99(),
        attacked.longest(),
        quiet.percentile_99(),
        quiet.longest(),
    );
    assert_eq!(server.workers(2), workers, "the workers live");
    // A build without optimisation needs longer for everything, and a busy machine too.
    let most = quiet.percentile_99() * 2 + DELAY + one / 4;
    let found = attacked.percentile_99();
    if found < most {
        Ok(())
    } else {
        Err(format!("{}: {found:?}, and {most:?} at most", kind.name))
    }
}

fn bystanders_are_served_during(kind: &Kind) {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(|| waves(kind));
}

const WEB: &str = "/web?key=other";
const GOMOOB: &str = "/?key=other";

#[test]
fn fault_46_echoes_of_numbers() {
    let text = filled(r#"{"opcode":"echo","message":[1"#, ",1", "]}");
    bystanders_are_served_during(&Kind::new("echo of numbers", WEB, text));
}

#[test]
fn fault_46_echoes_of_one_string() {
    let text = filled(r#"{"opcode":"echo","message":""#, "x", r#""}"#);
    bystanders_are_served_during(&Kind::new("echo of a string", WEB, text));
}

#[test]
fn fault_46_requests_of_small_objects() {
    let text = filled(r#"{"opcode":"uuid","message":"u","x":[0"#, r#",{"":0}"#, "]}");
    bystanders_are_served_during(&Kind::new("opcode with objects", WEB, text));
}

#[test]
fn fault_46_requests_with_many_tags() {
    let text = filled(r#"{"message":1,"tags":{"a":1"#, r#","a":1"#, "}}");
    bystanders_are_served_during(&Kind::new("Gomoob request with tags", GOMOOB, text));
}

#[test]
fn fault_46_messages_that_are_not_json() {
    let text = filled(r#"{"opcode":"echo","message":"#, "[", "");
    bystanders_are_served_during(&Kind::new("nesting that is not JSON", WEB, text));
}

#[test]
fn fault_46_messages_rewritten_as_php_writes() {
    let text = filled(r#"{"opcode":"echo","message":[1"#, ",1", "]}");
    let kind = Kind::new("echo of numbers as PHP writes", WEB, text);
    bystanders_are_served_during(&Kind { ini: "[phpws]\nphpReencode = on", ..kind });
}

//! Floods of requests to the HTTP API: what does not end, expressions that cost as much as they may, and ids of the
//! greatest length. Other clients are served meanwhile, and memory stays within its bounds.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::api::{PUBLISH, SHOP, SHOP_SECRET, head, post, setup};
use crate::harness::processes::resident_bytes;
use crate::harness::tokens::now;
use crate::harness::wait::in_one_of_a_few;
use crate::harness::{Bystander, Open, Raw, Server, feedback_to, pause};

const MIB: u64 = 1024 * 1024;

// ---------------------------------------------------------------------- requests that do not end

const SLOW: usize = 2_000;
const SLOW_MEMORY_MAX: u64 = 32 * MIB;
/// Longest time until the last of them is closed: each has deadlines of at most ten seconds.
const SLOW_TIME_MAX: Duration = Duration::from_secs(90);

/// A connection that never completes what it began.
struct SlowRequest {
    stream: TcpStream,
    /// What it sends byte by byte; the last byte again and again.
    bytes: Vec<u8>,
    at: usize,
    kind: SlowKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SlowKind {
    Head,
    Body,
    /// It sends requests and reads no answer.
    Unread,
}

impl SlowRequest {
    fn open(port: u16, number: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nonblocking(true).unwrap();
        let json = ("Content-Type", "application/json");
        let (kind, bytes) = match number % 3 {
            0 => (SlowKind::Head, head("GET", "/v1/info", &[("Long", &"x".repeat(10_000))])),
            1 => {
                let request = head("POST", PUBLISH, &[SHOP, json, ("Content-Length", "100000")]);
                (SlowKind::Body, request)
            }
            _ => (SlowKind::Unread, head("GET", "/v1/openapi.json", &[]).repeat(50)),
        };
        let mut slow = Self { stream, bytes, at: 0, kind };
        if kind == SlowKind::Body {
            slow.at = slow.stream.write(&slow.bytes).unwrap_or(0);
        }
        slow
    }

    /// Sends the next byte, or as many requests as fit. Returns whether the connection is still open.
    fn is_open(&mut self) -> bool {
        let sent = match self.kind {
            SlowKind::Unread => self.stream.write(&self.bytes),
            _ => {
                let byte = self.bytes.get(self.at).copied().unwrap_or(b' ');
                self.at += 1;
                self.stream.write(&[byte])
            }
        };
        let is_alive = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        if sent.as_ref().is_err_and(|error| !is_alive(error)) {
            return false;
        }
        // An answer to a slow request ends it; that of the others stays unread.
        let mut scratch = [0; 1024];
        self.kind == SlowKind::Unread
            || self.stream.read(&mut scratch).is_err_and(|error| is_alive(&error))
    }
}

fn requests_that_do_not_end() -> Result<(), String> {
    let server = setup().ini("handshakeTimeout = 2s").start();
    let page = Open::at("/web?key=shop");
    let mut bystander = Bystander::between(server.open(&page), server.open(&page));
    let mut backend = Raw::connect(server.port);
    let info = head("GET", "/v1/info", &[]);
    assert_eq!(backend.request(&info).status(), 200);
    let api = server.api_process();
    let before = resident_bytes(api);
    let mut slow: Vec<SlowRequest> =
        (0..SLOW).map(|number| SlowRequest::open(server.port, number)).collect();
    let (begun, mut highest) = (Instant::now(), before);
    while !slow.is_empty() {
        slow.retain_mut(SlowRequest::is_open);
        bystander.is_served();
        highest = highest.max(resident_bytes(api));
        if begun.elapsed() > SLOW_TIME_MAX {
            return Err(format!("{} are still open", slow.len()));
        }
        // A kept connection may be closed as the one that is idle longest; a new one is served in its turn.
        if backend.try_send(&info).is_err() || backend.read_head_or_end().is_err() {
            backend = Raw::connect(server.port);
        } else {
            backend.take_all();
        }
    }
    println!("{SLOW} are closed after {:?}; {} bytes more", begun.elapsed(), highest - before);
    assert_eq!(server.call("GET", "/v1/info", &[]).status(), 200);
    assert_eq!(server.api_process(), api);
    match highest - before < SLOW_MEMORY_MAX {
        true => Ok(()),
        false => Err(format!("{} bytes more", highest - before)),
    }
}

/// A264.
#[test]
fn thousands_of_requests_that_never_end_are_closed_and_others_served() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(requests_that_do_not_end);
}

// ---------------------------------------------------------------------- costly expressions

const PERIOD: Duration = Duration::from_millis(5);
const ROUND_TRIPS: usize = 400;
/// The goal for the bystander, with a release build on a machine that does nothing else.
const P99_MAX: Duration = Duration::from_millis(50);
/// Requests in a second of the backend that floods.
const RATE: u32 = 1_000;

/// The percentile of the times of feedbacks of a client to itself.
fn p99(client: &mut Raw) -> Duration {
    let mut times: Vec<Duration> = (0..ROUND_TRIPS)
        .map(|_| {
            let begun = Instant::now();
            let text = feedback_to(&client.uuid, "of a bystander");
            client.text(&text);
            client.expect_next();
            client.expect_text(&text);
            let time = begun.elapsed();
            pause(PERIOD.saturating_sub(time));
            time
        })
        .collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

fn costly_expressions() -> Result<(), String> {
    let auth = crate::harness::api::AUTH.replace("secret: oth", "clientPublish: true, secret: oth");
    let server = setup().auth(&auth).start();
    let _clients: Vec<Raw> = (0..200)
        .map(|number| server.open(&Open::at(&format!(r#"/web?key=shop&tags={{"a":"{number}"}}"#))))
        .collect();
    let mut bystander = server.open(&Open::at("/web?key=other"));
    let quiet = p99(&mut bystander);
    let list =
        |first: usize| (0..256).map(|it| (first + it).to_string()).collect::<Vec<_>>().join(",");
    let values: Vec<String> = (0..4).map(|it| format!("a in ({})", list(it * 256))).collect();
    let expressions = [
        ("a?|".repeat(16 * 1024 / 3 - 1) + "a?", 422),
        ("!".repeat(64) + "a=1", 422),
        (values.join(" | "), 200),
        ((0..64).map(|it| format!("!a={it}*")).collect::<Vec<_>>().join("&"), 200),
    ];
    let requests = expressions.map(|(expression, status)| {
        let body = json!({"to": {"expr": expression}, "message": 1, "dry_run": true}).to_string();
        (post(PUBLISH, &[SHOP], &body), status)
    });
    let is_over = AtomicBool::new(false);
    let (during, count) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut backend = Raw::connect(server.port);
            let (begun, mut count) = (Instant::now(), 0_u32);
            while !is_over.load(Ordering::Relaxed) {
                for (request, status) in &requests {
                    assert_eq!(backend.request(request).status(), *status);
                    count += 1;
                }
                pause(
                    (begun + Duration::from_secs(1) * count / RATE)
                        .saturating_duration_since(Instant::now()),
                );
            }
            count
        });
        let during = p99(&mut bystander);
        is_over.store(true, Ordering::Relaxed);
        (during, flood.join().unwrap())
    });
    println!("{count} requests; p99 {during:?}, without them {quiet:?}");
    // A build without optimisation needs longer for everything, and a busy machine too.
    let most = P99_MAX + quiet * 4;
    match during < most {
        true => Ok(()),
        false => Err(format!("p99 {during:?} with {count} requests, and {most:?} at most")),
    }
}

/// A266.
#[test]
fn feedback_of_another_tenant_does_not_wait_for_costly_expressions() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(costly_expressions);
}

// ---------------------------------------------------------------------- ids, nonces, request ids

const IDS: usize = 250_000;
/// The default of `idempotencyMax`.
const IDS_KEPT: usize = 200_000;
const NONCES: usize = 20_000;
const BATCH: usize = 100;
/// Both processes keep a digest of the id, one of the content, counts and a time.
const IDS_MEMORY_MAX: u64 = 80 * MIB;
const NONCES_MEMORY_MAX: u64 = 16 * MIB;

/// A text of the greatest length that an id may have.
fn longest(number: usize, bytes: usize) -> String {
    format!("{number:0>bytes$}")
}

/// Publishes under these ids. Returns how many were repeats.
fn publish_under(backend: &mut Raw, ids: impl Iterator<Item = usize>) -> usize {
    let item =
        |id: usize| json!({"to": {"tags": {"none": "1"}}, "message": 1, "id": longest(id, 128)});
    let items: Vec<_> = ids.map(item).collect();
    let mut repeated = 0;
    for part in items.chunks(BATCH) {
        let body = json!({"publications": part}).to_string();
        let headers = [SHOP, ("X-Request-Id", &*longest(1, 128))];
        let answer = backend.request(post("/v1/apps/shop/publish:batch", &headers, &body));
        assert_eq!(answer.status(), 200, "{}", answer.body);
        let json = answer.json();
        let results = json["results"].as_array().unwrap();
        assert!(results.iter().all(|it| it["status"] == 200), "{json}");
        repeated += results.iter().filter(|it| it["repeated"] == true).count();
    }
    repeated
}

fn memory(server: &Server) -> [u64; 2] {
    [server.api_process(), server.broker()].map(resident_bytes)
}

#[track_caller]
fn has_grown_little(what: &str, before: [u64; 2], after: [u64; 2], most: u64) {
    let grown = [0, 1].map(|at| after[at].saturating_sub(before[at]));
    println!("{what}: API process and broker {grown:?} bytes more");
    assert!(grown.iter().all(|it| *it < most), "{what}: {grown:?}, {most} at most");
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A signed request for the count of a list, with a nonce and a request id of the greatest length.
fn signed(number: usize) -> Vec<u8> {
    let (timestamp, nonce) = (now().to_string(), longest(number, 64));
    let path = "/v1/apps/shop/connections";
    let digest = hexadecimal(&Sha256::digest(b""));
    let text = format!("TAGCAST1\nGET\n{path}\nlimit=0\n{timestamp}\n{nonce}\n{digest}");
    let mut mac = Hmac::<Sha256>::new_from_slice(SHOP_SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = format!("v1={}", hexadecimal(&mac.finalize().into_bytes()));
    let headers = [
        ("X-Tagcast-Timestamp", &*timestamp),
        ("X-Tagcast-Nonce", &nonce),
        ("X-Tagcast-Signature", &signature),
        ("X-Request-Id", &longest(number, 128)),
    ];
    head("GET", &format!("{path}?limit=0"), &headers)
}

/// A200, A272. `src/api/nonces.rs` has the greatest number of nonces.
#[test]
fn ids_and_nonces_of_the_greatest_length_take_bounded_memory() {
    let _quiet = crate::harness::alone();
    let server = setup().start();
    let mut backend = Raw::connect(server.port);
    assert_eq!(publish_under(&mut backend, 0..BATCH), 0);
    let before = memory(&server);
    let begun = Instant::now();
    assert_eq!(publish_under(&mut backend, BATCH..IDS), 0);
    println!("{IDS} ids in {:?}", begun.elapsed());
    has_grown_little("ids", before, memory(&server), IDS_MEMORY_MAX);
    assert_eq!(server.status().api().unwrap().ids_evicted, (IDS - IDS_KEPT) as u64);
    assert_eq!(publish_under(&mut backend, IDS - 10_000..IDS), 10_000, "the last ones");
    let oldest = IDS - IDS_KEPT;
    assert_eq!(
        publish_under(&mut backend, oldest..oldest + 1_000),
        1_000,
        "the oldest that are kept"
    );
    // What was signed in the second in which the API process started is refused.
    let before = memory(&server);
    let first = signed(0);
    assert_eq!(backend.request(&first).status(), 200);
    let begun = Instant::now();
    for number in 1..NONCES {
        assert_eq!(backend.request(signed(number)).status(), 200);
    }
    println!("{NONCES} nonces in {:?}", begun.elapsed());
    has_grown_little("nonces", before, memory(&server), NONCES_MEMORY_MAX);
    backend.request(&first).is_error(401, "nonce_reused");
}

//! What a tenant notices of another one that floods.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::api::{OTHER, PUBLISH, SHOP, post, setup};
use crate::harness::wait::in_one_of_a_few;
use crate::harness::{Open, Raw, Server, eventually};

/// What the flood may add to an answer, apart from the time that the API process needs for large messages.
const ADDED_MAX: Duration = Duration::from_millis(100);
/// How often an answer passes through the API process, and may find it busy with a large message: the question, its
/// publication, and the answer of the client.
const PASSES: u32 = 3;
const POSTERS: usize = 16;
const RECEIVERS: usize = 60;
const POSTED_BYTES: usize = 4 * 1024 * 1024;

/// A client of the quiet tenant, which is asked and answers.
struct Asked {
    client: Raw,
    backend: Raw,
    target: String,
}

impl Asked {
    fn open(server: &Server) -> Self {
        let client = server.open(&Open::at("/web?key=other"));
        let target = format!("/v1/apps/other/connections/{}/ask", client.uuid);
        Self { client, backend: Raw::connect(server.api_port("http")), target }
    }

    /// Asks once. Returns the time until the answer.
    fn ask(&mut self) -> Duration {
        let begun = Instant::now();
        self.backend.send(post(&self.target, &[OTHER], r#"{"message":1}"#));
        let frame = self.client.frame();
        let question: Value = serde_json::from_str(frame.as_text()).unwrap();
        let number = question["ask"].as_str().unwrap();
        self.client.text(format!(r#"{{"opcode":"answer","ask":"{number}","message":2}}"#));
        self.client.expect_next();
        let answer = self.backend.read_answer();
        assert_eq!(answer.status(), 200, "{}", answer.body);
        begun.elapsed()
    }

    /// Asks several times. Returns the time that nine of ten answers take at most.
    fn most_of(&mut self, asks: usize) -> Duration {
        let mut times: Vec<_> = (0..asks).map(|_| self.ask()).collect();
        times.sort();
        times[asks * 9 / 10]
    }
}

/// Ends the flood, also when a check fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads and forgets what a client receives.
fn drain(client: &Raw, is_over: &AtomicBool) {
    let mut stream = client.stream();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut scratch = vec![0; 256 * 1024];
    while !is_over.load(Ordering::Relaxed) {
        match stream.read(&mut scratch) {
            Ok(0) => return,
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return;
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Posts large messages without a pause. Some requests may be refused.
fn flood(port: u16, request: &[u8], is_over: &AtomicBool, accepted: &AtomicUsize) {
    let mut backend = Raw::connect(port);
    while !is_over.load(Ordering::Relaxed) {
        if backend.request(request).status() == 200 {
            accepted.fetch_add(1, Ordering::Relaxed);
        } else {
            backend = Raw::connect(port);
        }
    }
}

fn large_messages_of_another_tenant() -> Result<(), String> {
    let server = setup().workers(2).ini("apiAddress = http://127.0.0.1:0").start();
    let mut asked = Asked::open(&server);
    let alone = asked.most_of(20);
    let body = format!(r#"{{"to":"all","message":"{}"}}"#, "x".repeat(POSTED_BYTES));
    let request = post(PUBLISH, &[SHOP], &body);
    let mut backend = Raw::connect(server.api_port("http"));
    let begun = Instant::now();
    assert_eq!(backend.request(&request).status(), 200);
    let one = begun.elapsed();
    let receivers: Vec<Raw> =
        (0..RECEIVERS).map(|_| server.open(&Open::at("/web?key=shop"))).collect();
    let (is_over, accepted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let port = server.api_port("http");
    let during = thread::scope(|scope| {
        for receiver in &receivers {
            scope.spawn(|| drain(receiver, &is_over));
        }
        for _ in 0..POSTERS {
            scope.spawn(|| flood(port, &request, &is_over, &accepted));
        }
        let _end = EndOnDrop(&is_over);
        eventually("posted messages", || (accepted.load(Ordering::Relaxed) >= 4).then_some(()));
        asked.most_of(50)
    });
    let posts = accepted.load(Ordering::Relaxed);
    println!("alone {alone:?}, meanwhile {during:?}, one post {one:?}, {posts} posts");
    if during <= alone + ADDED_MAX + PASSES * one {
        return Ok(());
    }
    Err(format!("{alone:?} alone, {during:?} meanwhile, {one:?} for one post"))
}

/// A235, with fewer clients; `docs/benchmarks.md` has the case with all of them.
#[test]
fn an_answer_does_not_wait_for_large_messages_of_another_tenant() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(large_messages_of_another_tenant);
}

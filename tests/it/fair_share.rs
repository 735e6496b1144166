//! Fairness between tenants: who floods waits while another tenant publishes, and no throttle outlasts its
//! cause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::api::{ApiAnswer, OTHER, PUBLISH, SHOP, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::{NEXT, Open, Raw, Server, broadcast, eventually, frames, pause};

const OTHER_PUBLISH: &str = "/v1/apps/other/publish";
const MESSAGE: &str = r#"{"to":"all","message":1}"#;

/// A server that throttles a tenant at this much work. The API is not behind a worker, which may stand still.
fn start(work: u32) -> Server {
    let api = "apiAddress = http://127.0.0.1:0\napiTimeout = 500ms";
    setup().workers(2).ini(&format!("fairShareWork = {work}\n{api}")).start()
}

fn of_shop() -> Open {
    Open::at("/web?key=shop")
}

/// The API of a server, from several threads.
#[derive(Clone, Copy)]
struct Api(u16);

impl Api {
    fn of(server: &Server) -> Self {
        Self(server.api_port("http"))
    }

    fn shop(self) -> ApiAnswer {
        Raw::connect(self.0).request(post(PUBLISH, &[SHOP], MESSAGE))
    }

    fn other(self) -> ApiAnswer {
        Raw::connect(self.0).request(post(OTHER_PUBLISH, &[OTHER], MESSAGE))
    }

    /// Publishes in `shop` until it is throttled.
    #[track_caller]
    fn fill_shop(self) {
        eventually("a throttle of the tenant", || {
            let answer = self.shop();
            Some(()).filter(|()| is_throttled(&answer))
        });
    }
}

fn is_throttled(answer: &ApiAnswer) -> bool {
    let is_it = answer.status() == 429;
    if is_it {
        answer.is_error(429, "rate_limited");
        assert_eq!(answer.json()["error"]["name"], "fair_share");
        assert_eq!(answer.head.header("Retry-After"), Some("1"));
    }
    is_it
}

/// Publishes in `other` all the time, while `meanwhile` runs.
fn beside_other<T>(api: Api, meanwhile: impl FnOnce() -> T) -> T {
    /// Ends the publisher, also when a check fails.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // A broker may be missing meanwhile.
                let _answer = api.other();
                pause(Duration::from_millis(50));
            }
        });
        let _end = End(&is_over);
        meanwhile()
    })
}

/// Expects the acknowledgement of a message. Publications of backends may precede it.
fn expect_next_among_others(sender: &mut Raw) {
    while sender.frame().as_text() != NEXT {}
}

fn throttles(server: &Server) -> u64 {
    server.status().broker().unwrap().tenant_throttles
}

/// What `shop` publishes to a worker that stands still is not done.
#[test]
fn a_throttled_tenant_waits_until_a_hung_worker_is_gone() {
    let server = start(8);
    let api = Api::of(&server);
    let mut other = server.open(&Open::at("/web?key=other"));
    let receiver = server.open_away_from(server.worker_of(&other), &of_shop());
    let hung = server.worker_of(&receiver);
    let mut sender = server.open_away_from(hung, &of_shop());
    beside_other(api, || {
        send_signal(hung, Signal::STOP);
        api.fill_shop();
        sender.text(broadcast("waits"));
        other.frame();
        assert_eq!(api.other().status(), 200, "another tenant is not throttled");
        // Its worker is killed. What it had to do is forgotten.
        expect_next_among_others(&mut sender);
        let accepted = || Some(()).filter(|()| api.shop().status() == 200);
        eventually("an accepted request", accepted);
    });
    let counts = server.counts();
    assert!(counts.fair_share_throttled > 0 && counts.fair_share_throttled_ms > 0, "{counts:?}");
    assert_eq!((counts.throttled, throttles(&server) > 0), (0, true));
    eventually("the end of all throttles", || {
        Some(()).filter(|()| server.status().broker().is_some_and(|it| it.throttled_tenants == 0))
    });
}

#[test]
fn a_throttle_ends_with_its_broker() {
    let server = start(8);
    let api = Api::of(&server);
    let receiver = server.open(&of_shop());
    let hung = server.worker_of(&receiver);
    let mut sender = server.open_away_from(hung, &of_shop());
    beside_other(api, || {
        send_signal(hung, Signal::STOP);
        api.fill_shop();
        sender.text(broadcast("waits"));
        server.kill_broker();
        send_signal(hung, Signal::CONT);
        expect_next_among_others(&mut sender);
        let accepted = || Some(()).filter(|()| api.shop().status() == 200);
        eventually("an accepted request", accepted);
    });
}

#[test]
fn a_throttle_ends_when_the_other_tenant_is_silent() {
    let server = start(8);
    let api = Api::of(&server);
    let receiver = server.open(&of_shop());
    let hung = server.worker_of(&receiver);
    send_signal(hung, Signal::STOP);
    beside_other(api, || api.fill_shop());
    let silent_since = Instant::now();
    eventually("an accepted request", || Some(()).filter(|()| api.shop().status() == 200));
    assert!(silent_since.elapsed() < Duration::from_secs(20), "{:?}", silent_since.elapsed());
}

#[test]
fn without_a_bound_nothing_is_throttled() {
    let server = start(0);
    let api = Api::of(&server);
    let receiver = server.open(&of_shop());
    let hung = server.worker_of(&receiver);
    beside_other(api, || {
        send_signal(hung, Signal::STOP);
        for _ in 0..40 {
            assert_eq!(api.shop().status(), 200);
        }
        send_signal(hung, Signal::CONT);
    });
    assert_eq!(throttles(&server), 0);
}

/// One of many messages, long enough for several turns of the worker that reads them.
fn numbered(name: &str, number: usize) -> String {
    broadcast(&format!("{name} {number} {}", "x".repeat(1000)))
}

fn flood(sender: &mut Raw, name: &str, count: usize) {
    let packets = (0..count).map(|number| numbered(name, number));
    sender.send(packets.flat_map(|packet| frames::text(&packet)).collect::<Vec<_>>());
}

/// Expects that everything of each publisher arrives, in its order.
#[track_caller]
fn expect_floods(receiver: &mut Raw, names: &[&str], count: usize) {
    let mut next = vec![0; names.len()];
    for _ in 0..names.len() * count {
        let text = receiver.frame().as_text().to_owned();
        let of = names.iter().position(|name| text.contains(&format!("\"{name} "))).unwrap();
        assert_eq!(text, numbered(names[of], next[of]));
        next[of] += 1;
    }
}

#[test]
fn a_tenant_that_floods_waits_and_loses_nothing() {
    const FLOOD: usize = 400;
    let server = start(100);
    let api = Api::of(&server);
    let mut receivers: Vec<Raw> = (0..20).map(|_| server.open(&of_shop())).collect();
    let mut senders: Vec<Raw> = (0..2).map(|_| server.open(&of_shop())).collect();
    let mut other = server.open(&Open::at("/web?key=other"));
    beside_other(api, || {
        other.frame();
        for (sender, name) in senders.iter_mut().zip(["one", "two"]) {
            flood(sender, name, FLOOD);
        }
        for _ in 0..10 {
            other.frame();
        }
        for receiver in &mut receivers {
            expect_floods(receiver, &["one", "two"], FLOOD);
        }
    });
    assert!(throttles(&server) > 0);
    let counts = server.counts();
    assert!(counts.fair_share_throttled > 0, "{counts:?}");
}

#[test]
fn a_tenant_that_is_alone_is_never_throttled() {
    let server = start(1);
    let mut receiver = server.open(&of_shop());
    let mut sender = server.open(&of_shop());
    flood(&mut sender, "alone", 300);
    expect_floods(&mut receiver, &["alone"], 300);
    assert_eq!((throttles(&server), server.counts().fair_share_throttled), (0, 0));
}

//! A server under all loads at once for a while: clients that come and go, crashes, reloads and a
//! steady publisher. No message may be lost, duplicated or out of order, and no process may grow.
//!
//! The long run is `SOAK_SECONDS=900 TAGCAST_BIN=target/release/tagcast cargo test --test timing
//! soak:: -- --nocapture`. The gate runs a few seconds of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::harness::admin::imbalances;
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, Setup, broadcast, eventually, pause};
use rustix::process::Signal;
use tagcast::admin::ServerStatus;

/// Interval between two crashes or reloads.
const FAULT_EVERY: Duration = Duration::from_millis(2500);
/// Interval between two memory samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Interval between two publications of the steady publisher.
const PUBLISH_EVERY: Duration = Duration::from_millis(4);
const RECEIVERS: usize = 20;
/// Percent of growth that is ignored as noise.
const SLACK_PERCENT: f64 = 5.0;

fn soak_time() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    Duration::from_secs(seconds.map_or(8, |text| text.parse().expect("a number of seconds")))
}

fn auth(round: u32) -> String {
    let extra = format!(
        "  - key: extra-{round}\n    secret: extra-secret-{round}\n    authorizeOpen: true\n"
    );
    let one = "anonymous: one\napplications:\n  - key: one\n    secret: one-secret-1\n    \
               authorizeOpen: true\n    clientPublish: true\n";
    format!("{one}{extra}")
}

/// State shared by all threads.
struct Soak {
    server: Server,
    /// True when the load should end.
    ends: AtomicBool,
    /// Last acknowledged number of the publisher.
    published: AtomicU64,
    churned: AtomicU64,
    reconnects: AtomicU64,
    received: AtomicU64,
    /// Receivers that have received the last message.
    done: AtomicU64,
}

impl Soak {
    fn continues(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    /// Publishes from the worker that is never killed, so that its receivers see no gaps.
    fn publish(&self, mut publisher: Raw) -> Raw {
        let mut number = 0;
        while self.continues() {
            number += 1;
            publisher.text(broadcast(&number.to_string()));
            publisher.expect_next();
            self.published.store(number, Ordering::Relaxed);
            pause(PUBLISH_EVERY);
        }
        publisher
    }

    /// Receives everything in order, starting with the first number that arrives. A new connection
    /// starts again.
    fn receive(&self, mut client: Raw) {
        let mut last: Option<u64> = None;
        loop {
            match client.frame_or_end() {
                Ok(frame) if frame.is_close() => {}
                Ok(frame) => {
                    let Some(number) = number_in(frame.as_text()) else { break };
                    assert!(last.is_none_or(|last| last + 1 == number), "{last:?}, then {number}");
                    last = Some(number);
                    self.received.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {
                    self.reconnects.fetch_add(1, Ordering::Relaxed);
                    client = self.reopen();
                    last = None;
                }
            }
        }
        let published = self.published.load(Ordering::Relaxed);
        assert!(last.is_none_or(|last| last == published), "{last:?} of {published}");
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn reopen(&self) -> Raw {
        let open = || Open::web().try_ready(self.server.port);
        eventually("a connection", open)
    }

    fn churn(&self, seed: usize) {
        let mut round = seed;
        while self.continues() {
            round += 1;
            let target = format!("/web?tags=%7B%22n%22:{},%22u%22:{round}%7D", round % 7);
            let mut clients: Vec<Option<Raw>> =
                (0..10).map(|_| Open::at(&target).try_ready(self.server.port)).collect();
            for client in clients.iter_mut().flatten().step_by(2) {
                let _may_be_dead = client.try_send(crate::harness::frames::close(1000, ""));
            }
            self.churned.fetch_add(10, Ordering::Relaxed);
            pause(Duration::from_millis(20));
        }
    }

    /// Kills processes and reloads in turn. The worker `spared` is never killed.
    fn hurt(&self, spared: u32) -> u32 {
        let mut faults = 0;
        while self.continues() {
            match faults % 3 {
                0 => drop(self.server.kill_broker()),
                1 => {
                    let workers = self.server.workers(2);
                    let other = workers.into_iter().find(|pid| *pid != spared);
                    send_signal(other.expect("another worker"), Signal::KILL);
                }
                _ => {
                    self.server.folder.write("auth.yml", &auth(faults));
                    let finished = self.server.command(&["reload"]);
                    assert_eq!(finished.code, Some(0), "{}", finished.text);
                }
            }
            faults += 1;
            pause(FAULT_EVERY);
        }
        faults
    }
}

fn number_in(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("\"message\":\"")?;
    rest.split('"').next()?.parse().ok()
}

/// Samples the memory of each process that has run all the time, including the supervisor.
fn sample(status: &ServerStatus, into: &mut BTreeMap<String, Vec<u64>>) {
    let supervisor = crate::harness::processes::resident_bytes(status.pid);
    into.entry("supervisor".to_owned()).or_default().push(supervisor);
    for process in &status.processes {
        if let Some(bytes) = process.resident_bytes {
            into.entry(process.role.clone()).or_default().push(bytes);
        }
    }
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
fn nothing_is_lost_and_nothing_grows_under_churn_crashes_and_reloads() {
    let _quiet = crate::harness::alone();
    let time = soak_time();
    // The clients of this test do not answer pings.
    let server = Setup::new().auth(&auth(0)).ini("pingInterval = 0").start();
    let spared = server.workers(2)[0];
    let publisher = server.open_on(spared, &Open::web());
    let receivers: Vec<Raw> = (0..RECEIVERS).map(|_| server.open(&Open::web())).collect();
    let (ends, zero) = (AtomicBool::new(false), || AtomicU64::new(0));
    let soak = Soak {
        server,
        ends,
        published: zero(),
        churned: zero(),
        reconnects: zero(),
        received: zero(),
        done: zero(),
    };
    let mut samples = BTreeMap::new();
    let faults = std::thread::scope(|scope| {
        let soak = &soak;
        let publishing = scope.spawn(move || soak.publish(publisher));
        for client in receivers {
            scope.spawn(move || soak.receive(client));
        }
        let churning: Vec<_> =
            (0..2).map(|seed| scope.spawn(move || soak.churn(seed * 1_000_000))).collect();
        let hurting = scope.spawn(move || soak.hurt(spared));
        let began = Instant::now();
        while began.elapsed() < time {
            pause(SAMPLE_EVERY);
            if let Some(status) = soak.server.try_status() {
                assert_eq!(imbalances(&status), Vec::<String>::new());
                sample(&status, &mut samples);
            }
        }
        soak.ends.store(true, Ordering::Relaxed);
        let faults = hurting.join().unwrap();
        churning.into_iter().for_each(|one| one.join().unwrap());
        let mut publisher = publishing.join().unwrap();
        // The message ends every receiver that has received everything before it. A receiver may be
        // reconnecting, so it is sent again.
        eventually("everybody to hear the end", || {
            publisher.text(broadcast("the end"));
            publisher.expect_next();
            pause(Duration::from_millis(100));
            (soak.done.load(Ordering::Relaxed) == RECEIVERS as u64).then_some(())
        });
        faults
    });
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{} s: {} published, {} heard, {} churned, {} reconnected, {faults} faults",
        time.as_secs(),
        load(&soak.published),
        load(&soak.received),
        load(&soak.churned),
        load(&soak.reconnects),
    );
    assert!(load(&soak.received) > load(&soak.published), "hardly anybody heard anything");
    let status = eventually("an empty server", || {
        soak.server.try_status().filter(|status| status.broker().is_some_and(|it| it.rows == 0))
    });
    assert_eq!(imbalances(&status), Vec::<String>::new());
    judge(&samples, time);
}

/// In a long run memory reaches a plateau, and the end must not be above it.
fn judge(samples: &BTreeMap<String, Vec<u64>>, time: Duration) {
    for (role, bytes) in samples {
        let (third, tenth) = (bytes.len() / 3, (bytes.len() / 10).max(1));
        let plateau = median(&bytes[third..(2 * third).max(third + 1)]);
        let end = median(&bytes[bytes.len() - tenth..]);
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let growth = (end as f64 / plateau as f64 - 1.0) * 100.0;
        println!("{role}: plateau {plateau} bytes, end {end} bytes, {growth:+.1} %");
        if time >= Duration::from_secs(300) {
            assert!(growth <= SLACK_PERCENT, "{role} grows: {bytes:?}");
        }
    }
}

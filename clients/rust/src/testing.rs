//! For tests of programs that use this crate: a clock that the test moves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::clock::{Clock, later};
use crate::events::Events;
use crate::machine::{Machine, NewRequest, Offline};
use crate::message::Event;
use crate::options::Options;
use crate::presence::{Presence, WatchMode, WatchQuery, Watched};

/// A clock for [`Options::clock`](crate::Options::clock): time passes only when the test says so.
///
/// ```
/// use std::time::Duration;
/// use tagcast_client::{Client, Options};
/// use tagcast_client::testing::TestClock;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = TestClock::new(0.5);
/// let client = Client::open("ws://127.0.0.1:9/", Options::new().clock(clock.clone()))?;
/// clock.advance(Duration::from_secs(60)).await; // every attempt of a minute has failed
/// assert!(!client.status().is_online());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestClock(Arc<TestTime>);

#[derive(Debug)]
struct TestTime {
    /// The time, and the time that the client waits for.
    now: watch::Sender<Instant>,
    awaited: watch::Sender<Option<Instant>>,
    random: f64,
}

impl TestClock {
    /// Creates a clock. `random` is every random number of the client, from 0 to 1: 0.5 makes each pause half of the
    /// longest one.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "an `Instant` has no other source")]
    pub fn new(random: f64) -> Self {
        let (now, _) = watch::channel(Instant::now());
        let (awaited, _) = watch::channel(None);
        Self(Arc::new(TestTime { now, awaited, random }))
    }

    /// The present time of this clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        *self.0.now.borrow()
    }

    /// Moves the time. What is due happens in its order and at its time. Returns when nothing is left to do.
    pub async fn advance(&self, by: Duration) {
        let target = later(self.now(), by);
        let mut awaited = self.0.awaited.subscribe();
        loop {
            let due = awaited.borrow_and_update().filter(|due| *due <= target);
            let now = due.unwrap_or(target).max(self.now());
            self.0.now.send_replace(now);
            let is_done = |awaited: &Option<Instant>| awaited.is_none_or(|due| due > now);
            if awaited.wait_for(is_done).await.is_err() {
                return;
            }
            if now == target {
                return;
            }
        }
    }

    /// Moves the time at once, as a machine that has slept: what was due meanwhile happens late. Returns when nothing
    /// is left to do.
    pub async fn jump(&self, by: Duration) {
        let now = later(self.now(), by);
        self.0.now.send_replace(now);
        let mut awaited = self.0.awaited.subscribe();
        let _closed = awaited.wait_for(|awaited| awaited.is_none_or(|due| due > now)).await;
    }

    pub(crate) fn random(&self) -> f64 {
        self.0.random
    }

    /// Waits until this time. The client calls it again when it has done what was due.
    pub(crate) async fn sleep_until(&self, deadline: Option<Instant>) {
        self.0.awaited.send_if_modified(|awaited| {
            let is_new = *awaited != deadline;
            *awaited = deadline;
            is_new
        });
        let mut now = self.0.now.subscribe();
        let is_due = |now: &Instant| deadline.is_some_and(|deadline| *now >= deadline);
        // The sender is in this clock, so it is never closed.
        let _closed = now.wait_for(is_due).await;
    }
}

/// A client without a socket, which gets texts as if a server had sent them. It watches a topic, with the id 1, and has
/// made a request, with the id 2. For the fuzz target of this crate; a program has no use for it.
#[doc(hidden)]
#[derive(Debug)]
pub struct FedClient {
    machine: Machine,
    events: Events,
    watch: watch::Receiver<Watched>,
    now: Instant,
}

impl FedClient {
    /// Creates a client that is online.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is no value")]
    pub fn new() -> Self {
        let mut machine = Machine::new(Options::new(), "instance".to_owned());
        let events = machine.hub().events();
        let (_, watch) = machine.watch(&WatchQuery::topic("t"), WatchMode::Members);
        let mut client = Self { machine, events, watch, now: Clock::System.now() };
        client.connect();
        let request = NewRequest {
            op: "pub".to_owned(),
            members: "{}".to_owned(),
            offline: Offline::Queue,
            is_repeated: false,
            timeout: Duration::from_secs(10),
            change: None,
        };
        let (reply, _) = oneshot::channel();
        client.machine.request(request, reply, client.now);
        client
    }

    fn connect(&mut self) {
        self.machine.open(self.now);
        self.machine.opened(None);
        let welcome = r#"{"op":"welcome","uuid":"u","resumed":true,"ids":"kept","resume":"r"}"#;
        self.machine.receive(welcome, 0.5, self.now);
    }

    /// Takes a text, and connects again if that ended the connection.
    pub fn feed(&mut self, text: &str) {
        self.machine.receive(text, 0.5, self.now);
        self.machine.tick(0.5, self.now);
        if !self.machine.status().subscribe().borrow().is_online() {
            self.connect();
        }
    }

    /// What it has sent since the last call.
    pub fn sent(&mut self) -> Vec<String> {
        let texts = std::iter::from_fn(|| self.machine.next_text());
        texts.map(|text| text.as_str().to_owned()).collect()
    }

    /// What has happened since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_next()).collect()
    }

    /// What it knows of those that it watches, and how often that has changed.
    #[must_use]
    pub fn presence(&self) -> (Presence, u64) {
        let watched = self.watch.borrow();
        (watched.presence.clone(), watched.changes)
    }

    /// Closes it. Returns whether it has nothing left to do.
    #[must_use]
    pub fn ends(mut self) -> bool {
        self.machine.close();
        self.machine.deadline().is_none() && self.machine.is_closed()
    }
}

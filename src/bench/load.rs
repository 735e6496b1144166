//! Measures a run with publications. One thread with one epoll serves all publishers and clients.

use std::time::Duration;

use super::clock::{RunClock, nanos};
use super::connect::{BenchClient, Opener, WantedClient};
use super::delivery_tracker::{DeliveryTracker, PublishedStream, RunCounts, Timed};
use super::error::{At, BenchError};
use super::load_sources::Sources;
use super::pending_client::close_words;
use super::plan::{Audience, Load, Until};
use super::process::Tree;
use super::progress::Progress;
use super::publisher::{BenchPublisher, open_publishers};
use super::report::LoadReport;
use super::sleep;
use super::socket::{Buffers, ReadResult};
use super::splitter::ServerFrame;
use super::stamp::{Stamp, each_stamp};
use super::target::{BenchProtocol, BenchTarget, pong};
use crate::reactor::poller::{Interest, Poller, Ready};

/// Concurrent handshakes before the run.
const AT_ONCE: usize = 64;
/// Maximum events returned by one wait.
const EVENTS: usize = 1024;
/// Events handled between two checks of the prioritized sockets.
const BETWEEN: usize = 32;
/// Token of the epoll of the prioritized sockets.
const EXPRESS: u64 = u64::MAX;
/// Time without a delivery after which the missing deliveries count as lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval at which the last deliveries are looked for.
const END_PAUSE: Duration = Duration::from_millis(10);

/// Runs the plan against a server. `tree` has the processes of the server if they are on this
/// machine.
pub(super) fn run(
    load: &Load,
    target: &BenchTarget,
    tree: Option<&Tree>,
) -> Result<LoadReport, BenchError> {
    run_when_open(load, target, tree, || ())
}

/// Runs the plan, and calls `ready` when all connections are open, before the first publication.
pub(super) fn run_when_open(
    load: &Load,
    target: &BenchTarget,
    tree: Option<&Tree>,
    ready: impl FnOnce(),
) -> Result<LoadReport, BenchError> {
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(target, &sources)?;
    let before = tree.map_or(0, Tree::resident);
    let clients = open_clients(load, target, &mut opener)?;
    let connected = tree.map_or(0, Tree::resident);
    let publishers = open_publishers(load, target, &mut opener, &clients)?;
    let mut run = Run::new(load, RunConnections { target, clients, publishers })?;
    ready();
    let marks = run.run_plan(tree, &mut || ())?;
    let bytes = (tree.is_some() && load.clients > 0)
        .then(|| connected.saturating_sub(before) / load.clients as u64);
    Ok(run.report(&marks, bytes))
}

/// Runs the plan like [`run`], and leaves the core to another load while nothing is due.
pub(super) fn run_beside(load: &Load, target: &BenchTarget) -> Result<LoadReport, BenchError> {
    sleep::be_precise().at("setting the timer slack")?;
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(target, &sources)?;
    let clients = open_clients(load, target, &mut opener)?;
    let publishers = open_publishers(load, target, &mut opener, &clients)?;
    let connections = RunConnections { target, clients, publishers };
    let mut run = Run { wait: sleep::wait, ..Run::new(load, connections)? };
    let marks = run.run_plan(None, &mut || ())?;
    Ok(run.report(&marks, None))
}

/// Opens the clients of a run.
pub(super) fn open_clients(
    load: &Load,
    target: &BenchTarget,
    opener: &mut Opener<'_>,
) -> Result<Vec<BenchClient>, BenchError> {
    let wanted = (0..load.clients).map(|at| WantedClient {
        wire: target.wire,
        group: load.group_of(at, target.wire),
        tags: if load.tags > 0 { load.tags + 1 } else { 0 },
        own: Some(at),
    });
    opener.open(wanted, AT_ONCE)
}

/// Connections of a run that are open, which may be those of several servers.
#[derive(Debug)]
pub(super) struct RunConnections<'a> {
    /// A server of the clients. Its dialect is that of all.
    pub(super) target: &'a BenchTarget,
    pub(super) clients: Vec<BenchClient>,
    pub(super) publishers: Vec<BenchPublisher>,
}

/// Runs the plan with open connections. `on_mark` is called at the start and at the end of the counted part.
pub(super) fn run_connected(
    load: &Load,
    connections: RunConnections<'_>,
    on_mark: &mut dyn FnMut(),
) -> Result<LoadReport, BenchError> {
    let mut run = Run::new(load, connections)?;
    let marks = run.run_plan(None, on_mark)?;
    Ok(run.report(&marks, None))
}

struct Run<'a> {
    load: &'a Load,
    target: &'a BenchTarget,
    clients: Vec<BenchClient>,
    publishers: Vec<BenchPublisher>,
    tracker: DeliveryTracker,
    poller: Poller,
    /// Epoll of the prioritized sockets: all publishers and the client that receives
    /// single-recipient publications. In production they would be on other machines, so they must
    /// not wait for thousands of sockets of a fan-out.
    express: Poller,
    clock: RunClock,
    buffers: Buffers,
    /// Offset of the last stamp in its message.
    hint: usize,
    progress: Progress,
    is_publishing: bool,
    wait: sleep::GeneratorWait,
}

/// The counters at one point in time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoadSnapshot {
    pub(super) at: u64,
    pub(super) counts: RunCounts,
    pub(super) server: Duration,
    pub(super) generator: Duration,
}

/// Time since the last delivery.
struct Silence {
    since: u64,
    counts: RunCounts,
}

impl Silence {
    fn is_too_long(&mut self, now: u64, counts: RunCounts) -> bool {
        if self.counts != counts {
            *self = Self { since: now, counts };
        }
        now - self.since > nanos(PATIENCE)
    }
}

impl<'a> Run<'a> {
    fn new(load: &'a Load, connections: RunConnections<'a>) -> Result<Self, BenchError> {
        let RunConnections { target, clients, publishers } = connections;
        let poller = Poller::new(EVENTS).at("making an epoll")?;
        let express = Poller::new(EVENTS).at("making an epoll")?;
        poller.watch(&express, EXPRESS, Interest::Read).at("watching an epoll")?;
        let sockets = clients.iter().chain(publishers.iter().flat_map(BenchPublisher::client));
        for (at, client) in sockets.enumerate() {
            let is_chosen = load.audience == Audience::One && at == load.chosen();
            let goes_first = is_chosen || at >= clients.len();
            let poller = if goes_first { &express } else { &poller };
            let watched = poller.watch(client.socket.fd(), at as u64, Interest::Read);
            watched.at("watching a socket")?;
        }
        let streams =
            publishers.iter().map(|publisher| load.stream(publisher.audience())).collect();
        Ok(Self {
            load,
            target,
            clients,
            publishers,
            tracker: DeliveryTracker::new(streams),
            poller,
            express,
            clock: RunClock::start(),
            buffers: Buffers::new(),
            hint: 0,
            progress: Progress::default(),
            is_publishing: true,
            wait: sleep::spin,
        })
    }

    /// Runs the warm-up and the counted part, then waits for the last deliveries. Returns the
    /// counters at the start and end of the counted part.
    fn run_plan(
        &mut self,
        tree: Option<&Tree>,
        on_mark: &mut dyn FnMut(),
    ) -> Result<[LoadSnapshot; 2], BenchError> {
        let mut silence = Silence { since: self.clock.nanos(), counts: self.tracker.counts };
        self.publish_until(Until::Time(self.load.warmup), &mut silence)?;
        self.tracker.latencies.clear();
        let begin = self.mark(tree);
        on_mark();
        self.publish_until(self.load.until, &mut silence)?;
        let end = self.mark(tree);
        on_mark();
        self.is_publishing = false;
        while self.tracker.in_flight() > 0
            && !silence.is_too_long(self.clock.nanos(), self.tracker.counts)
        {
            self.turn(self.clock.nanos() + nanos(END_PAUSE))?;
        }
        Ok([begin, end])
    }

    fn mark(&self, tree: Option<&Tree>) -> LoadSnapshot {
        LoadSnapshot {
            at: self.clock.nanos(),
            counts: self.tracker.counts,
            server: tree.map(Tree::cpu).unwrap_or_default(),
            generator: Tree::own().cpu(),
        }
    }

    /// Publishes and receives until the given end, or until deliveries stop arriving.
    fn publish_until(&mut self, until: Until, silence: &mut Silence) -> Result<(), BenchError> {
        let begin = self.clock.nanos();
        let delivered = self.tracker.counts.delivered;
        self.publishers.iter_mut().for_each(|publisher| publisher.begin(begin));
        loop {
            let now = self.clock.nanos();
            let is_over = match until {
                Until::Time(time) => now - begin >= nanos(time),
                Until::Deliveries(count) => self.tracker.counts.delivered - delivered >= count,
            };
            if is_over || silence.is_too_long(now, self.tracker.counts) {
                return Ok(());
            }
            self.progress.report(now, &self.tracker);
            let next = self.publish(now)?;
            self.turn(next.min(now + nanos(PATIENCE) / 100))?;
        }
    }

    /// Publishes everything that is due and returns the time at which the next publication is due.
    fn publish(&mut self, now: u64) -> Result<u64, BenchError> {
        let mut next = u64::MAX;
        if !self.is_publishing {
            return Ok(next);
        }
        for (at, publisher) in self.publishers.iter_mut().enumerate() {
            next = next.min(publisher.publish(at, now, self.load.payload, &mut self.tracker)?);
            let token = (self.clients.len() + at) as u64;
            publisher.flush(&self.express, token)?;
        }
        Ok(next)
    }

    /// Waits until data arrives or until the given time, and reads the data.
    fn turn(&mut self, until: u64) -> Result<(), BenchError> {
        let left = Duration::from_nanos(until.saturating_sub(self.clock.nanos()));
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        (self.wait)(&mut self.poller, left, &mut ready).at("waiting")?;
        let ready = ready.into_iter().filter(|event| event.token != EXPRESS);
        let mut first = Vec::with_capacity(EVENTS);
        self.read_publishers_first(&mut first)?;
        for (event, count) in ready.zip(1_usize..) {
            self.on_readable(event)?;
            if count.is_multiple_of(BETWEEN) {
                self.publish(self.clock.nanos())?;
                self.read_publishers_first(&mut first)?;
            }
        }
        Ok(())
    }

    fn read_publishers_first(&mut self, ready: &mut Vec<Ready>) -> Result<(), BenchError> {
        ready.clear();
        self.express.wait(Some(Duration::ZERO), ready).at("waiting")?;
        ready.iter().try_for_each(|event| self.on_readable(*event))
    }

    fn on_readable(&mut self, event: Ready) -> Result<(), BenchError> {
        let at = usize::try_from(event.token).unwrap_or(usize::MAX);
        match at.checked_sub(self.clients.len()) {
            Some(publisher) => self.on_publisher_readable(publisher, event),
            None if event.readable => self.read_client(at),
            None => Ok(()),
        }
    }

    fn on_publisher_readable(&mut self, at: usize, event: Ready) -> Result<(), BenchError> {
        let Some(publisher) = self.publishers.get_mut(at) else { return Ok(()) };
        if event.readable {
            publisher.on_readable(&mut self.buffers)?;
        }
        publisher.flush(&self.express, event.token)
    }

    fn read_client(&mut self, at: usize) -> Result<(), BenchError> {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        let bytes = match client.socket.read(&mut self.buffers).at("reading")? {
            ReadResult::Bytes(bytes) => bytes,
            ReadResult::Nothing => return Ok(()),
            ReadResult::End => return Err(BenchError::Closed("without a word".to_owned())),
        };
        let now = self.clock.nanos();
        let (tracker, hint) = (&mut self.tracker, &mut self.hint);
        let is_templated = self.target.wire == BenchProtocol::Template;
        let (timed, payload) = (self.load.publishers, self.load.payload);
        let mut deliver = |stamp: Stamp| {
            let counted = if usize::from(stamp.stream) < timed { Timed::Yes } else { Timed::No };
            tracker.deliver(at, stamp, now, counted);
        };
        let (mut pongs, mut closed, mut foreign) = (Vec::new(), None, 0);
        client.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) if is_templated => {
                each_stamp(text, payload, hint, &mut deliver);
                pongs.extend(self.target.answer_to(text));
            }
            ServerFrame::Message(text) => match Stamp::find(text, hint) {
                Some(stamp) => deliver(stamp),
                None => foreign += 1,
            },
            ServerFrame::Ping(payload) => pongs.extend(pong(payload)),
            ServerFrame::Close(reason) => closed = Some(close_words(reason)),
            ServerFrame::Pong => {}
        });
        tracker.counts.foreign += foreign;
        if let Some(reason) = closed {
            return Err(BenchError::Closed(reason));
        }
        if !pongs.is_empty() {
            client.socket.queue(&pongs).at("answering a ping")?;
            // A pong has only a few bytes. If the socket is too full for it, the server has not
            // read for a long time.
            client.socket.flush().at("answering a ping")?;
        }
        Ok(())
    }

    fn report(&self, marks: &[LoadSnapshot; 2], bytes_per_connection: Option<u64>) -> LoadReport {
        LoadReport::new(self.load, marks, &self.tracker, bytes_per_connection)
    }
}

impl Load {
    /// Returns the client that receives single-recipient publications.
    pub(super) fn chosen(&self) -> usize {
        self.clients / 2
    }

    /// Returns the group that a client joins in its handshake.
    pub(super) fn group_of(&self, client: usize, wire: BenchProtocol) -> Option<usize> {
        match self.audience {
            // Only clients with a group are recipients of the floor, and subscribers of a template.
            Audience::All => {
                matches!(wire, BenchProtocol::Floor | BenchProtocol::Template).then_some(0)
            }
            Audience::Groups(groups) => Some(client % groups),
            // Clients of phpWebSocketServer and of `tagcast.v1` are addressed by UUID and need no group.
            Audience::One => {
                let has_uuid = matches!(wire, BenchProtocol::Phpws | BenchProtocol::V1);
                (!has_uuid).then_some(client)
            }
        }
    }

    /// Creates the delivery counters of one publisher.
    fn stream(&self, audience: Audience) -> PublishedStream {
        let clients = self.clients;
        match audience {
            Audience::All => PublishedStream::new(1, clients, (0..clients).map(|_| Some(0))),
            Audience::Groups(groups) => PublishedStream::new(
                groups,
                clients / groups,
                (0..clients).map(|at| Some(at % groups)),
            ),
            Audience::One => {
                let chosen = self.chosen();
                PublishedStream::new(1, 1, (0..clients).map(|at| (at == chosen).then_some(0)))
            }
        }
    }

    /// Rejects impossible plans.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let wrong = |why: String| Err(BenchError::Plan(why));
        if self.clients == 0 || self.publishers == 0 || self.publishers > 250 {
            return wrong("there must be clients, and from 1 to 250 publishers".to_owned());
        }
        if let Audience::Groups(groups) = self.audience
            && (groups == 0 || !self.clients.is_multiple_of(groups))
        {
            return wrong(format!("{} clients make no {groups} groups of one size", self.clients));
        }
        Ok(())
    }
}

//! Opens many connections, several at a time: TCP connect, handshake and, in phpws, the wait for
//! `ready`.

use std::time::Duration;

use super::clock::RunClock;
use super::error::{At, BenchError};
use super::latency::{Latencies, Percentiles};
use super::load_sources::Sources;
use super::pending_client::PendingClient;
use super::socket::{Buffers, ReadResult, Socket};
use super::splitter::Splitter;
use super::target::{BenchProtocol, BenchTarget};
use super::template::RenderedStep;
use crate::reactor::poller::{Interest, Poller, Ready};

/// Seconds without an answer after which the server is considered dead or full.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum events returned by one wait.
const EVENTS: usize = 256;

/// An open connection.
#[derive(Debug)]
pub(super) struct BenchClient {
    pub(super) socket: Socket,
    pub(super) splitter: Splitter,
    /// UUID assigned by the server; empty in dialects without UUIDs.
    pub(super) uuid: Box<str>,
    /// What the server has said about its record, if it speaks `tagcast.v1`.
    pub(super) resumption: Option<Box<Resumption>>,
}

/// What a client of `tagcast.v1` knows about its record.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two answers of the server")]
pub(super) struct Resumption {
    /// For its next connection.
    pub(super) token: Option<String>,
    /// Its position, if publications are stored.
    pub(super) at: Option<String>,
    pub(super) is_resumed: bool,
    /// It has got everything that it had missed.
    pub(super) is_recovered: bool,
}

/// A connection to open.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedClient {
    pub(super) wire: BenchProtocol,
    pub(super) group: Option<usize>,
    /// Number of tags of the client, including the group tag.
    pub(super) tags: usize,
    /// Value of the client's other tags. No other client has this value. None if these tags have
    /// the same values for all clients.
    pub(super) own: Option<usize>,
}

impl WantedClient {
    /// Returns a client without a group and without tags.
    pub(super) fn plain(wire: BenchProtocol) -> Self {
        Self { wire, group: None, tags: 0, own: None }
    }
}

/// Opens connections and records how long each handshake took.
#[derive(Debug)]
pub(super) struct Opener<'a> {
    target: &'a BenchTarget,
    sources: &'a Sources,
    poller: Poller,
    clock: RunClock,
    latencies: Latencies,
    /// Connections opened so far. The count selects the source address of the next one.
    made: usize,
    /// Connections whose handshake is in progress, by the number that they were begun with.
    begun: Vec<Option<PendingClient>>,
    under_way: usize,
    buffers: Buffers,
    patience: Duration,
}

/// The end of one opening.
#[derive(Debug)]
pub(super) struct Opened {
    /// The number that the opening was begun with.
    pub(super) at: usize,
    /// The connection, or the reason for its failure.
    pub(super) client: Result<BenchClient, BenchError>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(target: &'a BenchTarget, sources: &'a Sources) -> Result<Self, BenchError> {
        Ok(Self {
            target,
            sources,
            poller: Poller::new(EVENTS).at("making an epoll")?,
            clock: RunClock::start(),
            latencies: Latencies::new(),
            made: 0,
            begun: Vec::new(),
            under_way: 0,
            buffers: Buffers::new(),
            patience: PATIENCE,
        })
    }

    /// Sets the time without an answer after which [`Opener::open`] fails.
    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Connects without a handshake, for requests by HTTP.
    pub(super) fn dial(&mut self) -> Result<BenchClient, BenchError> {
        let from = self.sources.of(self.made);
        self.made += 1;
        let tls = self.target.tls()?;
        let socket = Socket::dial(self.target.address, from, tls).at("connecting")?;
        let (uuid, resumption) = (Box::default(), None);
        Ok(BenchClient { socket, splitter: Splitter::default(), uuid, resumption })
    }

    /// Opens all wanted connections and returns them in the given order. Up to `at_once` handshakes
    /// run at the same time.
    pub(super) fn open(
        &mut self,
        wanted: impl ExactSizeIterator<Item = WantedClient>,
        at_once: usize,
    ) -> Result<Vec<BenchClient>, BenchError> {
        self.open_each(wanted, at_once, Opener::begin)
    }

    /// Continues connections of `tagcast.v1` like [`Opener::open`].
    pub(super) fn resume_all(
        &mut self,
        earlier: &[Option<Box<Resumption>>],
        at_once: usize,
    ) -> Result<Vec<BenchClient>, BenchError> {
        let earlier = earlier.iter().map(Option::as_deref);
        self.open_each(earlier, at_once, |opener, one, at| opener.resume(at, one))
    }

    /// Begins one opening for each element with its number, and waits for all of them.
    fn open_each<T>(
        &mut self,
        each: impl ExactSizeIterator<Item = T>,
        at_once: usize,
        mut begin: impl FnMut(&mut Self, T, usize) -> Result<(), BenchError>,
    ) -> Result<Vec<BenchClient>, BenchError> {
        let mut each = each.enumerate();
        let mut open: Vec<Option<BenchClient>> = Vec::new();
        open.resize_with(each.len(), || None);
        let mut done = 0;
        let mut ended = Vec::new();
        while done < open.len() {
            for (at, one) in each.by_ref().take(at_once.saturating_sub(self.under_way)) {
                begin(self, one, at)?;
            }
            if self.turn(self.patience, &mut ended)? == 0 {
                let unexpected = self.begun.iter().flatten().find_map(PendingClient::silence);
                let seconds = self.patience.as_secs();
                let silent = BenchError::Silent(seconds, "the answer to an opening");
                return Err(unexpected.unwrap_or(silent));
            }
            for Opened { at, client } in ended.drain(..) {
                *open.get_mut(at).expect_place()? = Some(client?);
                done += 1;
            }
        }
        Ok(open.into_iter().flatten().collect())
    }

    /// Returns the handshake latencies, from connect to open.
    pub(super) fn latencies(&self) -> Percentiles {
        self.latencies.percentiles()
    }

    /// Returns the epoll of the handshakes, so that another epoll can watch it.
    pub(super) fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Begins to open a connection. `at` is its number until the opening has ended.
    pub(super) fn begin(&mut self, wanted: WantedClient, at: usize) -> Result<(), BenchError> {
        let steps = self.target.steps(&wanted);
        self.begin_with(wanted, at, steps)
    }

    /// Begins to continue a connection of `tagcast.v1`.
    pub(super) fn resume(
        &mut self,
        at: usize,
        earlier: Option<&Resumption>,
    ) -> Result<(), BenchError> {
        let wanted = WantedClient::plain(BenchProtocol::V1);
        let hello = self.target.hello(&wanted, earlier);
        self.begin_with(wanted, at, vec![RenderedStep::Send(hello)])
    }

    fn begin_with(
        &mut self,
        wanted: WantedClient,
        at: usize,
        steps: Vec<RenderedStep>,
    ) -> Result<(), BenchError> {
        let from = self.sources.of(self.made);
        self.made += 1;
        let tls = self.target.tls()?;
        let mut socket = Socket::dial(self.target.address, from, tls).at("connecting")?;
        socket.queue(&self.target.opening(&wanted)?).at("speaking TLS")?;
        self.poller.watch(socket.fd(), at as u64, Interest::ReadWrite).at("watching a socket")?;
        if self.begun.len() <= at {
            self.begun.resize_with(at + 1, || None);
        }
        *self.begun.get_mut(at).expect_place()? = Some(PendingClient {
            socket,
            wire: wanted.wire,
            since: self.clock.nanos(),
            head: Vec::new(),
            splitter: Splitter::default(),
            uuid: None,
            resumption: None,
            has_switched: false,
            steps: steps.into(),
            unexpected: String::new(),
        });
        self.under_way += 1;
        Ok(())
    }

    /// Waits for events, continues those openings and appends the ones that have ended. Returns the
    /// number of events.
    pub(super) fn turn(
        &mut self,
        within: Duration,
        ended: &mut Vec<Opened>,
    ) -> Result<usize, BenchError> {
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        self.poller.wait(Some(within), &mut ready).at("waiting")?;
        for event in &ready {
            let at = usize::try_from(event.token).unwrap_or(usize::MAX);
            let Some(one) = self.begun.get_mut(at).and_then(Option::take) else { continue };
            let client = match self.continue_opening(one, *event) {
                Ok(OpenStep::Waits(one)) => {
                    *self.begun.get_mut(at).expect_place()? = Some(one);
                    continue;
                }
                Ok(OpenStep::Open(client)) => Ok(client),
                Err(error) => Err(error),
            };
            self.under_way -= 1;
            ended.push(Opened { at, client });
        }
        Ok(ready.len())
    }

    fn continue_opening(
        &mut self,
        mut one: PendingClient,
        event: Ready,
    ) -> Result<OpenStep, BenchError> {
        if event.readable {
            match one.socket.read(&mut self.buffers).at("connecting to the server")? {
                ReadResult::Bytes(bytes) => one.on_bytes(bytes, self.target)?,
                ReadResult::Nothing => {}
                ReadResult::End => return Err(one.refusal()),
            }
        }
        let left = one.socket.flush().at("connecting to the server")?;
        if one.is_open() {
            self.poller.forget(one.socket.fd()).at("letting go of a socket")?;
            self.latencies.record(self.clock.nanos() - one.since);
            let uuid = one.uuid.unwrap_or_default();
            return Ok(OpenStep::Open(BenchClient {
                socket: one.socket,
                splitter: one.splitter,
                uuid,
                resumption: one.resumption,
            }));
        }
        let interest = if left { Interest::ReadWrite } else { Interest::Read };
        self.poller.rewatch(one.socket.fd(), event.token, interest).at("watching a socket")?;
        Ok(OpenStep::Waits(one))
    }
}

/// The state of a connection after one event.
enum OpenStep {
    Waits(PendingClient),
    Open(BenchClient),
}

/// Access to an element whose index is always valid, because the vector has one element per wanted
/// connection.
trait IndexedBy<T> {
    fn expect_place(self) -> Result<T, BenchError>;
}

impl<T> IndexedBy<T> for Option<T> {
    fn expect_place(self) -> Result<T, BenchError> {
        self.ok_or_else(|| BenchError::Plan("an event for a connection that nobody began".into()))
    }
}

//! Opens many connections, several at a time: TCP connect, handshake and, in phpws, the wait for
//! `ready`.

use std::time::Duration;

use super::clock::RunClock;
use super::error::{At, BenchError};
use super::latency::{Latencies, Percentiles};
use super::load_sources::Sources;
use super::socket::{Buffers, ReadResult, Socket};
use super::splitter::{ServerFrame, Splitter};
use super::target::{BenchProtocol, BenchTarget};
use crate::reactor::poller::{Interest, Poller, Ready};

/// Seconds without an answer after which the server is considered dead or full.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum events returned by one wait.
const EVENTS: usize = 256;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";
/// Start of the first packet of phpWebSocketServer, before the UUID.
const READY: &str = r#"{"opcode":"ready","uuid":""#;

/// An open connection.
#[derive(Debug)]
pub(super) struct BenchClient {
    pub(super) socket: Socket,
    pub(super) splitter: Splitter,
    /// UUID assigned by the server; empty in dialects without UUIDs.
    pub(super) uuid: Box<str>,
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
}

/// A connection whose handshake is in progress.
#[derive(Debug)]
struct PendingClient {
    socket: Socket,
    wire: BenchProtocol,
    since: u64,
    head: Vec<u8>,
    splitter: Splitter,
    uuid: Option<Box<str>>,
    has_switched: bool,
}

impl<'a> Opener<'a> {
    pub(super) fn new(target: &'a BenchTarget, sources: &'a Sources) -> Result<Self, BenchError> {
        let poller = Poller::new(EVENTS).at("making an epoll")?;
        let (clock, latencies) = (RunClock::start(), Latencies::new());
        Ok(Self { target, sources, poller, clock, latencies, made: 0 })
    }

    /// Opens all wanted connections and returns them in the given order. Up to `at_once` handshakes
    /// run at the same time.
    pub(super) fn open(
        &mut self,
        wanted: impl ExactSizeIterator<Item = WantedClient>,
        at_once: usize,
    ) -> Result<Vec<BenchClient>, BenchError> {
        let mut wanted = wanted.enumerate();
        let mut open: Vec<Option<BenchClient>> = Vec::new();
        open.resize_with(wanted.len(), || None);
        let mut begun: Vec<Option<PendingClient>> = Vec::new();
        begun.resize_with(wanted.len(), || None);
        let (mut under_way, mut done) = (0, 0);
        let mut buffers = Buffers::new();
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        while done < open.len() {
            for (at, one) in wanted.by_ref().take(at_once.saturating_sub(under_way)) {
                let place = begun.get_mut(at).expect_place()?;
                *place = Some(self.begin(one, at)?);
                under_way += 1;
            }
            ready.clear();
            self.poller.wait(Some(PATIENCE), &mut ready).at("waiting")?;
            if ready.is_empty() {
                return Err(BenchError::Silent(PATIENCE.as_secs(), "the answer to an opening"));
            }
            for event in &ready {
                let at = usize::try_from(event.token).unwrap_or(usize::MAX);
                let Some(one) = begun.get_mut(at).and_then(Option::take) else { continue };
                match self.continue_opening(one, *event, &mut buffers)? {
                    OpenStep::Waits(one) => *begun.get_mut(at).expect_place()? = Some(one),
                    OpenStep::Open(client) => {
                        *open.get_mut(at).expect_place()? = Some(client);
                        under_way -= 1;
                        done += 1;
                    }
                }
            }
        }
        Ok(open.into_iter().flatten().collect())
    }

    /// Returns the handshake latencies, from connect to open.
    pub(super) fn latencies(&self) -> Percentiles {
        self.latencies.percentiles()
    }

    fn begin(&mut self, wanted: WantedClient, at: usize) -> Result<PendingClient, BenchError> {
        let from = self.sources.of(self.made);
        self.made += 1;
        let tls = self.target.tls()?;
        let mut socket = Socket::dial(self.target.address, from, tls).at("connecting")?;
        socket.queue(&self.target.opening(&wanted)?).at("speaking TLS")?;
        self.poller.watch(socket.fd(), at as u64, Interest::ReadWrite).at("watching a socket")?;
        Ok(PendingClient {
            socket,
            wire: wanted.wire,
            since: self.clock.nanos(),
            head: Vec::new(),
            splitter: Splitter::default(),
            uuid: None,
            has_switched: false,
        })
    }

    fn continue_opening(
        &mut self,
        mut one: PendingClient,
        event: Ready,
        buffers: &mut Buffers,
    ) -> Result<OpenStep, BenchError> {
        if event.readable {
            match one.socket.read(buffers).at("connecting to the server")? {
                ReadResult::Bytes(bytes) => one.on_bytes(bytes)?,
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

impl PendingClient {
    fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        if self.has_switched {
            return self.take_frames(bytes);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = self.head.windows(END_OF_HEAD.len()).position(|it| it == END_OF_HEAD)
        else {
            return Ok(());
        };
        if !self.head.starts_with(SWITCHING) {
            return Err(self.refusal());
        }
        self.has_switched = true;
        let head = std::mem::take(&mut self.head);
        self.take_frames(head.get(end + END_OF_HEAD.len()..).unwrap_or_default())
    }

    fn take_frames(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        let mut closed = None;
        let uuid = &mut self.uuid;
        self.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) if uuid.is_none() => *uuid = uuid_in(text),
            ServerFrame::Close(reason) => closed = Some(close_words(reason)),
            _ => {}
        });
        closed.map_or(Ok(()), |said| Err(BenchError::Refused(said)))
    }

    fn is_open(&self) -> bool {
        self.has_switched && (self.wire != BenchProtocol::Phpws || self.uuid.is_some())
    }

    fn refusal(&self) -> BenchError {
        let text = String::from_utf8_lossy(&self.head);
        let line = text.lines().next().unwrap_or_default();
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
        BenchError::Refused(match (line, body) {
            ("", _) => "it hung up without a word".to_owned(),
            (line, "") => line.to_owned(),
            (line, body) => format!("{line}: {body}"),
        })
    }
}

fn uuid_in(text: &[u8]) -> Option<Box<str>> {
    let text = str::from_utf8(text).ok()?;
    let (uuid, _) = text.strip_prefix(READY)?.split_once('"')?;
    Some(uuid.into())
}

/// Returns the code and reason of a Close frame as text.
pub(super) fn close_words(payload: &[u8]) -> String {
    match payload.split_first_chunk() {
        Some((code, reason)) => {
            let code = u16::from_be_bytes(*code);
            format!("{code} {}", String::from_utf8_lossy(reason))
        }
        None => "without a code".to_owned(),
    }
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

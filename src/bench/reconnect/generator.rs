//! Clients that reconnect whenever their connection ends: the process `tagcast bench reconnecting`.
//!
//! It reads commands from its standard input and reports events on its standard output, one per
//! line ([`super::lines`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Write, stdin, stdout};
use std::time::Duration;

use super::lines::{GeneratorEvent, GeneratorResult, Lines, REPORT};
use super::{Comeback, hashed};
use crate::bench::clock::{RunClock, nanos};
use crate::bench::connect::{BenchClient, Opened, Opener, Resumption, WantedClient};
use crate::bench::error::{At, BenchError};
use crate::bench::load_sources::Sources;
use crate::bench::socket::{Buffers, ReadResult};
use crate::bench::splitter::ServerFrame;
use crate::bench::stamp::Stamp;
use crate::bench::target::{BenchProtocol, BenchTarget, pong, put_text};
use crate::reactor::poller::{Interest, Poller, Ready};

/// Concurrent handshakes of the first openings, as in `tagcast bench connect`.
const AT_ONCE: usize = 64;
const EVENTS: usize = 1024;
/// Token of the epoll of the handshakes.
const HANDSHAKES: u64 = u64::MAX;
/// Token of the standard input.
const COMMANDS: u64 = u64::MAX - 1;
/// Pause after the first refused attempt. It doubles with each further one.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A client that is refused this often in a row stops the run.
const ATTEMPTS_MAX: u32 = 60;
/// Frames of `tagcast.v1`.
const RECOVERED: &[u8] = br#"{"op":"recovery","recovered":true"#;
const PING: &[u8] = br#"{"op":"ping""#;
const PONG: &[u8] = br#"{"op":"pong"}"#;
/// Time between two checks of the deadlines while nothing happens.
const IDLE: Duration = Duration::from_millis(200);

/// Opens the clients and keeps them open until the standard input ends.
pub(in crate::bench) fn serve(comeback: &Comeback, target: &BenchTarget) -> Result<(), BenchError> {
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(target, &sources)?;
    let wanted = (0..comeback.clients).map(|_| WantedClient::plain(target.wire));
    let clients = opener.open(wanted, AT_ONCE)?;
    target.release_tickets();
    let mut generator = ReconnectGenerator::new(*comeback, target, opener)?;
    for (at, mut client) in clients.into_iter().enumerate() {
        generator.watch(at, &client)?;
        let resumption = client.resumption.take();
        let state = ClientState { client: Some(client), resumption, ..ClientState::default() };
        generator.states.push(state);
    }
    generator.write(&GeneratorEvent::Open)?;
    while generator.turn()? {}
    Ok(())
}

/// One client and its last probe.
#[derive(Debug, Default)]
struct ClientState {
    /// Its connection. None while the client is disconnected.
    client: Option<BenchClient>,
    /// What it knows for its next connection, if it speaks `tagcast.v1`.
    resumption: Option<Box<Resumption>>,
    /// Time at which its connection ended.
    lost_at: u64,
    /// Attempts in a row that were refused.
    refused: u32,
    /// The last probe that it has received.
    last_probe: Option<u64>,
}

struct ReconnectGenerator<'a> {
    comeback: Comeback,
    target: &'a BenchTarget,
    opener: Opener<'a>,
    poller: Poller,
    clock: RunClock,
    states: Vec<ClientState>,
    /// Disconnected clients, and the times of their next attempts.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    away: usize,
    /// The last probe that any client has received, and the number of clients that have received it.
    probe: Option<u64>,
    received: usize,
    /// Lost connections that were reported.
    reported: u64,
    /// Whether it was reported that all clients are open again.
    is_back_reported: bool,
    result: GeneratorResult,
    lines: Lines,
    buffers: Buffers,
}

impl<'a> ReconnectGenerator<'a> {
    fn new(
        comeback: Comeback,
        target: &'a BenchTarget,
        opener: Opener<'a>,
    ) -> Result<Self, BenchError> {
        let poller = Poller::new(EVENTS).at("making an epoll")?;
        poller.watch(opener.poller(), HANDSHAKES, Interest::Read).at("watching an epoll")?;
        poller.watch(stdin(), COMMANDS, Interest::Read).at("watching the standard input")?;
        Ok(Self {
            comeback,
            target,
            opener,
            poller,
            clock: RunClock::start(),
            states: Vec::with_capacity(comeback.clients),
            due: BinaryHeap::new(),
            away: 0,
            probe: None,
            received: 0,
            reported: 0,
            is_back_reported: true,
            result: GeneratorResult::default(),
            lines: Lines::default(),
            buffers: Buffers::new(),
        })
    }

    fn watch(&self, at: usize, client: &BenchClient) -> Result<(), BenchError> {
        let watched = self.poller.watch(client.socket.fd(), at as u64, Interest::Read);
        watched.at("watching a socket")
    }

    fn write(&self, event: &GeneratorEvent) -> Result<(), BenchError> {
        let mut out = stdout();
        writeln!(out, "{}", event.to_line()).and_then(|()| out.flush()).at("reporting an event")
    }

    /// Handles events. Returns false once the standard input has ended.
    fn turn(&mut self) -> Result<bool, BenchError> {
        self.dial_due()?;
        let next = self.due.peek().map(|Reverse((at, _))| *at);
        let left = next.map(|at| Duration::from_nanos(at.saturating_sub(self.clock.nanos())));
        let events = self.wait(left.unwrap_or(IDLE).min(IDLE))?;
        let mut is_running = true;
        for event in events {
            match event.token {
                COMMANDS => is_running = self.apply_commands()?,
                HANDSHAKES => self.continue_handshakes()?,
                _ => self.read(event)?,
            }
        }
        self.report()?;
        Ok(is_running)
    }

    /// Reports losses, and that all clients are open again.
    fn report(&mut self) -> Result<(), BenchError> {
        if self.reported != self.result.lost {
            self.reported = self.result.lost;
            self.is_back_reported = false;
            self.write(&GeneratorEvent::Lost(self.reported))?;
        }
        if self.away == 0 && !self.is_back_reported {
            self.is_back_reported = true;
            self.write(&GeneratorEvent::Back)?;
        }
        Ok(())
    }

    fn wait(&mut self, within: Duration) -> Result<Vec<Ready>, BenchError> {
        let mut ready = Vec::with_capacity(EVENTS);
        self.poller.wait(Some(within), &mut ready).at("waiting")?;
        Ok(ready)
    }

    /// Runs commands. Returns false at the end of the standard input.
    fn apply_commands(&mut self) -> Result<bool, BenchError> {
        let Some(lines) = self.lines.read(stdin()).at("reading a command")? else {
            return Ok(false);
        };
        for line in lines {
            if line != REPORT {
                return Err(BenchError::Plan(format!("`{line}` is not a command; use {REPORT}")));
            }
            self.write(&GeneratorEvent::Result(self.result.clone()))?;
        }
        Ok(true)
    }

    fn dial_due(&mut self) -> Result<(), BenchError> {
        let now = self.clock.nanos();
        while let Some(Reverse((at, client))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            let earlier = self.states.get(client).and_then(|state| state.resumption.as_deref());
            let begun = match self.target.wire {
                BenchProtocol::V1 => self.opener.resume(client, earlier),
                wire => self.opener.begin(WantedClient::plain(wire), client),
            };
            if let Err(error) = begun {
                self.on_refused(client, error)?;
            }
        }
        Ok(())
    }

    fn continue_handshakes(&mut self) -> Result<(), BenchError> {
        let mut ended = Vec::new();
        self.opener.turn(Duration::ZERO, &mut ended)?;
        for Opened { at, client } in ended {
            match client {
                Ok(client) => self.on_open(at, client)?,
                Err(error) => self.on_refused(at, error)?,
            }
        }
        Ok(())
    }

    fn on_open(&mut self, at: usize, mut client: BenchClient) -> Result<(), BenchError> {
        self.watch(at, &client)?;
        let now = self.clock.nanos();
        let Some(state) = self.states.get_mut(at) else { return Ok(()) };
        self.result.away_us.push((now - state.lost_at) / 1000);
        if let Some(resumption) = client.resumption.take() {
            self.result.resumed += u64::from(resumption.is_resumed);
            self.result.recovered += u64::from(resumption.is_recovered);
            state.resumption = Some(resumption);
        }
        state.client = Some(client);
        state.refused = 0;
        self.away -= 1;
        Ok(())
    }

    /// Schedules the next attempt after a random pause of 50 to 100 percent of the current limit.
    fn on_refused(&mut self, at: usize, error: BenchError) -> Result<(), BenchError> {
        let (BenchError::Refused(_) | BenchError::Closed(_) | BenchError::System(..)) = error
        else {
            return Err(error);
        };
        self.result.refused += 1;
        let Some(state) = self.states.get_mut(at) else { return Ok(()) };
        state.refused += 1;
        if state.refused > ATTEMPTS_MAX {
            return Err(error);
        }
        let pause = RETRY_MIN.saturating_mul(1 << state.refused.min(10)).min(RETRY_MAX) / 2;
        let salt = self.result.refused;
        let pause = nanos(pause) + hashed(at as u64, salt) % nanos(pause);
        self.due.push(Reverse((self.clock.nanos() + pause, at)));
        Ok(())
    }

    fn on_lost(&mut self, at: usize) {
        let now = self.clock.nanos();
        let Some(state) = self.states.get_mut(at) else { return };
        // Dropping the socket ends the watch too.
        state.client = None;
        state.lost_at = now;
        if state.last_probe.take() == self.probe && self.probe.is_some() {
            self.received -= 1;
        }
        self.away += 1;
        self.result.lost += 1;
        let jitter = nanos(self.comeback.jitter);
        let wait = if jitter == 0 { 0 } else { hashed(at as u64, self.result.lost) % jitter };
        self.due.push(Reverse((now + wait, at)));
    }

    fn read(&mut self, event: Ready) -> Result<(), BenchError> {
        let at = usize::try_from(event.token).unwrap_or(usize::MAX);
        let Some(ClientState { client: Some(client), resumption, .. }) = self.states.get_mut(at)
        else {
            return Ok(());
        };
        let Ok(ReadResult::Bytes(bytes)) = client.socket.read(&mut self.buffers) else {
            self.on_lost(at);
            return Ok(());
        };
        let (mut probe, mut pongs, mut is_closed) = (None, Vec::new(), false);
        let mut recovered = 0;
        client.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) => {
                if let Some(resumption) = resumption {
                    let is_ping = text.starts_with(PING);
                    is_ping.then(|| put_text(&mut pongs, PONG));
                    recovered += u64::from(text.starts_with(RECOVERED));
                    resumption.at = position_in(text).or_else(|| resumption.at.take());
                }
                probe = probe.or_else(|| Some(Stamp::find(text, &mut 0)?.number));
            }
            ServerFrame::Ping(payload) => pongs.extend(pong(payload)),
            ServerFrame::Close(_) => is_closed = true,
            ServerFrame::Pong => {}
        });
        self.result.recovered += recovered;
        let is_answered = client.socket.queue(&pongs).and_then(|()| client.socket.flush());
        if is_closed || is_answered.is_err() {
            self.on_lost(at);
        } else if let Some(number) = probe {
            self.on_probe(at, number)?;
        }
        Ok(())
    }

    fn on_probe(&mut self, at: usize, number: u64) -> Result<(), BenchError> {
        if self.probe.is_none_or(|last| last < number) {
            (self.probe, self.received) = (Some(number), 0);
        }
        let Some(state) = self.states.get_mut(at) else { return Ok(()) };
        if self.probe != Some(number) || state.last_probe == Some(number) {
            return Ok(());
        }
        state.last_probe = Some(number);
        self.received += 1;
        if self.received == self.states.len() {
            self.write(&GeneratorEvent::Received(number))?;
        }
        Ok(())
    }
}

/// Returns the position in a frame of `tagcast.v1`, if it has one.
fn position_in(frame: &[u8]) -> Option<String> {
    const MEMBER: &str = "\"at\":\"";
    let (_, rest) = str::from_utf8(frame).ok()?.split_once(MEMBER)?;
    rest.split_once('"').map(|(position, _)| position.to_owned())
}

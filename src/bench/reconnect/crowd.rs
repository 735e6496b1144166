//! Clients that come back whenever their connection ends: the process `tagcast bench crowd`.
//!
//! It reads commands from its standard input and writes what happens to its standard output, one
//! line each ([`super::lines`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Write, stdin, stdout};
use std::time::Duration;

use super::lines::{CrowdEvent, CrowdResult, Lines, REPORT};
use super::{Comeback, hashed};
use crate::bench::clock::{RunClock, nanos};
use crate::bench::connect::{BenchClient, Opened, Opener, WantedClient};
use crate::bench::error::{At, BenchError};
use crate::bench::load_sources::Sources;
use crate::bench::socket::{Buffers, ReadResult};
use crate::bench::splitter::ServerFrame;
use crate::bench::stamp::Stamp;
use crate::bench::target::{BenchTarget, pong};
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
/// Time between two looks at the clock while nothing happens.
const IDLE: Duration = Duration::from_millis(200);

/// Opens the clients and keeps them open until the standard input ends.
pub(in crate::bench) fn serve(comeback: &Comeback, target: &BenchTarget) -> Result<(), BenchError> {
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(target, &sources)?;
    let wanted = (0..comeback.clients).map(|_| WantedClient::plain(target.wire));
    let clients = opener.open(wanted, AT_ONCE)?;
    target.release_tickets();
    let mut crowd = Crowd::new(*comeback, target, opener)?;
    for (at, client) in clients.into_iter().enumerate() {
        crowd.watch(at, &client)?;
        crowd.members.push(CrowdMember { client: Some(client), ..CrowdMember::default() });
    }
    crowd.write(&CrowdEvent::Open)?;
    while crowd.turn()? {}
    Ok(())
}

/// One client of the crowd.
#[derive(Debug, Default)]
struct CrowdMember {
    /// Its connection; None while it is away.
    client: Option<BenchClient>,
    /// When its connection ended.
    lost_at: u64,
    /// Attempts in a row that were refused.
    refused: u32,
    /// The last probe that it has received.
    heard: Option<u64>,
}

struct Crowd<'a> {
    comeback: Comeback,
    target: &'a BenchTarget,
    opener: Opener<'a>,
    poller: Poller,
    clock: RunClock,
    members: Vec<CrowdMember>,
    /// Clients that are away, and when they come back.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    away: usize,
    /// The last probe that any client has received, and how many have received it.
    probe: Option<u64>,
    heard: usize,
    /// Lost connections that were reported.
    reported: u64,
    /// Whether it was reported that all clients are open again.
    is_back_reported: bool,
    result: CrowdResult,
    lines: Lines,
    buffers: Buffers,
}

impl<'a> Crowd<'a> {
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
            members: Vec::with_capacity(comeback.clients),
            due: BinaryHeap::new(),
            away: 0,
            probe: None,
            heard: 0,
            reported: 0,
            is_back_reported: true,
            result: CrowdResult::default(),
            lines: Lines::default(),
            buffers: Buffers::new(),
        })
    }

    fn watch(&self, at: usize, client: &BenchClient) -> Result<(), BenchError> {
        let watched = self.poller.watch(client.socket.fd(), at as u64, Interest::Read);
        watched.at("watching a socket")
    }

    fn write(&self, event: &CrowdEvent) -> Result<(), BenchError> {
        let mut out = stdout();
        writeln!(out, "{}", event.to_line()).and_then(|()| out.flush()).at("reporting an event")
    }

    /// Handles events. Returns false once the standard input has ended.
    fn turn(&mut self) -> Result<bool, BenchError> {
        self.dial_due()?;
        let next = self.due.peek().map(|Reverse((at, _))| *at);
        let left = next.map(|at| Duration::from_nanos(at.saturating_sub(self.clock.nanos())));
        let events = self.wait(left.unwrap_or(IDLE).min(IDLE))?;
        let mut goes_on = true;
        for event in events {
            match event.token {
                COMMANDS => goes_on = self.obey()?,
                HANDSHAKES => self.continue_handshakes()?,
                _ => self.read(event)?,
            }
        }
        self.report()?;
        Ok(goes_on)
    }

    /// Reports losses, and that all clients are open again.
    fn report(&mut self) -> Result<(), BenchError> {
        if self.reported != self.result.lost {
            self.reported = self.result.lost;
            self.is_back_reported = false;
            self.write(&CrowdEvent::Lost(self.reported))?;
        }
        if self.away == 0 && !self.is_back_reported {
            self.is_back_reported = true;
            self.write(&CrowdEvent::Back)?;
        }
        Ok(())
    }

    fn wait(&mut self, within: Duration) -> Result<Vec<Ready>, BenchError> {
        let mut ready = Vec::with_capacity(EVENTS);
        self.poller.wait(Some(within), &mut ready).at("waiting")?;
        Ok(ready)
    }

    /// Carries out commands. Returns false at the end of the standard input.
    fn obey(&mut self) -> Result<bool, BenchError> {
        let Some(lines) = self.lines.read(stdin()).at("reading a command")? else {
            return Ok(false);
        };
        for line in lines {
            if line != REPORT {
                return Err(BenchError::Plan(format!("`{line}` is not a command; use {REPORT}")));
            }
            self.write(&CrowdEvent::Result(self.result.clone()))?;
        }
        Ok(true)
    }

    fn dial_due(&mut self) -> Result<(), BenchError> {
        let now = self.clock.nanos();
        while let Some(Reverse((at, member))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            if let Err(error) = self.opener.begin(WantedClient::plain(self.target.wire), member) {
                self.on_refused(member, error)?;
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

    fn on_open(&mut self, at: usize, client: BenchClient) -> Result<(), BenchError> {
        self.watch(at, &client)?;
        let now = self.clock.nanos();
        let Some(member) = self.members.get_mut(at) else { return Ok(()) };
        self.result.away_us.push((now - member.lost_at) / 1000);
        member.client = Some(client);
        member.refused = 0;
        self.away -= 1;
        Ok(())
    }

    /// The client tries again, after a pause between a half and the whole of its limit.
    fn on_refused(&mut self, at: usize, error: BenchError) -> Result<(), BenchError> {
        let (BenchError::Refused(_) | BenchError::Closed(_) | BenchError::System(..)) = error
        else {
            return Err(error);
        };
        self.result.refused += 1;
        let Some(member) = self.members.get_mut(at) else { return Ok(()) };
        member.refused += 1;
        if member.refused > ATTEMPTS_MAX {
            return Err(error);
        }
        let pause = RETRY_MIN.saturating_mul(1 << member.refused.min(10)).min(RETRY_MAX) / 2;
        let salt = self.result.refused;
        let pause = nanos(pause) + hashed(at as u64, salt) % nanos(pause);
        self.due.push(Reverse((self.clock.nanos() + pause, at)));
        Ok(())
    }

    fn on_lost(&mut self, at: usize) {
        let now = self.clock.nanos();
        let Some(member) = self.members.get_mut(at) else { return };
        // Dropping the socket ends the watch too.
        member.client = None;
        member.lost_at = now;
        if member.heard.take() == self.probe && self.probe.is_some() {
            self.heard -= 1;
        }
        self.away += 1;
        self.result.lost += 1;
        let jitter = nanos(self.comeback.jitter);
        let wait = if jitter == 0 { 0 } else { hashed(at as u64, self.result.lost) % jitter };
        self.due.push(Reverse((now + wait, at)));
    }

    fn read(&mut self, event: Ready) -> Result<(), BenchError> {
        let at = usize::try_from(event.token).unwrap_or(usize::MAX);
        let Some(CrowdMember { client: Some(client), .. }) = self.members.get_mut(at) else {
            return Ok(());
        };
        let Ok(ReadResult::Bytes(bytes)) = client.socket.read(&mut self.buffers) else {
            self.on_lost(at);
            return Ok(());
        };
        let (mut probe, mut pongs, mut is_closed) = (None, Vec::new(), false);
        client.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) => {
                probe = probe.or_else(|| Some(Stamp::find(text, &mut 0)?.number));
            }
            ServerFrame::Ping(payload) => pongs.extend(pong(payload)),
            ServerFrame::Close(_) => is_closed = true,
            ServerFrame::Pong => {}
        });
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
            (self.probe, self.heard) = (Some(number), 0);
        }
        let Some(member) = self.members.get_mut(at) else { return Ok(()) };
        if self.probe != Some(number) || member.heard == Some(number) {
            return Ok(());
        }
        member.heard = Some(number);
        self.heard += 1;
        if self.heard == self.members.len() {
            self.write(&CrowdEvent::Heard(number))?;
        }
        Ok(())
    }
}

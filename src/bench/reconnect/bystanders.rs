//! Clients that stay connected and send messages to themselves while other clients reconnect.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bench::clock::nanos;
use crate::bench::connect::{BenchClient, Opener, WantedClient};
use crate::bench::error::{At, BenchError};
use crate::bench::latency::{Latencies, Percentiles};
use crate::bench::socket::{Buffers, ReadResult};
use crate::bench::splitter::ServerFrame;
use crate::bench::stamp::{STAMP_BYTES, Stamp};
use crate::bench::target::{BenchDestination, BenchTarget, pong, put_text};
use crate::reactor::poller::{Interest, Poller};

/// Time between two messages of all bystanders together.
const PERIOD: Duration = Duration::from_millis(5);

/// All bystanders. They send in turn, at a fixed rate.
#[derive(Debug)]
pub(super) struct Bystanders {
    bystanders: Vec<Bystander>,
    next_due: u64,
    turn: usize,
    latencies: Latencies,
    is_sending: bool,
    /// Messages since the last start.
    sent: u32,
    buffers: Buffers,
}

#[derive(Debug)]
struct Bystander {
    /// None once the server has closed it.
    client: Option<BenchClient>,
    number: u64,
    /// Messages that have not arrived: their numbers and the times at which they were due.
    waiting: VecDeque<(u64, u64)>,
}

impl Bystanders {
    pub(super) fn new() -> Self {
        Self {
            bystanders: Vec::new(),
            next_due: 0,
            turn: 0,
            latencies: Latencies::new(),
            is_sending: false,
            sent: 0,
            buffers: Buffers::new(),
        }
    }

    /// Opens one more bystander.
    pub(super) fn open_one(
        &mut self,
        target: &BenchTarget,
        opener: &mut Opener<'_>,
        poller: &Poller,
    ) -> Result<(), BenchError> {
        let wanted = std::iter::once(WantedClient::plain(target.wire));
        for client in opener.open(wanted, 1)? {
            let token = self.bystanders.len() as u64;
            poller.watch(client.socket.fd(), token, Interest::Read).at("watching a socket")?;
            let waiting = VecDeque::new();
            self.bystanders.push(Bystander { client: Some(client), number: 0, waiting });
        }
        Ok(())
    }

    /// Returns the number of bystanders that the server has not closed.
    pub(super) fn staying(&self) -> usize {
        self.bystanders.iter().filter(|bystander| bystander.client.is_some()).count()
    }

    pub(super) fn opened(&self) -> usize {
        self.bystanders.len()
    }

    /// Starts to send at `now`, and forgets earlier latencies.
    pub(super) fn begin(&mut self, now: u64) {
        self.is_sending = true;
        self.sent = 0;
        self.next_due = now;
        self.latencies.clear();
    }

    /// Stops sending.
    pub(super) fn pause(&mut self) {
        self.is_sending = false;
    }

    /// Returns the number of messages since the last start.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        self.latencies.percentiles()
    }

    /// Returns the number of messages to open connections that have not arrived.
    pub(super) fn missing(&self) -> usize {
        let open = self.bystanders.iter().filter(|bystander| bystander.client.is_some());
        open.map(|bystander| bystander.waiting.len()).sum()
    }

    /// Sends due messages and returns the time at which the next one is due.
    pub(super) fn send(&mut self, now: u64, target: &BenchTarget) -> u64 {
        while self.is_sending && self.next_due <= now {
            let due = self.next_due;
            self.next_due += nanos(PERIOD);
            // The next bystander that is still connected sends.
            for _ in 0..self.bystanders.len() {
                self.turn = (self.turn + 1) % self.bystanders.len().max(1);
                if self.send_from(self.turn, due, target) {
                    self.sent += 1;
                    break;
                }
            }
        }
        if self.is_sending { self.next_due } else { u64::MAX }
    }

    fn send_from(&mut self, at: usize, due: u64, target: &BenchTarget) -> bool {
        let Some(bystander) = self.bystanders.get_mut(at) else { return false };
        let Some(client) = &mut bystander.client else { return false };
        let stamp = Stamp { stream: u8::try_from(at).unwrap_or(u8::MAX), number: bystander.number };
        let to = BenchDestination::One(&client.uuid, 0);
        let text = target.publication(target.wire, &to, &stamp.message(STAMP_BYTES));
        let mut frame = Vec::new();
        put_text(&mut frame, text.as_bytes());
        let is_sent = client.socket.queue(&frame).and_then(|()| client.socket.flush());
        if is_sent.is_err() {
            bystander.client = None;
            return false;
        }
        bystander.waiting.push_back((bystander.number, due));
        bystander.number += 1;
        true
    }

    /// Reads the messages of one bystander.
    pub(super) fn on_readable(&mut self, at: usize, now: u64) {
        let Some(bystander) = self.bystanders.get_mut(at) else { return };
        let Some(client) = &mut bystander.client else { return };
        let Ok(ReadResult::Bytes(bytes)) = client.socket.read(&mut self.buffers) else {
            bystander.client = None;
            return;
        };
        let (waiting, latencies) = (&mut bystander.waiting, &mut self.latencies);
        let (mut pongs, mut is_closed) = (Vec::new(), false);
        client.splitter.split(bytes, |frame| match frame {
            ServerFrame::Message(text) => {
                let stamp = Stamp::find(text, &mut 0);
                let stamp = stamp.filter(|stamp| usize::from(stamp.stream) == at);
                let found = stamp.and_then(|stamp| {
                    waiting.iter().position(|(number, _)| *number == stamp.number)
                });
                if let Some((_, due)) = found.and_then(|place| waiting.remove(place)) {
                    latencies.record(now.saturating_sub(due));
                }
            }
            ServerFrame::Ping(payload) => pongs.extend(pong(payload)),
            ServerFrame::Close(_) => is_closed = true,
            ServerFrame::Pong => {}
        });
        let is_answered = client.socket.queue(&pongs).and_then(|()| client.socket.flush());
        if is_closed || is_answered.is_err() {
            bystander.client = None;
        }
    }
}

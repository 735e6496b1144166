//! The loop of a run: one thread with one epoll serves all connections.

use std::time::Duration;

use super::requests::{ApiRequests, RequestAccess};
use super::{ApiLoad, ApiReport};
use crate::bench::clock::{RunClock, nanos};
use crate::bench::error::{At, BenchError};
use crate::bench::http_responses::HttpResponses;
use crate::bench::latency::Latencies;
use crate::bench::process::Tree;
use crate::bench::sleep;
use crate::bench::socket::{Buffers, ReadResult, Socket};
use crate::bench::target::BenchTarget;
use crate::reactor::poller::{Interest, Poller, Ready};

/// Maximum events returned by one wait.
const EVENTS: usize = 256;
/// Time without an answer after which a run fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// Member of an answer that reports a publication which was not accepted.
const ERROR: &[u8] = b"\"error\"";

/// Runs the plan. `tree` has the processes of the server if they are on this machine.
pub(super) fn run(
    plan: &ApiLoad,
    target: &BenchTarget,
    access: &RequestAccess,
    tree: Option<&Tree>,
) -> Result<ApiReport, BenchError> {
    sleep::be_precise().at("setting the timer slack")?;
    let mut run = ApiRun::new(plan, target, ApiRequests::new(plan, access))?;
    run.await_first_answer(target)?;
    run.request_for(plan.warmup)?;
    run.latencies.clear();
    let begin = run.mark(tree);
    run.request_for(plan.duration)?;
    let end = run.mark(tree);
    run.finish()?;
    Ok(ApiReport::new(plan, &[begin, end], run.latencies.percentiles()))
}

/// The counters at one point in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct ApiSnapshot {
    pub(super) at: u64,
    pub(super) answers: u64,
    pub(super) server: Option<Duration>,
    pub(super) generator: Duration,
}

/// A connection with at most one request in flight.
struct ApiConnection {
    socket: Socket,
    responses: HttpResponses,
    /// When its request was due.
    due: Option<u64>,
}

struct ApiRun<'a> {
    plan: &'a ApiLoad,
    requests: ApiRequests,
    connections: Vec<ApiConnection>,
    /// Connections without a request in flight.
    free: Vec<usize>,
    poller: Poller,
    clock: RunClock,
    buffers: Buffers,
    latencies: Latencies,
    answers: u64,
    answered_at: u64,
    next_due: u64,
}

impl<'a> ApiRun<'a> {
    fn new(
        plan: &'a ApiLoad,
        target: &BenchTarget,
        requests: ApiRequests,
    ) -> Result<Self, BenchError> {
        let mut run = Self {
            plan,
            requests,
            connections: Vec::new(),
            free: Vec::new(),
            poller: Poller::new(EVENTS).at("making an epoll")?,
            clock: RunClock::start(),
            buffers: Buffers::new(),
            latencies: Latencies::new(),
            answers: 0,
            answered_at: 0,
            next_due: 0,
        };
        (0..plan.connections).try_for_each(|_| run.connect(target))?;
        Ok(run)
    }

    fn connect(&mut self, target: &BenchTarget) -> Result<(), BenchError> {
        let socket = Socket::dial(target.address, None, target.tls()?).at("connecting")?;
        let at = self.connections.len();
        let watched = self.poller.watch(socket.fd(), at as u64, Interest::Read);
        watched.at("watching a socket")?;
        let responses = HttpResponses::default();
        self.connections.push(ApiConnection { socket, responses, due: None });
        self.free.push(at);
        Ok(())
    }

    /// Waits until the API serves requests: it may still start, and it refuses what was signed in the
    /// second in which it started.
    #[expect(clippy::disallowed_methods, reason = "a short-lived command waits for a process")]
    fn await_first_answer(&mut self, target: &BenchTarget) -> Result<(), BenchError> {
        loop {
            self.send(self.clock.nanos())?;
            let Err(error) = self.finish() else { return Ok(()) };
            if self.clock.nanos() > nanos(PATIENCE) {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(100));
            // A connection whose answer is an error is not used again.
            self.connections.clear();
            self.free.clear();
            (0..self.plan.connections).try_for_each(|_| self.connect(target))?;
        }
    }

    fn mark(&self, tree: Option<&Tree>) -> ApiSnapshot {
        ApiSnapshot {
            at: self.clock.nanos(),
            answers: self.answers,
            server: tree.map(Tree::cpu),
            generator: Tree::own().cpu(),
        }
    }

    fn request_for(&mut self, time: Duration) -> Result<(), BenchError> {
        let begin = self.clock.nanos();
        self.next_due = begin;
        loop {
            let now = self.clock.nanos();
            if now - begin >= nanos(time) {
                return Ok(());
            }
            let until = self.send_due(now)?;
            self.turn(until.min(begin + nanos(time)))?;
        }
    }

    /// Sends everything that is due and returns when the next request is.
    fn send_due(&mut self, now: u64) -> Result<u64, BenchError> {
        let Some(rate) = self.plan.rate else {
            while !self.free.is_empty() {
                self.send(now)?;
            }
            return Ok(now + nanos(PATIENCE));
        };
        let gap = nanos(Duration::from_secs_f64(1.0 / rate));
        while self.next_due <= now && !self.free.is_empty() {
            self.send(self.next_due)?;
            self.next_due += gap.max(1);
        }
        Ok(if self.free.is_empty() { now + nanos(PATIENCE) } else { self.next_due })
    }

    fn send(&mut self, due: u64) -> Result<(), BenchError> {
        let Some(at) = self.free.pop() else { return Ok(()) };
        let request = self.requests.next();
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        connection.due = Some(due);
        connection.socket.queue(&request).at("sending a request")?;
        self.flush(at)
    }

    fn flush(&mut self, at: usize) -> Result<(), BenchError> {
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        // A socket that is still connecting takes nothing yet.
        let is_left = match connection.socket.flush() {
            Err(error) if error.kind() == std::io::ErrorKind::NotConnected => true,
            flushed => flushed.at("sending a request")?,
        };
        let interest = if is_left { Interest::ReadWrite } else { Interest::Read };
        self.poller.rewatch(connection.socket.fd(), at as u64, interest).at("watching a socket")
    }

    /// Waits for the answers that are still to come.
    fn finish(&mut self) -> Result<(), BenchError> {
        while self.free.len() < self.connections.len() {
            self.turn(self.clock.nanos() + nanos(PATIENCE))?;
        }
        Ok(())
    }

    /// Waits until an answer arrives or until the given time, and reads what has arrived.
    fn turn(&mut self, until: u64) -> Result<(), BenchError> {
        let now = self.clock.nanos();
        let left = Duration::from_nanos(until.saturating_sub(now)).min(PATIENCE);
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        sleep::wait(&mut self.poller, left, &mut ready).at("waiting")?;
        for event in ready {
            let at = usize::try_from(event.token).unwrap_or(usize::MAX);
            if event.writable {
                self.flush(at)?;
            }
            if event.readable {
                self.read(at)?;
            }
        }
        let now = self.clock.nanos();
        let waits = self.free.len() < self.connections.len();
        if waits && now.saturating_sub(self.answered_at) > nanos(PATIENCE) {
            return Err(BenchError::Silent(PATIENCE.as_secs(), "an answer of the API"));
        }
        if !waits {
            self.answered_at = now;
        }
        Ok(())
    }

    fn read(&mut self, at: usize) -> Result<(), BenchError> {
        let Self { connections, buffers, latencies, clock, answers, free, .. } = self;
        let Some(connection) = connections.get_mut(at) else { return Ok(()) };
        let bytes = match connection.socket.read(buffers).at("reading an answer")? {
            ReadResult::Nothing => return Ok(()),
            ReadResult::End => {
                return Err(BenchError::Closed("the API ended a connection".to_owned()));
            }
            ReadResult::Bytes(bytes) => bytes,
        };
        let now = clock.nanos();
        let due = &mut connection.due;
        connection.responses.read(bytes, |body| {
            if body.windows(ERROR.len()).any(|part| part == ERROR) {
                return Err(BenchError::Refused(String::from_utf8_lossy(body).into_owned()));
            }
            if let Some(due) = due.take() {
                latencies.record(now.saturating_sub(due));
                *answers += 1;
                free.push(at);
            }
            Ok(())
        })?;
        self.answered_at = now;
        Ok(())
    }
}

//! Measures how clients reconnect after a disruption, all at once or spread over a time.
//!
//! Separate processes run the clients ([`generator`]), up to 15,000 in each. This process runs the
//! bystanders, starts the disruption, and measures the processor time of the server.

mod bystanders;
mod disruption;
mod generator;
mod generator_process;
mod lines;
mod report;

use std::time::Duration;

pub use self::disruption::Disruption;
pub(super) use self::generator::serve;
pub use self::report::{ReconnectReport, ReturnedClients};

use self::bystanders::Bystanders;
use self::disruption::DisruptionAim;
use self::generator_process::{
    GeneratorPhase, GeneratorProcess, GeneratorState, GeneratorTotals, totals,
};
use self::lines::REPORT;
use super::clock::{RunClock, nanos};
use super::connect::{BenchClient, Opener, WantedClient};
use super::cores::Shares;
use super::error::{At, BenchError};
use super::idle_connections::CLIENTS_PER_PROCESS;
use super::latency::Percentiles;
use super::load_sources::Sources;
use super::process::CpuMeter;
use super::server::{OwnServer, ServerKind};
use super::stamp::{STAMP_BYTES, Stamp};
use super::target::{BenchDestination, BenchProtocol, BenchTarget, put_text};
use crate::reactor::poller::{Interest, Poller, Ready};
use crate::types::Encryption;

/// A run in which clients lose their connections and reconnect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReconnectPlan {
    /// The clients.
    pub comeback: Comeback,
    /// The event that ends their connections.
    pub disruption: Disruption,
}

/// Clients that reconnect.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "two independent choices")]
pub struct Comeback {
    /// Number of clients.
    pub clients: usize,
    /// Each client waits for a random part of this time before its first attempt.
    pub jitter: Duration,
    /// Whether each client uses a session ticket, if the server uses TLS.
    pub shows_tickets: bool,
    /// Whether the clients speak `tagcast.v1`, and resume.
    pub resumes: bool,
}

/// Clients that send messages to themselves. With this many, some of them stay connected when one of
/// several workers is killed.
const BYSTANDERS: usize = 16;
/// Time between the openings of two bystanders. They are opened together with the clients, so the
/// workers share them.
const BYSTANDER_PAUSE: Duration = Duration::from_millis(15);
/// Time in which the latency of the bystanders is measured before the disruption.
const QUIET: Duration = Duration::from_secs(1);
/// Sequential openings before the clients connect.
const SINGLE_OPENINGS: usize = 500;
/// Time for the server to forget the clients of these openings.
const SETTLE: Duration = Duration::from_millis(200);
/// Time between two samples of the processor time. The time that a process used between its last
/// sample and its death is not counted.
const SAMPLE: Duration = Duration::from_millis(50);
/// Time for one phase of the run. A server that needs longer for its clients is considered dead.
const PATIENCE: Duration = Duration::from_secs(180);
/// Time for all clients to receive a probe. The next one follows.
const PROBE: Duration = Duration::from_secs(5);
/// Tokens of the generators start here. Lower ones belong to the bystanders.
const GENERATORS: u64 = 1 << 32;
/// Stream of the probes. Lower ones belong to the bystanders.
const PROBES: u8 = 200;

/// Starts a server and measures how its clients reconnect.
///
/// # Errors
///
/// If the server does not start, or if a client does not reconnect.
pub(super) fn reconnect(
    plan: &ReconnectPlan,
    kind: ServerKind,
    shares: &Shares,
) -> Result<ReconnectReport, BenchError> {
    if plan.comeback.clients == 0 {
        return Err(BenchError::Plan("--clients is 0; there must be clients".to_owned()));
    }
    let server = match plan.comeback.resumes {
        true => OwnServer::start_storing(kind, shares)?,
        false => OwnServer::start(kind, BenchProtocol::Phpws, shares)?,
    };
    let target = server.target.clone();
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let opener = Opener::new(&target, &sources)?;
    let mut run = ReconnectRun {
        shares,
        target: &target,
        opener,
        poller: Poller::new(EVENTS).at("making an epoll")?,
        clock: RunClock::start(),
        meter: CpuMeter::of(server.pid()),
        sampled_at: 0,
        generators: Vec::new(),
        bystanders: Bystanders::new(),
        server,
    };
    run.run(plan, kind)
}

const EVENTS: usize = 256;

struct ReconnectRun<'a> {
    server: OwnServer,
    shares: &'a Shares,
    target: &'a BenchTarget,
    opener: Opener<'a>,
    poller: Poller,
    clock: RunClock,
    meter: CpuMeter,
    sampled_at: u64,
    generators: Vec<GeneratorProcess>,
    bystanders: Bystanders,
}

/// The messages of the bystanders before the disruption.
struct QuietSecond {
    latency: Percentiles,
    /// Processor time of the server for each of them.
    message_cpu: Duration,
}

/// Time and processor time since the disruption.
#[derive(Clone, Copy, Debug)]
struct Since {
    wall: u64,
    cpu: Duration,
}

impl ReconnectRun<'_> {
    fn run(
        &mut self,
        plan: &ReconnectPlan,
        kind: ServerKind,
    ) -> Result<ReconnectReport, BenchError> {
        let single = self.measure_single_openings()?;
        let opening = self.open(&plan.comeback)?;
        let quiet = self.measure_quiet()?;
        let aim = plan.disruption.aim(&self.server)?;
        let cpu = self.meter.sample();
        let start = Since { wall: self.clock.nanos(), cpu };
        if plan.disruption.spares_clients() {
            self.bystanders.begin(start.wall);
        }
        self.disrupt(plan.disruption, aim)?;
        self.until("the end of the connections", |run| Ok(run.lost() >= aim.connections))?;
        let open = self.await_all_back(start)?;
        self.bystanders.pause();
        let during = self.bystanders.percentiles();
        let messages = quiet.message_cpu * self.bystanders.sent();
        let served = self.probe_until_received(start)?;
        self.send_command(REPORT)?;
        self.until("the report of the clients", |run| {
            Ok(run.are_all(|generator| generator.result.is_some()))
        })?;
        let staying = self.bystanders.staying();
        let GeneratorTotals { lost, refused, resumed, recovered, away } = totals(&self.generators);
        let returned = ReturnedClients { resumed, recovered };
        let cpu = open.cpu.saturating_sub(messages).as_secs_f64();
        let openings = single.as_secs_f64() * lost as f64;
        let openings_by_64 = opening.as_secs_f64() * lost as f64;
        let is_tls = matches!(kind, ServerKind::Tagcast { encryption: Encryption::Tls, .. });
        Ok(ReconnectReport {
            kill: plan.disruption.name().to_owned(),
            clients: plan.comeback.clients,
            jitter: plan.comeback.jitter.as_secs_f64(),
            tls_tickets: is_tls.then_some(plan.comeback.shows_tickets),
            lost,
            refused,
            returned: plan.comeback.resumes.then_some(returned),
            seconds_until_open: open.wall as f64 / 1e9,
            seconds_until_served: served.wall as f64 / 1e9,
            away_us: away.percentiles(),
            server_cpu_seconds: open.cpu.as_secs_f64(),
            bystander_cpu_seconds: messages.as_secs_f64(),
            openings_cpu_seconds: openings,
            openings_by_64_cpu_seconds: openings_by_64,
            cpu_ratio: cpu / openings,
            cpu_ratio_by_64: cpu / openings_by_64,
            bystanders: staying,
            bystander_before_us: quiet.latency,
            bystander_us: (staying > 0).then_some(during),
            bystander_lost: self.bystanders.missing(),
        })
    }

    /// Opens some clients one after the other and closes them. Returns the processor time of one
    /// opening.
    fn measure_single_openings(&mut self) -> Result<Duration, BenchError> {
        let wire = self.target.wire;
        let wanted = (0..SINGLE_OPENINGS).map(|_| WantedClient::plain(wire));
        let before = self.meter.sample();
        let clients = self.opener.open(wanted, 1)?;
        let each = (self.meter.sample() - before) / u32::try_from(clients.len()).unwrap_or(1);
        drop(clients);
        // The server forgets them before the next measurement begins.
        let end = self.clock.nanos() + nanos(SETTLE);
        self.until("the end of these clients", |run| Ok(run.clock.nanos() >= end))?;
        Ok(each)
    }

    /// Opens all clients and the bystanders. Returns the processor time of one opening.
    fn open(&mut self, comeback: &Comeback) -> Result<Duration, BenchError> {
        let before = self.meter.sample();
        let mut left = comeback.clients;
        while left > 0 {
            let clients = left.min(CLIENTS_PER_PROCESS);
            left -= clients;
            let generator =
                GeneratorProcess::start(&Comeback { clients, ..*comeback }, self.target)?;
            let token = GENERATORS + self.generators.len() as u64;
            self.poller
                .watch(generator.fd(), token, Interest::Read)
                .at("watching a generator process")?;
            self.generators.push(generator);
        }
        let mut due = self.clock.nanos();
        self.until("the openings", |run| {
            let is_open = run.are_all(|generator| generator.phase == GeneratorPhase::Open);
            if run.bystanders.opened() < BYSTANDERS && (is_open || run.clock.nanos() >= due) {
                due = run.clock.nanos() + nanos(BYSTANDER_PAUSE);
                run.bystanders.open_one(run.target, &mut run.opener, &run.poller)?;
            }
            Ok(is_open && run.bystanders.opened() == BYSTANDERS)
        })?;
        let openings = u32::try_from(comeback.clients + BYSTANDERS).unwrap_or(u32::MAX);
        Ok((self.meter.sample() - before) / openings)
    }

    fn measure_quiet(&mut self) -> Result<QuietSecond, BenchError> {
        let end = self.clock.nanos() + nanos(QUIET);
        let cpu = self.meter.sample();
        self.bystanders.begin(self.clock.nanos());
        self.until("the end of a second", |run| Ok(run.clock.nanos() >= end))?;
        self.bystanders.pause();
        let message_cpu = (self.meter.sample() - cpu) / self.bystanders.sent().max(1);
        Ok(QuietSecond { latency: self.bystanders.percentiles(), message_cpu })
    }

    /// Starts the disruption and waits until it is over.
    fn disrupt(&mut self, disruption: Disruption, aim: DisruptionAim) -> Result<(), BenchError> {
        let mut disrupting = disruption.begin(aim, &self.server)?;
        self.until("the end of the disruption", |run| {
            disrupting.is_over(&mut run.server, run.shares)
        })?;
        if self.server.pid() != self.meter.root() {
            self.meter.follow(self.server.pid());
        }
        Ok(())
    }

    fn await_all_back(&mut self, start: Since) -> Result<Since, BenchError> {
        self.until("the return of all clients", |run| Ok(run.are_back()))?;
        Ok(self.since(start))
    }

    /// Sends probes to all clients until every client has received one.
    fn probe_until_received(&mut self, start: Since) -> Result<Since, BenchError> {
        let wanted = std::iter::once(WantedClient::plain(self.target.wire));
        let mut publishers = self.opener.open(wanted, 1)?;
        for number in 0.. {
            self.await_all_back(start)?;
            for publisher in &mut publishers {
                self.publish_probe(publisher, number)?;
            }
            let end = self.clock.nanos() + nanos(PROBE);
            self.until("a message to all clients", |run| {
                Ok(run.are_all(|generator| generator.received == Some(number))
                    || run.clock.nanos() > end)
            })?;
            if self.are_all(|generator| generator.received == Some(number)) {
                break;
            }
        }
        Ok(self.since(start))
    }

    fn publish_probe(&self, client: &mut BenchClient, number: u64) -> Result<(), BenchError> {
        let message = Stamp { stream: PROBES, number }.message(STAMP_BYTES);
        let wire = self.target.wire;
        let text = self.target.publication(wire, &BenchDestination::All, &message);
        let mut frame = Vec::new();
        put_text(&mut frame, text.as_bytes());
        client.socket.queue(&frame).at("publishing")?;
        client.socket.flush().at("publishing")?;
        Ok(())
    }

    fn since(&mut self, start: Since) -> Since {
        let wall = self.clock.nanos() - start.wall;
        Since { wall, cpu: self.meter.sample() - start.cpu }
    }

    /// Returns the number of connections that have ended.
    fn lost(&self) -> u64 {
        let bystanders = self.bystanders.opened() - self.bystanders.staying();
        self.generators.iter().map(|generator| generator.state.lost).sum::<u64>()
            + bystanders as u64
    }

    fn are_back(&self) -> bool {
        self.are_all(|generator| {
            matches!(generator.phase, GeneratorPhase::Open | GeneratorPhase::Back)
        })
    }

    fn are_all(&self, is_so: impl Fn(&GeneratorState) -> bool) -> bool {
        self.generators.iter().all(|generator| is_so(&generator.state))
    }

    fn send_command(&mut self, command: &str) -> Result<(), BenchError> {
        self.generators.iter_mut().try_for_each(|generator| generator.send_command(command))
    }

    /// Handles events until `is_done` returns true. The error at the deadline names `what`.
    fn until(
        &mut self,
        what: &'static str,
        mut is_done: impl FnMut(&mut Self) -> Result<bool, BenchError>,
    ) -> Result<(), BenchError> {
        let end = self.clock.nanos() + nanos(PATIENCE);
        while !is_done(self)? {
            if self.clock.nanos() > end {
                return Err(BenchError::Silent(PATIENCE.as_secs(), what));
            }
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), BenchError> {
        let now = self.clock.nanos();
        if now >= self.sampled_at + nanos(SAMPLE) {
            self.meter.sample();
            self.sampled_at = now;
        }
        let next = self.bystanders.send(self.clock.nanos(), self.target);
        let left = next.saturating_sub(self.clock.nanos()).min(nanos(BYSTANDER_PAUSE));
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        self.poller.wait(Some(Duration::from_nanos(left)), &mut ready).at("waiting")?;
        for event in ready {
            let at = usize::try_from(event.token % GENERATORS).unwrap_or(usize::MAX);
            match self.generators.get_mut(at).filter(|_| event.token >= GENERATORS) {
                Some(generator) => generator.on_readable()?,
                None => self.bystanders.on_readable(at, self.clock.nanos()),
            }
        }
        Ok(())
    }
}

/// Returns a pseudo-random number from two numbers (splitmix64). Runs are repeatable.
fn hashed(one: u64, other: u64) -> u64 {
    let number = one.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(other);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

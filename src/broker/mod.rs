//! The broker process: one event loop around the index and the router. It communicates only with workers and
//! the supervisor.

mod application_counts;
mod bulk_change;
mod client_moves;
mod clocks;
mod close_orders;
mod connection_limits;
pub mod core;
mod descriptions;
mod fair_share;
mod findings;
mod forwards;
mod journal;
mod lane_places;
mod limits_over_hosts;
mod links;
mod names_of_hosts;
mod other_hosts;
mod presence;
mod protocol_error;
mod queries;
mod records;
mod recoveries;
mod replays;
mod resolve_cache;
mod resume_counts;
pub mod router;
mod tag_changes;
mod tail;
mod takeovers;
mod tracking;
mod traffic;
mod turn;
pub mod worker_state;

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tracing::{error, info};

pub use self::connection_limits::MaxConnections;
use self::core::{BrokerCore, TurnBudgets};
pub use self::limits_over_hosts::MaxOverHosts;
use self::router::BrokerClocks;
use crate::config::BrokerConfig;
use crate::link::control::{
    Attachment, BrokerCommand, ChildEvent, CommonCommand, Control, ControlPeer, ExitReason,
};
use crate::reactor::poller::{Interest, Poller, Ready};
use crate::telemetry::{flush, lines_lost, set_level, unix_seconds, unix_time};
use crate::types::limits::{BROKER_REMOVALS, BROKER_TURN};
use crate::types::{
    CountReport, Generation, Histogram, HistogramFamily, ProcessCounts, SeriesFamily, TurnBudget,
    WorkerId, WorkerIncarnation,
};

/// The epoll token of the control link. The token of a worker's link is the number of the worker.
const CONTROL: u64 = u64::MAX;
/// Maximum number of events per wait; one for each worker is enough.
const EVENTS: usize = 64;

/// Runs the broker on this thread until it is stopped or its supervisor is gone.
#[must_use]
pub fn run(generation: Generation, control: Box<dyn Control<BrokerCommand>>) -> ExitReason {
    serve(generation, control).unwrap_or_else(ExitReason::Failed)
}

fn serve(
    generation: Generation,
    control: Box<dyn Control<BrokerCommand>>,
) -> io::Result<ExitReason> {
    let poller = Poller::new(EVENTS)?;
    poller.watch(control.ready(), CONTROL, Interest::Read)?;
    let mut core = BrokerCore::new(generation);
    core.measure_with(BrokerClocks { since_start, unix: unix_time });
    core.started_at(unix_time());
    core.seed_epochs(random_seed()?);
    Broker { control, poller, core, turns: Histogram::default(), is_ready: false }.serve()
}

struct Broker {
    control: Box<dyn Control<BrokerCommand>>,
    poller: Poller,
    core: BrokerCore,
    /// The time of each turn.
    turns: Histogram,
    is_ready: bool,
}

/// Result of applying the commands of the supervisor: continue with the turn, or exit.
enum BrokerLoop {
    Turn,
    End(ExitReason),
}

impl Broker {
    /// Runs turn after turn: first commands of the supervisor, then the work between workers.
    fn serve(&mut self) -> io::Result<ExitReason> {
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        loop {
            flush();
            ready.clear();
            self.poller.wait(self.core.wait_time(since_start()), &mut ready)?;
            if ready.iter().any(|event| event.token == CONTROL)
                && let BrokerLoop::End(end) = self.apply_commands()?
            {
                return Ok(end);
            }
            for event in ready.iter().filter(|event| event.token != CONTROL && event.readable) {
                if let Ok(worker) = u16::try_from(event.token) {
                    match event.ended {
                        true => self.core.mark_ended(WorkerId(worker)),
                        false => self.core.mark_unread(WorkerId(worker)),
                    }
                }
            }
            let Self { core, control, .. } = self;
            let started = now();
            let mut removals = TurnBudget::new(Duration::ZERO, BROKER_REMOVALS);
            let mut messages = TurnBudget::new(Duration::ZERO, BROKER_REMOVALS + BROKER_TURN);
            let budgets = TurnBudgets {
                messages: &mut |work| messages.is_spent_after(work, || started.elapsed()),
                removals: &mut || removals.is_spent_after(0, || started.elapsed()),
            };
            let report = &mut |report| send_report(control.as_mut(), report);
            core.run_turn(since_start(), report, budgets);
            let Self { core, poller, .. } = self;
            core.rewatch(&mut |worker, link, interest| {
                poller.rewatch(link, worker.0.into(), interest)
            })?;
            self.announce_readiness();
            self.turns.record_time(started.elapsed());
        }
    }

    fn apply_commands(&mut self) -> io::Result<BrokerLoop> {
        let mut messages = Vec::new();
        let peer = self.control.commands(&mut messages).unwrap_or_else(|error| {
            error!(event = "control_link_failed", %error, "control link failed");
            ControlPeer::Gone
        });
        for message in messages {
            match message.command {
                BrokerCommand::LiveWorkers { sources } => self.core.await_workers(sources),
                BrokerCommand::WorkerLink { source } => self.link(source, message.attachment)?,
                BrokerCommand::WorkerDead { source } => self.core.remove_worker(source),
                BrokerCommand::Stop => return Ok(BrokerLoop::End(ExitReason::Requested)),
                BrokerCommand::Common(command) => {
                    self.apply_common(command, &message.attachment)?;
                }
            }
        }
        Ok(if peer == ControlPeer::Gone {
            BrokerLoop::End(ExitReason::SupervisorLost)
        } else {
            BrokerLoop::Turn
        })
    }

    fn link(&mut self, source: WorkerIncarnation, attachment: Attachment) -> io::Result<()> {
        let Attachment::Link(transport) = attachment else { return Ok(()) };
        self.poller.watch(transport.ready(), source.worker.0.into(), Interest::Edge)?;
        self.core.link(source, transport);
        Ok(())
    }

    fn apply_common(&mut self, command: CommonCommand, attachment: &Attachment) -> io::Result<()> {
        match command {
            CommonCommand::Configure { number } => {
                if let Attachment::Config(json) = attachment {
                    let config = broker_config(json)?;
                    self.core.limit(limits(&config));
                    self.core.limit_scan(config.expression_scan);
                    self.core.limit_ids(config.ids_max);
                    self.core.limit_tenants(config.fair_share_work);
                    self.core.limit_away(config.away_bytes);
                    self.core.limit_history(config.history_bytes, config.histories);
                    self.core.limit_applications(config.connections);
                    self.core.share_with_hosts(config.cluster);
                }
                self.report(ChildEvent::Configured { number });
            }
            CommonCommand::Count { number, .. } => {
                let mut series = router::figures::series(self.core.router());
                series.record(HistogramFamily::EventLoopTurn, "broker", &self.turns);
                series.plain(SeriesFamily::LogLinesLost, lines_lost());
                let counts = ProcessCounts::Broker(router::figures::counts(self.core.router()));
                let report = Box::new(CountReport::of_process(counts, series));
                self.report(ChildEvent::Counts { number, report });
            }
            CommonCommand::LogLevel { level } => set_level(level),
            CommonCommand::Heartbeat => {
                self.core.forget_expired(unix_seconds());
                self.report(ChildEvent::Heartbeat);
            }
        }
        Ok(())
    }

    fn report(&mut self, report: ChildEvent) {
        send_report(self.control.as_mut(), report);
    }

    fn announce_readiness(&mut self) {
        if self.is_ready || !self.core.router().is_resolving() {
            return;
        }
        self.is_ready = true;
        info!(event = "broker_ready", clients = self.core.router().clients(), "broker ready");
        self.report(ChildEvent::Ready);
    }
}

fn send_report(control: &mut dyn Control<BrokerCommand>, report: ChildEvent) {
    if let Err(error) = control.report(report) {
        error!(event = "supervisor_send_failed", %error, "failed to send to supervisor");
    }
}

#[expect(clippy::disallowed_methods, reason = "the broker's shell reads the clock, here alone")]
fn now() -> Instant {
    Instant::now()
}

/// Returns a number that no other broker has.
fn random_seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(u64::from_le_bytes(bytes))
}

/// The time since the first call, by the same clock.
fn since_start() -> Duration {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    STARTED.get_or_init(now).elapsed()
}

fn broker_config(json: &str) -> io::Result<BrokerConfig> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    BrokerConfig::from_json(json).map_err(invalid)
}

fn limits(config: &BrokerConfig) -> MaxConnections {
    let BrokerConfig { max_clients, max_per_ip, over_hosts, .. } = *config;
    let [of_all_clients, of_all_per_ip] = over_hosts;
    let over_hosts = MaxOverHosts { max_clients: of_all_clients, max_per_ip: of_all_per_ip };
    MaxConnections { max_clients, max_per_ip, over_hosts }
}

//! The loop of the bridge: commands of the supervisor, the link to the broker, and the messages of NATS.

use std::io;
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::link::BridgeLink;
use super::notices::Notices;
use super::now;
use super::pings::BridgePings;
use super::queries::BridgeQueries;
use super::report::{add_series, report as cluster_report};
use super::revocations::BridgeRevocations;
use super::told_connections::ToldConnections;
use crate::carrier::{Carrier, CarrierEvent};
use crate::cluster::{BridgeCore, ClusterName, figures};
use crate::config::BridgeConfig;
use crate::link::control::{
    Attachment, BridgeCommand, ChildEvent, CommonCommand, Control, ControlMessage, ControlPeer,
    ExitReason,
};
use crate::reactor::poller::{Interest, Poller, Ready};
use crate::telemetry::{flush, lines_lost, set_level, unix_time};
use crate::types::limits::BRIDGE_END_WAIT;
use crate::types::{
    CountReport, Generation, Histogram, HistogramFamily, LabelledSeries, ProcessCounts,
    SeriesFamily, WorkerId, WorkerIncarnation, scrub_stack,
};

/// Token of the control link.
const CONTROL: u64 = 0;
/// Token of the link to the broker.
pub(super) const BROKER: u64 = 1;
/// Token of the carrier.
const CARRIER: u64 = 2;
/// Bytes of one read of the link.
const READ_BYTES: usize = 256 * 1024;
/// Capacity that an empty buffer of the link keeps.
pub(super) const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Messages of each connection to NATS, and of the link, in one turn.
pub(super) const TURN_MESSAGES: usize = 256;
/// While nothing may be sent, timers that only send something are not looked at more often.
const BLOCKED_WAIT: Duration = Duration::from_millis(10);
/// How long the last messages may take to be sent to NATS.
const LAST_MESSAGES_WAIT: Duration = Duration::from_millis(300);

/// The bridge process.
#[derive(Debug)]
pub(super) struct BridgeProcess {
    pub(super) source: WorkerIncarnation,
    pub(super) config: BridgeConfig,
    control: Box<dyn Control<BridgeCommand>>,
    pub(super) poller: Poller,
    carrier: Carrier,
    /// The rules. `None` until the broker has said what it keeps.
    pub(super) core: Option<BridgeCore>,
    pub(super) link: Option<BridgeLink>,
    pub(super) queries: BridgeQueries,
    pub(super) revocations: BridgeRevocations,
    pub(super) pings: BridgePings,
    /// What the broker knows of the connections of other hosts, and since when.
    pub(super) told: Option<ToldConnections>,
    pub(super) is_connected: bool,
    pub(super) notices: Notices,
    pub(super) scratch: Box<[u8]>,
    turns: Histogram,
    /// The shortest wait: nothing can be sent meanwhile.
    least_wait: Duration,
    /// When the process ends at the latest.
    end: Option<Instant>,
    /// Why it ends.
    reason: ExitReason,
}

impl BridgeProcess {
    /// Waits for the configuration, which is the first command. Returns `None` if the supervisor is gone.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left, or if the configuration is invalid.
    pub(super) fn start(
        generation: Generation,
        mut control: Box<dyn Control<BridgeCommand>>,
    ) -> io::Result<Option<Self>> {
        let mut poller = Poller::new(8)?;
        poller.watch(control.ready(), CONTROL, Interest::Read)?;
        let (mut commands, mut ready) = (Vec::new(), Vec::new());
        while commands.is_empty() {
            ready.clear();
            poller.wait(None, &mut ready)?;
            if control.commands(&mut commands)? == ControlPeer::Gone {
                return Ok(None);
            }
        }
        let first = commands.remove(0);
        let Attachment::Config(json) = first.attachment else { return Ok(None) };
        let config = read_config(&json)?;
        drop(json);
        scrub_stack();
        let name = name_of(&config)?;
        let host = config.host;
        let carrier = Carrier::start(name, host, config.cluster.nats.clone())?;
        poller.watch(&carrier, CARRIER, Interest::Read)?;
        let mut process = Self {
            source: WorkerIncarnation { worker: WorkerId::BRIDGE, generation },
            config,
            control,
            poller,
            carrier,
            core: None,
            link: None,
            queries: BridgeQueries::new(host),
            revocations: BridgeRevocations::default(),
            pings: BridgePings::default(),
            told: None,
            is_connected: false,
            notices: Notices::new(now()),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            turns: Histogram::default(),
            least_wait: Duration::ZERO,
            end: None,
            reason: ExitReason::Requested,
        };
        for command in commands {
            process.apply(command)?;
        }
        Ok(Some(process))
    }

    /// Runs until the process must exit.
    ///
    /// # Errors
    ///
    /// If it cannot continue.
    pub(super) fn run(mut self) -> io::Result<ExitReason> {
        let mut ready: Vec<Ready> = Vec::with_capacity(8);
        let mut wait = Duration::ZERO;
        loop {
            flush();
            ready.clear();
            self.poller.wait(Some(wait), &mut ready)?;
            let started = now();
            if let Some(core) = &mut self.core {
                let micros = u64::try_from(unix_time().as_micros());
                figures::set_time(core, micros.unwrap_or_default());
                self.notices.watch_hosts(core, started);
            }
            for event in &ready {
                match (event.token, &mut self.link) {
                    (CONTROL, _) => self.read_commands()?,
                    (BROKER, Some(link)) => link.mark_unread(),
                    _ => {}
                }
            }
            self.read_carrier(started);
            self.read_link(started);
            if let Some(core) = &mut self.core {
                core.tick(now());
            }
            self.exchange_revocations(started);
            let may_send = self.write_link()?;
            let is_free = may_send && self.send_messages();
            self.least_wait = if is_free { Duration::ZERO } else { BLOCKED_WAIT };
            if self.finish_if_due(started) {
                self.carrier.finish(LAST_MESSAGES_WAIT);
                return Ok(self.reason);
            }
            self.turns.record_time(started.elapsed());
            wait = self.wait_time();
        }
    }

    fn wait_time(&self) -> Duration {
        if self.link.as_ref().is_some_and(BridgeLink::is_busy) {
            return Duration::ZERO;
        }
        let now = now();
        let due = self.core.as_ref().map_or(now + BRIDGE_END_WAIT, |core| core.wake_at(now));
        let wait = due.saturating_duration_since(now).max(self.least_wait);
        match self.end {
            Some(_) => wait.min(BLOCKED_WAIT),
            None => wait,
        }
    }

    fn read_commands(&mut self) -> io::Result<()> {
        let mut commands = Vec::new();
        let peer = self.control.commands(&mut commands).unwrap_or_else(|error| {
            error!(event = "control_link_failed", %error, "control link failed");
            ControlPeer::Gone
        });
        commands.into_iter().try_for_each(|message| self.apply(message))?;
        if peer == ControlPeer::Gone && self.end.is_none() {
            info!(event = "supervisor_lost", "supervisor lost");
            self.end = Some(now() + BRIDGE_END_WAIT);
            self.reason = ExitReason::SupervisorLost;
        }
        Ok(())
    }

    fn apply(&mut self, message: ControlMessage<BridgeCommand>) -> io::Result<()> {
        match (message.command, message.attachment) {
            (BridgeCommand::Link { broker }, Attachment::Link(transport)) => {
                self.connect(broker, transport)
            }
            (BridgeCommand::Link { .. }, _) => Ok(()),
            (BridgeCommand::Revoke { number, entries }, _) => {
                let until = self.query_end();
                let core = self.core.as_mut();
                let told = self.revocations.revoke(core, number, entries, until);
                told.into_iter().for_each(|event| self.report(event));
                Ok(())
            }
            (BridgeCommand::Stored { token }, _) => {
                self.revocations.stored(self.core.as_mut(), token);
                Ok(())
            }
            (BridgeCommand::Ping { number, host }, _) => {
                let event = self.pings.ping(self.core.as_mut(), number, host.as_deref(), now());
                event.into_iter().for_each(|event| self.report(event));
                Ok(())
            }
            (BridgeCommand::Leave, _) => {
                self.end = Some(now() + BRIDGE_END_WAIT);
                Ok(())
            }
            (BridgeCommand::Common(command), attachment) => {
                self.apply_common(command, &attachment);
                Ok(())
            }
        }
    }

    /// Returns when a question of now is over.
    pub(super) fn query_end(&self) -> Instant {
        now() + self.config.cluster.query_timeout
    }

    fn apply_common(&mut self, command: CommonCommand, attachment: &Attachment) {
        match command {
            CommonCommand::Configure { number } => {
                let Attachment::Config(json) = attachment else { return };
                match read_config(json) {
                    Ok(config) => {
                        self.config.cluster.query_timeout = config.cluster.query_timeout;
                        self.config.cluster.max_clients = config.cluster.max_clients;
                        self.config.cluster.max_per_ip = config.cluster.max_per_ip;
                        // The broker has forgotten what no limit needed.
                        self.told = None;
                        if let Some(core) = &mut self.core {
                            figures::set_profile(core, config.profile.clone(), now());
                        }
                        self.config.profile = config.profile;
                        self.carrier.configure(config.cluster.nats.clone());
                        self.report(ChildEvent::Configured { number });
                    }
                    Err(error) => error!(
                        event = "config_apply_failed",
                        number = number.0,
                        %error,
                        "failed to apply the configuration"
                    ),
                }
            }
            CommonCommand::Count { number, .. } => {
                let mut series = LabelledSeries::default();
                series.record(HistogramFamily::EventLoopTurn, "bridge", &self.turns);
                series.plain(SeriesFamily::LogLinesLost, lines_lost());
                let overflows = self.carrier.overflows();
                let counts = self.notices.counts(self.core.as_ref(), overflows, now());
                add_series(&self.notices, self.core.as_ref(), &mut series);
                let counts = ProcessCounts::Bridge(counts);
                let mut report = Box::new(CountReport::of_process(counts, series));
                let core = self.core.as_ref();
                report.cluster = Some(cluster_report(&self.notices, &self.config, core, now()));
                self.report(ChildEvent::Counts { number, report });
            }
            CommonCommand::LogLevel { level } => set_level(level),
            CommonCommand::Heartbeat => self.report(ChildEvent::Heartbeat),
        }
    }

    /// Applies what has happened to the connections, and messages that have arrived.
    fn read_carrier(&mut self, now: Instant) {
        for event in self.carrier.take_events() {
            self.notices.on_carrier(&event, now);
            match (event, &mut self.core) {
                (CarrierEvent::Connected { .. }, core) => {
                    self.is_connected = true;
                    core.iter_mut().for_each(|core| core.connected(now));
                }
                (CarrierEvent::Lost { .. }, core) => {
                    self.is_connected = false;
                    core.iter_mut().for_each(BridgeCore::disconnected);
                }
                (CarrierEvent::Fault(_) | CarrierEvent::SlowConsumer, _) => {}
            }
        }
        let messages = self.carrier.take_messages(TURN_MESSAGES);
        let Some(core) = &mut self.core else { return };
        for message in messages {
            self.notices.counts.messages_in += 1;
            self.notices.counts.bytes_in += message.bytes.len() as u64;
            if let Err(error) = core.receive(&message.subject, &message.bytes, now) {
                self.notices.on_invalid(error, &message.subject, now);
            }
        }
    }

    /// Sends messages while the carrier has room. Returns whether it has.
    fn send_messages(&mut self) -> bool {
        let Some(core) = &mut self.core else { return true };
        while self.carrier.has_room() {
            let Some(message) = core.next_message(now()) else { return true };
            self.notices.counts.messages_out += 1;
            self.notices.counts.bytes_out += message.bytes.len() as u64;
            self.carrier.send(message);
        }
        false
    }

    /// Returns whether the process ends now: what was forwarded is with the NATS server, or there is no time left.
    fn finish_if_due(&mut self, now: Instant) -> bool {
        let Some(until) = self.end else { return false };
        let is_idle = self.core.as_ref().is_none_or(BridgeCore::is_idle);
        if self.is_connected && !is_idle && now < until {
            return false;
        }
        if let Some(core) = &mut self.core {
            core.stop(now);
        }
        self.send_messages();
        true
    }

    pub(super) fn report(&mut self, event: ChildEvent) {
        if let Err(error) = self.control.report(event) {
            error!(event = "supervisor_send_failed", %error, "failed to send to supervisor");
        }
    }
}

pub(super) fn name_of(config: &BridgeConfig) -> io::Result<ClusterName> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "an invalid name of the cluster");
    ClusterName::parse(&config.cluster.name).ok_or_else(invalid)
}

fn read_config(json: &str) -> io::Result<BridgeConfig> {
    BridgeConfig::from_json(json).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

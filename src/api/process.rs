//! The loop of the API process: commands of the supervisor, and the link to the broker.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info};

use super::accept::Acceptor;
use super::config::ApiConfig;
use super::operators;
use super::publisher::BrokerLinkLost;
use super::replay_file::ReplayFile;
use super::state::{ApiState, ServingStage, unix_seconds};
use super::traces;
use crate::config::Config;
use crate::link::control::{
    ApiCommand, Attachment, ChildEvent, CommonCommand, Control, ControlMessage, ControlPeer,
    ExitReason,
};
use crate::reactor::async_waiter::AsyncWaiter;
use crate::telemetry::{flush, set_level};
use crate::types::limits::{ORPHAN_WAIT, TRACE_FLUSH_TIMEOUT};
use crate::types::{Generation, ReplayBasis, WorkerId, WorkerIncarnation, scrub_stack};

/// Interval at which an exiting process checks for pending requests.
const END_PAUSE: Duration = Duration::from_millis(5);

/// The API process.
#[derive(Debug)]
pub(super) struct ApiProcess {
    control: Box<dyn Control<ApiCommand>>,
    commanded: AsyncWaiter,
    state: Rc<ApiState>,
    replay_file: ReplayFile,
    acceptor: Acceptor,
    link: Option<AsyncWaiter>,
    stage: EndStage,
    end: EndCause,
    /// Commands that arrived together with the configuration.
    first: Vec<ControlMessage<ApiCommand>>,
}

/// Why the process exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndCause {
    Unknown,
    /// The whole server ends in an orderly way.
    Shutdown,
    /// The supervisor exited before it asked this process to exit.
    SupervisorLost,
}

/// The state of the exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndStage {
    Serving,
    /// Pending requests are finished, and then the supervisor is notified.
    Quiescing,
    /// The supervisor was notified.
    Quiet,
    /// The process exits when no request is pending and all spans are sent.
    Leaving {
        /// It exits at this time at the latest.
        until: Instant,
        /// Spans are not awaited after this time.
        spans_until: Instant,
    },
}

impl ApiProcess {
    /// Waits for the configuration, which is the first command. Returns `None` if the supervisor is
    /// gone.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left, or if the configuration is invalid.
    pub(super) async fn start(
        generation: Generation,
        mut control: Box<dyn Control<ApiCommand>>,
    ) -> io::Result<Option<Self>> {
        let commanded = AsyncWaiter::new(control.ready())?;
        let mut commands = Vec::new();
        loop {
            if control.commands(&mut commands)? == ControlPeer::Gone {
                return Ok(None);
            }
            if !commands.is_empty() {
                break;
            }
            commanded.changed().await?;
        }
        let first = commands.split_off(1);
        let Some(Attachment::Config(json)) = commands.pop().map(|message| message.attachment)
        else {
            return Ok(None);
        };
        let config = read_config(&json)?;
        drop(json);
        scrub_stack();
        let source = WorkerIncarnation { worker: WorkerId::API, generation };
        let (replay_file, records) = ReplayFile::open(&config.state_folder);
        let state = Rc::new(ApiState::new(source, config));
        state.publisher.learn(&records);
        let (acceptor, stage) = (Acceptor::default(), EndStage::Serving);
        let link = None;
        Ok(Some(Self {
            control,
            commanded,
            state,
            replay_file,
            acceptor,
            link,
            stage,
            end: EndCause::Unknown,
            first,
        }))
    }

    /// Runs until the process must exit.
    ///
    /// # Errors
    ///
    /// If it cannot continue.
    pub(super) async fn run(mut self) -> io::Result<ExitReason> {
        let first = std::mem::take(&mut self.first);
        self.apply_all(first)?;
        // They end with the process.
        let _sampling = spawn_local(operators::sample(Rc::clone(&self.state)));
        let _exporting = spawn_local(traces::export(Rc::clone(&self.state)));
        loop {
            self.begin_accepting();
            flush();
            let (link, state) = (self.link.as_ref(), &self.state);
            let woken = tokio::select! {
                changed = self.commanded.changed() => changed.map(|()| Woken::Commands)?,
                changed = changed(link) => changed.map(|()| Woken::Link)?,
                () = state.publisher.wants_to_write() => Woken::Publication,
                () = state.metrics.wanted() => Woken::Metrics,
                () = looks_at_end(self.stage) => Woken::End,
            };
            match woken {
                Woken::Commands => self.read_commands()?,
                Woken::Link => self.read_link(),
                Woken::Publication => {
                    let charges = self.state.rate_limits.take_charges();
                    self.state.publisher.report_charges(charges);
                    self.state.publisher.write();
                }
                Woken::Metrics => {
                    let detail = self.state.metrics.take_detail();
                    self.report(ChildEvent::MetricsWanted { detail });
                }
                Woken::End => {}
            }
            if let Some(exit) = self.finish_stage() {
                self.state.log_last_wrong_credentials();
                self.state.traces.log_unsent();
                self.leave_records();
                return Ok(exit);
            }
        }
    }

    fn read_commands(&mut self) -> io::Result<()> {
        let mut commands = Vec::new();
        let peer = self.control.commands(&mut commands).unwrap_or_else(|error| {
            error!(event = "control_link_failed", %error, "control link failed");
            ControlPeer::Gone
        });
        self.apply_all(commands)?;
        if peer == ControlPeer::Gone && !matches!(self.stage, EndStage::Leaving { .. }) {
            info!(event = "supervisor_lost", "supervisor lost");
            self.end = EndCause::SupervisorLost;
            self.leave(ORPHAN_WAIT);
        }
        Ok(())
    }

    fn apply_all(&mut self, commands: Vec<ControlMessage<ApiCommand>>) -> io::Result<()> {
        commands.into_iter().try_for_each(|message| self.apply(message))
    }

    fn apply(&mut self, message: ControlMessage<ApiCommand>) -> io::Result<()> {
        match (message.command, message.attachment) {
            (ApiCommand::Handover, Attachment::Sockets(sockets)) => sockets
                .into_iter()
                .try_for_each(|socket| self.acceptor.take_handovers(&self.state, socket)),
            (ApiCommand::Listen { sockets: kinds }, Attachment::Sockets(sockets)) => sockets
                .into_iter()
                .zip(kinds)
                .try_for_each(|(socket, kind)| self.acceptor.accept(&self.state, socket, kind)),
            (ApiCommand::Link { broker }, Attachment::Link(transport)) => {
                self.link = Some(self.state.publisher.connect(broker, transport)?);
                self.state.health.linked();
                Ok(())
            }
            (ApiCommand::Quiesce, _) => {
                self.end = EndCause::Shutdown;
                self.state.move_on(ServingStage::Draining);
                if self.stage == EndStage::Serving {
                    self.stage = EndStage::Quiescing;
                }
                Ok(())
            }
            (ApiCommand::Drain { within }, _) => {
                self.leave(within);
                Ok(())
            }
            (ApiCommand::Pressure(pressure), _) => {
                self.state.pressure.set(pressure);
                Ok(())
            }
            (ApiCommand::Readiness(readiness), _) => {
                self.state.health.told(readiness);
                Ok(())
            }
            (ApiCommand::Metrics(snapshot), _) => {
                self.state.metrics.received(*snapshot);
                Ok(())
            }
            (ApiCommand::Common(command), attachment) => {
                self.apply_common(command, &attachment);
                Ok(())
            }
            (ApiCommand::Handover | ApiCommand::Listen { .. } | ApiCommand::Link { .. }, _) => {
                Ok(())
            }
        }
    }

    fn apply_common(&mut self, command: CommonCommand, attachment: &Attachment) {
        match (command, attachment) {
            (CommonCommand::Configure { number }, Attachment::Config(json)) => {
                match read_config(json) {
                    Ok(config) => {
                        self.state.configure(config);
                        scrub_stack();
                        info!(event = "config_applied", number = number.0, "configuration applied");
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
            (CommonCommand::Configure { .. }, _) => {}
            (CommonCommand::Count { number, detail }, _) => {
                let report = Box::new(self.state.report(detail));
                self.report(ChildEvent::Counts { number, report });
            }
            (CommonCommand::LogLevel { level }, _) => set_level(level),
            (CommonCommand::Heartbeat, _) => {
                self.state.log_wrong_credentials();
                self.state.log_evicted_ids();
                self.state.publisher.forget_expired(unix_seconds());
                self.report(ChildEvent::Heartbeat);
            }
        }
    }

    fn leave(&mut self, within: Duration) {
        self.acceptor.stop_accepting();
        self.state.move_on(ServingStage::Leaving);
        self.state.traces.flush();
        let now = Instant::now();
        let spans_until = now + within.min(TRACE_FLUSH_TIMEOUT);
        self.stage = EndStage::Leaving { until: now + within, spans_until };
    }

    fn read_link(&mut self) {
        let lost = self.state.publisher.read();
        if self.state.publisher.take_missed() {
            // A second is counted upwards, as at a start.
            let (window, now) = (self.state.config().signatures, unix_seconds());
            self.state.publisher.miss_nonces(window, now + 1);
        }
        self.state.rate_limits.share(self.state.publisher.live_hosts(), &self.state.config());
        for charge in self.state.publisher.take_charges() {
            self.state.rate_limits.charge_of_others(&charge);
        }
        if let Some(BrokerLinkLost { broker }) = lost {
            self.link = None;
            self.state.health.unlinked();
            let peer = self.state.publisher.source();
            self.report(ChildEvent::LinkLost { peer, broker });
        }
    }

    /// Accepts requests once the records of earlier processes are known. Only if the broker does not know
    /// them either, and no server has left them, requests from before this moment are refused.
    fn begin_accepting(&mut self) {
        let Some(told) = self.state.publisher.take_told() else { return };
        if self.state.publisher.basis().is_some() {
            return;
        }
        let left = self.replay_file.remove();
        // Other hosts have accepted requests since that file was written.
        let left = left.filter(|_| self.state.config().query_timeout.is_none());
        let (window, now) = (self.state.config().signatures, unix_seconds());
        // A second is counted upwards: an earlier process may have served its first part.
        let fresh = ReplayBasis { since: now + 1, window: window.past };
        self.state.publisher.begin(told.or(left).unwrap_or(fresh), window, now);
        self.report(ChildEvent::Ready);
        info!(event = "api_ready", "API ready");
    }

    /// Leaves the records to the next server at an orderly end. Without the supervisor the next server may
    /// already run, and would find a file that is out of date.
    fn leave_records(&mut self) {
        let mut commands = Vec::new();
        let is_last = self.end == EndCause::Shutdown
            && matches!(self.control.commands(&mut commands), Ok(peer) if peer != ControlPeer::Gone);
        if is_last && self.state.publisher.basis().is_some() {
            self.replay_file.write(&self.state.publisher.records());
        }
    }

    /// Reports that no request is pending, or returns the reason for the exit.
    fn finish_stage(&mut self) -> Option<ExitReason> {
        match self.stage {
            EndStage::Quiescing if self.state.is_quiet() => {
                self.stage = EndStage::Quiet;
                self.report(ChildEvent::Quiesced);
                None
            }
            EndStage::Leaving { until, spans_until } => {
                let now = Instant::now();
                let is_quiet = self.state.is_quiet() && self.state.connections.open() == 0;
                let is_done = is_quiet && (spans_until <= now || self.state.traces.is_flushed());
                if !is_done && now < until {
                    return None;
                }
                Some(match self.end {
                    EndCause::SupervisorLost => ExitReason::SupervisorLost,
                    EndCause::Unknown | EndCause::Shutdown => ExitReason::Requested,
                })
            }
            _ => None,
        }
    }

    fn report(&mut self, event: ChildEvent) {
        if let Err(error) = self.control.report(event) {
            error!(event = "supervisor_send_failed", %error, "failed to send to supervisor");
        }
    }
}

/// The event that starts a turn of the loop.
enum Woken {
    Commands,
    Link,
    Publication,
    Metrics,
    End,
}

async fn changed(link: Option<&AsyncWaiter>) -> io::Result<()> {
    match link {
        Some(link) => link.changed().await,
        None => std::future::pending().await,
    }
}

async fn looks_at_end(stage: EndStage) {
    match stage {
        EndStage::Serving | EndStage::Quiet => std::future::pending().await,
        EndStage::Quiescing => sleep_until(Instant::now() + END_PAUSE).await,
        EndStage::Leaving { until, .. } => sleep_until(until.min(Instant::now() + END_PAUSE)).await,
    }
}

fn read_config(json: &str) -> io::Result<ApiConfig> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    ApiConfig::of(&Config::from_json(json).map_err(invalid)?)
}

//! `tagcast serve`: applies the decisions of `lifecycle` to processes.

mod admin;
mod children;
mod events;
mod log_level;
mod metrics;
mod overload;
mod pings;
mod reload;
mod revocations;
mod signals;

use std::io;
use std::time::Instant;

use tokio::sync::mpsc;

use self::admin::{StatusRequester, WaitingAdmins};
use self::children::{RunningChildren, log_exit};
use self::events::RecentEvents;
use self::log_level::{ActiveLogLevel, open_log};
use self::metrics::MetricsMemory;
use self::overload::MemoryMonitor;
use self::reload::PendingReload;
use self::revocations::Revocations;
pub(super) use self::revocations::WrittenRevocations;
use self::signals::{SignalRequest, Signals};
use super::api_sockets::ApiSockets;
use super::child::ProcessEvent;
use super::control_socket::ControlSocket;
use super::lifecycle::{Action, ChildId, ProcessTable};
use super::runtime::runtime;
use super::{
    Bootstrap, PassedSockets, StartError, keep_memory_private, notify, raise_descriptor_limit,
};
use crate::admin::ServerEventKind;
use crate::config;
use crate::config::Loaded;
use crate::link::control::{ChildEvent, ControlMessage};
use crate::telemetry::{LogFormat, LogLevel, Sink, unix_seconds};
use crate::types::ExitCause;

/// Maximum queued events and deaths. While the queue is full, the tasks of the children wait.
const EVENTS_MAX: usize = 1024;

/// Runs the server until a signal stops it. Takes over the log, the signals and the children of
/// this process. A reload reads `source` again, the sources of `loaded`.
///
/// # Errors
///
/// If the server cannot start. After the start it ends only by SIGTERM or SIGINT.
pub fn serve(loaded: Loaded, source: config::ConfigSources) -> Result<(), StartError> {
    let passed = PassedSockets::take()?;
    let runtime = runtime()?;
    let sink = open_log(&loaded.config.log)?;
    keep_memory_private();
    for warning in &loaded.warnings {
        tracing::warn!(event = "config_warning", %warning, "warning about the configuration");
    }
    let served = Bootstrap::from_config(loaded.config.clone(), passed).and_then(|prepared| {
        if let Err(error) = prepared.state.note(loaded.ini.as_deref()) {
            tracing::warn!(
                event = "lock_note_failed",
                %error,
                "failed to write the path of the configuration into the lock file"
            );
        }
        raise_descriptor_limit();
        let kept = runtime.block_on(Supervisor::run(prepared, loaded, source, sink.clone()));
        // A file that cannot be read completely, such as on a dead network drive, must not delay
        // the exit.
        runtime.shutdown_background();
        kept
    });
    sink.finish();
    served
}

/// All processes of one server.
#[derive(Debug)]
struct Supervisor {
    prepared: Bootstrap,
    /// Effective configuration and its values.
    loaded: Loaded,
    source: config::ConfigSources,
    reloading: PendingReload,
    requesters: WaitingAdmins,
    memory: MemoryMonitor,
    log_level: ActiveLogLevel,
    metrics: MetricsMemory,
    revocations: Revocations,
    events: RecentEvents,
    started_at: Instant,
    /// The same in seconds since 1970.
    started_unix: u64,
    processes: ProcessTable,
    children: RunningChildren,
}

impl Supervisor {
    async fn run(
        prepared: Bootstrap,
        loaded: Loaded,
        source: config::ConfigSources,
        sink: Sink,
    ) -> Result<(), StartError> {
        // Install the handlers before the first child starts, so that no signal is missed that
        // should stop the children.
        let mut signals =
            Signals::watch().map_err(|error| StartError::System { what: "the signals", error })?;
        let mut control = ControlSocket::open(&prepared.config.state_folder)
            .map_err(StartError::control_socket)?;
        let revocations = Revocations::open(&prepared.config)?;
        let (events, mut happened) = mpsc::channel(EVENTS_MAX);
        let processes = prepared.process_table();
        let log_level = ActiveLogLevel::new(prepared.config.log.level);
        let mut supervisor = Self {
            prepared,
            loaded,
            source,
            reloading: PendingReload::default(),
            requesters: WaitingAdmins::default(),
            memory: MemoryMonitor::default(),
            log_level,
            metrics: MetricsMemory::default(),
            revocations,
            events: RecentEvents::default(),
            started_at: now(),
            started_unix: unix_seconds(),
            processes,
            children: RunningChildren::new(events, sink),
        };
        let mut effects = Vec::new();
        let mut alive = Alive::new();
        let max_memory = supervisor.prepared.config.limits.max_memory;
        supervisor.memory.watch(max_memory, &supervisor.children);
        supervisor.processes.start(now(), &mut effects);
        while supervisor.apply_actions(&mut effects) {
            let wake = supervisor.wakes_at();
            tokio::select! {
                Some(event) = happened.recv() => supervisor.on_event(event, &mut effects),
                request = signals.next() => match request {
                    SignalRequest::End(name) => supervisor.begin_shutdown(name, &mut effects),
                    SignalRequest::Reload => supervisor.request_reload(None),
                },
                Some(request) = control.next() => supervisor.on_admin_request(request, &mut effects),
                () = alive.next() => notify::alive(),
                () = sleep_until(wake) => supervisor.processes.proceed(now(), &mut effects),
            }
            supervisor.answer_status();
            supervisor.requesters.pings.check();
            supervisor.check_reload();
            supervisor.revocations.check(&supervisor.children);
            supervisor.expire_secrets();
            let changed = supervisor.memory.check(&supervisor.children);
            supervisor.events.note_pressure(changed);
            supervisor.log_level.restore(&supervisor.children);
        }
        supervisor.requesters.notify_stopped();
        control.finish().await;
        supervisor.children.drain_logs().await;
        tracing::info!(event = "server_stopped", "server stopped");
        Ok(())
    }

    /// Takes secrets away that have expired. It compares the wall clock in every turn, and liveness
    /// makes a turn every quarter of a second, so a clock that is set has its effect too.
    fn expire_secrets(&mut self) {
        let Some(number) = self.prepared.expire(unix_seconds()) else { return };
        for child in self.children.members() {
            let json = self.prepared.json_for(child);
            self.children.send_message(child, ControlMessage::configure(number, json));
        }
    }

    fn wakes_at(&self) -> Option<Instant> {
        let moments = [
            self.processes.wakes_at(),
            self.requesters.wakes_at(),
            self.reloading.wakes_at(),
            self.revocations.wakes_at(),
            self.memory.wakes_at(),
            self.log_level.wakes_at(),
        ];
        moments.into_iter().flatten().min()
    }

    fn begin_shutdown(&mut self, by: &str, effects: &mut Vec<Action>) {
        tracing::info!(event = "shutdown_requested", by, "shutdown requested");
        self.events.note(ServerEventKind::Drain, format!("shutdown requested by {by}"));
        notify::stopping(self.prepared.config.limits.drain_time);
        self.requesters.notify_shutdown();
        self.prepared.close_listeners();
        self.processes.request_shutdown(now(), effects);
    }

    fn on_event(&mut self, event: ProcessEvent, effects: &mut Vec<Action>) {
        match event {
            ProcessEvent::Reported(child, ChildEvent::Counts { number, report }) => {
                self.requesters.counted(child, number, report.counts);
                self.metrics.counted(child, *report);
            }
            ProcessEvent::Reported(child, ChildEvent::MetricsWanted { detail }) => {
                self.request_status(StatusRequester::Api(child), detail);
            }
            ProcessEvent::Reported(child, ChildEvent::Configured { number }) => {
                self.reloading.confirmed(child, number);
            }
            ProcessEvent::Reported(child, ChildEvent::Revoked { number }) => {
                self.revocations.confirmed(child, number);
            }
            ProcessEvent::Reported(
                child,
                ChildEvent::RevokedElsewhere { number, asked, answered },
            ) => self.revocations.confirmed_elsewhere(child, number, asked, answered),
            ProcessEvent::Reported(_, ChildEvent::RevokedByHosts { token, entries }) => {
                self.revocations.take_of_hosts(token, entries, &self.children);
            }
            ProcessEvent::Reported(_, ChildEvent::Pinged { number, hosts }) => {
                self.requesters.pings.pinged(number, hosts);
            }
            ProcessEvent::Reported(child, ChildEvent::Reusable { bytes }) => {
                self.memory.reusable(child, bytes);
            }
            ProcessEvent::Reported(child, ChildEvent::Grown) => self.memory.check_soon(child),
            ProcessEvent::Reported(child, report) => {
                self.processes.reported(child, report, now(), effects);
            }
            ProcessEvent::Died(child, death) => {
                self.metrics.ended(child, &death);
                self.children.remove(child);
                self.requesters.counts_no_more(child);
                self.reloading.confirms_no_more(child);
                self.revocations.confirms_no_more(child);
                log_exit(child, &death);
                self.events.note(ServerEventKind::ProcessExit, format!("{child}: {death}"));
                self.processes.died(child, now(), effects);
            }
            ProcessEvent::Reread(read) => self.reread(*read),
            ProcessEvent::RevocationsWritten(written) => {
                self.revocations.on_written(written, &self.children);
            }
        }
    }

    /// Executes the pending actions. Returns true while the server continues to run.
    fn apply_actions(&mut self, effects: &mut Vec<Action>) -> bool {
        let mut goes_on = true;
        // An action that fails adds further actions, so this is a queue and not a loop over a list.
        while !effects.is_empty() {
            for effect in std::mem::take(effects) {
                match effect {
                    Action::Start(child) => self.start(child),
                    Action::Link { source, broker } => self.children.link(source, broker),
                    Action::Send(child, command) => self.children.send(child, command),
                    Action::Hangs(child) => {
                        self.metrics.killed(child, Some(ExitCause::Hung));
                        tracing::error!(
                            event = "child_unresponsive",
                            role = %child,
                            "child unresponsive, killing it"
                        );
                    }
                    Action::Unlinked(child) => {
                        self.metrics.killed(child, Some(ExitCause::LinkLost));
                        tracing::error!(
                            event = "child_unlinked",
                            role = %child,
                            "child lost its link to the broker, killing it"
                        );
                    }
                    Action::Kill(child) => {
                        self.metrics.killed(child, None);
                        self.children.kill(child);
                    }
                    Action::Wait { child, pause } => tracing::error!(
                        event = "child_restart_delayed",
                        role = %child,
                        backoff_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                        "child keeps crashing, restart delayed"
                    ),
                    Action::Announce => self.announce(),
                    Action::Restarting { old, successor } => {
                        tracing::info!(
                            event = "worker_replaced",
                            worker = old.worker.0,
                            successor = successor.0,
                            "replacing worker"
                        );
                        let text = format!("worker {} is replaced", old.worker);
                        self.events.note(ServerEventKind::WorkerReplaced, text);
                        self.requesters.notify_restart(old, successor);
                    }
                    Action::Restarted => {
                        tracing::info!(event = "rolling_restart_done", "all workers were replaced");
                        self.requesters.notify_restarted();
                    }
                    Action::Late => tracing::warn!(
                        event = "drain_timed_out",
                        "drain timed out, killing the remaining processes"
                    ),
                    Action::End => goes_on = false,
                }
            }
        }
        goes_on
    }

    fn start(&mut self, child: ChildId) {
        if let Err(error) = self.try_start(child) {
            self.children.report_not_started(child, error);
        }
    }

    fn try_start(&mut self, child: ChildId) -> io::Result<()> {
        let arguments = arguments(child, self.log_level.level(), self.prepared.config.log.format);
        let sockets = self.prepared.sockets_for(child)?;
        self.children.start(child, &arguments)?;
        let configure =
            ControlMessage::configure(self.prepared.number, self.prepared.json_for(child));
        self.children.send_message(child, configure);
        // Before a worker accepts a connection.
        self.revocations.greet(child, &self.children);
        for message in sockets {
            self.children.send_message(child, message);
        }
        self.memory.greet(child, &self.children);
        Ok(())
    }

    fn announce(&mut self) {
        self.events.note(ServerEventKind::Ready, "server ready");
        for url in self.prepared.listeners.urls() {
            tracing::info!(event = "listening", "listening on {url}");
        }
        for url in self.prepared.api.iter().flat_map(ApiSockets::urls) {
            tracing::info!(event = "api_listening", "API on {url}");
        }
        notify::ready();
    }
}

/// Returns the arguments: `broker --generation 3 --log info --log-format text`. They contain no
/// secrets, because every user can read them.
fn arguments(child: ChildId, level: LogLevel, format: LogFormat) -> Vec<String> {
    let mut arguments = match child {
        ChildId::Broker(_) => vec!["broker".to_owned()],
        ChildId::Api(_) => vec!["api".to_owned()],
        ChildId::Bridge(_) => vec!["bridge".to_owned()],
        ChildId::Worker(source) => vec!["worker".to_owned(), source.worker.to_string()],
    };
    arguments.push("--generation".to_owned());
    arguments.push(child.generation().to_string());
    arguments.push("--log".to_owned());
    arguments.push(level.to_string());
    arguments.push("--log-format".to_owned());
    arguments.push(format.word().to_owned());
    arguments
}

/// The timer of systemd's watchdog, if it is enabled.
#[derive(Debug)]
struct Alive(Option<tokio::time::Interval>);

impl Alive {
    fn new() -> Self {
        Self(notify::alive_every().map(tokio::time::interval))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the process table takes its time from here")]
fn now() -> Instant {
    Instant::now()
}

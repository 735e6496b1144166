//! Applies the decisions of `lifecycle` to threads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::metrics::{ServerState, ThreadMetrics};
use crate::api;
use crate::bridge;
use crate::broker;
use crate::link::control::{
    ApiCommand, Attachment, BrokerCommand, ChildCommand, ChildEvent, CommonCommand, ControlMessage,
    ControlPeer, ExitReason, MemorySupervisorEnd, SupervisorEnd, WorkerIdentity, link_command,
    memory_control,
};
use crate::link::transport::{Transport, memory_pair};
use crate::resource::ResourceFactories;
use crate::supervisor::Bootstrap;
use crate::supervisor::lifecycle::{Action, ChildId, ProcessTable};
use crate::telemetry::unix_seconds;
use crate::types::{Generation, WorkerIncarnation};
use crate::worker;

/// State of the supervising thread.
#[derive(Debug)]
pub(super) struct Threads {
    prepared: Bootstrap,
    own: ResourceFactories,
    processes: ProcessTable,
    roles: BTreeMap<ChildId, Running>,
    metrics: ThreadMetrics,
    started_at: u64,
    /// Reaches its end when a shutdown is requested. None after that.
    asked: Option<PipeReader>,
    effects: Vec<Action>,
}

#[derive(Debug)]
struct Running {
    end: MemorySupervisorEnd,
    thread: JoinHandle<ExitReason>,
}

impl Threads {
    pub(super) fn new(prepared: Bootstrap, own: ResourceFactories, asked: PipeReader) -> Self {
        let processes = prepared.process_table();
        let (roles, effects) = (BTreeMap::new(), Vec::new());
        let (metrics, started_at) = (ThreadMetrics::default(), unix_seconds());
        Self { prepared, own, processes, roles, metrics, started_at, asked: Some(asked), effects }
    }

    /// Runs until a stop is requested and all threads have exited.
    pub(super) fn run(mut self) {
        self.processes.start(now(), &mut self.effects);
        while self.apply_actions() {
            if self.wait_for_stop() {
                self.asked = None;
                self.processes.request_shutdown(now(), &mut self.effects);
            }
            self.receive_events();
            self.expire_secrets();
            self.processes.proceed(now(), &mut self.effects);
        }
    }

    /// Executes the pending actions. Returns true while the server continues to run.
    fn apply_actions(&mut self) -> bool {
        let mut is_running = true;
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Action::Start(child) => self.start(child),
                    Action::Link { source, broker } => self.link(source, broker),
                    Action::Send(child, command) => {
                        self.send(child, ControlMessage::plain(command));
                    }
                    Action::Hangs(child) => {
                        tracing::error!(
                            event = "thread_unresponsive",
                            role = %child,
                            "thread unresponsive, replacing it"
                        );
                    }
                    Action::Unlinked(child) => {
                        tracing::error!(
                            event = "thread_unlinked",
                            role = %child,
                            "thread lost its link to the broker, replacing it"
                        );
                    }
                    Action::Kill(child) => self.abandon(child),
                    Action::Wait { child, .. } => {
                        tracing::error!(
                            event = "thread_restart_delayed",
                            role = %child,
                            "thread keeps failing, restart delayed"
                        );
                    }
                    Action::Announce => tracing::info!(event = "server_ready", "server ready"),
                    Action::Restarting { .. } | Action::Restarted => {}
                    Action::Late => tracing::warn!(
                        event = "drain_timed_out",
                        "drain timed out, closing the remaining connections"
                    ),
                    Action::End => is_running = false,
                }
            }
        }
        is_running
    }

    fn start(&mut self, child: ChildId) {
        match self.try_start(child) {
            Ok(running) => {
                self.roles.insert(child, running);
            }
            Err(error) => {
                tracing::error!(
                    event = "thread_start_failed",
                    role = %child,
                    %error,
                    "failed to start thread"
                );
                self.processes.died(child, now(), &mut self.effects);
            }
        }
    }

    fn try_start(&self, child: ChildId) -> io::Result<Running> {
        let builder = thread::Builder::new().name(child.to_string());
        let configure =
            ControlMessage::configure(self.prepared.number, self.prepared.json_for(child));
        match child {
            ChildId::Api(generation) => {
                let (mut end, control) = memory_control()?;
                end.send(configure)?;
                for message in self.prepared.sockets_for(child)? {
                    end.send(message)?;
                }
                let run = move || api::run(generation, Box::new(control));
                Ok(Running { end, thread: builder.spawn(run)? })
            }
            ChildId::Bridge(generation) => {
                let (mut end, control) = memory_control()?;
                end.send(configure)?;
                let run = move || bridge::run(generation, Box::new(control));
                Ok(Running { end, thread: builder.spawn(run)? })
            }
            ChildId::Broker(generation) => {
                let (mut end, control) = memory_control()?;
                end.send(configure)?;
                let run = move || broker::run(generation, Box::new(control));
                Ok(Running { end, thread: builder.spawn(run)? })
            }
            ChildId::Worker(source) => {
                let (mut end, control) = memory_control()?;
                end.send(configure)?;
                for message in self.prepared.sockets_for(child)? {
                    end.send(message)?;
                }
                let own = self.own.clone();
                let seat = WorkerIdentity { source };
                let run = move || worker::run(seat, Box::new(control), &own);
                Ok(Running { end, thread: builder.spawn(run)? })
            }
        }
    }

    /// Takes secrets away that have expired; see the supervisor of processes.
    fn expire_secrets(&mut self) {
        let Some(number) = self.prepared.expire(unix_seconds()) else { return };
        for child in self.roles.keys().copied().collect::<Vec<_>>() {
            let json = self.prepared.json_for(child);
            self.send(child, ControlMessage::configure(number, json));
        }
    }

    fn link(&mut self, source: WorkerIncarnation, broker: Generation) {
        let (worker_side, broker_side): (Box<dyn Transport>, Box<dyn Transport>) =
            match memory_pair() {
                Ok((one, other)) => (Box::new(one), Box::new(other)),
                Err(error) => {
                    tracing::error!(event = "link_create_failed", %error, "failed to create link");
                    return self.abandon(ChildId::of(source));
                }
            };
        let end = Attachment::Link(broker_side);
        let message = ControlMessage::with(BrokerCommand::WorkerLink { source }, end);
        self.send(ChildId::Broker(broker), message);
        let end = Attachment::Link(worker_side);
        self.send(ChildId::of(source), link_command(source, broker, end));
    }

    /// Sends a command. The error for a thread that has exited is ignored, because its exit is
    /// handled separately.
    fn send(&mut self, child: ChildId, message: ControlMessage<ChildCommand>) {
        let Some(role) = self.roles.get_mut(&child) else { return };
        let hangs = |error: &io::Error| error.kind() != io::ErrorKind::BrokenPipe;
        if role.end.send(message).is_err_and(|error| hangs(&error)) {
            self.abandon(child);
        }
    }

    /// Abandons a thread, because a thread cannot be killed. It loses its supervisor, which makes
    /// it exit, and is no longer waited for.
    fn abandon(&mut self, child: ChildId) {
        if self.roles.remove(&child).is_some() {
            self.metrics.ended(child);
            tracing::error!(
                event = "thread_abandoned",
                role = %child,
                "thread did not stop, abandoning it"
            );
            self.processes.died(child, now(), &mut self.effects);
        }
    }

    /// Waits for the next event. Returns true if a shutdown is requested.
    fn wait_for_stop(&self) -> bool {
        let asked = self.asked.as_ref().map(AsFd::as_fd);
        let ends = self.roles.values().map(|role| role.end.ready());
        let ready: Vec<BorrowedFd<'_>> = ends.chain(asked).collect();
        let mut watched: Vec<_> = ready.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
        let pause = self.processes.wakes_at().map(|wake| wake.saturating_duration_since(now()));
        let pause = pause.and_then(|pause| Timespec::try_from(pause).ok());
        // An interrupted wait only causes another round of the loop.
        let _interrupted = poll(&mut watched, pause.as_ref());
        asked.is_some() && watched.last().is_some_and(|last| !last.revents().is_empty())
    }

    fn receive_events(&mut self) {
        let mut events_of_children: Vec<(ChildId, Vec<ChildEvent>, ControlPeer)> = Vec::new();
        for (child, role) in &mut self.roles {
            let mut reports = Vec::new();
            let peer = role.end.events(&mut reports).unwrap_or(ControlPeer::Gone);
            events_of_children.push((*child, reports, peer));
        }
        for (child, reports, peer) in events_of_children {
            for report in reports {
                self.on_event(child, report);
            }
            if peer == ControlPeer::Gone {
                self.remove_thread(child);
            }
        }
        self.answer_metrics();
    }

    fn on_event(&mut self, child: ChildId, event: ChildEvent) {
        match event {
            ChildEvent::MetricsWanted { detail } => {
                let threads: BTreeSet<ChildId> = self.roles.keys().copied().collect();
                let number = self.metrics.begin(child, detail, threads.clone());
                for thread in threads {
                    let count = CommonCommand::Count { number, detail };
                    self.send(thread, ControlMessage::plain(count));
                }
            }
            ChildEvent::Counts { number, report } => self.metrics.counted(child, number, *report),
            event => self.processes.reported(child, event, now(), &mut self.effects),
        }
    }

    /// Sends the figures to the API thread, once all threads have reported.
    fn answer_metrics(&mut self) {
        let server = ServerState {
            started_at: self.started_at,
            state: match (self.processes.is_ending(), self.processes.is_announced()) {
                (true, _) => "draining",
                (false, true) => "serving",
                (false, false) => "starting",
            },
            configuration: self.prepared.number.0,
        };
        if let Some((api, snapshot)) = self.metrics.take_complete(server) {
            self.send(api, ControlMessage::plain(ApiCommand::Metrics(Box::new(snapshot))));
        }
    }

    /// Removes a thread whose control link is closed: its role has returned or is about to return.
    fn remove_thread(&mut self, child: ChildId) {
        let Some(Running { end, thread }) = self.roles.remove(&child) else { return };
        drop(end);
        self.metrics.ended(child);
        match thread.join() {
            Ok(ExitReason::Requested | ExitReason::SupervisorLost) => {
                tracing::info!(event = "thread_exited", role = %child, "thread exited");
            }
            Ok(ExitReason::Failed(error)) => {
                tracing::error!(event = "thread_failed", role = %child, %error, "thread failed");
            }
            Err(_) => tracing::error!(event = "thread_panicked", role = %child, "thread panicked"),
        }
        self.processes.died(child, now(), &mut self.effects);
    }
}

#[expect(clippy::disallowed_methods, reason = "the process table takes its time from here")]
fn now() -> Instant {
    Instant::now()
}

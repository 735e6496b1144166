//! The running child processes: starts them, sends commands to them and kills them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::now;
use crate::link::control::{Attachment, BrokerCommand, ChildCommand, ControlMessage, link_command};
use crate::link::transport::unix_pair;
use crate::supervisor::child;
use crate::supervisor::child::{ChildHandle, Death, ProcessEvent};
use crate::supervisor::lifecycle::ChildId;
use crate::supervisor::log_reader::read_log;
use crate::telemetry::Sink;
use crate::types::{Generation, WorkerIncarnation};

/// Maximum wait for the last log lines of children that have exited.
const LAST_LINES_WAIT: Duration = Duration::from_millis(200);

/// The running child processes.
#[derive(Debug)]
pub(super) struct RunningChildren {
    handles: BTreeMap<ChildId, ChildHandle>,
    /// Sender of their events.
    events: mpsc::Sender<ProcessEvent>,
    /// Tasks that read their logs.
    logs: JoinSet<io::Result<()>>,
    sink: Sink,
}

impl RunningChildren {
    pub(super) fn new(events: mpsc::Sender<ProcessEvent>, sink: Sink) -> Self {
        Self { handles: BTreeMap::new(), events, logs: JoinSet::new(), sink }
    }

    /// Starts a child. Its death is reported as an event.
    pub(super) fn start(&mut self, child: ChildId, arguments: &[String]) -> io::Result<()> {
        let (handle, log) = child::start(child, now(), arguments, self.events.clone())?;
        self.logs.spawn(read_log(log, self.sink.clone()));
        while self.logs.try_join_next().is_some() {}
        self.handles.insert(child, handle);
        Ok(())
    }

    /// Reports the death of a child that could not be started.
    pub(super) fn report_not_started(&self, child: ChildId, error: io::Error) {
        let died = ProcessEvent::Died(child, Death::NotStarted(error));
        let events = self.events.clone();
        tokio::spawn(async move {
            let _sent = events.send(died).await;
        });
    }

    /// Removes a child that was reaped.
    pub(super) fn remove(&mut self, child: ChildId) {
        self.handles.remove(&child);
    }

    pub(super) fn members(&self) -> impl Iterator<Item = ChildId> {
        self.handles.keys().copied()
    }

    pub(super) fn get(&self, child: ChildId) -> Option<&ChildHandle> {
        self.handles.get(&child)
    }

    /// Returns the sender for events, which other tasks use for their results.
    pub(super) fn events(&self) -> mpsc::Sender<ProcessEvent> {
        self.events.clone()
    }

    /// Sends a command without an attachment.
    pub(super) fn send(&self, child: ChildId, command: impl Into<ChildCommand>) {
        self.send_message(child, ControlMessage::plain(command));
    }

    /// Sends a message. A missing child has died, and its death is reported separately.
    pub(super) fn send_message(
        &self,
        child: ChildId,
        message: ControlMessage<ChildCommand, OwnedFd>,
    ) {
        if let Some(handle) = self.handles.get(&child) {
            handle.send(message);
        }
    }

    /// Creates a link and sends one end to each of the two processes.
    pub(super) fn link(&self, source: WorkerIncarnation, broker: Generation) {
        let worker = ChildId::of(source);
        let (worker_side, broker_side) = match unix_pair() {
            Ok(ends) => ends,
            Err(error) => {
                tracing::error!(
                    event = "link_create_failed",
                    role = %worker,
                    %error,
                    "failed to create link"
                );
                return self.kill(worker);
            }
        };
        // The broker gets its end first, so that it knows the worker before any data arrives.
        let end = Attachment::Link(broker_side);
        let message = ControlMessage::with(BrokerCommand::WorkerLink { source }, end);
        self.send_message(ChildId::Broker(broker), message);
        let end = Attachment::Link(worker_side);
        self.send_message(worker, link_command(source, broker, end));
    }

    /// Kills a child.
    pub(super) fn kill(&self, child: ChildId) {
        if let Some(handle) = self.handles.get(&child) {
            tracing::warn!(event = "child_killed", role = %child, "child killed");
            handle.kill();
        }
    }

    /// Called after all children have exited. Their last lines may still be in the pipes.
    pub(super) async fn drain_logs(&mut self) {
        let all = async { while self.logs.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(LAST_LINES_WAIT, all).await;
    }
}

pub(super) fn log_exit(child: ChildId, death: &Death) {
    let generation = child.generation().0;
    match death {
        Death::Ended(status) if status.success() => {
            tracing::info!(event = "child_exited", role = %child, generation, "child exited");
        }
        _ => {
            tracing::error!(
                event = "child_died",
                role = %child,
                generation,
                how = %death,
                "child died"
            );
        }
    }
}

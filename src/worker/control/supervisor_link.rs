//! Worker's end of the control link.

use std::io;
use std::os::fd::AsFd;

use tracing::error;

use crate::link::control::{ChildEvent, Control, ControlMessage, ControlPeer, WorkerCommand};
use crate::types::limits::ORDERS_WAIT;
use crate::worker::clock::Moment;

/// Control link to the supervisor.
#[derive(Debug)]
pub(in crate::worker) struct SupervisorLink {
    control: Box<dyn Control<WorkerCommand>>,
    /// Latest time of the next read. The link is then read even if other events fill the poller's
    /// batch.
    due_at: Moment,
}

impl SupervisorLink {
    pub(in crate::worker) fn new(control: Box<dyn Control<WorkerCommand>>) -> Self {
        Self { control, due_at: Moment::START }
    }

    /// Returns true if the link must be read although it was not reported as ready.
    pub(in crate::worker) fn is_due(&self, now: Moment) -> bool {
        self.due_at <= now
    }

    /// Reads commands. Returns whether the supervisor still exists.
    pub(in crate::worker) fn recv(
        &mut self,
        commands: &mut Vec<ControlMessage<WorkerCommand>>,
        now: Moment,
    ) -> ControlPeer {
        self.due_at = now.after(ORDERS_WAIT);
        self.control.commands(commands).unwrap_or_else(|error| {
            error!(event = "control_link_failed", %error, "control link failed");
            ControlPeer::Gone
        })
    }

    /// Sends an event to the supervisor. Logs a failure.
    pub(in crate::worker) fn report(&mut self, event: ChildEvent) {
        if let Err(error) = self.try_report(event) {
            error!(event = "supervisor_send_failed", %error, "failed to send to supervisor");
        }
    }

    /// Sends an event to the supervisor. Returns the error if the supervisor may be gone.
    pub(in crate::worker) fn try_report(&mut self, event: ChildEvent) -> io::Result<()> {
        self.control.report(event)
    }

    /// Returns the descriptor to watch.
    pub(in crate::worker) fn ready(&self) -> impl AsFd + '_ {
        self.control.ready()
    }
}

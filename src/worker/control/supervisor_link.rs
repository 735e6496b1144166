//! The worker's end of the link to its supervisor.

use std::io;
use std::os::fd::AsFd;

use tracing::error;

use crate::link::control::{ChildEvent, Control, ControlMessage, ControlPeer, WorkerCommand};
use crate::types::limits::ORDERS_WAIT;
use crate::worker::clock::Moment;

/// The link to the supervisor.
#[derive(Debug)]
pub(in crate::worker) struct SupervisorLink {
    control: Box<dyn Control<WorkerCommand>>,
    /// When it is read at the latest, though other events crowd it out of a wait.
    due_at: Moment,
}

impl SupervisorLink {
    pub(in crate::worker) fn new(control: Box<dyn Control<WorkerCommand>>) -> Self {
        Self { control, due_at: Moment::START }
    }

    /// Whether it is to be read although nothing was reported about it.
    pub(in crate::worker) fn is_due(&self, now: Moment) -> bool {
        self.due_at <= now
    }

    /// Reads the commands that have come, and whether the supervisor is still there.
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

    /// Reports something to the supervisor.
    pub(in crate::worker) fn report(&mut self, event: ChildEvent) {
        if let Err(error) = self.try_report(event) {
            error!(event = "supervisor_send_failed", %error, "failed to send to supervisor");
        }
    }

    /// The same; for a report after which the supervisor may be gone.
    pub(in crate::worker) fn try_report(&mut self, event: ChildEvent) -> io::Result<()> {
        self.control.report(event)
    }

    /// What to wait on.
    pub(in crate::worker) fn ready(&self) -> impl AsFd + '_ {
        self.control.ready()
    }
}

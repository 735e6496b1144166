//! The control link: commands of the supervisor to its children, and their events, over a Unix socket or in
//! memory.
//!
//! A new command needs a variant in the enum of its role, code that sends it and code that handles it.

mod api_command;
mod bridge_command;
mod broker_command;
mod child_command;
mod child_event;
mod memory;
mod socket;
mod wire;
mod worker_command;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use crate::types::{Generation, WorkerId, WorkerIncarnation};

pub use api_command::{ApiCommand, ApiListener};
pub use bridge_command::{BridgeCommand, RevokedEntries};
pub use broker_command::BrokerCommand;
pub use child_command::{
    Attachment, AttachmentKind, ChildCommand, CommonCommand, ConfigText, ControlMessage,
    RoleCommand, WrongRole,
};
pub use child_event::ChildEvent;
pub use memory::{MemoryControl, MemorySupervisorEnd, memory_control};
pub use socket::{SocketControl, SocketSupervisorEnd, Terminator, control_pair};
pub use wire::{CONTROL_MESSAGE_BYTES_MAX, DESCRIPTORS_MAX};
pub use worker_command::{Accepting, PendingHandshakes, WorkerCommand, WorkerRole};

/// Environment variable with the name by which the supervisor was started. The start page shows this name.
pub const PROGRAM_VARIABLE: &str = "TAGCAST_PROGRAM";

/// Data that a worker has at its start. It receives everything else as commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// The worker's number and generation.
    pub source: WorkerIncarnation,
}

/// Returns the command that gives a worker, the API process or the bridge its end of a link.
pub fn link_command<L>(
    source: WorkerIncarnation,
    broker: Generation,
    end: Attachment<L>,
) -> ControlMessage<ChildCommand, L> {
    match source.worker {
        WorkerId::API => ControlMessage::with(ApiCommand::Link { broker }, end),
        WorkerId::BRIDGE => ControlMessage::with(BridgeCommand::Link { broker }, end),
        _ => ControlMessage::with(WorkerCommand::Link { broker }, end),
    }
}

/// Reason why a role returned.
#[derive(Debug)]
pub enum ExitReason {
    /// The role completed a command to exit ([`WorkerCommand::Drain`], [`BrokerCommand::Stop`]).
    Requested,
    /// The supervisor is gone. A worker has closed its clients with a status that says so.
    SupervisorLost,
    /// The role cannot continue. The supervisor starts a replacement.
    Failed(io::Error),
}

/// State of the other end of a control link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPeer {
    /// The other end is open.
    Alive,
    /// The other end is closed for good. A child closes its clients with 1001 and returns.
    Gone,
}

/// A child's end of its control link. `C` is the type of the commands of its role.
pub trait Control<C>: Send + fmt::Debug {
    /// Appends all commands that have arrived. Never blocks.
    ///
    /// # Errors
    /// If the link failed or carried anything that a supervisor does not send. The link is then closed, as
    /// with [`ControlPeer::Gone`].
    fn commands(&mut self, into: &mut Vec<ControlMessage<C>>) -> io::Result<ControlPeer>;

    /// Sends an event to the supervisor. Bytes that the link does not take at once are sent by the next call
    /// of this function or of [`Control::commands`].
    ///
    /// # Errors
    ///
    /// If the supervisor is gone, or has left too many events unread.
    fn report(&mut self, event: ChildEvent) -> io::Result<()>;

    /// Returns a descriptor that is readable when [`Control::commands`] has commands. It works with
    /// level-triggered and edge-triggered epoll.
    fn ready(&self) -> BorrowedFd<'_>;
}

/// The supervisor's end of a control link.
pub trait SupervisorEnd: Send + fmt::Debug {
    /// The form in which this side passes on one end of a link.
    type LinkEnd;

    /// Sends a command; commands arrive in order. Never blocks: bytes that the child does not take yet are
    /// kept.
    ///
    /// # Errors
    ///
    /// If the child is gone, or has left too many commands unread, which means that it hangs.
    fn send(&mut self, message: ControlMessage<ChildCommand, Self::LinkEnd>) -> io::Result<()>;

    /// Sends the bytes that were kept.
    ///
    /// # Errors
    ///
    /// If the child is gone.
    fn flush(&mut self) -> io::Result<()>;

    /// Appends the events that have arrived. Never blocks.
    ///
    /// # Errors
    ///
    /// If the link failed or carried anything that a child does not send. The link is then closed.
    fn events(&mut self, into: &mut Vec<ChildEvent>) -> io::Result<ControlPeer>;
}

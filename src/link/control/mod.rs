//! What the supervisor orders its children, and what they report: over a Unix socket, or in memory.
//!
//! A new command is a variant in the enum of its role, what sends it and what receives it.

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

use crate::types::WorkerIncarnation;

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

/// The variable by which a worker knows how its supervisor was started: the page names the program so.
pub const PROGRAM_VARIABLE: &str = "TAGCAST_PROGRAM";

/// What a worker has when it begins; everything else comes as a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// Which worker it is, and which process in that place.
    pub source: WorkerIncarnation,
}

/// Why a role returned.
#[derive(Debug)]
pub enum ExitReason {
    /// It was ordered to ([`WorkerCommand::Drain`], [`BrokerCommand::Stop`]), and did.
    Requested,
    /// Its supervisor is gone; its clients were told so.
    SupervisorLost,
    /// It cannot go on; the supervisor starts another one.
    Failed(io::Error),
}

/// Whether the other end of a control link is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPeer {
    /// It is.
    Alive,
    /// It is not, and will not come back: a child closes with 1001 and returns.
    Gone,
}

/// A child's end of its control link. `C` are the commands of its role.
pub trait Control<C>: Send + fmt::Debug {
    /// Adds the commands that have arrived. Never waits, and leaves nothing that has arrived.
    ///
    /// # Errors
    ///
    /// When the link broke or carried what no supervisor sends. The link is at an end then, as
    /// with [`ControlPeer::Gone`].
    fn commands(&mut self, into: &mut Vec<ControlMessage<C>>) -> io::Result<ControlPeer>;

    /// Sends an event to the supervisor. What it does not take at once leaves with the next call of
    /// either.
    ///
    /// # Errors
    ///
    /// When the supervisor is gone, or has not read a great many events.
    fn report(&mut self, event: ChildEvent) -> io::Result<()>;

    /// Readable when [`Control::commands`] has something to add; for epoll of either kind.
    fn ready(&self) -> BorrowedFd<'_>;
}

/// The supervisor's end of a control link.
pub trait SupervisorEnd: Send + fmt::Debug {
    /// How this side hands over the end of a link.
    type LinkEnd;

    /// Sends a command, in order. Never waits: what the child does not take yet is kept.
    ///
    /// # Errors
    ///
    /// When the child is gone, or has left a great many commands unread: it hangs.
    fn send(&mut self, message: ControlMessage<ChildCommand, Self::LinkEnd>) -> io::Result<()>;

    /// Sends what was kept.
    ///
    /// # Errors
    ///
    /// When the child is gone.
    fn flush(&mut self) -> io::Result<()>;

    /// Adds the events that have arrived. Never waits.
    ///
    /// # Errors
    ///
    /// When the link broke or carried what no child sends; it is at an end then.
    fn events(&mut self, into: &mut Vec<ChildEvent>) -> io::Result<ControlPeer>;
}

//! What the supervisor orders a worker.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::child_command::{AttachmentKind, ChildCommand, CommonCommand, RoleCommand, WrongRole};
use crate::types::limits::ORPHAN_WAIT;
use crate::types::{Allowance, Encryption, Generation};

/// A command to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerCommand {
    /// Accept from the attached sockets, which are used in this way. Once.
    Listen {
        /// For each socket.
        sockets: Vec<Encryption>,
    },
    /// The attached socket is the one that scripts push messages into. The worker reads it while it is
    /// the leader. Once, if there is one.
    PushSocket,
    /// The attached end is the link to this broker; the broker before it is dead.
    Link {
        /// Which broker.
        broker: Generation,
    },
    /// Accept no more, read no more from publishers, and report
    /// [`ChildEvent::Quiesced`](super::ChildEvent::Quiesced) when the broker has acknowledged everything.
    Quiesce(PendingHandshakes),
    /// Close all clients with 1001 and return.
    Drain {
        /// How long that may take before the process is ended.
        within: Duration,
    },
    /// How scarce memory is, and how much the worker may take until the next such command.
    Pressure(Allowance),
    /// Whether it is the leader from now on.
    SetRole(WorkerRole),
    /// Whether it accepts connections. Those that it has it serves in any case.
    Accept(Accepting),
    /// What a broker understands too.
    #[serde(untagged)]
    Common(CommonCommand),
}

/// What becomes of the handshakes under way when a worker accepts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PendingHandshakes {
    /// They are completed first: another worker takes over, and no client shall be refused.
    Finish,
    /// They are refused: the server ends.
    Refuse,
}

/// Whether a worker accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accepting {
    /// It does.
    Yes,
    /// It leaves them to others: its clients will be closed soon, and a new one would be among them.
    No,
}

/// Which worker does the work that must be done once and not by each of them, such as ticks of
/// resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerRole {
    /// Another worker.
    #[default]
    Follower,
    /// This one. While the role moves from one worker to another there may be no leader, or for a moment
    /// two.
    Leader,
}

impl RoleCommand for WorkerCommand {
    fn attachment(&self) -> AttachmentKind {
        match self {
            Self::Listen { sockets } => AttachmentKind::Sockets(sockets.len()),
            Self::PushSocket => AttachmentKind::Sockets(1),
            Self::Link { .. } => AttachmentKind::Link,
            Self::Common(command) => command.attachment(),
            Self::Quiesce(_)
            | Self::Drain { .. }
            | Self::Pressure(_)
            | Self::SetRole(_)
            | Self::Accept(_) => AttachmentKind::None,
        }
    }

    fn terminate() -> Self {
        Self::Drain { within: ORPHAN_WAIT }
    }
}

impl TryFrom<ChildCommand> for WorkerCommand {
    type Error = WrongRole;

    fn try_from(command: ChildCommand) -> Result<Self, WrongRole> {
        match command {
            ChildCommand::Worker(command) => Ok(command),
            ChildCommand::Common(command) => Ok(Self::Common(command)),
            ChildCommand::Broker(_) => Err(WrongRole),
        }
    }
}

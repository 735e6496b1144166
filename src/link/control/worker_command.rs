//! Commands of the supervisor to a worker.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::child_command::{AttachmentKind, ChildCommand, CommonCommand, RoleCommand, WrongRole};
use crate::types::limits::ORPHAN_WAIT;
use crate::types::{Allowance, Encryption, Generation, TokenRevocation};

/// A command to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerCommand {
    /// Accept connections from the attached sockets. Sent once.
    Listen {
        /// For each socket, whether it uses TLS.
        sockets: Vec<Encryption>,
    },
    /// The attached socket is the one to which scripts push messages. The worker reads it while it is the
    /// leader. Sent at most once.
    PushSocket,
    /// The attached socket takes the connections that the API process serves. Sent once, if the API is on.
    Handover,
    /// The attached descriptor is one end of the link to this broker. The previous broker is dead.
    Link {
        /// Generation of the broker.
        broker: Generation,
    },
    /// Stop accepting connections and reading from publishers, and report
    /// [`ChildEvent::Quiesced`](super::ChildEvent::Quiesced) when the broker has acknowledged all
    /// publications.
    Quiesce(PendingHandshakes),
    /// Close all clients with 1001 and return.
    Drain {
        /// Time limit, after which the supervisor kills the process.
        within: Duration,
    },
    /// Current memory shortage, and the memory that the worker may take until the next such command.
    Pressure(Allowance),
    /// Become the leader, or stop being the leader.
    SetRole(WorkerRole),
    /// Start or stop accepting connections. Existing connections are served in any case.
    Accept(Accepting),
    /// Accept these tokens no more, close the connections that were opened with them, and confirm with
    /// [`ChildEvent::Revoked`](super::ChildEvent::Revoked).
    Revoke {
        /// Number of the command. A confirmation includes all commands before it.
        number: u32,
        /// At most [`REVOCATIONS_SENT_MAX`](crate::types::limits::REVOCATIONS_SENT_MAX).
        entries: Vec<TokenRevocation>,
    },
    /// A command that the broker accepts too.
    #[serde(untagged)]
    Common(CommonCommand),
}

/// Treatment of unfinished handshakes when a worker stops accepting connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PendingHandshakes {
    /// Complete them first: another worker takes over, and no client should be refused.
    Finish,
    /// Refuse them: the server is shutting down.
    Refuse,
}

/// Whether a worker accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accepting {
    /// The worker accepts connections.
    Yes,
    /// The worker leaves connections to other workers, because it will close its own clients soon.
    No,
}

/// Whether a worker does the work that must be done once per server and not once per worker, such as ticks of
/// resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerRole {
    /// Another worker does this work.
    #[default]
    Follower,
    /// This worker does this work. While the role moves from one worker to another, there may be no leader
    /// or, for a moment, two.
    Leader,
}

impl RoleCommand for WorkerCommand {
    fn attachment(&self) -> AttachmentKind {
        match self {
            Self::Listen { sockets } => AttachmentKind::Sockets(sockets.len()),
            Self::PushSocket | Self::Handover => AttachmentKind::Sockets(1),
            Self::Link { .. } => AttachmentKind::Link,
            Self::Common(command) => command.attachment(),
            Self::Quiesce(_)
            | Self::Drain { .. }
            | Self::Pressure(_)
            | Self::SetRole(_)
            | Self::Revoke { .. }
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
            ChildCommand::Broker(_) | ChildCommand::Api(_) | ChildCommand::Bridge(_) => {
                Err(WrongRole)
            }
        }
    }
}

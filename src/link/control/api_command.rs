//! Commands of the supervisor to the API process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::child_command::{AttachmentKind, ChildCommand, CommonCommand, RoleCommand, WrongRole};
use crate::types::limits::ORPHAN_WAIT;
use crate::types::{Encryption, Generation, MetricsSnapshot, Pressure, Readiness};

/// A command to the API process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiCommand {
    /// The attached socket receives the connections that workers hand over. Sent once.
    Handover,
    /// Accept on the attached sockets. Sent once, if the API has its own addresses.
    Listen {
        /// The use of each socket.
        sockets: Vec<ApiListener>,
    },
    /// The attached end is the link to this broker. The previous broker is dead.
    Link {
        /// The broker.
        broker: Generation,
    },
    /// Accept no more requests but health checks, and report [`ChildEvent::Quiesced`](super::ChildEvent::Quiesced) when those in
    /// flight are answered and the broker has acknowledged everything.
    Quiesce,
    /// Close all connections and return.
    Drain {
        /// Maximum time before the process is killed.
        within: Duration,
    },
    /// The memory pressure.
    Pressure(Pressure),
    /// Whether the server takes traffic, as far as its workers decide it.
    Readiness(Readiness),
    /// The figures of all processes, in answer to
    /// [`ChildEvent::MetricsWanted`](super::ChildEvent::MetricsWanted).
    Metrics(Box<MetricsSnapshot>),
    /// A command that all roles understand.
    #[serde(untagged)]
    Common(CommonCommand),
}

/// The use of a listening socket of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiListener {
    /// A TCP socket.
    Tcp(Encryption),
    /// A Unix socket.
    Unix,
}

impl RoleCommand for ApiCommand {
    fn attachment(&self) -> AttachmentKind {
        match self {
            Self::Handover => AttachmentKind::Sockets(1),
            Self::Listen { sockets } => AttachmentKind::Sockets(sockets.len()),
            Self::Link { .. } => AttachmentKind::Link,
            Self::Common(command) => command.attachment(),
            Self::Quiesce
            | Self::Drain { .. }
            | Self::Pressure(_)
            | Self::Readiness(_)
            | Self::Metrics(_) => AttachmentKind::None,
        }
    }

    fn terminate() -> Self {
        Self::Drain { within: ORPHAN_WAIT }
    }
}

impl TryFrom<ChildCommand> for ApiCommand {
    type Error = WrongRole;

    fn try_from(command: ChildCommand) -> Result<Self, WrongRole> {
        match command {
            ChildCommand::Api(command) => Ok(command),
            ChildCommand::Common(command) => Ok(Self::Common(command)),
            ChildCommand::Worker(_) | ChildCommand::Broker(_) | ChildCommand::Bridge(_) => {
                Err(WrongRole)
            }
        }
    }
}

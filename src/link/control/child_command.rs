//! Commands to child processes: the enum of a role's commands, plus an attachment for everything that is not
//! text.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{ApiCommand, BridgeCommand, BrokerCommand, WorkerCommand};
use crate::link::transport::Transport;
use crate::telemetry::LogLevel;
use crate::types::{ConfigNumber, CountDetail};

/// A serialized configuration. It is wiped from memory when its last owner drops it.
pub type ConfigText = Arc<Zeroizing<String>>;

/// Commands that all roles accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommonCommand {
    /// Use the attached configuration, which has been validated. This is the first command to every child;
    /// each later one replaces the configuration.
    Configure {
        /// Number of the configuration, repeated in
        /// [`ChildEvent::Configured`](super::ChildEvent::Configured).
        number: ConfigNumber,
    },
    /// Log messages of this level and above.
    LogLevel {
        /// The lowest level to log.
        level: LogLevel,
    },
    /// Report the counters in a [`ChildEvent::Counts`](super::ChildEvent::Counts) with this number.
    Count {
        /// Number of the request.
        number: u32,
        /// What is asked for.
        #[serde(default)]
        detail: CountDetail,
    },
    /// Answer with [`ChildEvent::Heartbeat`](super::ChildEvent::Heartbeat) from the event loop that does the
    /// work, which proves that the loop still runs.
    Heartbeat,
}

impl CommonCommand {
    pub(super) fn attachment(self) -> AttachmentKind {
        match self {
            Self::Configure { .. } => AttachmentKind::Config,
            Self::LogLevel { .. } | Self::Count { .. } | Self::Heartbeat => AttachmentKind::None,
        }
    }
}

/// A command to a child of any role. It is serialized as the inner command alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ChildCommand {
    /// A command to a worker.
    Worker(WorkerCommand),
    /// A command to the broker.
    Broker(BrokerCommand),
    /// A command to the API process.
    Api(ApiCommand),
    /// A command to the bridge.
    Bridge(BridgeCommand),
    /// A command to any role.
    Common(CommonCommand),
}

impl From<WorkerCommand> for ChildCommand {
    fn from(command: WorkerCommand) -> Self {
        Self::Worker(command)
    }
}

impl From<BrokerCommand> for ChildCommand {
    fn from(command: BrokerCommand) -> Self {
        Self::Broker(command)
    }
}

impl From<ApiCommand> for ChildCommand {
    fn from(command: ApiCommand) -> Self {
        Self::Api(command)
    }
}

impl From<BridgeCommand> for ChildCommand {
    fn from(command: BridgeCommand) -> Self {
        Self::Bridge(command)
    }
}

impl From<CommonCommand> for ChildCommand {
    fn from(command: CommonCommand) -> Self {
        Self::Common(command)
    }
}

/// The commands of one role, as they are read from its control link.
pub trait RoleCommand:
    DeserializeOwned + TryFrom<ChildCommand, Error = WrongRole> + fmt::Debug + Send
{
    /// Returns the kind of attachment that belongs to this command.
    fn attachment(&self) -> AttachmentKind;

    /// Returns the command that SIGTERM stands for when no supervisor sends one: exit in good order.
    fn terminate() -> Self;
}

/// Error: the command was sent to a child of the other role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongRole;

/// Kind of attachment of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachmentKind {
    /// No attachment.
    None,
    /// A configuration.
    Config,
    /// This number of sockets.
    Sockets(usize),
    /// One end of a link.
    Link,
}

/// The part of a command that is not text, or that is too large to copy.
///
/// `L` is the type of a link end: a usable transport in the child that receives it, a bare descriptor in a
/// supervisor that sends it to another process.
pub enum Attachment<L = Box<dyn Transport>> {
    /// No attachment.
    None,
    /// A configuration with its secrets, as JSON.
    Config(ConfigText),
    /// Sockets.
    Sockets(Vec<OwnedFd>),
    /// One end of a link.
    Link(L),
}

/// Omits the configuration because it contains secrets.
impl<L> fmt::Debug for Attachment<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Config(text) => write!(f, "Config({} bytes)", text.len()),
            Self::Sockets(sockets) => write!(f, "Sockets({})", sockets.len()),
            Self::Link(_) => f.write_str("Link"),
        }
    }
}

/// A command together with its attachment.
#[derive(Debug)]
pub struct ControlMessage<C, L = Box<dyn Transport>> {
    /// The command.
    pub command: C,
    /// The attachment, of the kind that [`RoleCommand::attachment`] returns.
    pub attachment: Attachment<L>,
}

impl<L> ControlMessage<ChildCommand, L> {
    /// Creates a command without an attachment.
    pub fn plain(command: impl Into<ChildCommand>) -> Self {
        Self::with(command, Attachment::None)
    }

    /// Creates a command with an attachment.
    pub fn with(command: impl Into<ChildCommand>, attachment: Attachment<L>) -> Self {
        Self { command: command.into(), attachment }
    }

    /// Creates the command that delivers a configuration.
    #[must_use]
    pub fn configure(number: ConfigNumber, text: ConfigText) -> Self {
        Self::with(CommonCommand::Configure { number }, Attachment::Config(text))
    }
}

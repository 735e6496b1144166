//! A command as it travels: the enum of its role, and beside it what is not text.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{BrokerCommand, WorkerCommand};
use crate::link::transport::Transport;
use crate::telemetry::LogLevel;
use crate::types::ConfigNumber;

/// A configuration as it travels, wiped when the last process that shares it is done with it.
pub type ConfigText = Arc<Zeroizing<String>>;

/// What either role understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommonCommand {
    /// The attached text is the checked configuration: the first command of all, and later one that
    /// replaces it.
    Configure {
        /// Which one; [`ChildEvent::Configured`](super::ChildEvent::Configured) repeats it.
        number: ConfigNumber,
    },
    /// Log from this level up.
    LogLevel {
        /// The level.
        level: LogLevel,
    },
    /// Report what was counted, with this number.
    Count {
        /// Of the question.
        number: u32,
    },
    /// Answer with [`ChildEvent::Heartbeat`](super::ChildEvent::Heartbeat), in the loop that does the
    /// work: so the supervisor learns that it turns.
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

/// What the supervisor sends to a child of either role. On the wire it is the command alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ChildCommand {
    /// To a worker.
    Worker(WorkerCommand),
    /// To the broker.
    Broker(BrokerCommand),
    /// To either.
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

impl From<CommonCommand> for ChildCommand {
    fn from(command: CommonCommand) -> Self {
        Self::Common(command)
    }
}

/// The commands of one role, as its control link reads them.
pub trait RoleCommand:
    DeserializeOwned + TryFrom<ChildCommand, Error = WrongRole> + fmt::Debug + Send
{
    /// What travels with it.
    fn attachment(&self) -> AttachmentKind;

    /// What a signal orders in the supervisor's place: to end in order.
    fn terminate() -> Self;
}

/// A command was sent to a child that has another role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongRole;

/// What travels with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachmentKind {
    /// Nothing.
    None,
    /// A configuration.
    Config,
    /// So many sockets.
    Sockets(usize),
    /// The end of a link.
    Link,
}

/// What travels with a command and is not text, or is too large to be copied.
///
/// `L` is the end of a link: ready to use for the child that receives it, a bare descriptor for a
/// supervisor that sends it to another process.
pub enum Attachment<L = Box<dyn Transport>> {
    /// Nothing.
    None,
    /// A configuration with its secrets, as JSON.
    Config(ConfigText),
    /// Sockets.
    Sockets(Vec<OwnedFd>),
    /// The end of a link.
    Link(L),
}

/// Without the configuration, since secrets are in it.
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

/// A command with what travels with it.
#[derive(Debug)]
pub struct ControlMessage<C, L = Box<dyn Transport>> {
    /// The command.
    pub command: C,
    /// As [`RoleCommand::attachment`] says.
    pub attachment: Attachment<L>,
}

impl<L> ControlMessage<ChildCommand, L> {
    /// A command alone.
    pub fn plain(command: impl Into<ChildCommand>) -> Self {
        Self::with(command, Attachment::None)
    }

    /// A command with its attachment.
    pub fn with(command: impl Into<ChildCommand>, attachment: Attachment<L>) -> Self {
        Self { command: command.into(), attachment }
    }

    /// The configuration.
    #[must_use]
    pub fn configure(number: ConfigNumber, text: ConfigText) -> Self {
        Self::with(CommonCommand::Configure { number }, Attachment::Config(text))
    }
}

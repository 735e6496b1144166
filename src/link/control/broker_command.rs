//! What the supervisor orders the broker.

use serde::{Deserialize, Serialize};

use super::child_command::{AttachmentKind, ChildCommand, CommonCommand, RoleCommand, WrongRole};
use crate::types::WorkerIncarnation;

/// A command to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerCommand {
    /// Before any link: the workers whose announcements it must await (rule L6).
    LiveWorkers {
        /// The workers that live.
        sources: Vec<WorkerIncarnation>,
    },
    /// The attached end is the link to one worker.
    WorkerLink {
        /// Which worker.
        source: WorkerIncarnation,
    },
    /// This worker is dead and reaped.
    WorkerDead {
        /// Which worker.
        source: WorkerIncarnation,
    },
    /// Return at once.
    Stop,
    /// What a worker understands too.
    #[serde(untagged)]
    Common(CommonCommand),
}

impl RoleCommand for BrokerCommand {
    fn attachment(&self) -> AttachmentKind {
        match self {
            Self::WorkerLink { .. } => AttachmentKind::Link,
            Self::Common(command) => command.attachment(),
            Self::LiveWorkers { .. } | Self::WorkerDead { .. } | Self::Stop => AttachmentKind::None,
        }
    }

    fn terminate() -> Self {
        Self::Stop
    }
}

impl TryFrom<ChildCommand> for BrokerCommand {
    type Error = WrongRole;

    fn try_from(command: ChildCommand) -> Result<Self, WrongRole> {
        match command {
            ChildCommand::Broker(command) => Ok(command),
            ChildCommand::Common(command) => Ok(Self::Common(command)),
            ChildCommand::Worker(_) => Err(WrongRole),
        }
    }
}

//! Commands of the supervisor to the broker.

use serde::{Deserialize, Serialize};

use super::child_command::{AttachmentKind, ChildCommand, CommonCommand, RoleCommand, WrongRole};
use crate::types::WorkerIncarnation;

/// A command to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerCommand {
    /// The workers whose announcements the broker must await (rule L6). Sent before any link.
    LiveWorkers {
        /// The workers that are running.
        sources: Vec<WorkerIncarnation>,
    },
    /// The attached descriptor is one end of the link to this worker.
    WorkerLink {
        /// The worker's number and generation.
        source: WorkerIncarnation,
    },
    /// This worker is dead and has been reaped.
    WorkerDead {
        /// The worker's number and generation.
        source: WorkerIncarnation,
    },
    /// Exit at once.
    Stop,
    /// A command that workers accept too.
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
            ChildCommand::Worker(_) | ChildCommand::Api(_) | ChildCommand::Bridge(_) => {
                Err(WrongRole)
            }
        }
    }
}

//! Commands of the supervisor to the bridge.

use serde::{Deserialize, Serialize};

use super::child_command::{AttachmentKind, ChildCommand, CommonCommand, RoleCommand, WrongRole};
use crate::types::Generation;

/// A command to the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BridgeCommand {
    /// The attached end is the link to this broker. The previous broker is dead.
    Link {
        /// The broker.
        broker: Generation,
    },
    /// Send what was forwarded, tell the other hosts that this one ends, and return.
    Leave,
    /// A command that all roles understand.
    #[serde(untagged)]
    Common(CommonCommand),
}

impl RoleCommand for BridgeCommand {
    fn attachment(&self) -> AttachmentKind {
        match self {
            Self::Link { .. } => AttachmentKind::Link,
            Self::Common(command) => command.attachment(),
            Self::Leave => AttachmentKind::None,
        }
    }

    fn terminate() -> Self {
        Self::Leave
    }
}

impl TryFrom<ChildCommand> for BridgeCommand {
    type Error = WrongRole;

    fn try_from(command: ChildCommand) -> Result<Self, WrongRole> {
        match command {
            ChildCommand::Bridge(command) => Ok(command),
            ChildCommand::Common(command) => Ok(Self::Common(command)),
            ChildCommand::Worker(_) | ChildCommand::Broker(_) | ChildCommand::Api(_) => {
                Err(WrongRole)
            }
        }
    }
}

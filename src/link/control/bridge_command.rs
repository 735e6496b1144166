//! Commands of the supervisor to the bridge.

use serde::{Deserialize, Serialize};

use super::child_command::{AttachmentKind, ChildCommand, CommonCommand, RoleCommand, WrongRole};
use crate::types::{Generation, TokenRevocation};

/// Revocations for the bridge, at most [`REVOCATIONS_SENT_MAX`](crate::types::limits::REVOCATIONS_SENT_MAX).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedEntries {
    /// Those that this host has made now. Other hosts store them.
    pub own: Vec<TokenRevocation>,
    /// Others that this host knows.
    pub of_others: Vec<TokenRevocation>,
}

/// A command to the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BridgeCommand {
    /// The attached end is the link to this broker. The previous broker is dead.
    Link {
        /// The broker.
        broker: Generation,
    },
    /// Tell the other hosts which tokens are revoked. The end is reported by
    /// [`ChildEvent::RevokedElsewhere`](super::ChildEvent::RevokedElsewhere), if there are own ones.
    Revoke {
        /// Number of the command.
        number: u32,
        /// The revocations.
        entries: RevokedEntries,
    },
    /// No worker of this host accepts tokens that another host has revoked
    /// ([`ChildEvent::RevokedByHosts`](super::ChildEvent::RevokedByHosts)).
    Stored {
        /// The token of the event.
        token: u32,
    },
    /// Ping other hosts through the lanes. The end is reported by [`ChildEvent::Pinged`](super::ChildEvent::Pinged).
    Ping {
        /// Number of the command.
        number: u32,
        /// Name or id of a host. None: all that are not forgotten.
        host: Option<Box<str>>,
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
            Self::Leave | Self::Revoke { .. } | Self::Stored { .. } | Self::Ping { .. } => {
                AttachmentKind::None
            }
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

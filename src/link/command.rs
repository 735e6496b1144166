//! Commands about connected clients. They travel in order with publications, in the same window.

use std::time::Duration;

use crate::types::limits::CLOCK_WORK;
use crate::types::{
    Address, ClientFilter, ClientUuid, CloseReason, Number, Slot, SlotSet, TagChange, TagEdit,
    TagVersion, Tenant, TooExpensive, VersionedTags, WorkerIncarnation,
};

/// Work for one tag.
const ROW_WORK: usize = 64;

/// A command to the broker. It has a number among the publications of its source, is kept and repeated as they
/// are (rule L4), and is acknowledged with them (rule L5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedCommand {
    /// Its number, counted with the publications of its source.
    pub number: Number,
    /// Whether its source waits for the outcome.
    pub is_answered: bool,
    /// The command.
    pub command: ClientCommand,
}

/// A command about clients of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCommand {
    /// The tenant of the clients.
    pub tenant: Tenant,
    /// What is to be done.
    pub kind: CommandKind,
}

/// What a [`ClientCommand`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// Changes the tags of one client. It is addressed by its UUID: a command may be repeated when its slot has
    /// another client (rule L3).
    ChangeTags {
        /// The client.
        uuid: ClientUuid,
        /// The change.
        change: TagChange,
    },
    /// Changes the tags of all clients that match, at one point of the order.
    ChangeTagsMatching {
        /// The clients.
        clients: ClientFilter,
        /// With more clients than this, none is changed.
        clients_max: Option<u64>,
        /// The change.
        edit: TagEdit,
    },
    /// Does nothing. Its acknowledgement says that everything before it has been written to all links.
    Barrier,
    /// Closes the connection of one client.
    Close {
        /// The client.
        uuid: ClientUuid,
        /// The code and text of the Close.
        reason: CloseReason,
    },
    /// Closes the connections of all clients that match.
    CloseMatching {
        /// The clients, among those that tags reach.
        clients: ClientFilter,
        /// With more clients than this, none is closed.
        clients_max: Option<u64>,
        /// The code and text of the Close.
        reason: CloseReason,
        /// The time over which the closes are spread evenly.
        spread: Duration,
    },
}

/// What has become of a command. It is sent before the acknowledgement of the command, so every link has taken
/// what it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// No client of the tenant has this UUID.
    Unknown,
    /// The client was away, and has ended (`tagcast.v1`).
    EndedAway,
    /// Tags do not reach the client.
    NotReached,
    /// The tags have another version, which is this one. Nothing was changed.
    Conflict(VersionedTags),
    /// The client would have too many tags. Nothing was changed.
    TooManyTags,
    /// The tags of the client after the change.
    Tagged(VersionedTags),
    /// So many clients matched. If they are more than the command allows, nothing was done.
    Matched(MatchedClients),
    /// The expression is too expensive. Nothing was done.
    TooExpensive(TooExpensive),
    /// This is what has become of it here, and other hosts carry it out, too.
    Forwarded(Box<Self>),
}

/// The clients that a command has matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchedClients {
    /// Their number.
    pub clients: u64,
    /// On how many workers they are.
    pub workers: u32,
}

/// Connections that a worker has to close.
#[derive(Clone, Debug, PartialEq)]
pub struct CloseOrder {
    /// The process that sent the command.
    pub source: WorkerIncarnation,
    /// The number of the command.
    pub number: Number,
    /// The connections.
    pub connections: ClosedConnections,
    /// The code and text of the Close.
    pub reason: CloseReason,
    /// The time over which the closes are spread evenly.
    pub spread: Duration,
}

/// The connections of a [`CloseOrder`].
#[derive(Clone, Debug, PartialEq)]
pub enum ClosedConnections {
    /// One, which a UUID named.
    One(Slot),
    /// All of a set. A worker without such connections gets an empty set, so every worker knows which of these
    /// commands were carried out.
    Set(SlotSet),
}

/// The tags of a client after a change, for its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetaggedClient {
    /// The process that sent the change.
    pub source: WorkerIncarnation,
    /// The number of the change.
    pub number: Number,
    /// The slot of the client.
    pub slot: Slot,
    /// Its tags and their version.
    pub tags: VersionedTags,
}

/// A change of the tags of all clients that match.
///
/// A new broker completes the last one, if a worker announces it: the dead broker may have sent it to some
/// workers only. A client of the change has its version, and no client that has joined or changed since has a
/// smaller one. So the clients that are still to be changed are those that match and have a smaller version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkChange {
    /// The process that sent the change.
    pub source: WorkerIncarnation,
    /// The number of the change.
    pub number: Number,
    /// The tenant of the clients.
    pub tenant: Tenant,
    /// The clients.
    pub clients: ClientFilter,
    /// What changes.
    pub edit: TagEdit,
    /// The version that all of them have got.
    pub version: TagVersion,
    /// How many have matched.
    pub matched: MatchedClients,
}

/// The clients of one worker that a [`BulkChange`] has changed. A worker without one gets an empty set.
#[derive(Clone, Debug, PartialEq)]
pub struct RetaggedClients {
    /// The change.
    pub change: BulkChange,
    /// The slots of the clients.
    pub slots: SlotSet,
}

/// A version that a worker announces to a new broker, for a client whose tags have changed since its join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncedVersion {
    /// The slot of the client.
    pub slot: Slot,
    /// The version of its tags.
    pub version: TagVersion,
}

impl CommandKind {
    /// Returns the work that the broker does for it, in bytes of a usual message.
    #[must_use]
    pub fn work(&self) -> usize {
        match self {
            Self::ChangeTags { change, .. } => (1 + change.edit.len()) * ROW_WORK,
            Self::Close { .. } | Self::Barrier => ROW_WORK,
            // It may look at thousands of clients.
            Self::CloseMatching { .. } | Self::ChangeTagsMatching { .. } => CLOCK_WORK,
        }
    }
}

impl ClosedConnections {
    /// Returns the slots.
    #[must_use]
    pub fn slots(self) -> SlotSet {
        match self {
            Self::One(slot) => SlotSet::one(slot),
            Self::Set(slots) => slots,
        }
    }
}

/// Returns the address of the clients that a filter selects.
#[must_use]
pub fn address_of(clients: &ClientFilter) -> Address {
    match clients {
        ClientFilter::Tags(query) => Address::matching(query.clone()),
        ClientFilter::Expression(expression) => Address::expr(expression.clone()),
    }
}

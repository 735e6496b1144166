//! Questions to the broker about connected clients and publications, and their answers.

use super::command::CommandOutcome;
use super::tail::{TailPage, TailQuery};
use crate::types::{
    Address, ClientDescription, ClientFilter, ClientPage, ClientTags, ClientUuid, DescribedToken,
    Expression, HostId, IdUse, ListFilter, ListPosition, Number, PageSize, QueryReach, Recipients,
    ReplayDigest, ScannedTags, Secret, Slot, TagScan, Tenant, TenantStatistics, TooExpensive,
    TrackedOutcome, WorkerIncarnation, WriteCounts,
};

/// A question to the broker. It is answered once, by this broker or a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerQuery {
    /// Number of the question, counted by the worker.
    pub number: u32,
    /// The tenant whose clients are searched.
    pub tenant: Tenant,
    /// What is asked.
    pub kind: QueryKind,
}

/// What a [`BrokerQuery`] asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// How many clients match, and their values of a tag. Answered by [`QueryResult::Presence`] or
    /// [`QueryResult::Refused`].
    Presence(PresenceQuery),
    /// A page of a list of clients. Answered by [`QueryResult::Clients`] or [`QueryResult::Refused`].
    Clients(ClientQuery),
    /// A part of the tag names, or of the values of one name. Answered by [`QueryResult::Tags`].
    Tags(TagScan),
    /// The tags of a client. Answered by [`QueryResult::ClientTags`].
    ClientTags(ClientUuid),
    /// All that is known about a client. Its worker is asked. Answered by [`QueryResult::Described`].
    Describe(ClientUuid),
    /// Gives a connection a new token. Its worker is asked, and the question may be repeated. Answered by
    /// [`QueryResult::Refreshed`] or [`QueryResult::TokenRefused`]; by [`QueryResult::Described`] if no such
    /// client is connected.
    RefreshToken {
        /// The client.
        uuid: ClientUuid,
        /// The token as it was shown.
        token: Secret,
    },
    /// The number of clients and of tags, in a part of all tag names: the one that ends here. Answered by
    /// [`QueryResult::Statistics`].
    Statistics {
        /// Where the part before it has stopped; `None` for the first part.
        before: Option<u32>,
    },
    /// Copies of publications since the question before it. Answered by [`QueryResult::Tail`].
    Tail(Box<TailQuery>),
    /// How many clients an address matches. Answered by [`QueryResult::Counted`].
    Count(Box<Address>),
    /// What became of a publication with an id, by the digest of the id. Answered by [`QueryResult::UsedId`].
    UsedId(ReplayDigest),
    /// What has become on other hosts of a command of this process, by its number. It is put to the bridge alone, as a
    /// [`QueryKind::Hosts`]. Each result is a [`QueryResult::Commanded`].
    Directed(Number),
    /// A question to other hosts. Answered by [`QueryResult::Hosts`].
    Hosts(Box<HostsQuery>),
}

/// The answer to a [`BrokerQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryResult {
    /// Answer to [`QueryKind::Presence`].
    Presence(PresenceResult),
    /// Answer to [`QueryKind::Clients`].
    Clients(ClientPage),
    /// Answer to [`QueryKind::Tags`].
    Tags(ScannedTags),
    /// Answer to [`QueryKind::ClientTags`].
    ClientTags(ClientTags),
    /// Answer to [`QueryKind::Describe`]; `None` if no such client is connected.
    Described(Option<Box<ClientDescription>>),
    /// The token that a connection has now. Answer to [`QueryKind::RefreshToken`].
    Refreshed(DescribedToken),
    /// The connection may not have the token. Answer to [`QueryKind::RefreshToken`].
    TokenRefused(RefusedToken),
    /// Answer to [`QueryKind::Statistics`].
    Statistics(TenantStatistics),
    /// Answer to [`QueryKind::Tail`].
    Tail(TailPage),
    /// Answer to [`QueryKind::Count`].
    Counted(CountedClients),
    /// Answer to [`QueryKind::UsedId`]; `None` if no such id is known.
    UsedId(Option<Box<IdUse>>),
    /// Answer to [`QueryKind::Directed`].
    Commanded(Box<CommandOutcome>),
    /// Answer to [`QueryKind::Directed`], about a question to a client.
    Asked(TrackedOutcome),
    /// Answer to [`QueryKind::Directed`], about a publication with a report.
    Written(WrittenByHost),
    /// Answer to [`QueryKind::Hosts`].
    Hosts(HostsAnswer),
    /// The expression is too expensive, and nothing was searched.
    Refused(TooExpensive),
}

/// The clients that an address matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountedClients {
    /// The clients.
    pub clients: u64,
    /// On how many workers they are.
    pub workers: u32,
    /// The number of values that the prefixes of its expression would scan, if that is above the limit: nothing was
    /// counted then. Otherwise zero.
    pub scan_values: u64,
    /// Whether the only recipient is away.
    pub is_away: bool,
}

/// The clients of a publication, and what their sockets have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenByHost {
    /// The clients that its address has matched.
    pub clients: u64,
    /// On how many workers they are.
    pub workers: u32,
    /// What has become of the deliveries.
    pub counts: WriteCounts,
}

/// A question that other hosts answer, each from what it knows. This host does not answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsQuery {
    /// The hosts that are asked.
    pub reach: QueryReach,
    /// How long they are waited for, in milliseconds.
    pub timeout_ms: u32,
    /// The question. It [may be put to other hosts](QueryKind::is_for_hosts).
    pub kind: QueryKind,
}

/// The answers to a [`HostsQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsAnswer {
    /// This host.
    pub own: HostId,
    /// The hosts that were asked, in the order of their ids. `None` for one that has not answered.
    pub hosts: Vec<(HostId, Option<QueryResult>)>,
}

/// A question of the broker to the worker of a client, on behalf of another process. The worker answers once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeRequest {
    /// The process that has asked the broker.
    pub asker: WorkerIncarnation,
    /// Number of its question.
    pub number: u32,
    /// The client's slot.
    pub slot: Slot,
    /// A new token for its connection. The answer is about the token then.
    pub token: Option<Secret>,
}

/// The answer to a [`DescribeRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeAnswer {
    /// The process that has asked the broker.
    pub asker: WorkerIncarnation,
    /// Number of its question.
    pub number: u32,
    /// What the process gets as its answer.
    pub result: QueryResult,
}

/// Why a connection may not have a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedToken {
    /// The code, as in logs.
    pub code: Box<str>,
    /// What is wrong, and what would be right.
    pub why: Box<str>,
}

/// A query for the clients that match, and for their values of another tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceQuery {
    /// The clients that match.
    pub filter: ClientFilter,
    /// Name of the tag whose values are requested; empty if clients are only counted.
    pub tag: Box<str>,
}

/// The result of a [`PresenceQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceResult {
    /// Number of clients that match.
    pub clients: u64,
    /// Values of the requested tag, one for each client that carries it, in no particular order; at most
    /// [`ANSWER_VALUES_MAX`](crate::types::limits::ANSWER_VALUES_MAX).
    pub values: Vec<Box<str>>,
}

/// A query for a page of a list of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientQuery {
    /// The clients of the list.
    pub filter: ListFilter,
    /// The last client of the page before it; `None` for the first page.
    pub after: Option<ListPosition>,
    /// How large the page may be.
    pub size: PageSize,
}

impl QueryKind {
    /// Returns the only client that it is about.
    #[must_use]
    pub fn client(&self) -> Option<ClientUuid> {
        match self {
            Self::ClientTags(uuid) | Self::Describe(uuid) | Self::RefreshToken { uuid, .. } => {
                Some(*uuid)
            }
            Self::Count(address) => match address.recipients {
                Recipients::First { uuid, .. } => uuid,
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns whether it may be put to other hosts, each of which answers by itself.
    #[must_use]
    pub fn is_for_hosts(&self) -> bool {
        match self {
            Self::Presence(_)
            | Self::Clients(_)
            | Self::Tags(_)
            | Self::ClientTags(_)
            | Self::Describe(_)
            | Self::Statistics { .. }
            | Self::Count(_)
            | Self::UsedId(_)
            // Its worker may be asked again. Bridges take no question twice.
            | Self::RefreshToken { .. } => true,
            Self::Tail(_) | Self::Directed(_) | Self::Hosts(_) => false,
        }
    }

    /// Returns the memory that it uses, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Presence(query) => query.filter.held() + query.tag.len(),
            Self::Clients(query) => query.filter.held(),
            Self::Tags(scan) => {
                let length = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
                length(&scan.name) + scan.prefix.len() + length(&scan.after)
            }
            Self::RefreshToken { token, .. } => token.bytes(),
            Self::Tail(query) => query.expression.as_ref().map_or(0, Expression::held),
            Self::Count(address) => address.recipients.held(),
            Self::Hosts(query) => query.kind.held(),
            Self::ClientTags(_)
            | Self::Describe(_)
            | Self::Statistics { .. }
            | Self::UsedId(_)
            | Self::Directed(_) => 0,
        }
    }
}

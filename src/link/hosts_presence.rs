//! What hosts tell each other about watched queries: items of the lanes, which the bridge does not read.

use crate::types::{
    ClientFilter, ClientUuid, HostId, PresenceCounts, PresentMember, Tenant, WatchListing,
};

/// Identifies a broker of a host. Numbers of its watched queries mean nothing to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSession(pub u64);

/// An item about watched queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostsPresence {
    /// All queries that clients of the sender watch, in place of those that it has named before. Each is answered with
    /// everything.
    Watches {
        /// The host that it is for.
        to: HostId,
        /// The sender.
        session: WatchSession,
        /// Whether the sender lacks those of the other host.
        is_request: bool,
        /// The queries.
        watches: Vec<SharedWatch>,
    },
    /// Queries that are watched now, or no longer.
    Changes {
        /// The sender.
        session: WatchSession,
        /// The changes, in their order.
        changes: Vec<SharedWatchChange>,
    },
    /// The clients of the sender that match a query.
    Part {
        /// The host that it is for.
        to: HostId,
        /// The broker there.
        session: WatchSession,
        /// Number of the query there.
        number: u64,
        /// How many clients and users match.
        counts: PresenceCounts,
        /// Which ones.
        news: PartNews,
    },
}

/// A query that clients of a host watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedWatch {
    /// Its number on that host. A query with another listing has the same.
    pub number: u64,
    /// The tenant whose clients it is about.
    pub tenant: Tenant,
    /// The query.
    pub query: ClientFilter,
    /// What is to be listed.
    pub listing: WatchListing,
}

/// A change of what the clients of a host watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedWatchChange {
    /// A query is watched from now on, or has another listing.
    Begin(SharedWatch),
    /// The query with this number is no longer watched.
    End(u64),
}

/// Which clients of a host match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartNews {
    /// The numbers alone have changed.
    Counts,
    /// There are too many for a list.
    Long,
    /// The query is not evaluated there.
    Refused,
    /// All members, in place of earlier ones. Each message but the first adds to those before it, and they count with
    /// the last.
    All {
        /// Members.
        members: Vec<HostMember>,
        /// The list begins.
        is_first: bool,
        /// The list is complete.
        is_last: bool,
    },
    /// Some have come, look different, or have left.
    Changed {
        /// Those that are members now.
        joined: Vec<HostMember>,
        /// Those that have left.
        left: Vec<ClientUuid>,
    },
}

/// A member on another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMember {
    /// What watchers see of it.
    pub look: PresentMember,
    /// Digest of its user. `None`: it is a user of its own.
    pub user: Option<u64>,
    /// How long it stays a member when it goes away, in milliseconds.
    pub linger_ms: u32,
}

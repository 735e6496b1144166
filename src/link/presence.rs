//! Messages about watched queries (`tagcast.v1`), and about what watchers see of clients.

use super::message::ROW_WORK;
use crate::types::{
    ClientFilter, MemberTerms, PresenceCounts, PresenceNews, Slot, SlotSet, WatchRefusal,
    WatchTerms,
};

/// What a worker sends about watched queries.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWatcher {
    /// What watchers see of the client in this slot, from now on.
    Member {
        /// The client's slot.
        slot: Slot,
        /// What they see.
        terms: Box<MemberTerms>,
    },
    /// A client watches a query. Answered by [`ToWatcher::Began`] or [`ToWatcher::Refused`].
    Watch {
        /// The client's slot.
        slot: Slot,
        /// Number of the watch within the client.
        id: u64,
        /// The query.
        terms: Box<WatchTerms>,
    },
    /// A watch has ended. Nothing is answered.
    Unwatch {
        /// The client's slot.
        slot: Slot,
        /// Number of the watch.
        id: u64,
    },
}

impl FromWatcher {
    /// Returns the work that the broker does for it, in bytes of a usual message.
    #[must_use]
    pub fn work(&self) -> usize {
        match self {
            Self::Member { terms, .. } => terms.held(),
            Self::Unwatch { .. } => ROW_WORK,
            Self::Watch { terms, .. } => match &terms.query {
                ClientFilter::Tags(query) => query.len() * ROW_WORK,
                ClientFilter::Expression(expression) => expression.held(),
            },
        }
    }
}

/// Number of a watched query with one mode. Its watchers get the same news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AudienceNumber(pub u64);

/// What the broker sends about watched queries.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWatcher {
    /// The broker evaluates the query of a watch. News follow, of which the first have everything.
    Began {
        /// The client's slot.
        slot: Slot,
        /// Number of the watch within the client.
        id: u64,
        /// Those with the same query and mode.
        audience: AudienceNumber,
    },
    /// The query of a watch is not evaluated.
    Refused {
        /// The client's slot.
        slot: Slot,
        /// Number of the watch within the client.
        id: u64,
        /// The reason.
        refusal: WatchRefusal,
    },
    /// A watch has ended, because its client does not match the query any more.
    Ended {
        /// The client's slot.
        slot: Slot,
        /// Number of the watch within the client.
        id: u64,
    },
    /// News for watchers.
    News(Box<AudienceNews>),
}

/// News for the watchers of one query in one mode.
#[derive(Clone, Debug, PartialEq)]
pub struct AudienceNews {
    /// The query and the mode.
    pub audience: AudienceNumber,
    /// The watchers on the receiving worker.
    pub slots: SlotSet,
    /// How many clients and users there are.
    pub counts: PresenceCounts,
    /// Clients of some live hosts may be missing.
    pub is_partial: bool,
    /// What is new.
    pub news: PresenceNews,
}

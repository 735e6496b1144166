//! Events that messages of the broker cause.

use std::io;

use super::link_io::BrokerLink;
use super::report_requests::ReportRequester;
use crate::link::bridge::HostsNotice;
use crate::link::command::{CloseOrder, CommandOutcome};
use crate::link::fairness::{ApplicationCharge, TenantThrottle};
use crate::link::message::{CountedPublication, Full};
use crate::link::presence::ToWatcher;
use crate::link::query::{BrokerQuery, DescribeRequest, QueryResult};
use crate::link::resume::ToResumable;
use crate::replay::IdOutcome;
use crate::types::{Client, Generation, Number, ReplayBasis, Slot, TrackedOutcome};

/// A message of the broker that concerns a connection, or the loss of the link.
#[derive(Debug)]
pub enum BrokerEvent {
    /// The client in this slot is addressable, so its handshake can be answered (rule L8).
    Joined {
        /// The client's slot.
        slot: Slot,
        /// Connections of this worker.
        own: u32,
        /// Connections of the worker that has the fewest.
        smallest: u32,
    },
    /// The client in this slot was counted towards the limit of its IP address.
    Reserved(Slot),
    /// The client in this slot was refused.
    Refused {
        /// The client's slot.
        slot: Slot,
        /// The limit that is reached.
        full: Full,
        /// The client.
        client: Box<Client>,
    },
    /// Answer to a question of the client in this slot, or of the process.
    Answer {
        /// The client's slot, or [`Slot::NONE`].
        slot: Slot,
        /// The question.
        query: BrokerQuery,
        /// The result.
        result: QueryResult,
    },
    /// Number of clients that a publication reached, for a publisher that requested the count.
    Reached {
        /// The publisher, and the form in which it named the recipients.
        asker: ReportRequester,
        /// The counts.
        counted: CountedPublication,
        /// What this says about its id.
        id: IdOutcome,
    },
    /// A worker reports on a publication of this one.
    Tracked {
        /// Number of the publication.
        number: Number,
        /// The report.
        outcome: TrackedOutcome,
    },
    /// The broker has told all records of requests that an earlier API process accepted (rule L11).
    Remembered {
        /// What is known about their completeness. `None` if the broker knows nothing.
        basis: Option<ReplayBasis>,
    },
    /// The tags of a client have changed, whose changes are reported.
    TagsChanged {
        /// The client's slot.
        slot: Slot,
        /// Number of the change, if this process has sent it.
        own: Option<Number>,
    },
    /// Connections that must be closed.
    Close(Box<CloseOrder>),
    /// What has become of the command with this number.
    Outcome(Number, Box<CommandOutcome>),
    /// The publishers of a tenant wait from now on, or no longer.
    Throttle(TenantThrottle),
    /// What another process has accepted of an application whose publications are limited.
    Charged(ApplicationCharge),
    /// About other hosts.
    Hosts(HostsNotice),
    /// About a client that may resume; never [`ToResumable::Record`].
    Resumable(ToResumable),
    /// About watched queries.
    Presence(ToWatcher),
    /// The broker asks for a client of this worker, on behalf of another process.
    Describe(DescribeRequest),
    /// The link has failed or was closed, and everything that arrived on it was processed (rule L6). The
    /// supervisor decides whether the broker is dead (rule L1).
    Lost(LinkLoss),
}

/// A lost link.
#[derive(Debug)]
pub struct LinkLoss {
    /// Generation of the broker at the other end.
    pub broker: Generation,
    /// Reason of the loss.
    pub error: io::Error,
    pub(crate) link: BrokerLink,
}

//! The messages between worker and broker (rules L1 to L13 of `docs/promises.md`).

use std::net::IpAddr;

use bytes::Bytes;

use super::bridge::{FromBridge, HostsNotice, ToBridge};
use super::command::{
    AnnouncedVersion, BulkChange, CloseOrder, CommandOutcome, NumberedCommand, RetaggedClient,
    RetaggedClients,
};
use super::fairness::{ApplicationCharge, TenantThrottle, WorkReport};
pub use super::in_place::{ForBridge, FromBroker, FromWorker, PublishFrame};
use super::presence::{FromWatcher, ToWatcher};
use super::query::{BrokerQuery, DescribeAnswer, DescribeRequest, QueryResult};
use super::resume::{FromResumable, JournalHead, ToResumable};
use crate::types::limits::CLOCK_WORK;
use crate::types::{
    Address, Claim, Client, Content, GrantNumber, JoinNumber, Number, PayloadForm, Publication,
    PublicationId, Recipients, ReplayPosition, ReplayRecords, Sequence, Slot, SlotSet, Tenant,
    TrackedOutcome, Tracking, WorkerIncarnation,
};

/// Version of the link protocol. Both sides run the same binary, so any other version ends the link.
pub const VERSION: u16 = 36;

/// Work for one tag, in bytes of a usual message.
pub(super) const ROW_WORK: usize = 64;

/// A publication of a client, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct NewPublication<'a> {
    /// The tenant within which the address is resolved.
    pub tenant: &'a Tenant,
    /// The recipients.
    pub address: &'a Address,
    /// Whether the payload is a message or a whole packet.
    pub form: PayloadForm,
    /// The content.
    pub payload: &'a [u8],
}

/// From a worker to the broker. A link begins with `Hello`, announcements, and `Announced`.
#[derive(Clone, Debug, PartialEq)]
pub enum ToBroker {
    /// Identifies the worker and the protocol version.
    Hello {
        /// Must be [`VERSION`].
        version: u16,
        /// The worker and its generation.
        source: WorkerIncarnation,
    },
    /// A client that an earlier broker admitted (rule L6).
    Announce {
        /// The client's slot.
        slot: Slot,
        /// The join number that the earlier broker assigned.
        number: JoinNumber,
        /// The client's current data.
        client: Client,
    },
    /// The alias of an announced client, as an earlier broker granted it (rule L6).
    Holds {
        /// The client's slot.
        slot: Slot,
        /// The alias, and whether it is exclusive.
        claim: Claim,
        /// The number of the grant.
        grant: GrantNumber,
    },
    /// The version of the tags of an announced client, if they have changed since its join (rule L12).
    Version(AnnouncedVersion),
    /// The last change of the tags of many clients that this worker has received.
    LastBulkChange(Box<BulkChange>),
    /// Publications to a single recipient that this worker has delivered, by source. If one of them is
    /// repeated, it must not reach a second client.
    Seen {
        /// The worker that the publications came from.
        source: WorkerIncarnation,
        /// Numbers of the publications.
        numbers: Vec<Number>,
    },
    /// The end of the announcements.
    Announced {
        /// The highest sequence number that the worker has received. The broker continues above it.
        sequence: Sequence,
    },
    /// All publications that an earlier broker may have delivered were sent again.
    WindowRepeated,
    /// A client that must be addressable before its handshake is answered (rule L8).
    Join {
        /// The client's slot.
        slot: Slot,
        /// The client.
        client: Client,
    },
    /// Reserves a place for a client while its backend is asked to authorize it. From now on the client
    /// counts towards the limit of its IP address. Answered by `Reserved` or `Refused`; a `Join` or a `Leave` follows.
    Reserve {
        /// The client's slot.
        slot: Slot,
        /// The client's IP address.
        ip: IpAddr,
    },
    /// A client disconnected. Its slot stays taken until `Left` (rule L3).
    Leave {
        /// The client's slot.
        slot: Slot,
    },
    /// A command about connected clients, kept as a publication is (rule L12).
    Command(Box<NumberedCommand>),
    /// A client requests an alias, which replaces any alias that it has. Answered by `Aliased`.
    Alias {
        /// The client's slot.
        slot: Slot,
        /// The alias, and whether it must be exclusive.
        claim: Claim,
    },
    /// A question about connected clients. Answered by `Answer`.
    Ask {
        /// Slot of the client that asks; [`Slot::NONE`] if the worker or the API process does.
        slot: Slot,
        /// The question.
        query: BrokerQuery,
    },
    /// Answer to [`ToWorker::Describe`].
    Described(DescribeAnswer),
    /// Answered by `Synced` after every earlier message on this link has been processed. The worker sends it
    /// when the reply to a client must wait until an effect is in force.
    Sync {
        /// Number of the request, counted by the worker.
        number: u64,
    },
    /// Requests the recipient count of the publication that follows; answered by `Reached`. This is a
    /// separate message, so that other publications need no additional byte.
    Count {
        /// With more recipients than this, the publication is not delivered.
        clients_max: Option<u64>,
        /// What the workers of its recipients report about its deliveries.
        tracking: Option<Tracking>,
    },
    /// The report of this worker on a publication that [`ToWorker::Track`] announced.
    Tracked {
        /// The publisher.
        publisher: WorkerIncarnation,
        /// Number of the publication within the publisher.
        number: Number,
        /// The report.
        outcome: TrackedOutcome,
    },
    /// Records of requests that must not take effect twice. Only the API process sends them (rule L11).
    Remember(ReplayRecords),
    /// The id of the publication that follows the next [`ToBroker::Count`]. If it was used before, the
    /// publication is not delivered, and its use is sent with [`ToWorker::Remember`] before `Reached`.
    Identify(PublicationId),
    /// About a client that may resume.
    Resumable(FromResumable),
    /// About a watched query, or what watchers see of a client.
    Presence(FromWatcher),
    /// From the bridge alone.
    Bridge(FromBridge),
    /// Work that this worker has done for a tenant, once [`ToWorker::CountWork`] has arrived.
    Work(WorkReport),
    /// What this process has accepted of an application whose publications are limited. The broker passes it on to
    /// all other members of the link.
    Charged(ApplicationCharge),
    /// A publication. The worker keeps it until it is acknowledged (rule L4).
    Publish {
        /// Number of the publication, counted by the worker.
        number: Number,
        /// The publication with its address.
        publication: Publication,
    },
}

impl ToBroker {
    /// Returns the work that the broker does for a message, in bytes of a usual one
    /// ([`TurnBudget::is_spent_after`](crate::types::TurnBudget::is_spent_after)).
    #[must_use]
    pub fn work(&self) -> usize {
        match self {
            // It may look at thousands of clients.
            Self::Ask { .. } => CLOCK_WORK,
            Self::Join { client, .. } | Self::Announce { client, .. } => {
                client.tags.len() * ROW_WORK
            }
            Self::Resumable(message) => message.work(),
            Self::Presence(message) => message.work(),
            Self::Bridge(message) => message.work(),
            Self::Command(it) => it.command.kind.work(),
            Self::Seen { numbers, .. } => numbers.len() * ROW_WORK / 4,
            Self::Publish { publication, .. } => {
                let rows = match &publication.address.recipients {
                    Recipients::Matching(query) => query.len(),
                    Recipients::TagSequence(tags) => tags.len(),
                    Recipients::First { .. } | Recipients::Named(_) => 0,
                    // It may look at thousands of clients.
                    _ => CLOCK_WORK / ROW_WORK,
                };
                publication.content.payload.len() + rows * ROW_WORK
            }
            Self::Tracked { outcome, .. } => outcome.held(),
            Self::Remember(records) => records.len() * ROW_WORK,
            Self::Charged(_) => ROW_WORK, // A copy for each worker.
            _ => 0,
        }
    }
}

/// The recipients of a publication when it was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedPublication {
    /// Number of the publication.
    pub number: Number,
    /// Clients that the address matched.
    pub clients: u64,
    /// On how many workers they are.
    pub workers: u32,
    /// The number of values that the prefixes of its expression would scan, if that is above the
    /// limit: the publication then reached no client. Otherwise zero.
    pub scan_values: u64,
    /// For a publication to a single client: whether it is kept for one that is away.
    pub away: Option<bool>,
    /// Other hosts get it, too.
    pub is_forwarded: bool,
}

/// From the broker to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// The broker starts a new turn. Set names from before are no longer valid.
    Batch,
    /// Gives a set of slots a name for the rest of the batch.
    Set {
        /// The name.
        name: SetName,
        /// The slots.
        slots: SlotSet,
    },
    /// The sets and publications that follow are those of this tenant. This is a separate message, so that
    /// the deliveries of a server with one tenant need no additional byte. A link begins with the shared tenant.
    Tenant(Tenant),
    /// The worker counts its work from here on and reports it once a turn, for each tenant from this much on.
    CountWork {
        /// The least work of a report.
        reported_from: u64,
    },
    /// The publishers of a tenant wait from now on, or no longer. A link begins without throttles.
    Throttle(TenantThrottle),
    /// What another process has accepted of an application whose publications are limited.
    Charged(ApplicationCharge),
    /// About a client that may resume.
    Resumable(ToResumable),
    /// About watched queries.
    Presence(ToWatcher),
    /// For the bridge alone.
    Bridge(ToBridge),
    /// About other hosts.
    Hosts(HostsNotice),
    /// A publication for some of this worker's clients.
    Deliver(Deliver),
    /// Requests a report on the `Deliver` that follows. This is a separate message, so that other
    /// deliveries need no additional byte.
    Track(Tracking),
    /// The position of the `Deliver` that follows, where publications are stored. This is a separate message, so that
    /// other deliveries need no additional byte.
    At(ReplayPosition),
    /// The latest position of a space that stores publications: before `Joined`, and once a second if it has moved.
    Head(JournalHead),
    /// A report of a worker on a publication of this one.
    Tracked {
        /// Number of the publication.
        number: Number,
        /// The report.
        outcome: TrackedOutcome,
    },
    /// The client in this slot is now addressable.
    Joined {
        /// The client's slot.
        slot: Slot,
        /// The client's position in the order of all joins.
        number: JoinNumber,
        /// Connections of this worker.
        own: u32,
        /// Connections of the worker that has the fewest.
        smallest: u32,
    },
    /// The client in this slot was counted towards the limit of its IP address.
    Reserved {
        /// The client's slot.
        slot: Slot,
    },
    /// The client in this slot is refused. The broker has not stored it.
    Refused {
        /// The client's slot.
        slot: Slot,
        /// The limit that is reached.
        full: Full,
    },
    /// Answer to [`ToBroker::Alias`].
    Aliased {
        /// Slot of the client that requested the alias.
        slot: Slot,
        /// Number of the grant; `None` if the request was refused, in which case the client keeps the alias
        /// that it had.
        granted: Option<GrantNumber>,
    },
    /// Answer to [`ToBroker::Ask`].
    Answer {
        /// Slot of the client that asked.
        slot: Slot,
        /// Number of the question.
        number: u32,
        /// The result.
        result: QueryResult,
    },
    /// Asks the worker of a client about it. Answered by [`ToBroker::Described`].
    Describe(DescribeRequest),
    /// Answer to [`ToBroker::Count`]. It is sent directly before the acknowledgement of the publication, when
    /// the publication has been written to every link.
    Reached(CountedPublication),
    /// Answer to a [`ToBroker::Command`]. It is sent directly before the acknowledgement of the command.
    Outcome {
        /// Number of the command.
        number: Number,
        /// What has become of it.
        outcome: Box<CommandOutcome>,
    },
    /// The tags of all clients that match have changed.
    RetaggedMatching(Box<RetaggedClients>),
    /// Connections of this worker that a command closes.
    Close(Box<CloseOrder>),
    /// The tags of a client of this worker have changed (rule L12).
    Retagged(Box<RetaggedClient>),
    /// Publications that are resolved after this message no longer contain this slot, so it may be reused (rule L3).
    Left {
        /// The slot.
        slot: Slot,
    },
    /// Answer to [`ToBroker::Sync`]: the messages before it are in force for everything that is resolved
    /// after this.
    Synced {
        /// Number of the request.
        number: u64,
    },
    /// Records for a new API process of requests that must not take effect twice. It accepts requests after
    /// the last of them, which is [`ReplayRecords::Basis`] (rule L11).
    Remember(ReplayRecords),
    /// Every publication up to this number has been written to all its links (rule L5).
    Acknowledged {
        /// Number of the last acknowledged publication.
        up_to: Number,
    },
}

/// The limit that caused a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// `maxClients`.
    Clients,
    /// `maxPerIP`.
    Address,
    /// `connections` of an application.
    Application,
}

/// A publication for the clients of one worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deliver<P = Bytes> {
    /// The worker that received it from its publisher.
    pub source: WorkerIncarnation,
    /// Its number within that worker.
    pub number: Number,
    /// Its number in the order of all publications of the broker.
    pub sequence: Sequence,
    /// The clients of the receiving worker that get it.
    pub target: DeliverTo,
    /// The content. `None` if the receiving worker published it: a worker keeps its publications until
    /// they are acknowledged (rule L4), and the acknowledgement follows the delivery.
    pub content: Option<Content<P>>,
}

/// The clients of one worker that get a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverTo {
    /// One client, addressed by UUID or ident.
    One(Slot),
    /// The clients of a set, except for at most one that the address excludes.
    Set {
        /// Name of the set in this batch.
        name: SetName,
        /// Slot of the excluded client.
        except: Option<Slot>,
    },
}

/// The name of a set of slots within one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetName(pub u32);

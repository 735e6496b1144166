//! What the core of a bridge returns: messages for the broker, and counts.

use bytes::Bytes;

use super::carried::CarriedPublication;
use super::envelope::{BridgeEpoch, HostRun};
use super::hello::EpochEnds;
use super::item::{LaneKey, LanePoint};
use super::lanes_in::GapReason;
use super::lost_items::LostItems;
use super::taken::{PassedPublication, TakenLanes, TakenTable};
use super::traffic::ClusterTraffic;
use crate::types::{HostId, Number, WorkerIncarnation};

/// The hosts that get a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardReach {
    /// All hosts.
    All,
    /// One host. If it is not known, all hosts.
    One(HostId),
}

/// A publication of this host for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward<B = Bytes> {
    /// The hosts that get it.
    pub reach: ForwardReach,
    /// The publication.
    pub publication: CarriedPublication<B>,
}

/// Why other hosts may not receive what this host publishes, or this host what others publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DegradedReason {
    /// There is no connection to a NATS server.
    Disconnected,
    /// Own heartbeats do not come back: this host cannot receive, probably for lack of a permission.
    CannotReceive,
    /// What was sent does not come back: the NATS server is slow, or this host may not publish.
    CannotSend,
}

/// A publication of another host, on its way to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival<B = Bytes> {
    /// Its number among the arrivals of this bridge, from 1.
    pub number: u64,
    /// Its place in a lane of its host.
    pub taken: PassedPublication,
    /// The publication.
    pub publication: CarriedPublication<B>,
}

impl Forward<&[u8]> {
    /// Copies the bytes.
    #[must_use]
    pub fn copied(self) -> Forward {
        Forward { reach: self.reach, publication: self.publication.copied() }
    }
}

impl Arrival {
    /// Lends the bytes.
    #[must_use]
    pub fn borrowed(&self) -> Arrival<&[u8]> {
        let Self { number, taken, publication } = self;
        Arrival { number: *number, taken: *taken, publication: publication.borrowed() }
    }
}

impl Arrival<&[u8]> {
    /// Copies the bytes.
    #[must_use]
    pub fn copied(self) -> Arrival {
        let Self { number, taken, publication } = self;
        Arrival { number, taken, publication: publication.copied() }
    }
}

/// A publication to a single client that was given to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentToOne {
    /// The worker that accepted it.
    pub source: WorkerIncarnation,
    /// Its number within that worker.
    pub number: Number,
    /// The host.
    pub host: HostId,
}

/// Items of another host that this host will never receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneGap {
    /// The other host.
    pub host: HostId,
    /// Its run.
    pub run: HostRun,
    /// The items; `None` if their number is not known.
    pub lost: Option<LostItems>,
    /// The reason.
    pub reason: GapReason,
}

impl LaneGap {
    /// Returns whether clients may have missed something.
    #[must_use]
    pub fn is_for_clients(&self) -> bool {
        self.lost.is_none_or(|lost| lost.for_clients > 0)
    }
}

/// For the broker, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterEffect {
    /// A host is live: new, or back. Its lanes are taken from here on.
    HostLive {
        /// The host.
        host: HostId,
        /// The places in its lanes.
        taken: TakenLanes,
    },
    /// A host is gone. What is sent to all is still kept for it.
    HostGone(HostId),
    /// Nothing is kept for a host any longer.
    HostForgotten(HostId),
    /// A publication of another host.
    Arrive(Arrival),
    /// Forwards are safe.
    Carried {
        /// How many of this broker's forwards are safe, from the first on.
        forwards: u64,
        /// The life of this bridge.
        epoch: BridgeEpoch,
        /// Their places, for the next bridge ([`EpochEnds::note`]).
        points: Vec<LanePoint>,
    },
    /// A lane is over, for the next bridge ([`EpochEnds::close`]).
    LaneClosed(LaneKey),
    /// This host will never receive items of another one.
    Gap {
        /// Its number among the arrivals of this bridge.
        number: u64,
        /// The gap.
        gap: LaneGap,
    },
    /// Whether the lanes are impaired. `None`: no longer.
    Degraded(Option<DegradedReason>),
    /// Another host has the id of this one. It was copied with the state folder.
    DuplicateHost,
}

/// What the broker keeps for the next bridge. The default is that of a broker that knows nothing of earlier bridges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptForBridge {
    /// Nothing of earlier bridges was lost with a broker.
    pub is_complete: bool,
    /// How far the lanes of other hosts were taken.
    pub taken: TakenTable,
    /// How far own lanes were carried.
    pub ends: EpochEnds,
}

impl KeptForBridge {
    /// Returns what the first bridge of a run gets.
    #[must_use]
    pub fn first() -> Self {
        Self { is_complete: true, ..Self::default() }
    }
}

/// Counts of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterCounts {
    /// Messages that were dropped because they are not of a host of this cluster.
    pub invalid_messages: u64,
    /// Items of other hosts that had arrived before, or were passed on before.
    pub duplicates_dropped: u64,
    /// Requests of this host for items.
    pub repair_requests: u64,
    /// Items that this host sent again on request.
    pub repaired_items: u64,
    /// Control messages that were dropped because too many waited.
    pub control_dropped: u64,
    /// Items of this host that were dropped before the NATS server had taken them.
    pub evicted_unconfirmed: u64,
    /// Bytes in the replay buffer.
    pub replay_buffer_bytes: usize,
    /// Items of other hosts that wait for earlier ones.
    pub held_items: usize,
    /// Items of this host that the NATS server has not confirmed.
    pub unconfirmed_items: u64,
    /// Questions that all hosts have answered in time.
    pub queries_complete: u64,
    /// Questions that some hosts have not answered in time.
    pub queries_partial: u64,
    /// What has passed the lanes.
    pub traffic: ClusterTraffic,
}

//! Messages between the broker and the bridge, which carries publications to other hosts.

use super::in_place::{FromWorker, PublishFrame};
use super::message::ROW_WORK;
use super::query::{HostsAnswer, HostsQuery};
use crate::cluster::{
    AnnouncedNames, Arrival, ClusterEffect, Forward, KeptForBridge, LostItems, SentToOne,
};
use crate::types::limits::CLOCK_WORK;
use crate::types::{ConnectionCounts, Content, Number, PayloadForm, Tenant, WorkerIncarnation};

/// From the bridge to the broker. A new bridge begins with [`FromBridge::Start`], one that has had a broker before
/// with [`FromBridge::Kept`].
#[derive(Clone, Debug, PartialEq)]
pub enum FromBridge {
    /// The bridge is new, and needs what earlier ones have left with the broker. Answered by [`ToBridge::Kept`].
    Start,
    /// The broker is new. This is what it keeps for the next bridge.
    Kept(Box<KeptForBridge>),
    /// Something that the broker is to know.
    Effect(Box<ClusterEffect>),
    /// Answer to [`ToBridge::Query`].
    Answered(Box<AnsweredByHosts>),
    /// Names of a host that earlier brokers knew, before anything is resolved.
    Names(Box<AnnouncedNames>),
    /// The connections of other hosts together, if limits over all hosts need them.
    Elsewhere(Box<ConnectionCounts>),
    /// Publications to single clients that earlier brokers have given to other hosts. Their workers repeat them.
    Sent(Vec<SentToOne>),
}

/// A question to other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOfProcess {
    /// The process that asks.
    pub asker: WorkerIncarnation,
    /// Its number for the question.
    pub number: u32,
    /// The tenant whose clients are searched.
    pub tenant: Tenant,
    /// The question.
    pub query: HostsQuery,
}

/// What other hosts have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredByHosts {
    /// The process that has asked.
    pub asker: WorkerIncarnation,
    /// Its number for the question.
    pub number: u32,
    /// The answers.
    pub answer: HostsAnswer,
}

impl FromBridge {
    /// Returns the work that the broker does for a message: see [`ToBroker::work`](super::message::ToBroker::work).
    #[must_use]
    pub fn work(&self) -> usize {
        let effect = match self {
            Self::Effect(effect) => effect,
            Self::Answered(_) | Self::Elsewhere(_) => return ROW_WORK,
            Self::Start | Self::Kept(_) | Self::Names(_) | Self::Sent(_) => return CLOCK_WORK,
        };
        match &**effect {
            ClusterEffect::Arrive(arrival) => arrival_work(arrival),
            _ => ROW_WORK,
        }
    }
}

/// Returns the work that the broker does for a publication of another host.
pub(super) fn arrival_work<B: AsRef<[u8]>>(
    Arrival { number, publication, .. }: &Arrival<B>,
) -> usize {
    let is_internal =
        publication.is_of_directory() || publication.is_of_watches() || publication.is_about_move();
    if publication.is_command() || is_internal {
        return CLOCK_WORK;
    }
    let content = Content { form: PayloadForm::Message, payload: publication.payload.as_ref() };
    let (number, route) = (Number(*number), publication.route.as_ref());
    FromWorker::Publish(PublishFrame { number, route, content }).work()
}

/// From the broker to workers and the API process of a host with a cluster: what they are to know about other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostsNotice {
    /// Publications pass between this host and others.
    Joined,
    /// They do not. A link begins with one of these two.
    Cut,
    /// So many hosts are live, this one included. A link begins with this, too.
    Live {
        /// The hosts.
        hosts: u32,
    },
    /// Items of another host will not arrive.
    Missed {
        /// How many of them any client may have missed; `None` if that is not known.
        items: Option<u64>,
    },
}

/// From the broker to the bridge. [`ToWorker::Acknowledged`](super::message::ToWorker::Acknowledged) acknowledges
/// arrivals and gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum ToBridge {
    /// What earlier bridges of this run have left. It is sent once, before any forward.
    Kept(Box<KeptForBridge>),
    /// A publication for other hosts.
    Forward(Box<Forward>),
    /// These items for other hosts were not kept while there was no bridge. They count as one forward.
    Missing(LostItems),
    /// A question to other hosts. Answered by [`FromBridge::Answered`].
    Query(Box<QueryOfProcess>),
    /// How many clients this host has, and the addresses of many of them, at the beginning and after changes.
    Clients(Box<ConnectionCounts>),
}

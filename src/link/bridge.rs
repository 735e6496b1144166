//! Messages between the broker and the bridge, which carries publications to other hosts.

use super::in_place::{FromWorker, PublishFrame};
use super::message::ROW_WORK;
use crate::cluster::{CarriedPublication, ClusterEffect, Forward, KeptForBridge};
use crate::types::limits::CLOCK_WORK;
use crate::types::{Content, Number, PayloadForm};

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
}

impl FromBridge {
    /// Returns the work that the broker does for a message: see [`ToBroker::work`](super::message::ToBroker::work).
    #[must_use]
    pub fn work(&self) -> usize {
        let Self::Effect(effect) = self else { return CLOCK_WORK };
        match &**effect {
            ClusterEffect::Arrive(arrival) => {
                let CarriedPublication { route, payload, .. } = &arrival.publication;
                let number = Number(arrival.number);
                let content = Content { form: PayloadForm::Message, payload: &payload[..] };
                FromWorker::Publish(PublishFrame { number, route, content }).work()
            }
            _ => ROW_WORK,
        }
    }
}

/// From the broker to the bridge. [`ToWorker::Acknowledged`](super::message::ToWorker::Acknowledged) acknowledges
/// arrivals and gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum ToBridge {
    /// What earlier bridges of this run have left. It is sent once, before any forward.
    Kept(Box<KeptForBridge>),
    /// A publication for other hosts.
    Forward(Box<Forward>),
    /// This number of publications for other hosts was not kept while there was no bridge. They count as one forward.
    Missing(u64),
}

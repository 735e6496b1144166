//! What the broker gets to know of the connections of other hosts, for limits over all of them.

use std::time::Instant;

use super::link::BridgeLink;
use crate::cluster::{BridgeCore, figures};
use crate::config::ClusterSettings;
use crate::link::bridge::FromBridge;
use crate::types::ConnectionCounts;
use crate::types::limits::CLUSTER_CLIENTS_EVERY;

/// What the broker knows.
#[derive(Debug)]
pub(super) struct ToldConnections {
    counts: ConnectionCounts,
    looked: Instant,
}

impl ToldConnections {
    /// Returns whether there is a limit.
    pub(super) fn are_needed(settings: &ClusterSettings) -> bool {
        settings.max_clients > 0 || settings.max_per_ip > 0
    }

    /// Tells the broker what other hosts have, if that has changed and a moment has passed: heartbeats have it.
    pub(super) fn tell(
        told: &mut Option<Self>,
        core: &BridgeCore,
        link: &mut BridgeLink,
        now: Instant,
    ) {
        if told.as_ref().is_some_and(|it| now < it.looked + CLUSTER_CLIENTS_EVERY) {
            return;
        }
        let counts = figures::connections_elsewhere(core);
        if told.as_ref().is_none_or(|it| it.counts != counts) {
            link.say(FromBridge::Elsewhere(Box::new(counts.clone())));
        }
        *told = Some(Self { counts, looked: now });
    }
}

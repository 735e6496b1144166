//! Watched queries between hosts: what the bridge carries of them.
//!
//! A host without a cluster does nothing of this.

use std::time::Duration;

use bytes::Bytes;

use super::{LinkState, Router};
use crate::broker::other_hosts::OtherHosts;
use crate::broker::presence::{PresenceTable, SharedPresence, sharing};
use crate::cluster::{Arrival, CarriedPublication, CarriedReplay, ClusterEffect, Forward};
use crate::link::bridge::HostsNotice;
use crate::link::codec::{decode_hosts_presence, encode_hosts_presence};
use crate::types::{
    ClusterMember, HostId, Number, PayloadForm, Sequence, WorkerId, WorkerIncarnation,
};

/// Shares watches with other hosts from now on.
pub(super) fn share(router: &mut Router, own: ClusterMember) {
    let ClusterMember { host, query_timeout } = own;
    let started = u64::try_from(router.started.as_micros()).unwrap_or_default();
    let Some(generation) = router.hosts.as_ref().map(|hosts| hosts.generation) else { return };
    // The start of a broker alone would be enough where clocks never go back.
    let session = started.wrapping_shl(8).wrapping_add(generation.0.into());
    sharing::begin(&mut router.presence, host, session, query_timeout);
}

/// Notes which hosts are live.
pub(super) fn note(presence: &mut PresenceTable, effect: &ClusterEffect, now: Duration) {
    match effect {
        ClusterEffect::HostLive { host, .. } => sharing::host_live(presence, *host, now),
        ClusterEffect::HostGone(host) | ClusterEffect::HostForgotten(host) => {
            sharing::host_gone(presence, *host, now);
        }
        _ => {}
    }
}

/// A bridge without a past takes all hosts for live that are kept.
pub(super) fn bridge_began(presence: &mut PresenceTable, hosts: &OtherHosts, now: Duration) {
    hosts.gone().into_iter().for_each(|host| sharing::host_live(presence, host, now));
}

/// Items of a host will never arrive.
pub(super) fn note_gap(router: &mut Router, host: HostId) {
    sharing::note_gap(&mut router.presence, host, router.now);
}

/// Takes an item of another host.
pub(super) fn take(router: &mut Router, arrival: &Arrival) {
    let Arrival { taken, publication, .. } = arrival;
    let now = router.now;
    let Some(hosts) = router.hosts.as_deref_mut() else { return };
    hosts.note_taken(taken, publication);
    match decode_hosts_presence(&publication.payload) {
        Ok(item) => sharing::take(&mut router.presence, taken.host, item, now),
        Err(error) => {
            hosts.report_unreadable(taken.host, "a message about watches", &error, now);
        }
    }
}

/// Returns whether the bridge has taken everything, and passes it on. What is not sent meanwhile is put together.
pub(super) fn is_bridge_ready(router: &Router) -> bool {
    let Some(hosts) = router.hosts.as_deref() else { return false };
    let bridge = router.workers.get(&WorkerId::BRIDGE);
    let is_linked = bridge.is_some_and(|bridge| bridge.link_state == LinkState::Announced);
    is_linked && hosts.reach == HostsNotice::Joined && hosts.forwards.are_given()
}

/// Gives the bridge what is to be sent about watches.
pub(super) fn end_turn(router: &mut Router) {
    let is_ready = is_bridge_ready(router);
    let is_resolving = router.is_resolving();
    let Router { hosts: Some(hosts), presence, last_sequence, now, .. } = router else { return };
    if !is_resolving {
        return;
    }
    while let Some((reach, item)) = sharing::next_item(presence)
        .or_else(|| if is_ready { sharing::next_resync(presence, *now) } else { None })
    {
        if !hosts.are_known() {
            // A host that comes gets everything.
            continue;
        }
        hosts.watches_sent += 1;
        let generation = hosts.generation;
        let publication = CarriedPublication {
            source: WorkerIncarnation { worker: WorkerId::WATCHES, generation },
            number: Number(hosts.watches_sent),
            generation,
            sequence: Sequence(*last_sequence),
            route: Bytes::new(),
            form: PayloadForm::Message,
            payload: encode_hosts_presence(&item).into(),
            is_repeated: false,
            directive: None,
            question: None,
            report_ms: None,
            replay: CarriedReplay::None,
        };
        hosts.forwards.push(&Forward { reach, publication });
    }
    if sharing::take_full(presence) && hosts.watches_full.admits(*now) {
        tracing::error!(
            event = "cluster_watches_full",
            "too many watched queries: further ones are evaluated on this host only"
        );
    }
}

/// Returns when everything is to be sent to a host.
pub(super) fn next_due(router: &Router) -> Option<Duration> {
    let due = router.presence.shared().and_then(SharedPresence::resync_due);
    due.filter(|_| is_bridge_ready(router))
}

//! What the bridge shows of the cluster, and its figures with labels.

use std::time::Instant;

use super::notices::Notices;
use crate::cluster::{
    BridgeCore, CLUSTER_FORMAT, ClusterTraffic, ItemKind, LostItems, TrafficLane, figures,
};
use crate::config::BridgeConfig;
use crate::types::{ClusterReport, HistogramFamily, LabelledSeries, SeriesFamily};

/// Returns the cluster as this host sees it.
pub(super) fn report(
    notices: &Notices,
    config: &BridgeConfig,
    core: Option<&BridgeCore>,
    now: Instant,
) -> Box<ClusterReport> {
    let counts = notices.counts(core, 0, now);
    let server = notices.server.as_ref();
    Box::new(ClusterReport {
        cluster: config.cluster.name.clone(),
        format: CLUSTER_FORMAT,
        state: counts.state,
        state_s: counts.state_s,
        fault: counts.fault,
        nats: server.map(|server| server.address.clone()),
        nats_version: server.map(|server| server.version.clone()),
        echo_us: core.and_then(|core| figures::times(core).last_echo_us),
        name: config.profile.name.clone(),
        id: config.host.to_string(),
        version: config.profile.version.clone(),
        uptime_s: core.map_or(0, figures::uptime_s),
        clients: core.map_or(0, figures::own_clients),
        unconfirmed_items: core.map_or(0, |core| core.counts().unconfirmed_items),
        replay_buffer_bytes: counts.replay_buffer_bytes,
        buffered_items: counts.buffered_items,
        others: core.map(|core| figures::others(core, now)).unwrap_or_default(),
    })
}

/// Adds the figures with labels.
pub(super) fn add_series(
    notices: &Notices,
    core: Option<&BridgeCore>,
    series: &mut LabelledSeries,
) {
    for (reason, gaps) in &notices.gaps_by_reason {
        series.one(SeriesFamily::ClusterGaps, *reason, gaps.gaps);
        let LostItems { all, for_clients } = gaps.lost;
        let others = all.saturating_sub(for_clients);
        for (kind, items) in [("publication", for_clients), ("other", others)] {
            series.two(SeriesFamily::ClusterLostItems, *reason, kind, items);
        }
    }
    for (reason, messages) in &notices.invalid_by_reason {
        series.one(SeriesFamily::ClusterInvalidMessages, *reason, *messages);
    }
    let Some(core) = core else { return };
    add_traffic(core, series);
    let times = figures::times(core);
    series.record(HistogramFamily::ClusterConfirmation, "", &times.echoes);
    series.record(HistogramFamily::ClusterLag, "", &times.lags);
    series.plain(SeriesFamily::ClusterClients, figures::clients_of_all(core));
    series.plain(SeriesFamily::ClusterUnconfirmedItems, core.counts().unconfirmed_items);
}

/// Adds what has passed the lanes.
fn add_traffic(core: &BridgeCore, series: &mut LabelledSeries) {
    let ClusterTraffic { incoming, outgoing } = core.counts().traffic;
    for (direction, traffic) in [("in", incoming), ("out", outgoing)] {
        for lane in TrafficLane::ALL {
            let word = lane.as_str();
            series.two(SeriesFamily::ClusterBytes, direction, word, traffic.bytes(lane));
            if lane == TrafficLane::None {
                continue;
            }
            series.two(SeriesFamily::ClusterBatches, direction, word, traffic.batches(lane));
            for kind in ItemKind::ALL {
                let labels = [direction, word, kind.as_str()];
                series.three(SeriesFamily::ClusterItems, labels, traffic.items(lane, *kind));
            }
        }
    }
}

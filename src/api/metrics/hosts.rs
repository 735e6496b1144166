//! Figures of the bridge to other hosts. A server without a cluster has none.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::text::FamilyHead::{Counter, Gauge};
use super::text::{Series, counter, family, float, gauge, series};
use crate::types::{
    BridgeCounts, ClusterReport, ClusterState, MetricsSnapshot, OtherHost, ProcessCounts,
    SharedSetting,
};

const COUNTERS: [Series<BridgeCounts>; 6] = [
    series("cluster_connects", "Connections to NATS that were made", |it| it.connects),
    series(
        "cluster_messages_dropped",
        "Messages from NATS that were dropped because too many waited",
        |it| it.overflows,
    ),
    series("cluster_duplicates_dropped", "Items of other hosts that had arrived before", |it| {
        it.duplicates_dropped
    }),
    series("cluster_repair_requests", "Requests for items that are missing", |it| {
        it.repair_requests
    }),
    series("cluster_repaired_items", "Items that were sent again on request", |it| {
        it.repaired_items
    }),
    series(
        "cluster_replay_buffer_evicted_unconfirmed",
        "Items that were dropped before the NATS server had taken them",
        |it| it.evicted_unconfirmed,
    ),
];

const GAUGES: [Series<BridgeCounts>; 4] = [
    series("cluster_connected", "1 if there is a connection to a NATS server", |it| {
        u64::from(it.state != ClusterState::Disconnected)
    }),
    series(
        "cluster_degraded",
        "1 if publications do not pass between this host and others",
        |it| u64::from(it.state != ClusterState::Connected),
    ),
    series("cluster_replay_buffer_bytes", "Bytes that are kept to be sent again", |it| {
        it.replay_buffer_bytes
    }),
    series("cluster_buffered_items", "Items of other hosts that wait for earlier ones", |it| {
        it.buffered_items
    }),
];

pub(super) fn encode(it: &MetricsSnapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let present = it.processes.iter().find_map(|one| match one.counts {
        Some(ProcessCounts::Bridge(counts)) => Some(counts),
        _ => None,
    });
    let mut sum = it.ended.bridge;
    if let Some(present) = present {
        sum.add_counters(&present);
    } else if sum == BridgeCounts::default() {
        return Ok(());
    }
    for Series { name, help, of } in COUNTERS {
        counter(encoder, name, help, of(&sum))?;
    }
    let both = |into, out| {
        [("in", into), ("out", out)]
            .map(|(direction, count)| ([("direction", direction.to_owned())], float(count)))
            .to_vec()
    };
    let help = "Messages from and to NATS";
    family(encoder, Counter("cluster_messages", help), both(sum.messages_in, sum.messages_out))?;
    let outcomes = [("complete", sum.queries_complete), ("partial", sum.queries_partial)]
        .map(|(outcome, count)| ([("outcome", outcome.to_owned())], float(count)))
        .to_vec();
    let help = "Questions to other hosts: partial if one has not answered in time";
    family(encoder, Counter("cluster_queries", help), outcomes)?;
    let Some(present) = present else { return Ok(()) };
    for Series { name, help, of } in GAUGES {
        gauge(encoder, name, help, of(&present))?;
    }
    let hosts = [
        ("live", present.hosts_live),
        ("silent", present.hosts_silent),
        ("gone", present.hosts_gone),
    ]
    .map(|(state, count)| ([("state", state.to_owned())], float(count)))
    .to_vec();
    family(encoder, Gauge("cluster_hosts", "Hosts of the cluster, this one included"), hosts)?;
    it.cluster.as_deref().map_or(Ok(()), |report| encode_hosts(report, encoder))
}

/// Writes what is known of each other host. The number of hosts bounds the rows.
fn encode_hosts(report: &ClusterReport, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let offsets = report
        .others
        .iter()
        .filter_map(|host| Some(([("host", host.id.clone())], seconds(host.clock_us?))));
    let help = "How far the clock of another host is ahead of this one's";
    let name = "cluster_clock_offset_seconds";
    family(encoder, Gauge(name, help), offsets.collect())?;
    let differing = |setting: &SharedSetting| {
        let differs = |host: &&OtherHost| host.differs.iter().any(|it| it.setting == *setting);
        let hosts = report.others.iter().filter(differs).count() as u64;
        ([("setting", setting.text().to_owned())], float(hosts))
    };
    let help = "Other hosts that have another value of a setting";
    let settings = SharedSetting::ALL.iter().map(differing).collect();
    family(encoder, Gauge("cluster_configuration_mismatch", help), settings)
}

#[expect(clippy::cast_precision_loss, reason = "the error of a clock is no more exact")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

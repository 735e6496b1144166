//! Figures of the bridge to other hosts. A server without a cluster has none.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::text::FamilyHead::{Counter, Gauge};
use super::text::{Series, counter, family, float, gauge, series};
use crate::types::{BridgeCounts, ClusterState, MetricsSnapshot, ProcessCounts};

const COUNTERS: [Series<BridgeCounts>; 9] = [
    series("cluster_connects", "Connections to NATS that were made", |it| it.connects),
    series(
        "cluster_messages_dropped",
        "Messages from NATS that were dropped because too many waited",
        |it| it.overflows,
    ),
    series(
        "cluster_invalid_messages",
        "Messages from NATS that are not of a host of this cluster",
        |it| it.invalid_messages,
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
    series("cluster_gaps", "Gaps in what other hosts have sent", |it| it.gaps),
    series("cluster_lost_items", "Items that are missing in gaps of a known size", |it| {
        it.lost_items
    }),
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
    let help = "Publications of other hosts, and for other hosts";
    family(encoder, Counter("cluster_items", help), both(sum.items_in, sum.items_out))?;
    let help = "Messages from and to NATS";
    family(encoder, Counter("cluster_messages", help), both(sum.messages_in, sum.messages_out))?;
    let help = "Bytes of messages from and to NATS";
    family(encoder, Counter("cluster_bytes", help), both(sum.bytes_in, sum.bytes_out))?;
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
    family(encoder, Gauge("cluster_hosts", "Hosts of the cluster, this one included"), hosts)
}

//! What the bridge logs and counts: its connection, gaps, and messages that it drops.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::host_watch::{HostWarning, HostWatch};
use crate::carrier::CarrierEvent;
use crate::cluster::{
    Arrival, BridgeCore, ClusterCounts, ClusterEffect, DegradedReason, GapReason, HostState,
    InvalidMessage, LaneGap, LostItems, figures,
};
use crate::telemetry::LogThrottle;
use crate::types::{BridgeCounts, ClusterState};

/// Time in which one line of a kind is written.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// While there is no connection, a line is written this often, and when the reason changes.
const LOST_EVERY: Duration = Duration::from_secs(30);

/// The state of the bridge for people.
#[derive(Debug)]
pub(super) struct Notices {
    started: Instant,
    pub(super) counts: BridgeCounts,
    /// Since when the state is as it is.
    since: Instant,
    degraded: Option<DegradedReason>,
    gaps: LogThrottle,
    invalid: LogThrottle,
    faults: LogThrottle,
    slow: LogThrottle,
    duplicates: LogThrottle,
    lost: LogThrottle,
    /// The NATS server of the last connection.
    pub(super) server: Option<NatsServer>,
    pub(super) gaps_by_reason: BTreeMap<&'static str, GapCounts>,
    pub(super) invalid_by_reason: BTreeMap<&'static str, u64>,
    watch: HostWatch,
}

/// A NATS server.
#[derive(Debug)]
pub(super) struct NatsServer {
    pub(super) address: String,
    pub(super) version: String,
}

/// Gaps of one reason.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GapCounts {
    pub(super) gaps: u64,
    /// Items that are lost, as far as their number is known.
    pub(super) lost: LostItems,
}

impl Notices {
    pub(super) fn new(now: Instant) -> Self {
        let once = LogThrottle::new(1, LOG_EVERY);
        Self {
            started: now,
            counts: BridgeCounts::default(),
            since: now,
            degraded: None,
            gaps: LogThrottle::new(10, LOG_EVERY),
            invalid: once,
            faults: LogThrottle::new(5, LOG_EVERY),
            slow: once,
            duplicates: once,
            lost: LogThrottle::new(1, LOST_EVERY),
            server: None,
            gaps_by_reason: GapReason::ALL.map(|it| (it.as_str(), GapCounts::default())).into(),
            invalid_by_reason: InvalidMessage::REASONS.map(|it| (it, 0)).into(),
            watch: HostWatch::default(),
        }
    }

    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// Notes a change of the connections to NATS.
    pub(super) fn on_carrier(&mut self, event: &CarrierEvent, now: Instant) {
        let at = self.at(now);
        match event {
            CarrierEvent::Connected { server, version, .. } => {
                tracing::info!(event = "nats_connected", server, version, "connected to NATS");
                let (address, version) = (server.clone(), version.clone());
                self.server = Some(NatsServer { address, version });
                self.counts.connects += 1;
                self.counts.fault = None;
                self.lost = LogThrottle::new(1, LOST_EVERY);
                self.set_state(ClusterState::Connected, now);
            }
            CarrierEvent::Lost { fault, text } => {
                let is_other = self.counts.fault != Some(*fault);
                if self.lost.admits(at) || is_other {
                    tracing::error!(
                        event = "nats_disconnected",
                        fault = fault.text(),
                        reason = text,
                        "no connection to NATS: this host serves its own clients only"
                    );
                }
                self.counts.fault = Some(*fault);
                self.set_state(ClusterState::Disconnected, now);
            }
            CarrierEvent::Fault(text) => {
                if self.faults.admits(at) {
                    tracing::error!(event = "nats_error", reason = text, "NATS reports an error");
                }
            }
            CarrierEvent::SlowConsumer => {
                if self.slow.admits(at) {
                    tracing::warn!(
                        event = "nats_slow_consumer",
                        "messages of NATS were dropped, other hosts send them again"
                    );
                }
            }
        }
    }

    /// Notes items of another host that are lost. It is a gap if clients may have missed some.
    fn on_gap(&mut self, gap: &LaneGap, at: Duration) {
        let LaneGap { host, lost, reason, .. } = *gap;
        let LostItems { all, for_clients } = lost.unwrap_or_default();
        let is_gap = gap.is_for_clients();
        self.counts.gaps += u64::from(is_gap);
        // The number comes from another host.
        self.counts.lost_items = self.counts.lost_items.saturating_add(all);
        let of_reason = self.gaps_by_reason.entry(reason.as_str()).or_default();
        of_reason.gaps += u64::from(is_gap);
        of_reason.lost = of_reason.lost.and(LostItems { all, for_clients });
        if !self.gaps.admits(at) {
            return;
        }
        let reason = reason.as_str();
        if is_gap {
            let items = lost.map_or_else(|| "unknown".to_owned(), |_| for_clients.to_string());
            tracing::error!(
                event = "cluster_gap",
                host = %host,
                items,
                reason,
                "publications of another host are lost"
            );
        } else {
            tracing::warn!(
                event = "cluster_items_lost",
                host = %host,
                items = all,
                reason,
                "names, watches or records of requests of another host are lost"
            );
        }
    }

    /// Notes something that the broker gets too.
    pub(super) fn on_effect(&mut self, effect: &ClusterEffect, now: Instant) {
        let at = self.at(now);
        match effect {
            ClusterEffect::HostLive { host, .. } => {
                tracing::info!(event = "cluster_host_live", host = %host, "another host is live");
            }
            ClusterEffect::HostGone(host) => {
                tracing::warn!(event = "cluster_host_gone", host = %host, "another host is gone");
            }
            ClusterEffect::Arrive(Arrival { publication, .. }) => {
                let is_counted = !publication.is_of_directory()
                    && !publication.is_of_watches()
                    && !publication.is_about_move();
                self.counts.items_in += u64::from(is_counted);
            }
            ClusterEffect::Gap { gap, .. } => self.on_gap(gap, at),
            ClusterEffect::Degraded(reason) => self.on_degraded(*reason, now),
            ClusterEffect::DuplicateHost => {
                if self.duplicates.admits(at) {
                    tracing::error!(
                        event = "cluster_host_duplicate",
                        "another host has the id of this one: remove host.id from one state folder"
                    );
                }
            }
            ClusterEffect::HostForgotten(_)
            | ClusterEffect::Carried { .. }
            | ClusterEffect::LaneClosed(_) => {}
        }
    }

    fn on_degraded(&mut self, reason: Option<DegradedReason>, now: Instant) {
        if self.degraded == reason {
            return;
        }
        self.degraded = reason;
        let state = match reason {
            None => ClusterState::Connected,
            Some(DegradedReason::Disconnected) => ClusterState::Disconnected,
            Some(DegradedReason::CannotReceive) => ClusterState::CannotReceive,
            Some(DegradedReason::CannotSend) => ClusterState::CannotSend,
        };
        self.set_state(state, now);
        match reason {
            None => tracing::info!(event = "cluster_recovered", "publications pass between hosts"),
            // It has a line of its own.
            Some(DegradedReason::Disconnected) => {}
            Some(DegradedReason::CannotReceive) => tracing::error!(
                event = "cluster_cannot_receive",
                "own heartbeats do not come back from NATS: check the permission to subscribe"
            ),
            Some(DegradedReason::CannotSend) => tracing::error!(
                event = "cluster_cannot_send",
                "what is sent to NATS does not come back: check the permission to publish"
            ),
        }
    }

    fn set_state(&mut self, state: ClusterState, now: Instant) {
        if self.counts.state != state {
            self.counts.state = state;
            self.since = now;
        }
    }

    /// Looks at the other hosts once a second, and warns.
    pub(super) fn watch_hosts(&mut self, core: &BridgeCore, now: Instant) {
        if self.watch.is_due(now) {
            let warnings = self.watch.look(&figures::others(core, now));
            warnings.iter().for_each(HostWarning::log);
        }
    }

    /// Notes a message that was dropped.
    pub(super) fn on_invalid(&mut self, error: InvalidMessage, subject: &str, now: Instant) {
        let at = self.at(now);
        *self.invalid_by_reason.entry(error.reason()).or_default() += 1;
        if self.invalid.admits(at) {
            tracing::warn!(
                event = "cluster_message_invalid",
                subject,
                reason = %error,
                "a message from NATS was dropped"
            );
        }
    }

    /// Returns the counters and the state.
    pub(super) fn counts(
        &self,
        core: Option<&BridgeCore>,
        overflows: u64,
        now: Instant,
    ) -> BridgeCounts {
        let mut counts = BridgeCounts { overflows, ..self.counts };
        counts.state_s = now.saturating_duration_since(self.since).as_secs();
        counts.hosts_live = 1;
        let Some(core) = core else { return counts };
        for (_, state) in core.hosts() {
            match state {
                HostState::Live => counts.hosts_live += 1,
                HostState::Silent => counts.hosts_silent += 1,
                HostState::Gone => counts.hosts_gone += 1,
                HostState::Forgotten => {}
            }
        }
        let ClusterCounts {
            invalid_messages,
            duplicates_dropped,
            repair_requests,
            repaired_items,
            control_dropped: _,
            evicted_unconfirmed,
            replay_buffer_bytes,
            held_items,
            unconfirmed_items: _,
            queries_complete,
            queries_partial,
            traffic: _,
        } = core.counts();
        counts.invalid_messages = invalid_messages;
        counts.duplicates_dropped = duplicates_dropped;
        counts.repair_requests = repair_requests;
        counts.repaired_items = repaired_items;
        counts.evicted_unconfirmed = evicted_unconfirmed;
        counts.replay_buffer_bytes = replay_buffer_bytes as u64;
        counts.queries_complete = queries_complete;
        counts.queries_partial = queries_partial;
        counts.buffered_items = held_items as u64;
        counts
    }
}

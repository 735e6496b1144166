//! What this worker knows about other hosts, and what its clients learn of publications that are lost between hosts.

use crate::link::bridge::HostsNotice;
use crate::protocol::sse;
use crate::protocol::v1::V1Recovery;
use crate::session::SessionFact;
use crate::types::{CloseCode, CloseReason, ClusterReach, RecoveryReason, Slot, SlotSet};
use crate::websocket::write as frames;
use crate::worker::clock::Moment;
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::scheduled_closes::CloseTerms;
use crate::worker::connection::table::{ConnectionTable, TableWalk};
use crate::worker::connection::{Connection, Phase, heartbeat, readiness, write};
use crate::worker::context::Context;
use crate::worker::settings::GapPolicy;

/// With `onGap = close`.
pub(super) const MISSED: CloseReason =
    CloseReason::new(CloseCode::SERVICE_RESTART, "missed messages");

/// What a worker knows about other hosts.
#[derive(Debug, Default)]
pub(super) struct HostsView {
    /// Whether publications pass between this host and others.
    pub(super) reach: ClusterReach<Moment>,
    /// A report of lost publications that not all clients have yet.
    report: Option<GapReport>,
}

/// A walk over all connections because publications of another host are lost.
#[derive(Debug)]
struct GapReport {
    walk: TableWalk,
    /// How many are lost; `None` if that is not known.
    missed: Option<u64>,
    /// What was lost during the walk. Another walk follows for it.
    next: Option<Option<u64>>,
    /// Connections that are to be closed.
    closed: SlotSet,
}

impl GapReport {
    fn new(connections: &ConnectionTable, missed: Option<u64>) -> Self {
        Self { walk: connections.walk(), missed, next: None, closed: SlotSet::default() }
    }
}

/// Applies what the broker says about other hosts.
pub(super) fn on_notice(
    context: &mut Context,
    connections: &mut ConnectionTable,
    notice: HostsNotice,
) {
    let now = context.clock.now();
    match notice {
        HostsNotice::Joined => context.hosts.reach = ClusterReach::Joined,
        HostsNotice::Cut => context.hosts.reach.cut(now),
        HostsNotice::Live { hosts } => context.throttle.share(hosts, now),
        // Names, watches and records of requests.
        HostsNotice::Missed { items: Some(0) } => {}
        HostsNotice::Missed { items } => match &mut context.hosts.report {
            None => context.hosts.report = Some(GapReport::new(connections, items)),
            Some(report) => report.next = Some(with_former(report.next, items)),
        },
    }
}

/// Returns how many publications two gaps have lost, if there was a former one. The numbers come from other hosts.
fn with_former(former: Option<Option<u64>>, items: Option<u64>) -> Option<u64> {
    let sum = |former: Option<u64>| former.zip(items).map(|(one, other)| one.saturating_add(other));
    former.map_or(items, sum)
}

/// Continues a report, within the time budget of this part of the turn. `last_serial` is the serial number of the last
/// connection that was accepted.
pub(super) fn continue_report(
    context: &mut Context,
    connections: &mut ConnectionTable,
    last_serial: u64,
) {
    let Some(mut report) = context.hosts.report.take() else { return };
    let part = context.clock.part();
    while let Some(slot) = connections.next_of(&mut report.walk) {
        if connections.get(slot).is_some_and(may_have_missed) {
            match context.settings.on_gap {
                GapPolicy::Report => tell(context, connections, slot, report.missed),
                GapPolicy::Close { .. } => drop(report.closed.0.insert(slot.0)),
            }
        }
        if context.clock.is_over(part) {
            context.hosts.report = Some(report);
            return;
        }
    }
    if let GapPolicy::Close { spread } = context.settings.on_gap {
        let began_at = context.clock.now();
        let terms = CloseTerms { reason: MISSED, spread, last_serial, began_at };
        context.scheduled_closes.add_all(report.closed, terms);
    }
    context.hosts.report = report.next.map(|missed| GapReport::new(connections, missed));
}

/// Returns whether a connection takes publications.
fn may_have_missed(connection: &Connection) -> bool {
    let Phase::Open(session) = &connection.phase else { return false };
    session.protocol.takes_publications()
        && session.token().is_none_or(|token| token.verified.claims.receives())
}

/// Tells a client that it may have missed publications, if its protocol can say it. A client that is being told what
/// else it has missed learns of it afterwards.
fn tell(context: &mut Context, connections: &mut ConnectionTable, slot: Slot, missed: Option<u64>) {
    let Some(mut connection) = connections.take(slot) else { return };
    let waiting = match &mut connection.phase {
        Phase::Open(session) if session.facts.has(SessionFact::AwaitsRecovery) => {
            Some(session.extras.get_or_insert_default())
        }
        _ => None,
    };
    match waiting {
        Some(extras) => extras.gap = Some(with_former(extras.gap, missed)),
        None => write_gap(context, &mut connection, missed),
    }
    readiness::rearm(context, connections, connection);
}

/// Writes `recovery` with the reason `gap`.
pub(super) fn write_gap(context: &mut Context, connection: &mut Connection, missed: Option<u64>) {
    let Phase::Open(session) = &connection.phase else { return };
    let spec = session.protocol.spec();
    let at = heartbeat::position(context, connection);
    let recovery = V1Recovery { replayed: 0, reason: Some(RecoveryReason::Gap), missed, at };
    let bytes = match (spec.is_event_stream, spec.has_requests) {
        (true, _) => sse::recovery(&recovery).into(),
        (_, true) => frames::text_frame(recovery.frame().as_bytes()),
        _ => return,
    };
    context.labelled.note_recovery(RecoveryReason::Gap);
    write::write(context, connection, bytes, PartKind::Frames);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_add_up_and_an_unknown_one_makes_the_sum_unknown() {
        assert_eq!(with_former(None, Some(3)), Some(3));
        assert_eq!(with_former(Some(Some(2)), Some(3)), Some(5));
        assert_eq!(with_former(Some(Some(u64::MAX)), Some(3)), Some(u64::MAX));
        assert_eq!(with_former(Some(None), Some(3)), None);
        assert_eq!(with_former(Some(Some(2)), None), None);
    }
}

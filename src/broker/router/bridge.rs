//! What the bridge says: other hosts, their publications, and which own publications are carried.

use std::time::Duration;

use super::{LinkState, ProtocolError, Router, host_notices, recording};
use crate::broker::descriptions::AskedDescription;
use crate::broker::other_hosts::{OtherHosts, SoleRecipient};
use crate::broker::resolve_cache::KnownRoute;
use crate::cluster::{
    Arrival, CarriedPublication, ClusterEffect, Forward, GapReason, HostRun, LaneGap,
};
use crate::link::bridge::{AnsweredByHosts, FromBridge, HostsNotice, QueryOfProcess, ToBridge};
use crate::link::codec::encode_route;
use crate::link::message::{PublishFrame, ToBroker, ToWorker};
use crate::link::query::{HostsAnswer, HostsQuery, QueryResult};
use crate::types::limits::CLUSTER_QUERIES_MAX;
use crate::types::{
    Content, Generation, HostId, Number, QueryReach, Sequence, Tenant, WorkerId, WorkerIncarnation,
};

/// A publication as it is forwarded.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedPublication<'a> {
    pub(super) source: WorkerIncarnation,
    pub(super) number: Number,
    pub(super) content: Content<&'a [u8]>,
    /// Where its client is, if it is for a single one.
    pub(super) sole: SoleRecipient,
}

/// Shares publications with other hosts from now on.
pub fn share(router: &mut Router, own: HostId, generation: Generation) {
    router.hosts = Some(Box::new(OtherHosts::new(own, generation)));
}

/// The link to the bridge is gone.
pub(super) fn unlinked(router: &mut Router) {
    if let Some(hosts) = &mut router.hosts {
        hosts.forwards.unlinked();
        host_notices::set_reach(router, HostsNotice::Cut);
    }
}

/// Applies a message of the bridge. Only what has a number waits for earlier messages that are held back.
pub(super) fn on_message(
    router: &mut Router,
    source: WorkerIncarnation,
    message: FromBridge,
) -> Result<(), ProtocolError> {
    let member = router.workers.get_mut(&source.worker);
    let (Some(hosts), Some(member)) = (router.hosts.as_deref_mut(), member) else {
        return Err(ProtocolError::OutOfPlace("a message of a bridge"));
    };
    let is_announcing = member.link_state == LinkState::Announcing;
    match message {
        FromBridge::Start if is_announcing => {
            let kept = Box::new(hosts.begin(source.generation));
            member.out.send(&ToWorker::Bridge(ToBridge::Kept(kept)));
            Ok(())
        }
        FromBridge::Kept(kept) if is_announcing => {
            hosts.kept = *kept;
            hosts.forwards.linked();
            Ok(())
        }
        FromBridge::Start | FromBridge::Kept(_) => {
            Err(ProtocolError::OutOfPlace("an announcement"))
        }
        FromBridge::Answered(answered) => {
            let AnsweredByHosts { asker, number, answer } = *answered;
            if let Some(asked) = router.descriptions.answered(source, asker, number) {
                router.send_description(asked, QueryResult::Hosts(answer));
            }
            Ok(())
        }
        FromBridge::Effect(effect) => match *effect {
            ClusterEffect::Arrive(arrival) => arrive(router, source, arrival),
            gap @ ClusterEffect::Gap { .. } => {
                let message = FromBridge::Effect(Box::new(gap));
                router.apply_or_hold(source, ToBroker::Bridge(message))
            }
            ClusterEffect::Degraded(reason) => {
                let reach = if reason.is_none() { HostsNotice::Joined } else { HostsNotice::Cut };
                host_notices::set_reach(router, reach);
                Ok(())
            }
            effect => {
                hosts.note(effect);
                Ok(())
            }
        },
    }
}

/// Has the bridge ask other hosts. Without one, no host answers.
pub(super) fn ask_hosts(
    router: &mut Router,
    asked: AskedDescription,
    tenant: &Tenant,
    query: &HostsQuery,
) {
    let Some(hosts) = router.hosts.as_deref() else {
        let answer = HostsAnswer { own: HostId(0), hosts: Vec::new() };
        return router.send_description(asked, QueryResult::Hosts(answer));
    };
    let has_room = router.descriptions.len() < CLUSTER_QUERIES_MAX;
    let bridge = router.workers.get_mut(&WorkerId::BRIDGE);
    let bridge = bridge.filter(|bridge| has_room && bridge.link_state == LinkState::Announced);
    let Some(bridge) = bridge else {
        let answer = hosts.unanswered(query.reach);
        return router.send_description(asked, QueryResult::Hosts(answer));
    };
    let AskedDescription { asker, number, .. } = asked;
    let (tenant, query) = (tenant.clone(), query.clone());
    let query = Box::new(QueryOfProcess { asker, number, tenant, query });
    bridge.out.send(&ToWorker::Bridge(ToBridge::Query(query)));
    router.descriptions.open(asked, bridge.source);
}

/// Returns what a question gets whose member of the link is lost. The clients of a worker are gone.
pub(super) fn answer_of_lost(router: &Router, lost: WorkerIncarnation) -> QueryResult {
    match router.hosts.as_deref().filter(|_| lost.worker.is_bridge()) {
        Some(hosts) => QueryResult::Hosts(hosts.unanswered(QueryReach::All)),
        None => QueryResult::Described(None),
    }
}

/// Delivers a publication of another host, as one of a worker.
fn arrive(
    router: &mut Router,
    source: WorkerIncarnation,
    arrival: Arrival,
) -> Result<(), ProtocolError> {
    let Arrival { number, taken, publication } = arrival;
    let CarriedPublication { route, form, payload, .. } = publication;
    if let Some(hosts) = &mut router.hosts {
        hosts.kept.taken.note(&taken);
    }
    let content = Content { form, payload: &payload[..] };
    let frame = PublishFrame { number: Number(number), route: &route, content };
    match router.on_publish(source, frame) {
        // Another host must not end this one's bridge. It has a version that this one does not know.
        Err(ProtocolError::Malformed(malformed)) => {
            if router.hosts.as_mut().is_some_and(|hosts| hosts.unreadable.admits(router.now)) {
                tracing::error!(
                    event = "cluster_publication_unreadable",
                    host = %taken.host,
                    reason = %malformed,
                    "a publication of another host cannot be read"
                );
            }
            let (host, reason) = (taken.host, GapReason::Version);
            let gap = LaneGap { host, run: HostRun(0), items: Some(1), reason };
            let gap = FromBridge::Effect(Box::new(ClusterEffect::Gap { number, gap }));
            router.apply_or_hold(source, ToBroker::Bridge(gap))
        }
        other => other,
    }
}

/// Notes the number of a gap, which is acknowledged as a publication is, and reports it to all workers.
pub(super) fn take_gap(
    router: &mut Router,
    source: WorkerIncarnation,
    message: &FromBridge,
) -> Result<(), ProtocolError> {
    let FromBridge::Effect(effect) = message else { return Ok(()) };
    let ClusterEffect::Gap { number, gap } = &**effect else { return Ok(()) };
    let number = Number(*number);
    recording::note_gap(router, source, number);
    host_notices::report_gap(router, gap.items);
    router.workers.get_mut(&source.worker).map_or(Ok(()), |member| member.take_number(number))
}

/// Passes a publication of this host on to the bridge, if other hosts are to get it.
pub(super) fn forward(router: &mut Router, route: &KnownRoute, resolved: ResolvedPublication<'_>) {
    let Router { hosts: Some(hosts), index, workers, last_sequence, .. } = router else { return };
    let ResolvedPublication { source, number, content, sole } = resolved;
    if source.worker.is_bridge() {
        return;
    }
    let Some(reach) = hosts.reach(index, &route.tenant, &route.address, sole) else { return };
    let publication = CarriedPublication {
        source,
        number,
        generation: hosts.generation,
        sequence: Sequence(*last_sequence),
        route: encode_route(&route.tenant, &route.address).into(),
        form: content.form,
        payload: content.payload.to_vec().into(),
        is_repeated: workers.get(&source.worker).is_some_and(|member| member.may_repeat),
    };
    hosts.forwards.push(Forward { reach, publication });
}

/// Gives forwards to the bridge while its link has room.
pub(super) fn give(router: &mut Router) {
    if let Some(hosts) = &mut router.hosts
        && let Some(bridge) = router.workers.get_mut(&WorkerId::BRIDGE)
        && bridge.link_state == LinkState::Announced
    {
        hosts.forwards.give(&mut bridge.out);
    }
}

/// Returns whether forwards wait that the link of the bridge has room for.
#[must_use]
pub fn has_forwards(router: &Router) -> bool {
    let bridge = router.workers.get(&WorkerId::BRIDGE);
    let bridge = bridge.filter(|bridge| bridge.link_state == LinkState::Announced);
    let hosts = router.hosts.as_deref();
    hosts.zip(bridge).is_some_and(|(hosts, bridge)| hosts.forwards.may_give(&bridge.out))
}

/// Returns when publications no longer wait for the bridge.
pub(super) fn next_due(router: &Router) -> Option<Duration> {
    let hosts = router.hosts.as_deref()?;
    let first = router.turns.front().filter(|turn| turn.forwards > 0)?;
    Some(first.ended_at + hosts.forwards.longest_wait())
}

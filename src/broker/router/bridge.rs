//! What the bridge says: other hosts, their publications, and which own publications are carried.

use std::time::Duration;

use super::directives::AwaitedOfHosts;
use super::replays_of_hosts::{self, carried_id};
use super::{
    LinkState, ProtocolError, Router, arrivals, host_notices, moves, names, presence_of_hosts,
    recording, whereabouts,
};
use crate::broker::descriptions::AskedDescription;
use crate::broker::lane_places::EntryOrigin;
use crate::broker::other_hosts::{OtherHosts, SoleRecipient};
use crate::broker::records::RecordKey;
use crate::broker::resolve_cache::KnownRoute;
use crate::cluster::{CarriedPublication, CarriedReplay, ClusterEffect, Forward};
use crate::link::bridge::{AnsweredByHosts, FromBridge, HostsNotice, QueryOfProcess, ToBridge};
use crate::link::message::{ToBroker, ToWorker};
use crate::link::query::{HostsAnswer, HostsQuery, QueryResult};
use crate::types::limits::{CLUSTER_CLIENTS_EVERY, CLUSTER_QUERIES_MAX};
use crate::types::{
    ClusterMember, ConnectionCounts, Content, Generation, HostId, Number, PublicationId,
    QueryReach, Sequence, Tenant, WorkerId, WorkerIncarnation,
};

/// A publication as it is forwarded.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedPublication<'a> {
    pub(super) source: WorkerIncarnation,
    pub(super) number: Number,
    pub(super) content: Content<&'a [u8]>,
    /// Where its client is, if it is for a single one.
    pub(super) sole: SoleRecipient,
    /// What its publisher awaits.
    pub(super) awaited: AwaitedOfHosts,
    /// Its id.
    pub(super) id: Option<PublicationId>,
}

/// Shares publications with other hosts from now on, and waits for their answers for this time.
pub fn share(router: &mut Router, own: ClusterMember, generation: Generation) {
    let ClusterMember { host, query_timeout } = own;
    let is_new = router.hosts.is_none();
    let hosts = router.hosts.get_or_insert_with(|| Box::new(OtherHosts::new(host, generation)));
    hosts.query_timeout = query_timeout;
    presence_of_hosts::share(router, own);
    router.records.ended.begin();
    if is_new && router.is_resolving() {
        names::begin(router);
    }
}

/// Returns what an arrival is in the common lane of its host, if it is there.
#[inline]
pub(super) fn origin_of(
    router: &mut Router,
    source: WorkerIncarnation,
    number: Number,
) -> Option<EntryOrigin> {
    let hosts = router.hosts.as_deref_mut().filter(|_| source.worker.is_bridge())?;
    hosts.moves.take_arriving(number)
}

/// The link to the bridge is gone.
pub(super) fn unlinked(router: &mut Router) {
    if let Some(hosts) = &mut router.hosts {
        hosts.forwards.unlinked();
        hosts.told_clients = None;
        hosts.names.forget_passable();
        hosts.moves.forget_requests();
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
            presence_of_hosts::bridge_began(&mut router.presence, hosts, router.now);
            let kept = Box::new(hosts.begin(source.generation, router.now));
            member.out.send(&ToWorker::Bridge(ToBridge::Kept(kept)));
            Ok(())
        }
        FromBridge::Kept(kept) if is_announcing => {
            hosts.kept = *kept;
            hosts.forwards.linked();
            Ok(())
        }
        FromBridge::Names(names) if is_announcing => {
            hosts.names.shared.announced(names.host, &names.range);
            Ok(())
        }
        FromBridge::Sent(sent) if is_announcing => {
            hosts.names.note_sent(sent);
            Ok(())
        }
        FromBridge::Start | FromBridge::Kept(_) | FromBridge::Names(_) | FromBridge::Sent(_) => {
            Err(ProtocolError::OutOfPlace("an announcement"))
        }
        FromBridge::Elsewhere(counts) => {
            router.connection_limits.over_hosts.take(*counts);
            Ok(())
        }
        FromBridge::Answered(answered) => {
            let AnsweredByHosts { asker, number, answer } = *answered;
            if let Some(asked) = router.descriptions.answered(source, asker, number) {
                router.send_description(asked, QueryResult::Hosts(answer));
            }
            Ok(())
        }
        FromBridge::Effect(effect) => match *effect {
            ClusterEffect::Arrive(arrival) => arrivals::arrive(router, source, arrival.borrowed()),
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
                presence_of_hosts::note(&mut router.presence, &effect, router.now);
                if hosts.note(effect, router.now) {
                    moves::mark(router);
                }
                host_notices::note_live(router);
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
    let holder = query
        .kind
        .client()
        .and_then(|uuid| whereabouts::holder(router, &RecordKey { tenant: tenant.clone(), uuid }));
    let bridge = router.workers.get_mut(&WorkerId::BRIDGE);
    let bridge = bridge.filter(|bridge| has_room && bridge.link_state == LinkState::Announced);
    let Some(bridge) = bridge else {
        let answer = hosts.unanswered(query.reach);
        return router.send_description(asked, QueryResult::Hosts(answer));
    };
    let AskedDescription { asker, number, .. } = asked;
    let (tenant, mut query) = (tenant.clone(), query.clone());
    if let Some(holder) = holder
        && let QueryReach::One(host) = &mut query.reach
    {
        *host = holder;
    }
    let query = Box::new(QueryOfProcess { asker, number, tenant, query });
    bridge.out.send(&ToWorker::Bridge(ToBridge::Query(query)));
    router.descriptions.open(asked, bridge.source);
}

/// Applies a change of names or records of another host, or notes a gap and reports it to all workers. Each is
/// acknowledged as a publication is.
pub(super) fn take_numbered(
    router: &mut Router,
    source: WorkerIncarnation,
    message: FromBridge,
) -> Result<(), ProtocolError> {
    let FromBridge::Effect(effect) = message else { return Ok(()) };
    let number = match *effect {
        ClusterEffect::Arrive(arrival) if arrival.publication.is_of_directory() => {
            names::take(router, &arrival);
            Number(arrival.number)
        }
        ClusterEffect::Arrive(arrival) if arrival.publication.is_of_watches() => {
            presence_of_hosts::take(router, &arrival);
            Number(arrival.number)
        }
        ClusterEffect::Arrive(arrival) if arrival.publication.is_about_move() => {
            moves::take(router, &arrival);
            Number(arrival.number)
        }
        ClusterEffect::Arrive(arrival) => {
            return replays_of_hosts::take_records(router, source, &arrival);
        }
        ClusterEffect::Gap { number, gap } => {
            if gap.is_for_clients() {
                recording::note_gap(router, source, Number(number));
            }
            host_notices::report_gap(router, gap.lost.map(|lost| lost.for_clients));
            names::note_gap(router, gap.host);
            presence_of_hosts::note_gap(router, gap.host);
            router.hosts.iter_mut().for_each(|hosts| hosts.places.note_gap(gap.host));
            Number(number)
        }
        _ => return Ok(()),
    };
    router.workers.get_mut(&source.worker).map_or(Ok(()), |member| member.take_number(number))
}

/// Passes a publication of this host on to the bridge, if other hosts are to get it.
pub(super) fn forward(router: &mut Router, route: &KnownRoute, resolved: ResolvedPublication<'_>) {
    let ResolvedPublication { source, number, content, sole, awaited, id } = resolved;
    let is_arrival = source.worker.is_bridge();
    let reach = match is_arrival {
        true => names::pass_on(router, route, number, sole),
        false => router
            .hosts
            .as_deref()
            .and_then(|hosts| hosts.reach(&router.index, &route.tenant, &route.address, sole)),
    };
    let Some(reach) = reach else {
        // Any host may be asked to publish it again. Of an arrival, the host of its only client lets all others know.
        let is_here = sole == SoleRecipient::Here && route.address.recipients.is_single();
        let is_told = router.hosts.is_some() && (is_here || !is_arrival);
        id.iter().filter(|_| is_told).for_each(|id| router.replays.spread_id(id));
        return;
    };
    names::send_changes(router);
    let Router { hosts: Some(hosts), workers, last_sequence, .. } = router else { return };
    let encoded = route.encoded();
    let publication = CarriedPublication {
        source,
        number,
        generation: hosts.generation,
        sequence: Sequence(*last_sequence),
        route: &encoded[..],
        form: content.form,
        payload: content.payload,
        is_repeated: workers.get(&source.worker).is_some_and(|member| member.may_repeat),
        directive: (!matches!(awaited, AwaitedOfHosts::Nothing)).then_some(0),
        question: awaited.question(),
        report_ms: awaited.report_ms(),
        replay: id.map_or(CarriedReplay::None, |id| CarriedReplay::Id(Box::new(carried_id(&id)))),
    };
    hosts.forwards.push(&Forward { reach, publication });
    if let Some(member) = workers.get_mut(&source.worker) {
        member.note_forwarded(number);
    }
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
    let first = router.turns.front().filter(|turn| turn.forwards > 0);
    let stalled = first.map(|first| first.ended_at + hosts.forwards.longest_wait());
    let (told, at) = hosts.told_clients.unzip();
    let limits = &router.connection_limits.over_hosts;
    let is_changed = told.is_some_and(|told| told != router.clients() || limits.is_changed());
    let telling = at.filter(|_| is_changed).map(|at| at + CLUSTER_CLIENTS_EVERY);
    stalled.into_iter().chain(telling).min()
}

/// Tells the bridge how many clients this host has, and which addresses have many of them, if that has changed and a moment has passed.
pub(super) fn tell_clients(router: &mut Router) {
    let clients = router.clients();
    let Router { hosts: Some(hosts), workers, now, connection_limits, .. } = router else { return };
    let limits = &mut connection_limits.over_hosts;
    let is_due = hosts.told_clients.is_none_or(|(told, at)| {
        (told != clients || limits.is_changed()) && at + CLUSTER_CLIENTS_EVERY <= *now
    });
    if let Some(bridge) = workers.get_mut(&WorkerId::BRIDGE).filter(|_| is_due)
        && bridge.link_state == LinkState::Announced
    {
        let addresses = limits.take_heavy(1 + hosts.live());
        let counts = ConnectionCounts { clients: clients as u64, addresses };
        bridge.out.send(&ToWorker::Bridge(ToBridge::Clients(Box::new(counts))));
        hosts.told_clients = Some((clients, *now));
    }
}

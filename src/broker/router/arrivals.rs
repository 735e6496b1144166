//! Publications of other hosts, as the bridge passes them on.

use super::{LinkState, ProtocolError, Router, directives, replays_of_hosts};
use crate::cluster::{
    Arrival, CarriedPublication, CarriedReplay, ClusterEffect, GapReason, HostRun, LaneGap,
    LaneKey, LostItems,
};
use crate::link::bridge::FromBridge;
use crate::link::codec::decode_command;
use crate::link::command::NumberedCommand;
use crate::link::message::{PublishFrame, ToBroker};
use crate::types::{Content, Number, WorkerIncarnation};

/// Applies a publication of another host that is in the bytes of the link. Most messages of a bridge are.
///
/// # Errors
///
/// The same as [`Router::on_message`].
pub fn on_arrival(
    router: &mut Router,
    source: WorkerIncarnation,
    arrival: Arrival<&[u8]>,
) -> Result<(), ProtocolError> {
    let Some(member) = router.workers.get(&source.worker) else {
        return Err(ProtocolError::OtherWorker(source));
    };
    let is_greeted = matches!(member.link_state, LinkState::Announcing | LinkState::Announced);
    if !(is_greeted && source.worker.is_bridge() && router.hosts.is_some()) {
        return Err(ProtocolError::OutOfPlace("a message of a bridge"));
    }
    arrive(router, source, arrival)
}

/// Delivers a publication of another host, as one of a worker.
pub(super) fn arrive(
    router: &mut Router,
    source: WorkerIncarnation,
    arrival: Arrival<&[u8]>,
) -> Result<(), ProtocolError> {
    let publication = &arrival.publication;
    let is_of_directory = publication.is_of_directory() || publication.is_of_watches();
    if is_of_directory || publication.is_about_move() {
        return replays_of_hosts::hold(router, source, arrival.copied());
    }
    let Arrival { number, taken, publication } = arrival;
    let is_stored = !router.journals.is_empty();
    let hosts = router.hosts.as_mut();
    let origin = hosts.and_then(|hosts| hosts.note_taken(&taken, &publication));
    if publication.replay == CarriedReplay::Records {
        let arrival = Arrival { number, taken, publication };
        return replays_of_hosts::hold(router, source, arrival.copied());
    }
    let number = Number(number);
    if let Some(hosts) = &mut router.hosts {
        if let Some(origin) = origin.filter(|_| is_stored) {
            hosts.moves.note_arriving(number, origin);
        }
        let is_for_this_host = taken.point.lane != LaneKey::COMMON;
        let was_passed_on = publication.source.worker.is_bridge();
        let is_plain = publication.directive.is_none() || publication.report_ms.is_some();
        if is_for_this_host && !was_passed_on && is_plain {
            hosts.names.note_passable(number);
        }
    }
    let is_command = publication.is_command();
    let tracking = directives::tracking_of(&publication);
    let is_identified =
        replays_of_hosts::identify(router, source, &publication.replay, taken.host)?;
    let CarriedPublication { route, form, payload, .. } = publication;
    let frame = PublishFrame { number, route, content: Content { form, payload } };
    let applied = if let Some(tracking) = tracking {
        directives::track(router, source, frame, tracking)
    } else if is_command {
        decode_command(route).map_err(ProtocolError::Malformed).and_then(|command| {
            let command = Box::new(NumberedCommand { number, is_answered: true, command });
            router.apply_or_hold(source, ToBroker::Command(command))
        })
    } else {
        if is_identified {
            router.apply_or_hold(source, ToBroker::Count { clients_max: None, tracking: None })?;
        }
        router.on_publish(source, frame)
    };
    match applied {
        // Another host must not end this one's bridge. It has a version that this one does not know.
        Err(ProtocolError::Malformed(malformed)) => {
            let now = router.now;
            if let Some(hosts) = router.hosts.as_deref_mut() {
                hosts.report_unreadable(taken.host, "a publication", &malformed, now);
            }
            let (host, reason) = (taken.host, GapReason::Version);
            let lost = Some(LostItems::FOR_CLIENTS);
            let gap = LaneGap { host, run: HostRun(0), lost, reason };
            let gap = FromBridge::Effect(Box::new(ClusterEffect::Gap { number: number.0, gap }));
            router.apply_or_hold(source, ToBroker::Bridge(gap))
        }
        other => other,
    }
}

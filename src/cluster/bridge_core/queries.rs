//! Questions to other hosts, and answers to theirs.

use std::time::Instant;

use bytes::Bytes;

use super::{BridgeCore, NatsConnection, OutgoingMessage};
use crate::cluster::effect::ForwardReach;
use crate::cluster::envelope::BridgeIdentity;
use crate::cluster::hosts::{HostState, RemoteHost};
use crate::cluster::message::{ClusterMessage, HostQuestion, QueryAnswer};
use crate::cluster::queries::AskedQuestion;
use crate::cluster::subject::ClusterSubject;
use crate::types::limits::{CLUSTER_PART_BYTES_MAX, CLUSTER_QUERIES_MAX};
use crate::types::{HostId, QueryReach};

/// Puts a question to the hosts that are live or silent.
pub(super) fn ask(
    core: &mut BridgeCore,
    reach: QueryReach,
    question: &Bytes,
    until: Instant,
) -> u64 {
    let hosts = hosts_of(core, reach);
    let id = core.queries.open(&hosts, until);
    let is_short = question.len() <= CLUSTER_PART_BYTES_MAX;
    if core.connection == NatsConnection::Down || !is_short {
        core.queries.close(id);
    } else if core.queries.is_open(id) {
        for host in hosts {
            let Some(remote) = core.hosts.get(host) else { continue };
            let (run, epoch) = (remote.run, remote.bridge_epoch());
            let question = HostQuestion { run, epoch, id, question: question.clone() };
            core.queries_out.push_question(host, question);
        }
    }
    id
}

/// Awaits the outcomes of a command, which goes to the hosts with the publications.
pub(super) fn await_outcomes(core: &mut BridgeCore, reach: ForwardReach, until: Instant) -> u64 {
    let reach = match reach {
        ForwardReach::One(host) if core.hosts.get(host).is_some() => QueryReach::One(host),
        ForwardReach::One(_) | ForwardReach::All => QueryReach::All,
    };
    let hosts = hosts_of(core, reach);
    let id = core.queries.open(&hosts, until);
    if core.connection == NatsConnection::Down {
        core.queries.close(id);
    }
    id
}

/// Returns the hosts that are not gone.
fn hosts_of(core: &BridgeCore, reach: QueryReach) -> Vec<HostId> {
    let is_asked = |(id, host): &(HostId, &RemoteHost)| {
        let is_meant = reach == QueryReach::All || reach == QueryReach::One(*id);
        is_meant && matches!(host.state, HostState::Live | HostState::Silent)
    };
    core.hosts.iter().filter(is_asked).map(|(id, _)| id).collect()
}

/// Takes a question of another host, unless it is not for this bridge or was taken before: someone may have captured it.
pub(super) fn asked(core: &mut BridgeCore, from: BridgeIdentity, question: HostQuestion) {
    let HostQuestion { run, epoch, id, question } = question;
    let is_own = (run, epoch) == (core.own.run, core.own.epoch);
    let remote = core.hosts.of(from).filter(|_| is_own);
    if !remote.is_some_and(|host| host.takes_question(from.epoch, id)) {
        return;
    }
    let host = from.host;
    match core.asked.len() < CLUSTER_QUERIES_MAX {
        true => core.asked.push(AskedQuestion { host, id, question }),
        false => core.answer(host, id, None),
    }
}

pub(super) fn answered(core: &mut BridgeCore, from: BridgeIdentity, answer: QueryAnswer) {
    if core.hosts.of(from).is_some() {
        core.queries.take(from.host, answer);
    }
}

/// Returns the next question or part of an answer. Answers may be long, and take the connection of the lanes, so that
/// they delay no heartbeat.
pub(super) fn next_message(core: &mut BridgeCore) -> Option<OutgoingMessage> {
    let (to, message) = core.queries_out.pop()?;
    core.queries_out.was_last = true;
    let subject = match &message {
        ClusterMessage::Answer(_) => ClusterSubject::Private { to, from: core.own.host },
        _ => ClusterSubject::Control(to),
    };
    Some(core.sealed(subject, &message.encode()))
}

//! Questions about clients: who answers them.

use super::{Router, away, bridge};
use crate::broker::descriptions::AskedDescription;
use crate::broker::queries;
use crate::link::message::ToWorker;
use crate::link::query::{BrokerQuery, DescribeRequest, HostsQuery, QueryKind, QueryResult};
use crate::types::{QueryReach, Slot, WorkerIncarnation};

/// Answers a question, or asks the worker of the client that it is about.
pub(super) fn ask(router: &mut Router, source: WorkerIncarnation, slot: Slot, query: &BrokerQuery) {
    if let QueryKind::Tail(tail) = &query.kind {
        let (number, result) = (query.number, router.tail.take(source, &query.tenant, tail));
        router.send(source.worker, &ToWorker::Answer { slot, number, result });
        return;
    }
    if let QueryKind::Hosts(hosts) = &query.kind {
        let asked = AskedDescription { asker: source, slot, number: query.number };
        bridge::ask_hosts(router, asked, &query.tenant, hosts);
        return;
    }
    if let QueryKind::Count(address) = &query.kind {
        let counted = away::count(router, &query.tenant, address);
        let (number, result) = (query.number, QueryResult::Counted(counted));
        router.send(source.worker, &ToWorker::Answer { slot, number, result });
        return;
    }
    if let QueryKind::UsedId(id) = &query.kind {
        let used = router.replays.use_of(*id).map(Box::new);
        let (number, result) = (query.number, QueryResult::UsedId(used));
        router.send(source.worker, &ToWorker::Answer { slot, number, result });
        return;
    }
    let about = match &query.kind {
        QueryKind::Describe(uuid) => Some((uuid, None)),
        QueryKind::RefreshToken { uuid, token } => Some((uuid, Some(token))),
        _ => None,
    };
    if let Some((uuid, token)) = about
        && let Some(place) = router.index.place_of(&query.tenant, *uuid)
        && let Some(member) = router.workers.get_mut(&place.worker)
    {
        let (asker, number, token) = (source, query.number, token.cloned());
        let request = DescribeRequest { asker, number, slot: place.slot, token };
        member.out.send(&ToWorker::Describe(request));
        router.descriptions.open(AskedDescription { asker, slot, number }, member.source);
        return;
    }
    router.resolve_cache.count_last(&mut router.traffic);
    let answer = queries::answer(&router.index, &router.traffic, slot, query);
    if let ToWorker::Answer { result: QueryResult::Presence(own), .. } = &answer
        && source.worker.has_clients()
        && let Some(hosts) = router.hosts.as_mut().filter(|hosts| hosts.are_live())
    {
        // Clients and resources ask for all hosts. The API process asks others by itself.
        let asked = AskedDescription { asker: source, slot, number: query.number };
        hosts.findings.keep(asked, own.clone());
        let timeout_ms = u32::try_from(hosts.query_timeout.as_millis()).unwrap_or(u32::MAX);
        let (reach, kind) = (QueryReach::All, query.kind.clone());
        bridge::ask_hosts(router, asked, &query.tenant, &HostsQuery { reach, timeout_ms, kind });
        return;
    }
    router.send(source.worker, &answer);
}

/// Answers the questions that a lost member of the link will not answer. The clients of a worker are gone. Without the
/// bridge no other host has answered.
pub(super) fn answer_lost(router: &mut Router, lost: WorkerIncarnation) {
    router.hosts.iter_mut().for_each(|hosts| hosts.findings.forget(lost));
    for asked in router.descriptions.on_worker_lost(lost) {
        let result = match router.hosts.as_deref().filter(|_| lost.worker.is_bridge()) {
            Some(hosts) => QueryResult::Hosts(hosts.unanswered(QueryReach::All)),
            None => QueryResult::Described(None),
        };
        router.send_description(asked, result);
    }
}

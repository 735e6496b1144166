//! Answers questions about connected clients.

use super::traffic::{TenantTraffic, TrafficByTenant};
use crate::index::{Carried, Index};
use crate::link::message::ToWorker;
use crate::link::query::{
    BrokerQuery, ClientQuery, CountedClients, HostsAnswer, PresenceQuery, PresenceResult,
    QueryKind, QueryResult,
};
use crate::link::tail::TailPage;
use crate::types::limits::{ANSWER_VALUES_MAX, LIST_BYTES_MAX, LIST_CLIENTS_MAX};
use crate::types::{HostId, PageSize, Slot, TenantStatistics};

/// Returns the answer to a question of the client in a slot.
pub(super) fn answer(
    index: &Index,
    traffic: &TrafficByTenant,
    slot: Slot,
    query: &BrokerQuery,
) -> ToWorker {
    let BrokerQuery { number, tenant, kind } = query;
    let result = match kind {
        QueryKind::Presence(PresenceQuery { filter, tag }) => {
            match index.values_of(tenant, filter, tag, ANSWER_VALUES_MAX) {
                Ok(Carried { clients, values }) => {
                    QueryResult::Presence(PresenceResult { clients, values })
                }
                Err(refused) => QueryResult::Refused(refused),
            }
        }
        QueryKind::Clients(ClientQuery { filter, after, size }) => {
            let size = PageSize {
                clients: size.clients.min(LIST_CLIENTS_MAX),
                bytes: size.bytes.min(LIST_BYTES_MAX),
            };
            let page = index.page(tenant, filter, *after, size);
            page.map_or_else(QueryResult::Refused, QueryResult::Clients)
        }
        QueryKind::Tags(scan) => QueryResult::Tags(index.scan_tags(tenant, scan)),
        QueryKind::ClientTags(uuid) => QueryResult::ClientTags(index.tags_of(tenant, *uuid)),
        // A worker is asked about a client that is connected.
        QueryKind::Describe(_) | QueryKind::RefreshToken { .. } => QueryResult::Described(None),
        // The router knows who is away.
        QueryKind::Count(_) => QueryResult::Counted(CountedClients::default()),
        // So it knows what became of ids.
        QueryKind::UsedId(_) => QueryResult::UsedId(None),
        // The bridge asks other hosts.
        QueryKind::Hosts(_) | QueryKind::Directed(_) => {
            QueryResult::Hosts(HostsAnswer { own: HostId(0), hosts: Vec::new() })
        }
        // The router has the copies.
        QueryKind::Tail(_) => QueryResult::Tail(TailPage::default()),
        QueryKind::Statistics { before } => {
            let TenantTraffic { publications, deliveries } = traffic.of(tenant);
            let found = index.statistics(tenant, *before);
            QueryResult::Statistics(TenantStatistics { publications, deliveries, ..found })
        }
    };
    ToWorker::Answer { slot, number: *number, result }
}

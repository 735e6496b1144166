//! `GET /connections` on several hosts: host by host in the order of their ids, so that none holds or sorts everything.

use std::collections::BTreeMap;

use super::connections::WrittenClients;
use super::over_hosts::{AnswersOfHosts, HostCounts, ask_all, ask_others};
use super::{EndpointContext, broker_answer, cursor_json};
use crate::api::cursor::{ListPlace, ListScope};
use crate::api::error::ApiError;
use crate::api::response::ApiAnswer;
use crate::link::query::{ClientQuery, QueryKind, QueryResult};
use crate::types::limits::LIST_BYTES_MAX;
use crate::types::{ClientPage, HostId, ListFilter, ListPosition, PageSize, QueryReach};

/// A page that is requested.
#[derive(Debug)]
pub(super) struct ListRequest {
    pub(super) filter: ListFilter,
    /// Clients of the page.
    pub(super) limit: usize,
    pub(super) scope: ListScope,
    /// Where the page before it has ended.
    pub(super) after: Option<ListPlace>,
}

impl ListRequest {
    fn query(&self, after: Option<ListPosition>, size: PageSize) -> QueryKind {
        QueryKind::Clients(ClientQuery { filter: self.filter.clone(), after, size })
    }
}

/// Answers with a page of a list over all hosts.
///
/// # Errors
///
/// If the broker of this host does not answer, or if the filter is too expensive.
pub(super) async fn list_of_hosts(
    context: EndpointContext<'_>,
    request: ListRequest,
) -> Result<ApiAnswer, ApiError> {
    let room = context.state.answers.reserve(context.until).await?;
    let none = PageSize { clients: 0, bytes: LIST_BYTES_MAX };
    let counted = ask_all(context, request.query(None, none), read).await?;
    let matched = counted.sum(|page| page.matched);
    let AnswersOfHosts { own, others, own_host, mut counts } = counted;
    let mut hosts: BTreeMap<HostId, ClientPage> = others;
    hosts.insert(own_host, own);
    let begin = request.after.unwrap_or(ListPlace { host: HostId(0), after: None });
    let mut list = WrittenClients::default();
    let mut rest = None;
    for (host, page) in hosts.range(begin.host..) {
        let after = begin.after.filter(|_| *host == begin.host);
        if page.matched == 0 || request.limit == 0 {
            continue;
        }
        let bytes = LIST_BYTES_MAX.saturating_sub(list.json.len());
        let clients = request.limit - list.count;
        if clients == 0 || bytes == 0 {
            rest = Some(ListPlace { host: *host, after });
            break;
        }
        let query = request.query(after, PageSize { clients, bytes });
        let page = match *host == own_host {
            true => read(broker_answer(context, query).await?),
            false => page_of(context, *host, query).await,
        };
        let Some(page) = page.transpose()? else {
            counts = counts.map(HostCounts::without_one);
            continue;
        };
        if let Some(after) = list.push_page(&page, &context.config.signer) {
            rest = Some(ListPlace { host: *host, after: Some(after) });
            break;
        }
    }
    let cursor = cursor_json(rest.map(|place| request.scope.cursor_after_place(place)));
    let (members, list) = (HostCounts::members(counts), list.json);
    let body =
        format!("{{\"matched\":{matched},\"cursor\":{cursor}{members},\"connections\":[{list}]}}");
    Ok(ApiAnswer::ok_in(room, body))
}

async fn page_of(
    context: EndpointContext<'_>,
    host: HostId,
    query: QueryKind,
) -> Option<Result<ClientPage, ApiError>> {
    let answer = ask_others(context, QueryReach::One(host), query).await?;
    let (_, result) = answer.hosts.into_iter().next()?;
    result.and_then(read)
}

fn read(result: QueryResult) -> Option<Result<ClientPage, ApiError>> {
    match result {
        QueryResult::Clients(page) => Some(Ok(page)),
        QueryResult::Refused(cost) => Some(Err(ApiError::too_expensive(cost))),
        _ => None,
    }
}

//! `GET /stats`: the clients and tags of a space, and counters.

use super::over_hosts::{HostCounts, ask_others};
use super::{EndpointContext, broker_answer, unexpected};
use crate::api::error::ApiError;
use crate::api::response::ApiAnswer;
use crate::api::state::unix_seconds;
use crate::json;
use crate::link::query::{QueryKind, QueryResult};
use crate::types::{QueryReach, TenantStatistics};

/// Answers with the numbers of an application.
///
/// # Errors
///
/// If the broker does not answer.
pub(in crate::api) async fn show(context: EndpointContext<'_>) -> Result<ApiAnswer, ApiError> {
    let found = read(context).await?;
    let TenantStatistics { publications, deliveries, .. } = found;
    let ClientCounts { web, php, send_only, hosts } = clients(context, &found).await;
    let EndpointContext { application, state, config, .. } = context;
    let mut answer = "{\"application\":".to_owned();
    json::push_text(&application.key, &mut answer);
    answer.push_str(",\"tenant\":");
    json::push_text(&application.tenant.0, &mut answer);
    let refusals = state.refusals.borrow().of(&application.key);
    let (denied, rate_limited) = (refusals.denied, refusals.rate_limited);
    answer.push_str(&format!(
        ",\"clients\":{{\"web\":{web},\"php\":{php},\"send_only\":{send_only}}},\
         \"tag_values\":{},\"tag_names\":{},\
         \"counters\":{{\"publications\":{publications},\"deliveries\":{deliveries},\
         \"denied\":{denied},\"rate_limited\":{rate_limited}}},\"secrets\":[",
        found.tag_values, found.tag_names,
    ));
    let uses = config.access.secret_uses(&application.key, unix_seconds());
    for (at, secret) in uses.enumerate() {
        answer.push_str(if at == 0 { "{\"id\":" } else { ",{\"id\":" });
        json::push_text(secret.id, &mut answer);
        let last_used = secret.last_used.map_or_else(|| "null".to_owned(), |at| at.to_string());
        let is_expired = secret.is_expired;
        answer.push_str(&format!(",\"last_used\":{last_used},\"expired\":{is_expired}}}"));
    }
    answer.push(']');
    answer.push_str(&HostCounts::members(hosts));
    answer.push('}');
    Ok(ApiAnswer::ok(answer))
}

/// The clients of all hosts that have answered. Tags and counters are those of this host.
struct ClientCounts {
    web: u64,
    php: u64,
    send_only: u64,
    hosts: Option<HostCounts>,
}

async fn clients(context: EndpointContext<'_>, own: &TenantStatistics) -> ClientCounts {
    let query = QueryKind::Statistics { before: None };
    let others = ask_others(context, QueryReach::All, query).await;
    let TenantStatistics { web, php, send_only, .. } = *own;
    let hosts = others.as_ref().map(HostCounts::of);
    let mut sum = ClientCounts { web, php, send_only, hosts };
    for (_, answer) in others.into_iter().flat_map(|others| others.hosts) {
        match answer {
            Some(QueryResult::Statistics(found)) => {
                sum.web += found.web;
                sum.php += found.php;
                sum.send_only += found.send_only;
            }
            Some(_) => sum.hosts = sum.hosts.map(HostCounts::without_one),
            None => {}
        }
    }
    sum
}

/// Counts the tags part by part. Another broker has the names in other places, so the count begins again with
/// it.
async fn read(context: EndpointContext<'_>) -> Result<TenantStatistics, ApiError> {
    loop {
        let broker = context.state.publisher.broker();
        let found = read_once(context).await?;
        if context.state.publisher.broker() == broker {
            return Ok(found);
        }
    }
}

async fn read_once(context: EndpointContext<'_>) -> Result<TenantStatistics, ApiError> {
    let (mut tag_names, mut tag_values, mut before) = (0, 0, None);
    loop {
        let QueryResult::Statistics(part) =
            broker_answer(context, QueryKind::Statistics { before }).await?
        else {
            return Err(unexpected());
        };
        tag_names += part.tag_names;
        tag_values += part.tag_values;
        if part.rest.is_none() {
            return Ok(TenantStatistics { tag_names, tag_values, ..part });
        }
        before = part.rest;
    }
}

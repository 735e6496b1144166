//! `POST /explain`: what an expression means, and why a client matches it or not.

use std::collections::HashMap;
use std::fmt::Write;

use super::over_hosts::{HostCounts, ask_about, count_clients};
use super::recipients::read_expression;
use super::{EndpointContext, not_connected, unexpected};
use crate::api::error::ApiError;
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::response::ApiAnswer;
use crate::expression::Explanation;
use crate::json;
use crate::link::query::{QueryKind, QueryResult};
use crate::types::{ClientTags, ClientUuid, Expression, Tags};

pub(super) const EXPLAIN_MEMBERS: &[&str] = &["expr", "uuid", "counts"];

/// How many clients match each part of an expression, in the order of [`Expression::parts`].
type PartCounts = Vec<(Expression, u64)>;

/// Explains the expression of a body.
///
/// # Errors
///
/// What is wrong with it, or that the broker does not answer.
pub(in crate::api) async fn explain(
    context: EndpointContext<'_>,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let body = JsonObject::read(text, JsonPlace::Body, EXPLAIN_MEMBERS)?;
    let right = "it is an expression, as text or as an object";
    let raw = body.raw("expr").ok_or_else(|| body.missing("expr", right))?;
    let (uuid, is_counted) = (body.text("uuid")?, body.flag("counts")?.unwrap_or(false));
    let client =
        uuid.as_ref().map(|text| context.uuid(text, Some(body.place("uuid")))).transpose()?;
    let expression = read_expression(raw, "/expr")?;
    let tags = match client {
        Some(client) => Some(client_tags(context, client).await?),
        None => None,
    };
    let (matched, mut hosts) = count(context, &expression).await?;
    let counts = match is_counted {
        true => count_parts(context, &expression, &mut hosts).await?,
        false => Vec::new(),
    };
    let mut answer = "{\"canonical\":".to_owned();
    json::push_text(expression.canonical(), &mut answer);
    let is_open = expression.is_open();
    let _written = write!(answer, ",\"open\":{is_open},\"matched\":{matched}");
    match (uuid, tags) {
        (Some(uuid), Some(tags)) => push_connection(&mut answer, &uuid, &expression, tags, &counts),
        _ if is_counted => push_parts(&mut answer, &counts),
        _ => {}
    }
    answer.push_str(&HostCounts::members(hosts));
    answer.push('}');
    Ok(ApiAnswer::ok(answer))
}

/// The tags of a client of the space; `None` if tags do not reach it.
async fn client_tags(
    context: EndpointContext<'_>,
    client: ClientUuid,
) -> Result<Option<Tags>, ApiError> {
    let is_found = |answer: &QueryResult| *answer != QueryResult::ClientTags(ClientTags::Unknown);
    match ask_about(context, client, QueryKind::ClientTags(client), is_found).await? {
        QueryResult::ClientTags(ClientTags::Reached(tags)) => Ok(Some(tags)),
        QueryResult::ClientTags(ClientTags::NotReached) => Ok(None),
        QueryResult::ClientTags(ClientTags::Unknown) => Err(not_connected()),
        _ => Err(unexpected()),
    }
}

/// Counts the clients that match, on all hosts that answer.
async fn count(
    context: EndpointContext<'_>,
    expression: &Expression,
) -> Result<(u64, Option<HostCounts>), ApiError> {
    count_clients(context, expression.clone().into()).await
}

/// Counts the clients of each part. Each part is a question of its own, so that others are served between
/// them.
async fn count_parts(
    context: EndpointContext<'_>,
    expression: &Expression,
    hosts: &mut Option<HostCounts>,
) -> Result<PartCounts, ApiError> {
    let mut known: HashMap<Expression, u64> = HashMap::new();
    let mut counts = Vec::new();
    for part in expression.parts() {
        let matched = match known.get(&part) {
            Some(matched) => *matched,
            None => {
                let (matched, answered) = count(context, &part).await?;
                *hosts = hosts.zip(answered).map(|(all, one)| all.and(one));
                matched
            }
        };
        known.insert(part.clone(), matched);
        counts.push((part, matched));
    }
    Ok(counts)
}

fn push_connection(
    out: &mut String,
    uuid: &str,
    expression: &Expression,
    tags: Option<Tags>,
    counts: &PartCounts,
) {
    out.push_str(",\"connection\":{\"uuid\":");
    json::push_text(uuid, out);
    let Some(tags) = tags else {
        out.push_str(",\"matches\":false,\"reachable\":false}");
        return;
    };
    let Explanation { matches, path, mut tree } = expression.explain(&tags);
    tree.count(&mut counts.iter().map(|(_, matched)| *matched));
    let (path, tree) = (serde_json::to_string(&path), serde_json::to_string(&tree));
    let (path, tree) = (path.unwrap_or_default(), tree.unwrap_or_default());
    let _written = write!(out, ",\"matches\":{matches},\"path\":{path},\"tree\":{tree}}}");
}

fn push_parts(out: &mut String, counts: &PartCounts) {
    out.push_str(",\"parts\":[");
    for (at, (part, matched)) in counts.iter().enumerate() {
        out.push_str(if at == 0 { "{\"text\":" } else { ",{\"text\":" });
        json::push_text(part.canonical(), out);
        let _written = write!(out, ",\"matched\":{matched}}}");
    }
    out.push(']');
}

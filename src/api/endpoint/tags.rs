//! `GET /tags`: the tag names of a space, or the values of one name, page by page.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{EndpointContext, broker_answer, cursor_json, unexpected};
use crate::api::cursor::ListScope;
use crate::api::error::ApiError;
use crate::api::parameters::{self, Parameters};
use crate::api::response::ApiAnswer;
use crate::json;
use crate::link::query::{QueryKind, QueryResult};
use crate::types::limits::{LIST_BYTES_MAX, LIST_CLIENTS, LIST_CLIENTS_MAX};
use crate::types::{ScannedTags, TagCount, TagScan};

/// The texts of a page with their counts, in order.
type TagPage = BTreeMap<Box<str>, u64>;

/// Answers with a page of a list.
///
/// # Errors
///
/// What is wrong with the parameters, or that the broker does not answer.
pub(in crate::api) async fn list(
    context: EndpointContext<'_>,
    parameters: &Parameters<'_>,
) -> Result<ApiAnswer, ApiError> {
    let (name, prefix) = (parameters.text("name"), parameters.text("prefix"));
    if name.is_none() && prefix.is_some() {
        return Err(parameters::invalid("prefix", "needs the parameter `name`"));
    }
    let prefix = prefix.unwrap_or_default();
    let limit = parameters.count("limit", LIST_CLIENTS_MAX)?.unwrap_or(LIST_CLIENTS);
    let tenant = &context.application.tenant.0;
    let scope = match name {
        None => ListScope::new(&["tags", tenant]),
        Some(name) => ListScope::new(&["values", tenant, name, prefix]),
    };
    let after = parameters.text("cursor").map(|cursor| scope.text(cursor)).transpose()?;
    let room = context.state.answers.reserve(context.until).await?;
    let scan = TagScan {
        name: name.map(Into::into),
        prefix: prefix.into(),
        after: after.map(Into::into),
        // One more shows whether another page follows.
        limit: limit + 1,
        before: None,
    };
    let page = read(context, &scan).await?;
    let (list, count) = if name.is_some() { ("values", "clients") } else { ("names", "values") };
    let text = if name.is_some() { "value" } else { "name" };
    let mut rows = String::new();
    let mut last = None;
    for (at, (own, number)) in page.iter().take(limit).enumerate() {
        if rows.len() > LIST_BYTES_MAX {
            break;
        }
        let _written = write!(rows, "{}{{\"{text}\":", if at == 0 { "" } else { "," });
        json::push_text(own, &mut rows);
        let _written = write!(rows, ",\"{count}\":{number}}}");
        last = Some(own);
    }
    let has_more = last != page.last_key_value().map(|(text, _)| text);
    let cursor = cursor_json(last.filter(|_| has_more).map(|text| scope.cursor(text.as_bytes())));
    Ok(ApiAnswer::ok_in(room, format!("{{\"{list}\":[{rows}],\"cursor\":{cursor}}}")))
}

/// Reads the smallest texts of a list, step by step. Another broker has them in other places, so the search
/// begins again with it.
async fn read(context: EndpointContext<'_>, scan: &TagScan) -> Result<TagPage, ApiError> {
    loop {
        let broker = context.state.publisher.broker();
        let page = read_once(context, scan.clone()).await?;
        if context.state.publisher.broker() == broker {
            return Ok(page);
        }
    }
}

async fn read_once(context: EndpointContext<'_>, mut scan: TagScan) -> Result<TagPage, ApiError> {
    let mut page = TagPage::new();
    loop {
        let QueryResult::Tags(ScannedTags { found, rest }) =
            broker_answer(context, QueryKind::Tags(scan.clone())).await?
        else {
            return Err(unexpected());
        };
        page.extend(found.into_iter().map(|TagCount { text, count }| (text, count)));
        while page.len() > scan.limit {
            page.pop_last();
        }
        match rest {
            None => return Ok(page),
            Some(_) => scan.before = rest,
        }
    }
}

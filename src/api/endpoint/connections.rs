//! `GET /connections`: the clients of a space, page by page.

use std::fmt::Write;

use super::recipients::expression_error;
use super::{EndpointContext, broker_answer, cursor_json, unexpected};
use crate::api::cursor::ListScope;
use crate::api::error::ApiError;
use crate::api::parameters::{self, Parameters};
use crate::api::response::ApiAnswer;
use crate::auth::uuid::Signer;
use crate::json;
use crate::link::query::{ClientQuery, QueryKind, QueryResult};
use crate::types::limits::{LIST_BYTES_MAX, LIST_CLIENTS, LIST_CLIENTS_MAX};
use crate::types::{
    ClientClass, ClientPage, Expression, Ident, ListFilter, ListedClient, PageSize, Tags,
};

/// Answers with a page of a list.
///
/// # Errors
///
/// What is wrong with the parameters, or that the broker does not answer.
pub(in crate::api) async fn list(
    context: EndpointContext<'_>,
    parameters: &Parameters<'_>,
) -> Result<ApiAnswer, ApiError> {
    let filter = filter(parameters)?;
    let limit = parameters.count("limit", LIST_CLIENTS_MAX)?.unwrap_or(LIST_CLIENTS);
    let scope = scope(context, &filter);
    let after = parameters.text("cursor").map(|cursor| scope.client(cursor)).transpose()?;
    let room = context.state.answers.reserve(context.until).await?;
    let size = PageSize { clients: limit, bytes: LIST_BYTES_MAX };
    let query = QueryKind::Clients(ClientQuery { filter, after, size });
    match broker_answer(context, query).await? {
        QueryResult::Clients(page) => {
            let body = page_json(&page, &context.config.signer, &scope);
            Ok(ApiAnswer::ok_in(room, body))
        }
        QueryResult::Refused(cost) => Err(ApiError::too_expensive(cost)),
        _ => Err(unexpected()),
    }
}

fn filter(parameters: &Parameters<'_>) -> Result<ListFilter, ApiError> {
    match (parameters.text("expr"), parameters.text("ident")) {
        (None, None) => Ok(ListFilter::Everyone),
        (Some(expression), None) => Expression::from_parameter(expression)
            .map(ListFilter::Expression)
            .map_err(|why| expression_error(&why, "")),
        (None, Some(ident)) => Ident::new(ident)
            .map(ListFilter::Ident)
            .map_err(|why| parameters::invalid("ident", &format!("is {why}"))),
        (Some(_), Some(_)) => {
            Err(parameters::invalid("ident", "cannot be combined with the parameter `expr`"))
        }
    }
}

/// The list that a filter names in the space of the application.
fn scope(context: EndpointContext<'_>, filter: &ListFilter) -> ListScope {
    let (kind, text) = match filter {
        ListFilter::Everyone => ("all", ""),
        ListFilter::Expression(expression) => ("expr", expression.canonical()),
        ListFilter::Ident(ident) => ("ident", ident.as_str()),
    };
    ListScope::new(&["connections", &context.application.tenant.0, kind, text])
}

/// Writes a page. It ends when it is large, so that the names of a page may be escaped.
fn page_json(page: &ClientPage, signer: &Signer, scope: &ListScope) -> String {
    let mut list = String::new();
    let mut last = None;
    let mut written = 0;
    for client in &page.clients {
        if list.len() > LIST_BYTES_MAX {
            break;
        }
        list.push_str(if written == 0 { "" } else { "," });
        push_client(&mut list, client, signer);
        last = Some(client.position);
        written += 1;
    }
    let has_more = page.has_more || written < page.clients.len();
    let cursor = last.filter(|_| has_more).map(|position| scope.cursor_after(position));
    let cursor = cursor_json(cursor);
    let matched = page.matched;
    format!("{{\"matched\":{matched},\"cursor\":{cursor},\"connections\":[{list}]}}")
}

fn push_client(out: &mut String, client: &ListedClient, signer: &Signer) {
    let ListedClient { position, uuid, ident, class, tags, version } = client;
    let uuid = signer.text(*uuid);
    let _written = write!(out, "{{\"uuid\":\"{uuid}\",\"ident\":");
    match ident {
        Some(ident) => json::push_text(ident.as_str(), out),
        None => out.push_str("null"),
    }
    let _written = write!(out, ",\"kind\":\"{}\",\"tags\":", kind_name(*class));
    push_tags(out, tags);
    let worker = position.place.worker;
    let _written = write!(out, ",\"version\":{version},\"worker\":{worker}}}");
}

/// The member `kind` of a client.
pub(super) fn kind_name(class: ClientClass) -> &'static str {
    if class == ClientClass::Php { "php" } else { "web" }
}

/// Writes tags as an object.
pub(super) fn push_tags(out: &mut String, tags: &Tags) {
    out.push('{');
    for (at, tag) in tags.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        json::push_text(tag.name(), out);
        out.push(':');
        json::push_text(tag.value(), out);
    }
    out.push('}');
}

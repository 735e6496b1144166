//! `GET /connections`: the clients of a space, page by page.

use std::fmt::Write;

use super::connections_of_hosts::{ListRequest, list_of_hosts};
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
    ClientClass, ClientPage, Expression, Ident, ListFilter, ListPosition, ListedClient, PageSize,
    Tags,
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
    if context.config.query_timeout.is_some() {
        let after = parameters.text("cursor").map(|cursor| scope.place(cursor)).transpose()?;
        return list_of_hosts(context, ListRequest { filter, limit, scope, after }).await;
    }
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

fn page_json(page: &ClientPage, signer: &Signer, scope: &ListScope) -> String {
    let mut list = WrittenClients::default();
    let rest_after = list.push_page(page, signer);
    let cursor = cursor_json(rest_after.map(|position| scope.cursor_after(position)));
    let (matched, list) = (page.matched, list.json);
    format!("{{\"matched\":{matched},\"cursor\":{cursor},\"connections\":[{list}]}}")
}

/// The clients of a page as they are written. It ends when it is large, so that the names of a page may be escaped.
#[derive(Debug, Default)]
pub(super) struct WrittenClients {
    pub(super) json: String,
    pub(super) count: usize,
}

impl WrittenClients {
    /// Writes clients of a host. Returns the last one if others follow there.
    pub(super) fn push_page(&mut self, page: &ClientPage, signer: &Signer) -> Option<ListPosition> {
        let (mut last, before) = (None, self.count);
        for client in &page.clients {
            if self.json.len() > LIST_BYTES_MAX {
                break;
            }
            self.json.push_str(if self.count == 0 { "" } else { "," });
            push_client(&mut self.json, client, signer);
            last = Some(client.position);
            self.count += 1;
        }
        let has_more = page.has_more || self.count - before < page.clients.len();
        last.filter(|_| has_more)
    }
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

//! `GET /connections/{uuid}`: all that is known about one client.

use std::fmt::Write;

use super::connections::{kind_name, push_tags};
use super::over_hosts::ask_about;
use super::{EndpointContext, not_connected, unexpected};
use crate::api::error::ApiError;
use crate::api::response::ApiAnswer;
use crate::json;
use crate::link::query::{QueryKind, QueryResult};
use crate::protocol::Protocol;
use crate::types::{ClientDescription, DescribedToken, Ident, Topics};

/// Answers with the client of a path.
///
/// # Errors
///
/// If no such client is connected in the space, or if it does not become known in time.
pub(in crate::api) async fn show(
    context: EndpointContext<'_>,
    uuid: &str,
) -> Result<ApiAnswer, ApiError> {
    let client = context.uuid(uuid, None)?;
    let is_found = |answer: &QueryResult| !matches!(answer, QueryResult::Described(None));
    match ask_about(context, client, QueryKind::Describe(client), is_found).await? {
        QueryResult::Described(Some(client)) => {
            let uuid = context.config.signer.text(client.uuid);
            Ok(ApiAnswer::ok(client_json(&client, &uuid)))
        }
        QueryResult::Described(None) => Err(not_connected()),
        _ => Err(unexpected()),
    }
}

fn client_json(client: &ClientDescription, uuid: &str) -> String {
    let mut out = format!("{{\"uuid\":\"{uuid}\",\"ident\":");
    push_optional(&mut out, client.ident.as_ref().map(Ident::as_str));
    let _written = write!(out, ",\"kind\":\"{}\",\"tags\":", kind_name(client.class));
    push_tags(&mut out, &client.tags);
    let _written = write!(out, ",\"version\":{}", client.version);
    let _written = write!(out, ",\"worker\":{},\"dialect\":", client.worker);
    json::push_text(&client.dialect, &mut out);
    out.push_str(",\"application\":");
    push_optional(&mut out, client.application.as_deref());
    let _written = write!(out, ",\"ip\":\"{}\",\"opened_at\":{}", client.ip, client.opened_at);
    let user = client.user.as_deref().unwrap_or("null");
    let (bytes, waiting) = (client.outbox_bytes, client.outbox_waiting);
    let outbox = format!("{{\"bytes\":{bytes},\"waiting\":{waiting}}}");
    let _written = write!(out, ",\"user\":{user},\"outbox\":{outbox},\"token\":");
    push_token(&mut out, client.token.as_ref());
    if *client.dialect == *Protocol::V1.name() {
        push_topics(&mut out, client.tags.topics());
    }
    out.push('}');
    out
}

fn push_topics(out: &mut String, topics: &Topics) {
    out.push_str(",\"topics\":[");
    for (at, topic) in topics.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        json::push_text(topic, out);
    }
    out.push(']');
}

pub(super) fn push_token(out: &mut String, token: Option<&DescribedToken>) {
    let Some(DescribedToken { subject, expires, key }) = token else {
        return out.push_str("null");
    };
    out.push_str("{\"sub\":");
    push_optional(out, subject.as_deref());
    let _written = write!(out, ",\"exp\":{expires},\"kid\":");
    json::push_text(key, out);
    out.push('}');
}

fn push_optional(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => json::push_text(text, out),
        None => out.push_str("null"),
    }
}

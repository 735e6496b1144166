//! `DELETE /connections/{uuid}` and `POST /connections:disconnect`: close connections.

use std::borrow::Cow;
use std::time::Duration;

use super::commanded::CommandedEverywhere;
use super::matching::{matched_answer, matching_clients};
use super::taken::{RecipientLimits, no_such_client};
use super::{EndpointContext, unexpected};
use crate::api::error::ApiError;
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::parameters::{self, Parameters};
use crate::api::response::ApiAnswer;
use crate::link::command::{CommandKind, CommandOutcome, MatchedClients};
use crate::types::limits::CLOSE_SPREAD_MAX;
use crate::types::{CloseCode, CloseReason};

pub(super) const DISCONNECT_MEMBERS: &[&str] =
    &["expr", "all", "code", "reason", "spread_ms", "max_recipients", "dry_run"];

const CODES: &str = "must be 1000 or 3000 to 4999";

/// Closes the connection of the client of the path.
///
/// # Errors
///
/// If a parameter is invalid, or the client is not connected.
pub(in crate::api) async fn close_one(
    context: EndpointContext<'_>,
    uuid: &str,
    parameters: &Parameters<'_>,
) -> Result<ApiAnswer, ApiError> {
    let code = match parameters.text("code") {
        None => CloseCode::NORMAL,
        Some(text) => code_of(text).ok_or_else(|| parameters::invalid("code", CODES))?,
    };
    let text = parameters.text("reason").unwrap_or_default();
    if !is_reason(text) {
        return Err(parameters::invalid("reason", &reason_rule()));
    }
    let reason = CloseReason { code, text: Cow::Owned(text.to_owned()) };
    let uuid = context.uuid(uuid, None)?;
    let EndpointContext { state, application, until, .. } = context;
    let command = CommandKind::Close { uuid, reason };
    let receipt = state.publisher.command(&application.tenant, command, until).await?;
    let everywhere = CommandedEverywhere::of(context, receipt).await;
    match everywhere.and_then(CommandedEverywhere::of_one) {
        None => Ok(ApiAnswer::accepted()),
        Some(CommandOutcome::Matched(MatchedClients { clients, workers })) => {
            Ok(ApiAnswer::ok(format!("{{\"matched\":{clients},\"workers\":{workers}}}")))
        }
        Some(CommandOutcome::EndedAway) => {
            Ok(ApiAnswer::ok("{\"matched\":0,\"workers\":0,\"away\":1}".to_owned()))
        }
        Some(CommandOutcome::Unknown) => Err(no_such_client()),
        Some(_) => Err(unexpected()),
    }
}

/// Closes the connections of all clients that match.
///
/// # Errors
///
/// What is wrong with the body, or why no connection was closed.
pub(in crate::api) async fn close_matching(
    context: EndpointContext<'_>,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let body = JsonObject::read(text, JsonPlace::Body, DISCONNECT_MEMBERS)?;
    let code = match body.raw("code") {
        None => CloseCode::NORMAL,
        Some(raw) => {
            body.count("code")?;
            code_of(raw).ok_or_else(|| body.invalid("code", format!("`code` {CODES}")))?
        }
    };
    let text = body.text("reason")?.unwrap_or_default();
    if !is_reason(&text) {
        return Err(body.invalid("reason", format!("`reason` {}", reason_rule())));
    }
    let spread = Duration::from_millis(body.count("spread_ms")?.unwrap_or(0));
    if spread > CLOSE_SPREAD_MAX {
        let right = format!("`spread_ms` must be at most {}", CLOSE_SPREAD_MAX.as_millis());
        return Err(body.invalid("spread_ms", right));
    }
    let limits = RecipientLimits::read(&body, context)?;
    let clients = matching_clients(context, &body)?;
    let reason = CloseReason { code, text: Cow::Owned(text.into_owned()) };
    let clients_max = limits.clients_max();
    let command = CommandKind::CloseMatching { clients, clients_max, reason, spread };
    let EndpointContext { state, application, until, .. } = context;
    let receipt = state.publisher.command(&application.tenant, command, until).await?;
    let everywhere = CommandedEverywhere::of(context, receipt).await;
    matched_answer(everywhere.map(CommandedEverywhere::of_matching).as_ref(), limits)
}

fn code_of(text: &str) -> Option<CloseCode> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let code = text.parse().ok().filter(|code| is_number && matches!(code, 1000 | 3000..=4999))?;
    Some(CloseCode(code))
}

fn is_reason(text: &str) -> bool {
    text.len() <= CloseReason::TEXT_BYTES_MAX && !text.contains(char::is_control)
}

fn reason_rule() -> String {
    format!("must be one line of at most {} bytes", CloseReason::TEXT_BYTES_MAX)
}

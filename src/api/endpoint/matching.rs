//! Commands to all clients that an expression matches.

use super::EndpointContext;
use super::over_hosts::HostCounts;
use super::recipients::read_expression;
use super::taken::{RecipientLimits, counts, not_counted};
use super::unexpected;
use crate::api::error::ApiError;
use crate::api::json_object::JsonObject;
use crate::api::publisher::{Reached, ReachedHosts};
use crate::api::response::ApiAnswer;
use crate::auth::ApiPermission;
use crate::link::command::{CommandOutcome, MatchedClients};
use crate::replay::IdOutcome;
use crate::types::{ClientFilter, TagQuery};

/// Reads the clients that a body names by `expr` or by `all`. Those of `all`, and of an open expression,
/// need the permission `broadcast`.
///
/// # Errors
///
/// What is wrong with these members.
pub(super) fn matching_clients(
    context: EndpointContext<'_>,
    body: &JsonObject<'_>,
) -> Result<ClientFilter, ApiError> {
    let is_all = body.flag("all")?.unwrap_or(false);
    let (filter, is_open) = match (body.raw("expr"), is_all) {
        (Some(_), true) => {
            return Err(body.invalid("all", "`all` and `expr` exclude each other"));
        }
        (None, false) => {
            return Err(body.missing("expr", "it is an expression; or `all` is true"));
        }
        (None, true) => (TagQuery::default().into(), true),
        (Some(raw), false) => {
            let expression = read_expression(raw, &body.place("expr").pointer())?;
            let is_open = expression.is_open();
            (expression.into(), is_open)
        }
    };
    if is_open {
        context.application.require(ApiPermission::BROADCAST)?;
    }
    Ok(filter)
}

/// Answers a command about all clients that match with their number.
///
/// # Errors
///
/// Why nothing was done.
pub(super) fn matched_answer(
    outcome: Option<&(CommandOutcome, Option<HostCounts>)>,
    limits: RecipientLimits,
) -> Result<ApiAnswer, ApiError> {
    match outcome {
        None if limits.is_dry => Err(not_counted()),
        None => Ok(ApiAnswer::accepted()),
        Some((CommandOutcome::Matched(MatchedClients { clients, workers }), hosts)) => {
            let (clients, workers) = (*clients, *workers);
            let (scan_values, is_away, id) = (0, false, IdOutcome::WithoutId);
            let own = ReachedHosts::Own;
            let reached = Reached { clients, workers, scan_values, is_away, hosts: own, id };
            let members = counts(limits.check(reached)?) + &HostCounts::members(*hosts);
            let dry = if limits.is_dry { "\"dry_run\":true," } else { "" };
            Ok(ApiAnswer::ok(format!("{{{dry}{members}}}")))
        }
        Some((CommandOutcome::TooExpensive(cost), _)) => Err(ApiError::too_expensive(*cost)),
        Some(_) => Err(unexpected()),
    }
}

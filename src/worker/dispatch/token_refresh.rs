//! A new token for an open connection: shown by the client in a message, or by its backend over the HTTP API.

use std::sync::Arc;

use tracing::debug;

use crate::auth::{Right, TokenError, TokenFault};
use crate::link::query::{DescribeAnswer, DescribeRequest, QueryResult, RefusedToken};
use crate::resource::{ResourceHooks, TokenRefresh};
use crate::session::SessionToken;
use crate::types::{CloseReason, DescribedToken, Secret, Slot};
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{Connection, Phase, REVOKED, readiness, throttled};
use crate::worker::context::Context;
use crate::worker::dispatch::{apply_rest, call_for_rest, presence, resumption};
use crate::worker::handshake::shown_token;

/// Gives a connection its new token and rights. Returns the reason if they close it.
pub(super) fn apply(
    context: &mut Context,
    connection: &mut Connection,
    TokenRefresh { grant, verified }: TokenRefresh,
) -> Option<CloseReason> {
    let Phase::Open(session) = &mut connection.phase else { return None };
    let needed =
        context.resources.get(connection.resource).map_or(Right::Listen, ResourceHooks::needs);
    debug!(
        connection = connection.serial,
        user = verified.claims.subject.as_deref(),
        token = verified.claims.id.as_deref(),
        "connection has a new token"
    );
    throttled::apply_token_limits(context, connection.slot, &verified.claims);
    (session.right, session.basis) = (grant.right, grant.basis);
    let extras = session.extras.get_or_insert_default();
    if !context.settings.rules.access.may_see_counts(grant.basis) {
        extras.words.report = None;
    }
    extras.is_warned = false;
    extras.token = Some(Arc::new(shown_token::session_token(verified, context.clock.now())));
    resumption::on_new_token(context, connection);
    presence::on_new_rights(context, connection);
    (!grant.right.covers(needed)).then_some(REVOKED)
}

/// Logs that a connection may not have a token.
pub(super) fn log_refused(client: impl std::fmt::Debug, error: &TokenError) {
    debug!(?client, %error, "connection may not have this token");
}

/// Gives a connection the token that its backend has sent, and answers.
pub(in crate::worker) fn refresh_for_backend(
    context: &mut Context,
    connections: &mut ConnectionTable,
    &DescribeRequest { asker, number, slot, .. }: &DescribeRequest,
    token: &Secret,
) {
    let result = refresh(context, connections, slot, token);
    context.broker.uplink.describe(DescribeAnswer { asker, number, result });
}

/// Returns the answer, after what the token changes was sent to the broker.
fn refresh(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    token: &Secret,
) -> QueryResult {
    let is_open = |it: &Connection| matches!(it.phase, Phase::Open(_));
    if !connections.get(slot).is_some_and(is_open) {
        return QueryResult::Described(None);
    }
    let Some(mut connection) = connections.take(slot) else { return QueryResult::Described(None) };
    let mut outcome = Err(tokens_disabled());
    let rest = call_for_rest(context, &connection, |_, handle| {
        if handle.takes_token() {
            outcome = handle.refresh_token(token.expose()).map(drop);
        }
    });
    apply_rest(context, &mut connection, rest);
    let described = match &connection.phase {
        Phase::Open(session) => session.token().map(described),
        _ => None,
    };
    readiness::rearm(context, connections, connection);
    match outcome {
        Ok(()) => described.map_or(QueryResult::Described(None), QueryResult::Refreshed),
        Err(TokenError { fault, why }) => {
            let (code, why) = (fault.code().into(), why.as_ref().into());
            QueryResult::TokenRefused(RefusedToken { code, why })
        }
    }
}

fn tokens_disabled() -> TokenError {
    let why = "the application of the connection accepts no tokens";
    TokenError::new(TokenFault::Disabled, why)
}

/// Returns what is shown of the token of a connection.
pub(in crate::worker) fn described(SessionToken { verified, .. }: &SessionToken) -> DescribedToken {
    DescribedToken {
        subject: verified.claims.subject.clone(),
        expires: verified.claims.expires,
        key: verified.key.clone(),
    }
}

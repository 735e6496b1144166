//! Revocation of tokens: from the command on, no revoked token opens a connection. Open connections are checked
//! one after the other over several turns, and those of revoked tokens are closed. Then the worker confirms.

use tracing::info;

use crate::auth::REVOKED_TOKEN;
use crate::http::{Refusal, RefusalStatus};
use crate::link::control::ChildEvent;
use crate::types::TokenRevocation;
use crate::worker::clock::unix_time;
use crate::worker::connection::table::{ConnectionTable, TableWalk};
use crate::worker::connection::{Connection, Phase, TOKEN_REVOKED, close, readiness};
use crate::worker::context::Context;
use crate::worker::handshake::refusals;

const REFUSED: Refusal = Refusal::new(RefusalStatus::Unauthorized, REVOKED_TOKEN);

/// Check of the connections after a revocation.
#[derive(Debug)]
pub(in crate::worker) struct RevocationCheck {
    number: u32,
    walk: TableWalk,
    closed: usize,
    /// Number of the last command that arrived during the check. Another check follows for it.
    next: Option<u32>,
}

/// Applies revocations.
pub(super) fn revoke(
    context: &mut Context,
    connections: &mut ConnectionTable,
    number: u32,
    entries: &[TokenRevocation],
) {
    context.settings.rules.access.revoke(entries, unix_time().as_secs());
    match &mut context.revoking {
        Some(check) => check.next = Some(number),
        None => {
            let (walk, closed, next) = (connections.walk(), 0, None);
            context.revoking = Some(RevocationCheck { number, walk, closed, next });
            check_some(context, connections);
        }
    }
}

/// Closes connections of revoked tokens, within the time budget of this part of the turn.
pub(super) fn check_some(context: &mut Context, connections: &mut ConnectionTable) {
    let Some(mut check) = context.revoking.take() else { return };
    let part = context.clock.part();
    while let Some(slot) = connections.next_of(&mut check.walk) {
        if connections.get(slot).is_some_and(|it| is_revoked(context, it))
            && let Some(mut connection) = connections.take(slot)
        {
            check.closed += 1;
            end(context, &mut connection);
            readiness::rearm(context, connections, connection);
        }
        if context.clock.is_over(part) {
            context.revoking = Some(check);
            return;
        }
    }
    let RevocationCheck { number, closed, next, .. } = check;
    if closed > 0 {
        info!(event = "revoked_tokens_closed", closed, "connections of revoked tokens closed");
    }
    context.supervisor.report(ChildEvent::Revoked { number });
    if let Some(number) = next {
        let (walk, closed, next) = (connections.walk(), 0, None);
        context.revoking = Some(RevocationCheck { number, walk, closed, next });
        check_some(context, connections);
    }
}

fn is_revoked(context: &Context, connection: &Connection) -> bool {
    let session = match &connection.phase {
        Phase::Authorizing(pending) => &pending.joining.session,
        Phase::Joining(joining) => &joining.session,
        Phase::Open(session) => session,
        _ => return false,
    };
    let access = &context.settings.rules.access;
    session.token().is_some_and(|token| access.is_revoked(&token.verified))
}

fn end(context: &mut Context, connection: &mut Connection) {
    match connection.is_open() {
        true => close::fail(context, connection, &TOKEN_REVOKED),
        false => refusals::refuse(context, connection, &REFUSED),
    }
}

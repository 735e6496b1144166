//! Reload in a running worker: applies a new configuration and closes connections that lose their
//! rights.

use std::io;

use tracing::error;

use crate::auth::Right;
use crate::config::Config;
use crate::http::{Refusal, RefusalStatus};
use crate::resource::ResourceHooks;
use crate::types::{ConfigNumber, scrub_stack};
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{Connection, Phase, REVOKED, close, heartbeat, readiness};
use crate::worker::context::Context;
use crate::worker::dispatch::ticks::TickScheduler;
use crate::worker::handshake::refusals;
use crate::worker::settings::WorkerSettings;
use crate::worker::webhook;

const REVOKED_REFUSAL: Refusal =
    Refusal::new(RefusalStatus::Unauthorized, "the application was removed or changed");

/// Parses a new configuration. Logs an error and returns `None` if it is unusable.
pub(in crate::worker) fn read_config(
    number: ConfigNumber,
    json: &str,
) -> Option<(WorkerSettings, Config)> {
    let config =
        Config::from_json(json).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
    let read = config.and_then(|config| Ok((WorkerSettings::of(&config)?, config)));
    scrub_stack();
    // The supervisor has validated the configuration. The reload fails, because this worker does not
    // report success.
    read.inspect_err(|error| {
        error!(
            event = "config_apply_failed",
            %error,
            number = number.0,
            "failed to apply the new configuration"
        );
    })
    .ok()
}

/// Binds paths and names to their resources.
pub(in crate::worker) fn bind(context: &mut Context, ticks: &mut TickScheduler, config: &Config) {
    let Context { resources, settings, .. } = context;
    resources.bind(config, &mut settings.paths);
    webhook::add_targets(context);
    ticks.set(context.resources.ticking(config), context.clock.now());
}

/// Renews the rights of all connections and closes those that lose them. Returns the number of
/// closed connections.
pub(in crate::worker) fn review_all(
    context: &mut Context,
    connections: &mut ConnectionTable,
    former: &WorkerSettings,
) -> usize {
    let mut revoked = 0;
    for slot in connections.slots() {
        let Some(mut connection) = connections.take(slot) else { continue };
        revoked += usize::from(!review(context, &mut connection, former));
        readiness::rearm(context, connections, connection);
    }
    revoked
}

/// Renews the rights of a connection, or closes it and returns false.
fn review(context: &mut Context, connection: &mut Connection, former: &WorkerSettings) -> bool {
    let session = match &mut connection.phase {
        Phase::Authorizing(pending) => &mut pending.joining.session,
        Phase::Joining(joining) => &mut joining.session,
        Phase::Open(session) => session,
        _ => return true,
    };
    let needed =
        context.resources.get(connection.resource).map_or(Right::Listen, ResourceHooks::needs);
    let access = &context.settings.rules.access;
    match access.renew(&former.rules.access, &session.tenant, session.ground) {
        Ok(grant) if grant.right.covers(needed) => {
            (session.right, session.ground) = (grant.right, grant.ground);
            if !access.tells_counts(session.ground) {
                session.words.iter_mut().for_each(|words| words.report = None);
            }
            if former.ping_intervals() != context.settings.ping_intervals() && connection.is_open()
            {
                connection.next_beat = heartbeat::first_beat(context, connection.keepalive);
            }
            return true;
        }
        _ if connection.is_open() => close::fail(context, connection, &REVOKED),
        _ => refusals::refuse(context, connection, &REVOKED_REFUSAL),
    }
    false
}

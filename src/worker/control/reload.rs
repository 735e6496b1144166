//! Reload in a running worker: applies a new configuration and closes connections that lose their
//! rights.
//!
//! It applies to new connections at once. Existing connections are reviewed one after the other over
//! several turns, because a worker can have a million of them. The worker confirms the configuration
//! after the last one.

use std::io;

use tracing::{error, info};

use crate::auth::{Permissions, Right};
use crate::config::Config;
use crate::http::{Refusal, RefusalStatus};
use crate::link::control::{ChildEvent, ConfigText};
use crate::resource::ResourceHooks;
use crate::types::{ConfigNumber, scrub_stack};
use crate::worker::connection::table::TableWalk;
use crate::worker::connection::{Connection, Phase, REVOKED, close, heartbeat, readiness};
use crate::worker::context::Context;
use crate::worker::dispatch::presence;
use crate::worker::dispatch::ticks::TickScheduler;
use crate::worker::event_loop::EventLoop;
use crate::worker::handshake::refusals;
use crate::worker::settings::WorkerSettings;
use crate::worker::webhook;

const REVOKED_REFUSAL: Refusal =
    Refusal::new(RefusalStatus::Unauthorized, "the application was removed or changed");

/// Parses a new configuration. Logs an error and returns `None` if it is unusable.
fn read_config(number: ConfigNumber, json: &str) -> Option<(WorkerSettings, Config)> {
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
    let Context { resources, settings, throttle, applications, clock, .. } = context;
    applications.configure(config.applications.as_ref());
    throttle.configure(config.applications.as_ref(), &config.rates.applications, clock.now());
    resources.bind(config, &mut settings.paths);
    webhook::add_targets(context);
    ticks.set(context.resources.ticking(config), context.clock.now());
}

/// Review of the connections whose grants are still from the previous configuration.
#[derive(Debug)]
pub(in crate::worker) struct ConfigReview {
    number: ConfigNumber,
    walk: TableWalk,
    has_new_pings: bool,
    revoked: usize,
    /// Last configuration that arrived during the review.
    next: Option<(ConfigNumber, ConfigText)>,
}

impl EventLoop {
    /// Applies a new configuration completely or not at all.
    pub(in crate::worker) fn reconfigure(&mut self, number: ConfigNumber, json: ConfigText) {
        let Self { context, connections, ticks, .. } = self;
        if let Some(review) = &mut context.review {
            review.next = Some((number, json));
            return;
        }
        let Some((mut settings, config)) = read_config(number, &json) else { return };
        let has_new_pings = settings.ping_intervals() != context.settings.ping_intervals();
        let access = std::mem::replace(&mut settings.rules.access, Permissions::everything());
        let former = std::mem::replace(&mut context.settings, settings);
        context.settings.rules.access = access.replacing(former.rules.access);
        context.offload.on_new_rules();
        bind(context, ticks, &config);
        let (walk, revoked, next) = (connections.walk(), 0, None);
        context.review = Some(ConfigReview { number, walk, has_new_pings, revoked, next });
        self.review_some();
    }

    /// Renews the rights of connections and closes those that lose them, within the time budget of this
    /// part of the turn. Until then a connection has its former rights.
    pub(in crate::worker) fn review_some(&mut self) {
        let Self { context, connections, .. } = self;
        let Some(mut review) = context.review.take() else { return };
        let part = context.clock.part();
        while let Some(slot) = connections.next_of(&mut review.walk) {
            let Some(mut connection) = connections.take(slot) else { continue };
            let is_revoked = review_connection(context, &mut connection);
            review.revoked += usize::from(is_revoked);
            if review.has_new_pings && connection.is_open() {
                connection.next_heartbeat =
                    heartbeat::first_heartbeat(context, connection.keepalive);
            }
            readiness::rearm(context, connections, connection);
            if context.clock.is_over(part) {
                context.review = Some(review);
                return;
            }
        }
        let ConfigReview { number, revoked, next, .. } = review;
        context.settings.rules.access.forget_former();
        info!(event = "config_applied", number = number.0, revoked, "configuration applied");
        context.supervisor.report(ChildEvent::Configured { number });
        if let Some((number, json)) = next {
            self.reconfigure(number, json);
        }
    }
}

/// Renews the rights of a connection, or closes it; returns whether the connection has lost them.
fn review_connection(context: &mut Context, connection: &mut Connection) -> bool {
    let session = match &mut connection.phase {
        Phase::Authorizing(pending) => &mut pending.joining.session,
        Phase::Joining(joining) => &mut joining.session,
        Phase::Open(session) => session,
        _ => return false,
    };
    let needed =
        context.resources.get(connection.resource).map_or(Right::Listen, ResourceHooks::needs);
    let access = &context.settings.rules.access;
    let token = session.token().map(|token| &token.verified.claims);
    match access.renew(&session.tenant, session.basis, token) {
        Ok(grant) if grant.right.covers(needed) => {
            (session.right, session.basis) = (grant.right, grant.basis);
            if !access.may_see_counts(session.basis) {
                session.extras.iter_mut().for_each(|extras| extras.words.report = None);
            }
            presence::on_new_rights(context, connection);
            return false;
        }
        _ if connection.is_open() => close::fail(context, connection, &REVOKED),
        _ => refusals::refuse(context, connection, &REVOKED_REFUSAL),
    }
    true
}

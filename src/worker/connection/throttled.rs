//! Publishers that have published too much, or whose application has: their input is kept, and their socket
//! is not read, until there is room again.

use super::table::ConnectionTable;
use super::{Connection, Phase, paused, readiness};
use tracing::info;

use crate::auth::TokenClaims;
use crate::resource::Charge;
use crate::session::Session;
use crate::types::limits::HEAVY_SHARE;
use crate::types::{Slot, Tenant, TurnBudget};
use crate::worker::context::Context;
use crate::worker::throttle::{PublisherWait, ReadyPublisher, Throttle, ThrottledConnection};

/// Counts a publication for a client, towards the limits of its application if it is one of the client.
pub(in crate::worker) fn charge(context: &mut Context, slot: Slot, charged: Charge, bytes: usize) {
    if charged == Charge::Nothing {
        context.labelled.note_resource_publication();
    }
    if let Charge::Application(application) = charged {
        let number = context.applications.number(application);
        context.applications.note(number, |it| it.publications += 1);
        if context.throttle.is_on() {
            context.throttle.charge(application, slot, bytes, context.clock.now());
        }
    }
}

/// Queues what this worker has accepted of applications with limits, for the other members of the link.
pub(in crate::worker) fn report_charges(context: &mut Context) {
    for charge in context.throttle.take_charges() {
        context.broker.uplink.report_charge(charge);
    }
}

/// Applies the limits of the token of a client.
pub(in crate::worker) fn apply_token_limits(
    context: &mut Context,
    slot: Slot,
    token: &TokenClaims,
) {
    context.throttle.lower(slot, token.limits, context.clock.now());
}

/// Returns why the next message of a client has to wait.
pub(super) fn wait_of(context: &Context, slot: Slot, session: &Session) -> Option<PublisherWait> {
    if let Some(wait) = wait_of_tenant(context, slot, session) {
        return Some(wait);
    }
    if !context.throttle.is_on() {
        return None;
    }
    let opened_by = || context.settings.rules.access.application_index(session.basis);
    context.throttle.wait_of(slot, opened_by, context.clock.now())
}

/// Returns whether the next message of a client has to wait because its tenant is throttled.
pub(super) fn wait_of_tenant(
    context: &Context,
    slot: Slot,
    session: &Session,
) -> Option<PublisherWait> {
    let uplink = &context.broker.uplink;
    if !uplink.has_throttles() {
        return None;
    }
    let tenant = tenant_in(&context.throttle, slot, session);
    uplink.is_throttled(tenant).then(|| PublisherWait::Tenant(tenant.clone()))
}

/// Returns the tenant in which a client publishes: that of its last publication, or its own.
pub(super) fn tenant_in<'a>(
    throttle: &'a Throttle,
    slot: Slot,
    session: &'a Session,
) -> &'a Tenant {
    throttle.tenant_of(slot).unwrap_or(&session.tenant)
}

/// Returns the tenant in which a connection publishes.
pub(super) fn tenant_of(throttle: &Throttle, connection: &Connection) -> Tenant {
    match &connection.phase {
        Phase::Open(session) => tenant_in(throttle, connection.slot, session).clone(),
        _ => Tenant::shared(),
    }
}

/// Queues a connection whose tenant is throttled. Returns false if it need not wait.
pub(super) fn is_held(context: &mut Context, connection: &Connection) -> bool {
    let Phase::Open(session) = &connection.phase else { return false };
    let wait = wait_of_tenant(context, connection.slot, session);
    let is_held = wait.is_some();
    if let Some(wait) = wait {
        push(context, connection, wait);
    }
    is_held
}

/// Queues a connection until its message may be read.
pub(super) fn push(context: &mut Context, connection: &Connection, wait: PublisherWait) {
    let Connection { slot, serial, .. } = *connection;
    let now = context.clock.now();
    // The broker logs the throttles of tenants.
    let is_for_limit = !matches!(wait, PublisherWait::Tenant(_));
    context.throttle.push(ThrottledConnection { slot, serial }, wait, now);
    if is_for_limit
        && context.throttle.logs(now)
        && let Phase::Open(session) = &connection.phase
    {
        let application = context.settings.rules.access.application_of(session.basis);
        info!(
            event = "publishers_throttled",
            connection = serial,
            application = application.unwrap_or("-"),
            "a limit of publications is reached, publishers wait"
        );
    }
}

/// Resumes the connections that there is room for, within the time budget of this part of the turn.
pub(in crate::worker) fn resume_throttled(
    context: &mut Context,
    connections: &mut ConnectionTable,
) {
    let now = context.clock.now();
    if context.throttle.next_due().is_none_or(|due| due > now) {
        return;
    }
    let part = context.clock.part();
    loop {
        let before = context.throttle.waits().waited();
        let Some(ready) = context.throttle.next_ready(now) else { return };
        let ThrottledConnection { slot, serial } = ready.connection;
        let waited = context.throttle.waits().waited().saturating_sub(before);
        let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let application = context.sockets.application(slot);
        context.applications.note(application, |it| it.throttled_ms += waited);
        if connections.get(slot).is_none_or(|it| it.serial != serial) {
            continue;
        }
        let Some(mut connection) = connections.take(slot) else { continue };
        resume(context, &mut connection, ready);
        readiness::rearm(context, connections, connection);
        if context.clock.is_over(part) {
            return;
        }
    }
}

fn resume(context: &mut Context, connection: &mut Connection, ready: ReadyPublisher) {
    let Phase::Open(session) = &connection.phase else { return };
    let Some(pending) = &connection.pending_input else { return };
    // The thread that reads a large message, or the last answer of the backend, resumes the connection.
    if !pending.is_ready() || context.webhooks.is_busy(session.uuid) {
        return;
    }
    let wait = match ready.is_admitted {
        true => wait_of_tenant(context, connection.slot, session),
        false => wait_of(context, connection.slot, session),
    };
    if let Some(wait) = wait {
        return push(context, connection, wait);
    }
    if paused::lack_of_room_for(context, connection, pending).is_some() {
        return paused::pause(context, connection);
    }
    let pending = connection.pending_input.take();
    let share = TurnBudget::new(context.clock.time(), HEAVY_SHARE);
    context.serving.begin_share_of(connection, share);
    paused::resume(context, connection, pending);
    context.serving.note_served(connection);
}

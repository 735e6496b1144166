//! HTTP resources in a worker: sends events to backends and applies the answers.

pub(crate) mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::{error, warn};

use self::queue::{EventOrigin, PostOutcome, Subject, Warning, WebhookResult};
use super::clock::unix_time;
use super::connection::{Connection, PendingMessage, Phase};
use super::dispatch::ConnectionEffects;
use super::dispatch::resource_registry::BackendRoute;
use crate::resource::{ResourceContext, ResourceId};
use crate::types::{Client, ClientUuid, Slot};
use crate::webhook::client::{InvalidTarget, WebhookOutcome, WebhookTarget};
use crate::webhook::{InvalidAnswer, WebhookCommand, WebhookRequest};
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{paused, readiness};
use crate::worker::context::Context;
use crate::worker::dispatch;
use crate::worker::dispatch::without_client;
use crate::worker::handshake::authorize;

/// Adds the configured backends. The first one starts the webhook client.
pub(in crate::worker) fn add_targets(context: &mut Context) {
    for route in context.resources.take_routes() {
        let resource = route.resource;
        if let Some(target) = context.webhooks.target(resource) {
            target.sign_with(route.signing);
        } else if let Err(error) = add_target(context, route) {
            error!(
                event = "webhook_start_failed",
                resource = resource.place(),
                %error,
                "failed to start the webhook client"
            );
        }
    }
}

fn add_target(context: &mut Context, route: BackendRoute) -> Result<(), InvalidTarget> {
    let target = WebhookTarget::new(route.settings, route.signing)?;
    context.webhooks.start_client(&context.poller).map_err(|error| InvalidTarget::new(&error))?;
    context.webhooks.add_target(route.resource, target);
    Ok(())
}

/// Queues an event of a client.
pub(in crate::worker) fn post(
    context: &mut Context,
    slot: Slot,
    client: ClientUuid,
    resource: ResourceId,
    post: WebhookRequest,
) -> PostOutcome {
    let event = post.event;
    let id = context.rng.uuid();
    context.memory.grow(post.body.len());
    let posted = context.webhooks.post(
        EventOrigin { subject: Subject::Client(client), slot, resource },
        id,
        post,
    );
    if posted == PostOutcome::Rejected {
        log_warning(context, resource, event, Warning::Failed, "too many events are pending");
    }
    posted
}

/// Queues the event that asks whether a client may open a connection.
pub(in crate::worker) fn post_open(
    context: &mut Context,
    slot: Slot,
    client: &Client,
    resource: ResourceId,
    post: WebhookRequest,
) -> PostOutcome {
    let event = post.event;
    let id = context.rng.uuid();
    let origin = EventOrigin { subject: Subject::Client(client.uuid), slot, resource };
    let posted = context.webhooks.post_open(origin, client.ip, id, post);
    match posted {
        PostOutcome::Taken => {}
        PostOutcome::TooMany => {
            let why = "too many handshakes of one address are pending";
            log_warning(context, resource, event, Warning::Failed, why);
        }
        PostOutcome::Rejected => {
            log_warning(context, resource, event, Warning::Failed, "too many events are pending");
        }
    }
    posted
}

/// Queues an event of a resource. A tick is skipped while the previous one is not answered.
pub(in crate::worker) fn post_for_resource(
    context: &mut Context,
    resource: ResourceId,
    post: WebhookRequest,
) {
    if post.event == "tick" && context.webhooks.is_ticking(resource) {
        return;
    }
    let (id, event) = (context.rng.uuid(), post.event);
    let subject = Subject::Resource(resource);
    let origin = EventOrigin { subject, slot: Slot::NONE, resource };
    if context.webhooks.post(origin, id, post) == PostOutcome::Rejected {
        log_warning(context, resource, event, Warning::Failed, "too many events are pending");
    }
}

/// Applies answers of backends while the send window has room for their publications (rule L4).
pub(in crate::worker) fn apply_answers(context: &mut Context, connections: &mut ConnectionTable) {
    if !context.webhooks.has_answers() {
        return;
    }
    let part = context.clock.part();
    while context.broker.uplink.has_room(0) {
        let Some(answered) = context.webhooks.next_answer() else { return };
        let (subject, slot) = (answered.subject, answered.slot);
        if let Some(target) = context.webhooks.target(answered.resource) {
            let (outcome, took) = (answered.outcome.word(), answered.took);
            context.labelled.note_event(target.resource(), outcome, took);
        }
        match subject {
            Subject::Client(client) => on_answer_for_client(context, connections, client, answered),
            Subject::Resource(_) => on_answer_for_resource(context, answered),
        }
        let Context { webhooks, rng, .. } = &mut *context;
        let is_busy = webhooks.send_next(subject, || rng.uuid());
        // The client's queue is empty, so its pending message can be processed.
        if let Some(connection) = connections.get(slot)
            && let Some(pending) = connection.pending_input.as_deref()
            && pending.message.as_ref().is_some_and(PendingMessage::is_ready)
            && !is_busy
        {
            paused::pause(context, connection);
        }
        if context.clock.is_over(part) {
            return;
        }
    }
}

fn on_answer_for_client(
    context: &mut Context,
    connections: &mut ConnectionTable,
    client: ClientUuid,
    answered: WebhookResult,
) {
    let WebhookResult { event, resource, slot, outcome, .. } = answered;
    let is_it = |connection: &Connection| connection.uuid() == Some(client);
    if !connections.get(slot).is_some_and(is_it) {
        return on_answer_for_gone(context, client, resource, event, outcome);
    }
    let Some(mut connection) = connections.take(slot) else { return };
    match &connection.phase {
        Phase::Authorizing(_) => authorize::on_answer(context, &mut connection, outcome),
        _ => match commands_of(context, resource, event, outcome) {
            Some(commands) => apply_commands(context, &mut connection, event, commands),
            None if event == "message" => report_down(context, &mut connection),
            None => {}
        },
    }
    readiness::rearm(context, connections, connection);
}

/// Applies an answer whose client has disconnected. Commands for that client are skipped.
fn on_answer_for_gone(
    context: &mut Context,
    client: ClientUuid,
    resource: ResourceId,
    event: &'static str,
    outcome: WebhookOutcome,
) {
    if event == "open" {
        return;
    }
    let Some(commands) = commands_of(context, resource, event, outcome) else { return };
    apply_commands_without_client(context, resource, event, Some(client), commands);
}

fn on_answer_for_resource(context: &mut Context, answered: WebhookResult) {
    let WebhookResult { event, resource, outcome, .. } = answered;
    let Some(commands) = commands_of(context, resource, event, outcome) else { return };
    apply_commands_without_client(context, resource, event, None, commands);
}

/// Returns the commands of a backend. `None` if there are none because the event failed; the reason
/// is logged.
pub(in crate::worker) fn commands_of(
    context: &mut Context,
    resource: ResourceId,
    event: &'static str,
    outcome: WebhookOutcome,
) -> Option<Vec<WebhookCommand>> {
    match outcome {
        WebhookOutcome::Done(commands) => return Some(commands),
        WebhookOutcome::Refused(_) => {
            let why = "it refused the event (401 or 403): check the secret";
            log_warning(context, resource, event, Warning::Failed, why);
        }
        WebhookOutcome::Wrong(InvalidAnswer(why)) => {
            log_warning(context, resource, event, Warning::Wrong, &why);
        }
        WebhookOutcome::Failed(why) => log_warning(context, resource, event, Warning::Failed, &why),
        // The opening of the circuit breaker was logged.
        WebhookOutcome::LeftAlone => {}
    }
    None
}

/// Applies the commands for a client, all or none.
pub(in crate::worker) fn apply_commands(
    context: &mut Context,
    connection: &mut Connection,
    event: &'static str,
    commands: Vec<WebhookCommand>,
) {
    let (rest, outcome) = apply_commands_for_rest(context, connection, event, commands);
    dispatch::apply_rest(context, connection, rest);
    if outcome.is_err() && event == "message" {
        report_down(context, connection);
    }
}

/// Applies the commands for a client. Returns the effects on the connection itself, and an error if
/// a command is invalid.
pub(in crate::worker) fn apply_commands_for_rest(
    context: &mut Context,
    connection: &Connection,
    event: &'static str,
    commands: Vec<WebhookCommand>,
) -> (ConnectionEffects, Result<(), ()>) {
    if commands.is_empty() {
        return (ConnectionEffects::new(), Ok(()));
    }
    let resource = connection.resource;
    let mut outcome = Ok(());
    let rest = dispatch::call_for_rest(context, connection, |service, handle| {
        if let Some(backed) = service.as_webhook() {
            outcome = backed.carry_out(handle, commands);
            if outcome.is_err() {
                handle.abandon();
            }
        }
    });
    let outcome = outcome.map_err(|InvalidAnswer(why)| {
        log_warning(context, resource, event, Warning::Wrong, &why);
    });
    (rest, outcome)
}

fn apply_commands_without_client(
    context: &mut Context,
    resource: ResourceId,
    event: &'static str,
    client: Option<ClientUuid>,
    commands: Vec<WebhookCommand>,
) {
    let Some(backed) = context.resources.get_mut(resource).and_then(|it| it.as_webhook()) else {
        return;
    };
    let mut call = ResourceContext::new(&context.settings.rules, unix_time());
    let done = catch_unwind(AssertUnwindSafe(|| {
        backed.carry_out_alone(&mut call, client, commands).map(|()| call.into_effects())
    }));
    match done {
        Ok(Ok(effects)) => without_client::apply_without_client(context, resource, effects),
        Ok(Err(InvalidAnswer(why))) => log_warning(context, resource, event, Warning::Wrong, &why),
        Err(_) => {
            error!(event = "resource_panicked", "resource panicked on the response of its webhook");
        }
    }
}

/// Informs a client that its message was not delivered to the backend.
fn report_down(context: &mut Context, connection: &mut Connection) {
    dispatch::call_and_apply(context, connection, |service, handle| {
        if let Some(backed) = service.as_webhook() {
            backed.notify_unavailable(handle);
        }
    });
}

/// Logs a warning about a backend, at most one line per minute and resource of each kind.
pub(in crate::worker) fn log_warning(
    context: &mut Context,
    resource: ResourceId,
    event: &'static str,
    warning: Warning,
    why: &str,
) {
    context.stats.events_failed += 1;
    let Some(count) = context.webhooks.note_warning(resource, warning, context.clock.now()) else {
        return;
    };
    let name =
        context.resources.get_mut(resource).and_then(|it| it.as_webhook()).map(|it| it.name());
    let name = name.unwrap_or_default();
    match warning {
        Warning::Failed => {
            warn!(
                event = "webhook_event_failed",
                resource = name,
                webhook = event,
                why,
                count,
                "webhook event not delivered"
            );
        }
        Warning::Wrong => {
            warn!(
                event = "webhook_response_invalid",
                resource = name,
                webhook = event,
                why,
                count,
                "invalid webhook response ignored"
            );
        }
    }
}

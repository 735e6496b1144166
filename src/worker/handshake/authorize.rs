//! Authorization by a backend, before the broker knows the client.

use tracing::warn;

use crate::config::Refuse;
use crate::http;
use crate::http::{Refusal, RefusalStatus};
use crate::resource::{ClientHandle, ConnectRequest};
use crate::types::{AddressLimit, Client, CloseCode, CloseReason, Slot, Tags};
use crate::webhook::client::WebhookOutcome;
use crate::webhook::{WebhookCommand, WebhookRequest};
use crate::worker::connection::bye;
use crate::worker::connection::readiness;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{Connection, PendingAuthorization, PendingJoin, Phase};
use crate::worker::context::Context;
use crate::worker::dispatch::presence;
use crate::worker::handshake::refusals;
use crate::worker::webhook::queue::{PostOutcome, Warning};
use crate::worker::{handshake, webhook};

const DOWN: Refusal = Refusal::new(RefusalStatus::Unavailable, "try again later");
const NOT_WANTED: &str = "the backend refuses this connection";

/// Joins a client, or first asks the backend of its resource.
pub(in crate::worker) fn authorize_or_join(
    context: &mut Context,
    connection: &mut Connection,
    joining: Box<PendingJoin>,
    client: Client,
) {
    let Some((open, never)) = questions_for(context, connection, &joining, &client) else {
        return join(context, connection, joining, client);
    };
    // A client that counts by address is reserved now, so that one address cannot fill the webhook
    // queue.
    let counted = (client.counted == AddressLimit::ByAddress)
        .then(|| Client { tags: Tags::default(), ..client.clone() });
    let pending = PendingAuthorization { joining, client, open: Some(open), never_opened: never };
    context.handshakes.advance(connection, Phase::Authorizing(Box::new(pending)));
    match counted {
        Some(client) => context.broker.uplink.reserve(connection.slot, client),
        None => post_question(context, connection),
    }
}

/// Asks the backend after the broker has reserved a place for the client.
pub(in crate::worker) fn on_reserved(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
) {
    let Some(mut connection) = connections.take(slot) else { return };
    post_question(context, &mut connection);
    readiness::rearm(context, connections, connection);
}

fn post_question(context: &mut Context, connection: &mut Connection) {
    let Phase::Authorizing(pending) = &mut connection.phase else { return };
    let Some(open) = pending.open.take() else { return };
    match webhook::post_open(context, connection.slot, &pending.client, connection.resource, open) {
        PostOutcome::Taken => {}
        // Too many clients of this address already wait. The backend is not at fault.
        PostOutcome::TooMany => give_up(context, connection),
        PostOutcome::Rejected => on_backend_down(context, connection),
    }
}

fn join(
    context: &mut Context,
    connection: &mut Connection,
    mut joining: Box<PendingJoin>,
    client: Client,
) {
    context.memory.grow(client.tags.held());
    presence::describe(context, connection.slot, &joining.session);
    let resume = joining.resume.as_mut().and_then(|resume| resume.request.take());
    let missed = || joining.event_stream.as_mut().and_then(|opening| opening.missed.take());
    match resume.or_else(missed) {
        Some(request) => context.broker.uplink.join_resumable(connection.slot, client, request),
        None => context.broker.uplink.join(connection.slot, client),
    }
    context.handshakes.advance(connection, Phase::Joining(joining));
}

/// Returns the events to send if the resource has a backend that authorizes clients.
fn questions_for(
    context: &mut Context,
    connection: &Connection,
    joining: &PendingJoin,
    client: &Client,
) -> Option<(WebhookRequest, Option<WebhookRequest>)> {
    let asked = joining.request.as_ref()?;
    let backed = context.resources.get_mut(connection.resource)?.as_webhook()?;
    let head = http::parse(&asked.head).ok()?;
    let opening = ConnectRequest::new(&head, asked.peer, asked.protocol.as_deref())
        .with_user(asked.user.as_deref());
    let handle = ClientHandle::new(&joining.session, client, &context.settings.rules);
    let question = backed.ask(&handle, &opening)?;
    Some((question.open, question.never))
}

/// Handles the outcome of the authorization event.
pub(in crate::worker) fn on_answer(
    context: &mut Context,
    connection: &mut Connection,
    outcome: WebhookOutcome,
) {
    let commands = match outcome {
        WebhookOutcome::Refused(commands) => {
            let why = refusal(&commands).unwrap_or(NOT_WANTED).to_owned();
            return refuse_client(context, connection, why);
        }
        outcome => webhook::commands_of(context, connection.resource, "open", outcome),
    };
    let Some(commands) = commands else { return on_backend_down(context, connection) };
    if let Some(why) = refusal(&commands) {
        let why = why.to_owned();
        return refuse_client(context, connection, why);
    }
    accept_client(context, connection, commands);
}

/// Joins a client with the user and the tags from the backend.
fn accept_client(
    context: &mut Context,
    connection: &mut Connection,
    commands: Vec<WebhookCommand>,
) {
    let Phase::Authorizing(pending) = &mut connection.phase else { return };
    let mut rest = Vec::new();
    for command in commands {
        let WebhookCommand::Accept { user, tags } = command else {
            rest.push(command);
            continue;
        };
        let own = &mut pending.client.tags;
        match Tags::new(own.iter().chain(&tags)) {
            Ok(all) => *own = all.with_topics(own.topics().clone()),
            Err(error) => {
                let resource = connection.resource;
                webhook::log_warning(context, resource, "open", Warning::Wrong, &error.to_string());
                return give_up(context, connection);
            }
        }
        if let Some(asked) = &mut pending.joining.request {
            // What the backend says about a user wins over the token.
            asked.user = user.or_else(|| asked.user.take());
        }
    }
    let Phase::Authorizing(pending) = context.handshakes.advance(connection, Phase::Gone) else {
        return;
    };
    let PendingAuthorization { mut joining, client, never_opened: never, .. } = *pending;
    if let Some(asked) = &mut joining.request {
        (asked.commands, asked.never_opened) = (rest, never);
    }
    join(context, connection, joining, client);
}

/// Refuses a client because the backend did.
fn refuse_client(context: &mut Context, connection: &mut Connection, why: String) {
    let refusal = Refusal::composed(RefusalStatus::Forbidden, why);
    if bye::is_greeted(connection) {
        return refusals::refuse(context, connection, &refusal);
    }
    match (context.settings.refuse, &connection.phase) {
        (Refuse::AfterUpgrade, Phase::Authorizing(pending)) => {
            let answer = pending.joining.answer.clone();
            let reason = CloseReason { code: CloseCode::POLICY, text: refusal.why };
            refusals::log_closed(context, connection, b"", &reason, None);
            handshake::reject(context, connection, answer, None, &reason);
        }
        _ => refusals::refuse(context, connection, &refusal),
    }
}

/// Accepts or refuses a client whose backend cannot be asked, as the resource is configured.
fn on_backend_down(context: &mut Context, connection: &mut Connection) {
    let backed = context.resources.get_mut(connection.resource).and_then(|it| it.as_webhook());
    if backed.is_some_and(|backed| backed.accepts_when_down()) {
        warn!(
            event = "authorization_skipped",
            connection = connection.serial,
            "authorization webhook unavailable, connection allowed"
        );
        return accept_client(context, connection, Vec::new());
    }
    give_up(context, connection);
}

/// Refuses a client, because the backend did not answer in time or cannot be asked.
pub(in crate::worker) fn give_up(context: &mut Context, connection: &mut Connection) {
    refusals::refuse(context, connection, &DOWN);
}

/// Sends an event to the backend if it accepted the client and the connection ends before it is
/// open.
pub(in crate::worker) fn post_never_opened(context: &mut Context, connection: &mut Connection) {
    let Phase::Joining(joining) = &mut connection.phase else { return };
    let uuid = joining.session.uuid;
    let Some(never) = joining.request.as_mut().and_then(|asked| asked.never_opened.take()) else {
        return;
    };
    let _posted = webhook::post(context, connection.slot, uuid, connection.resource, never);
}

/// Returns the reason if the backend refuses the client.
fn refusal(commands: &[WebhookCommand]) -> Option<&str> {
    commands.iter().find_map(|command| match command {
        WebhookCommand::Refuse(reason) if reason.is_empty() => Some(NOT_WANTED),
        WebhookCommand::Refuse(reason) => Some(&**reason),
        _ => None,
    })
}

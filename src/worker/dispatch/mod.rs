//! Calls of resources, and application of the effects that they return.

mod busy;
mod call_output;
mod connection_effects;
pub(crate) mod delivery_report;
pub(super) mod presence;
pub(crate) mod requests;
pub(crate) mod resource_registry;
pub(in crate::worker) mod resumption;
mod sent_data;
pub(crate) mod ticks;
pub(in crate::worker) mod token_refresh;
pub(crate) mod without_client;

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use tracing::error;

use self::busy::busy_answer;
use self::call_output::CallOutput;
pub(in crate::worker) use self::connection_effects::{
    ConnectionEffect, ConnectionEffects, apply_rest, apply_to_connection,
};
use self::requests::RequestProgress;
use self::resumption::ClientEnd;
use super::connection::{Connection, FAULT, Phase};
use super::webhook::queue::PostOutcome;
use crate::broker_client::uplink::NewPublication;
use crate::link::query::{BrokerQuery, PresenceQuery, PresenceResult, QueryKind, QueryResult};
use crate::protocol::Cast;
use crate::protocol::v1::with_topic;
use crate::resource::{
    ClientHandle, Effect, Effects, Payload, Presence, ResourceHooks, ResourceId, V1Requests,
};
use crate::session::{Message, Session};
use crate::types::{CloseReason, Content, FramedPayload, PayloadForm, Pressure, Slot};
use crate::webhook::WebhookRequest;
use crate::websocket::write as frames;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{readiness, throttled};
use crate::worker::context::Context;
use crate::worker::handshake::authorize;
use crate::worker::{asks, questions, webhook};

/// Client for which a resource is called.
#[derive(Clone, Copy)]
pub(in crate::worker) struct ClientRef<'a> {
    pub(in crate::worker) slot: Slot,
    pub(in crate::worker) session: &'a Session,
    pub(in crate::worker) resource: ResourceId,
}

/// Passes a message to its resource and applies the effects.
pub(in crate::worker) fn on_message(
    context: &mut Context,
    client: ClientRef<'_>,
    message: Message<'_>,
) -> ConnectionEffects {
    let effects = call(context, client, |resource, handle| {
        match client.session.protocol.spec().has_requests {
            true => V1Requests.on_message(handle, message),
            false => resource.on_message(handle, message),
        }
    });
    apply_message_effects(context, client, effects, message.bytes())
}

/// Applies the effects of a message that a detached copy of its resource has handled.
pub(in crate::worker) fn on_read(
    context: &mut Context,
    client: ClientRef<'_>,
    requested: Effects,
    received: &[u8],
) -> ConnectionEffects {
    if client.session.protocol.spec().has_requests {
        return apply_message_effects(context, client, requested, received);
    }
    let mut is_admitted = false;
    let mut effects = call(context, client, |resource, handle| {
        is_admitted = resource.on_detached(handle);
    });
    if is_admitted {
        effects.extend(requested);
    }
    apply_message_effects(context, client, effects, received)
}

fn apply_message_effects(
    context: &mut Context,
    client: ClientRef<'_>,
    effects: Effects,
    received: &[u8],
) -> ConnectionEffects {
    let nothing = delivery_report::report_nothing(client.session, &effects);
    let mut rest = apply_effects(context, client, effects, received);
    if let Some(report) = nothing {
        rest.push(report);
    }
    rest
}

/// Passes the answer to a presence query to the resource, and what other hosts have made of a question to its asker.
pub(in crate::worker) fn on_presence(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    query: BrokerQuery,
    result: QueryResult,
) {
    if let QueryResult::Hosts(answer) = result {
        return asks::on_hosts(context, connections, &query, answer);
    }
    let number = query.number;
    let QueryKind::Presence(PresenceQuery { filter, tag }) = query.kind else { return };
    let (PresenceResult { clients, values }, error) = match result {
        QueryResult::Presence(found) => (found, None),
        QueryResult::Refused(cost) => (PresenceResult::default(), Some(cost.to_string().into())),
        _ => return,
    };
    let presence = Presence { query: filter, tag, clients, values, error };
    if slot == Slot::NONE {
        return without_client::on_findings(context, number, &presence);
    }
    let Some(mut connection) = connections.take(slot) else { return };
    call_and_apply(context, &mut connection, |resource, handle| {
        resource.on_presence(handle, &presence);
    });
    readiness::rearm(context, connections, connection);
}

/// Calls the resource because a connection ends, then sends the leave to the broker. In this order
/// the resource still sees the client's tags. Publications of this call are sent after the leave.
pub(in crate::worker) fn on_end(
    context: &mut Context,
    connection: &mut Connection,
    why: &CloseReason,
    end: ClientEnd,
    fault: Option<&CloseReason>,
) {
    authorize::post_never_opened(context, connection);
    questions::on_end(context, connection.slot, end);
    context.asks.forget(connection.slot);
    let Phase::Open(session) = &connection.phase else {
        return resumption::leave(context, connection.slot, end);
    };
    context.labelled.note_ended(session.protocol, connection.slot, why.code);
    context.note_client_ended(connection.slot);
    let client = ClientRef { slot: connection.slot, session, resource: connection.resource };
    let effects = call(context, client, |resource, handle| {
        if let Some(fault) = fault {
            resource.on_connection_lost(handle, fault);
        }
        resource.on_close(handle, why);
    });
    resumption::leave(context, connection.slot, end);
    apply_effects(context, client, effects, b"");
}

pub(in crate::worker) fn call_and_apply(
    context: &mut Context,
    connection: &mut Connection,
    on_client: impl FnOnce(&mut dyn ResourceHooks, &mut ClientHandle<'_>),
) {
    let rest = call_for_rest(context, connection, on_client);
    apply_rest(context, connection, rest);
}

/// Calls the resource of a connection. Returns the effects on the connection itself.
pub(in crate::worker) fn call_for_rest(
    context: &mut Context,
    connection: &Connection,
    on_client: impl FnOnce(&mut dyn ResourceHooks, &mut ClientHandle<'_>),
) -> ConnectionEffects {
    let Phase::Open(session) = &connection.phase else { return ConnectionEffects::new() };
    let client = ClientRef { slot: connection.slot, session, resource: connection.resource };
    let effects = call(context, client, on_client);
    apply_effects(context, client, effects, b"")
}

/// Calls a resource. A panic closes only this connection, because the call does not touch the
/// worker's tables.
pub(in crate::worker) fn call(
    context: &mut Context,
    ClientRef { slot, session, resource: id }: ClientRef<'_>,
    on_client: impl FnOnce(&mut dyn ResourceHooks, &mut ClientHandle<'_>),
) -> Effects {
    let Context { resources, broker, settings, clock, .. } = context;
    let effects = resources.take_effects();
    let Some(resource) = resources.get_mut(id) else { return Effects::new() };
    let Some(client) = broker.uplink.client(slot) else { return Effects::new() };
    let handle = ClientHandle::new(session, client, &settings.rules).at(clock.now().micros());
    let mut handle = handle.with_unix_time(settings.token_time()).reusing(effects);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        on_client(resource.as_mut(), &mut handle);
        (handle.denied(), handle.into_effects())
    }));
    let (denied, effects) = outcome.unwrap_or_else(|_| {
        error!(
            event = "resource_panicked",
            client = ?session.uuid,
            "resource panicked, closing connection"
        );
        (None, vec![Effect::Close(FAULT)])
    });
    if let Some(reason) = denied {
        context.note_denied(slot, reason);
    }
    effects
}

/// Applies the effects that concern the broker. A publication is now in the send window (rule L4)
/// and is sent at the end of the turn. Returns the other effects.
fn apply_effects(
    context: &mut Context,
    client: ClientRef<'_>,
    effects: Effects,
    received: &[u8],
) -> ConnectionEffects {
    apply_with(context, client, effects, received, &mut RequestProgress::default())
}

fn apply_with(
    context: &mut Context,
    client: ClientRef<'_>,
    mut effects: Effects,
    received: &[u8],
    progress: &mut RequestProgress,
) -> ConnectionEffects {
    let ClientRef { slot, session, resource: id } = client;
    let (mut rest, mut output) = (ConnectionEffects::new(), CallOutput::Nothing);
    for effect in effects.drain(..) {
        output = output.and(&effect);
        match effect {
            Effect::Publish { .. } if context.memory.pressure() == Pressure::Busy => {
                let answer = busy_answer(context, session);
                rest.extend(progress.reports_busy(session).then_some(answer));
            }
            // It is not asked.
            Effect::Publish { .. } if progress.is_refused() => {}
            // The client has repeated it.
            Effect::Publish { payload, charged, .. } if progress.was_accepted() => {
                throttled::charge(context, slot, charged, payload.bytes(received).len());
            }
            Effect::Publish { tenant, address, form, payload, charged } => {
                let (tenant, address, bytes) = (&tenant, &address, payload.bytes(received));
                let publication = NewPublication { tenant, address, form, payload: bytes };
                publish_headed(context, client, publication, payload.framed(), progress);
                context.throttle.note_publication(slot, tenant, &session.tenant);
                throttled::charge(context, slot, charged, bytes.len());
            }
            Effect::Request(request) => {
                rest.extend(requests::apply(context, client, request, received, progress));
            }
            Effect::Retag(edit) => context.change_tags(slot, edit, "resource"),
            Effect::RetagByToken(edit) => context.change_tags(slot, edit, "token"),
            Effect::QueryPresence { query, tag } => {
                let kind = QueryKind::Presence(PresenceQuery { filter: query, tag });
                context.broker.uplink.query(slot, session.tenant.clone(), kind);
            }
            Effect::QueryResourcePresence { about, tenant, query, tag } => {
                let query = PresenceQuery { filter: query, tag };
                without_client::query_presence(context, id, about, tenant, query);
            }
            Effect::Register { claim, said } => {
                if let Some(claim) = claim {
                    context.broker.uplink.request_alias(slot, claim);
                }
                rest.push(ConnectionEffect::Registered(said));
            }
            Effect::Refresh(refresh) => rest.push(ConnectionEffect::Refreshed(refresh)),
            Effect::RefusedToken(error) => token_refresh::log_refused(session.uuid, &error),
            Effect::Fyi(fyi) => rest.push(ConnectionEffect::Fyi(fyi)),
            Effect::IgnoredTags => rest.push(ConnectionEffect::IgnoredTags),
            Effect::Close(reason) => rest.push(ConnectionEffect::Close(reason)),
            Effect::Post(post) => {
                let reply = post_or_report(context, client, post);
                rest.extend(reply.filter(|_| progress.reports_busy(session)));
            }
            Effect::ReplyText(payload) => rest.push(text_reply(session, &payload, received)),
            Effect::ReplyBinary(payload) => rest.push(binary_reply(session, &payload, received)),
            Effect::Reply(json) => {
                rest.push(text_frame(&rendered(session, PayloadForm::Message, json.as_bytes())));
            }
        }
    }
    context.resources.keep_effects(effects);
    if output == CallOutput::AboutIt {
        rest.insert(0, ConnectionEffect::AwaitBroker);
    }
    rest
}

/// Returns a text of a resource as a frame. A protocol with requests has it as data.
fn text_reply(session: &Session, payload: &Payload, received: &[u8]) -> ConnectionEffect {
    let text = payload.bytes(received);
    match payload {
        _ if session.protocol.spec().has_requests => {
            text_frame(&rendered(session, PayloadForm::Text, text))
        }
        Payload::Framed(framed) => ConnectionEffect::LargeFrame(framed.frame().clone()),
        Payload::Received(_) | Payload::Made(_) => text_frame(text),
    }
}

/// Returns bytes of a resource as a frame. A protocol with requests has them as data, in Base64.
fn binary_reply(session: &Session, payload: &Payload, received: &[u8]) -> ConnectionEffect {
    let bytes = payload.bytes(received);
    match payload {
        _ if session.protocol.spec().has_requests => {
            let text = BASE64.encode(bytes);
            text_frame(&rendered(session, PayloadForm::Text, text.as_bytes()))
        }
        Payload::Framed(framed) => ConnectionEffect::LargeFrame(framed.frame().clone()),
        Payload::Received(_) | Payload::Made(_) => {
            let mut frame = BytesMut::new();
            frames::binary(&mut frame, bytes);
            ConnectionEffect::Frame(frame)
        }
    }
}

fn text_frame(text: &[u8]) -> ConnectionEffect {
    let mut frame = BytesMut::new();
    frames::text(&mut frame, text);
    ConnectionEffect::Frame(frame)
}

/// Publishes for a client, with the topic if the recipients are those of exactly one.
fn publish_headed(
    context: &mut Context,
    client: ClientRef<'_>,
    publication: NewPublication<'_>,
    framed: Option<&FramedPayload>,
    progress: &mut RequestProgress,
) {
    let NewPublication { address, form, payload, .. } = publication;
    let Some(headed) = with_topic(address, form, payload) else {
        return publish(context, client, publication, framed, progress);
    };
    let (form, payload) = (PayloadForm::WithHeaders, headed.as_bytes());
    publish(context, client, NewPublication { form, payload, ..publication }, None, progress);
}

/// Publishes for a client. The payload of a large publication is not copied.
fn publish(
    context: &mut Context,
    ClientRef { slot, session, .. }: ClientRef<'_>,
    publication: NewPublication<'_>,
    framed: Option<&FramedPayload>,
    progress: &mut RequestProgress,
) {
    progress.begin_publication(&mut context.broker.uplink, slot);
    if let Some(ask) = progress.take_ask() {
        return asks::send(context, slot, ask, publication);
    }
    let Context { broker, labelled, clock, .. } = context;
    let uplink = &mut broker.uplink;
    let requester = delivery_report::requester(slot, session, publication.address);
    match (requester.or_else(|| progress.take_requester(slot)), framed) {
        (None, None) => uplink.publish(publication),
        (None, Some(framed)) => uplink.publish_large(publication, framed.clone()),
        (Some(asker), _) => uplink.publish_counted(asker, None, publication),
    }
    labelled.time_publication(uplink.last_number(), clock.now());
}

/// Queues an event for a backend. Returns a reply to the client if its message is not accepted.
fn post_or_report(
    context: &mut Context,
    ClientRef { slot, session, resource: id }: ClientRef<'_>,
    post: WebhookRequest,
) -> Option<ConnectionEffect> {
    let is_message = post.event == "message";
    let posted = webhook::post(context, slot, session.uuid, id, post);
    if posted == PostOutcome::Taken || !is_message {
        return None;
    }
    let json = context.resources.get_mut(id)?.as_webhook()?.when_down().to_owned();
    Some(text_frame(&rendered(session, PayloadForm::Message, json.as_bytes())))
}

/// Formats a message to one client in its protocol.
fn rendered(session: &Session, form: PayloadForm, payload: &[u8]) -> Vec<u8> {
    session.protocol.render(Content { form, payload }, Cast::One).into_owned()
}

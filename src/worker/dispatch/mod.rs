//! Calls of resources, and application of the effects that they return.

mod busy;
mod call_output;
pub(crate) mod delivery_report;
pub(crate) mod resource_registry;
pub(crate) mod ticks;
pub(in crate::worker) mod token_refresh;
pub(crate) mod without_client;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use tracing::{error, info};

use self::busy::busy_answer;
use self::call_output::CallOutput;
use super::connection::outbox::PartKind;
use super::connection::{Connection, FAULT, Phase};
use super::webhook::queue::PostOutcome;
use crate::broker_client::uplink::NewPublication;
use crate::link::query::{BrokerQuery, PresenceQuery, PresenceResult, QueryKind, QueryResult};
use crate::protocol::Cast;
use crate::resource::{
    ClientHandle, Effect, Effects, Payload, Presence, ResourceHooks, ResourceId, TokenRefresh,
};
use crate::session::{Message, Session};
use crate::types::{CloseReason, Content, FramedPayload, PayloadForm, Pressure, Slot};
use crate::webhook::WebhookRequest;
use crate::websocket::write as frames;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{close, deferred_replies, message, readiness, throttled, write};
use crate::worker::context::Context;
use crate::worker::handshake::authorize;
use crate::worker::{questions, webhook};

/// Effects on the connection itself. They are applied after those that concern the broker.
pub(super) type ConnectionEffects = SmallVec<[ConnectionEffect; 1]>;

/// Effect on the connection itself.
pub(super) enum ConnectionEffect {
    /// Later writes wait until the broker has processed everything sent so far.
    AwaitBroker,
    Frame(BytesMut),
    /// Large frame that is shared.
    LargeFrame(Bytes),
    Fyi(String),
    /// Name that the client registered.
    Registered(String),
    /// New token of the connection.
    Refreshed(Box<TokenRefresh>),
    /// Tags of the client's packets were ignored.
    IgnoredTags,
    Close(CloseReason),
}

/// Client for which a resource is called.
#[derive(Clone, Copy)]
pub(super) struct ClientRef<'a> {
    pub(super) slot: Slot,
    pub(super) session: &'a Session,
    pub(super) resource: ResourceId,
}

/// Passes a message to its resource and applies the effects.
pub(in crate::worker) fn on_message(
    context: &mut Context,
    client: ClientRef<'_>,
    message: Message<'_>,
) -> ConnectionEffects {
    let effects = call(context, client, |resource, handle| {
        resource.on_message(handle, message);
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

/// Passes the answer to a presence query to the resource.
pub(in crate::worker) fn on_presence(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    query: BrokerQuery,
    result: QueryResult,
) {
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
    fault: Option<&CloseReason>,
) {
    authorize::post_never_opened(context, connection);
    questions::on_end(context, connection.slot);
    let Phase::Open(session) = &connection.phase else {
        return context.broker.uplink.leave(connection.slot);
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
    context.broker.uplink.leave(connection.slot);
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

/// Applies effects on the connection itself.
pub(in crate::worker) fn apply_rest(
    context: &mut Context,
    connection: &mut Connection,
    rest: ConnectionEffects,
) {
    let mut replies = BytesMut::new();
    let end = apply_to_connection(context, connection, rest, &mut replies);
    write::write(context, connection, replies.freeze(), PartKind::Frames);
    if let Some(reason) = end {
        close::close(context, connection, &reason);
    }
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
    mut effects: Effects,
    received: &[u8],
) -> ConnectionEffects {
    let ClientRef { slot, session, resource: id } = client;
    let (mut rest, mut output) = (ConnectionEffects::new(), CallOutput::Nothing);
    for effect in effects.drain(..) {
        output = output.and(&effect);
        match effect {
            Effect::Publish { .. } if context.memory.pressure() == Pressure::Busy => {
                rest.push(busy_answer(context, session));
            }
            Effect::Publish { tenant, address, form, payload, charged } => {
                let (tenant, address, bytes) = (&tenant, &address, payload.bytes(received));
                let publication = NewPublication { tenant, address, form, payload: bytes };
                publish(context, client, publication, payload.framed());
                context.throttle.note_publication(slot, tenant, &session.tenant);
                throttled::charge(context, slot, charged, bytes.len());
            }
            Effect::Retag(edit) => {
                context.change_tags(slot, edit);
            }
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
            Effect::Post(post) => {
                rest.extend(post_or_report(context, client, post));
            }
            own => rest.extend(on_connection(session, own, received)),
        }
    }
    context.resources.keep_effects(effects);
    if output == CallOutput::AboutIt {
        rest.insert(0, ConnectionEffect::AwaitBroker);
    }
    rest
}

/// Publishes for a client. The payload of a large publication is not copied.
fn publish(
    context: &mut Context,
    ClientRef { slot, session, .. }: ClientRef<'_>,
    publication: NewPublication<'_>,
    framed: Option<&FramedPayload>,
) {
    let Context { broker, labelled, clock, .. } = context;
    let uplink = &mut broker.uplink;
    match (delivery_report::requester(slot, session, publication.address), framed) {
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
    let mut frame = BytesMut::new();
    frames::text(&mut frame, &rendered(session, &json));
    Some(ConnectionEffect::Frame(frame))
}

/// Applies effects on the connection itself. Returns the reason if one of them closes the
/// connection.
pub(in crate::worker) fn apply_to_connection(
    context: &mut Context,
    connection: &mut Connection,
    rest: ConnectionEffects,
    replies: &mut BytesMut,
) -> Option<CloseReason> {
    for own in rest {
        match own {
            ConnectionEffect::AwaitBroker => {
                deferred_replies::defer_until_done(context, connection, replies);
            }
            ConnectionEffect::Frame(frame) => {
                message::reply(context, connection, replies, frame, PartKind::Frames);
            }
            ConnectionEffect::LargeFrame(frame) => {
                message::reply_large(context, connection, replies, frame);
            }
            ConnectionEffect::Fyi(fyi) => {
                if let Phase::Open(session) = &mut connection.phase {
                    session.extras.get_or_insert_default().words.fyi = fyi;
                }
            }
            ConnectionEffect::Registered(uuid) => {
                if let Phase::Open(session) = &mut connection.phase {
                    session.extras.get_or_insert_default().words.uuid = Some(uuid);
                }
            }
            ConnectionEffect::Refreshed(refresh) => {
                if let Some(reason) = token_refresh::apply(context, connection, *refresh) {
                    return Some(reason);
                }
            }
            ConnectionEffect::IgnoredTags => note_ignored_tags(connection),
            ConnectionEffect::Close(reason) => return Some(reason),
        }
    }
    None
}

/// Logs once that tags are ignored. A new user may expect `tags` to select recipients, while
/// existing pages may use the member for their own purposes.
fn note_ignored_tags(connection: &mut Connection) {
    let Phase::Open(session) = &mut connection.phase else { return };
    session.has_noted_tags = true;
    info!(
        event = "broadcast_tags_ignored",
        connection = connection.serial,
        "tags of a broadcast are ignored; `[phpws] broadcastTags = select` enables them"
    );
}

/// Returns the effect on the connection itself. `None` if there is none.
fn on_connection(session: &Session, effect: Effect, received: &[u8]) -> Option<ConnectionEffect> {
    let mut frame = BytesMut::new();
    match effect {
        Effect::ReplyText(Payload::Framed(it)) | Effect::ReplyBinary(Payload::Framed(it)) => {
            return Some(ConnectionEffect::LargeFrame(it.frame().clone()));
        }
        Effect::ReplyText(payload) => frames::text(&mut frame, payload.bytes(received)),
        Effect::ReplyBinary(payload) => frames::binary(&mut frame, payload.bytes(received)),
        Effect::Reply(json) => frames::text(&mut frame, &rendered(session, &json)),
        Effect::Refresh(refresh) => return Some(ConnectionEffect::Refreshed(refresh)),
        Effect::RefusedToken(error) => {
            token_refresh::log_refused(session.uuid, &error);
            return None;
        }
        Effect::Fyi(fyi) => return Some(ConnectionEffect::Fyi(fyi)),
        Effect::IgnoredTags => return Some(ConnectionEffect::IgnoredTags),
        Effect::Close(reason) => return Some(ConnectionEffect::Close(reason)),
        // They concern the broker or a backend.
        Effect::Publish { .. }
        | Effect::Retag(_)
        | Effect::Register { .. }
        | Effect::QueryPresence { .. }
        | Effect::QueryResourcePresence { .. }
        | Effect::Post(_) => return None,
    }
    Some(ConnectionEffect::Frame(frame))
}

/// Formats a message to one client in its protocol.
fn rendered(session: &Session, json: &str) -> Vec<u8> {
    let content = Content { form: PayloadForm::Message, payload: json.as_bytes() };
    session.protocol.render(content, Cast::One).into_owned()
}

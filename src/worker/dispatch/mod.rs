//! Calling resources, and applying the effects that they return.

pub(crate) mod delivery_report;
pub(crate) mod resource_registry;
pub(crate) mod ticks;
pub(crate) mod without_client;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use smallvec::SmallVec;
use tracing::{error, info};

use super::connection::outbox::PartKind;
use super::connection::{Connection, FAULT, Phase};
use super::webhook::queue::PostOutcome;
use crate::broker_client::queries::PresenceQuestion;
use crate::broker_client::uplink::NewPublication;
use crate::link::message::{PresenceQuery, PresenceResult};
use crate::protocol::Cast;
use crate::resource::{ClientHandle, Effect, Effects, Presence, ResourceHooks, ResourceId};
use crate::session::{Message, Session};
use crate::types::{ClientClass, CloseCode, CloseReason, Content, PayloadForm, Pressure, Slot};
use crate::webhook::WebhookRequest;
use crate::websocket::write as frames;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{close, deferred_replies, read, readiness, write};
use crate::worker::context::Context;
use crate::worker::handshake::authorize;
use crate::worker::webhook;

/// The answer to a publisher when there is no memory for its publication.
fn busy_answer(session: &Session) -> ConnectionEffect {
    match (session.protocol.spec().error, session.class) {
        (Some(error), ClientClass::Web) => {
            let mut frame = BytesMut::new();
            frames::text(&mut frame, error(BUSY_TEXT).as_bytes());
            ConnectionEffect::Frame(frame)
        }
        _ => ConnectionEffect::Close(BUSY),
    }
}

const BUSY_TEXT: &str = "The server is busy, try again later";
const BUSY: CloseReason = CloseReason::new(CloseCode::LATER, BUSY_TEXT);

/// What is left of effects for the connection itself, once the broker's part is done.
pub(super) type ConnectionEffects = SmallVec<[ConnectionEffect; 1]>;

/// An effect on the connection itself.
pub(super) enum ConnectionEffect {
    /// What follows leaves when the broker has done what comes before it.
    AwaitBroker,
    Frame(BytesMut),
    Fyi(String),
    /// What it calls itself.
    Registered(String),
    /// The tags of its packets select no client.
    IgnoredTags,
    Close(CloseReason),
}

/// The client for which a resource is called.
#[derive(Clone, Copy)]
pub(super) struct ClientRef<'a> {
    pub(super) slot: Slot,
    pub(super) session: &'a Session,
    pub(super) resource: ResourceId,
}

/// Gives a message to the resource that it is for.
pub(in crate::worker) fn on_message(
    context: &mut Context,
    client: ClientRef<'_>,
    message: Message<'_>,
) -> ConnectionEffects {
    let effects = call(context, client, |resource, handle| {
        resource.on_message(handle, message);
    });
    let nothing = delivery_report::report_nothing(client.session, &effects);
    let mut rest = apply_effects(context, client, effects, message.bytes());
    if let Some(report) = nothing {
        rest.push(report);
    }
    rest
}

/// Gives a resource the answer to its query about connected clients.
pub(in crate::worker) fn on_presence(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    question: PresenceQuery,
    found: PresenceResult,
) {
    let number = question.number;
    let presence = Presence {
        query: question.query,
        tag: question.tag,
        clients: found.clients,
        values: found.values,
    };
    if slot == Slot::NOBODY {
        return without_client::on_findings(context, number, &presence);
    }
    let Some(mut connection) = connections.take(slot) else { return };
    call_and_apply(context, &mut connection, |resource, handle| {
        resource.on_presence(handle, &presence);
    });
    readiness::rearm(context, connections, connection);
}

/// Calls the resource because a connection ends, then reports to the broker that the client left: in this
/// order, so that the resource still sees its tags, and what it publishes then follows the leave.
pub(in crate::worker) fn on_end(
    context: &mut Context,
    connection: &mut Connection,
    why: &CloseReason,
    fault: Option<&CloseReason>,
) {
    authorize::post_never_opened(context, connection);
    let Phase::Open(session) = &connection.phase else {
        return context.broker.uplink.leave(connection.slot);
    };
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

/// Calls the resource of a connection; what is left to do on the connection itself.
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

/// Applies what is left to do on the connection itself.
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

/// Calls a resource. A panic is the end of this connection only: the worker's own tables are
/// not touched by the call.
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
    let mut handle = handle.reusing(effects);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        on_client(resource.as_mut(), &mut handle);
        handle.into_effects()
    }));
    outcome.unwrap_or_else(|_| {
        error!(
            event = "resource_panicked",
            client = ?session.uuid,
            "resource panicked, closing connection"
        );
        vec![Effect::Close(FAULT)]
    })
}

/// Applies what concerns the broker; a publication is held from here on (rule L4), and leaves at
/// the end of the turn.
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
        let mut frame = BytesMut::new();
        match effect {
            Effect::Publish { .. } if context.memory.pressure() == Pressure::Busy => {
                rest.push(busy_answer(session));
                continue;
            }
            Effect::Publish { tenant, address, form, payload } => {
                let (tenant, address, payload) = (&tenant, &address, payload.bytes(received));
                let publication = NewPublication { tenant, address, form, payload };
                let uplink = &mut context.broker.uplink;
                match delivery_report::requester(slot, session, address) {
                    None => uplink.publish(publication),
                    Some(asker) => uplink.publish_counted(asker, publication),
                }
                continue;
            }
            Effect::Retag(tags) => {
                context.memory.grow(tags.held());
                context.broker.uplink.retag(slot, tags);
                continue;
            }
            Effect::QueryPresence { query, tag } => {
                let tenant = session.tenant.clone();
                let question = PresenceQuestion { tenant, query, tag };
                context.broker.uplink.query_presence(slot, question);
                continue;
            }
            Effect::QueryResourcePresence { about, tenant, query, tag } => {
                let question = PresenceQuestion { tenant, query, tag };
                without_client::query_presence(context, id, about, question);
                continue;
            }
            Effect::Register { claim, said } => {
                if let Some(claim) = claim {
                    context.broker.uplink.request_alias(slot, claim);
                }
                rest.push(ConnectionEffect::Registered(said));
                continue;
            }
            Effect::Fyi(fyi) => {
                rest.push(ConnectionEffect::Fyi(fyi));
                continue;
            }
            Effect::IgnoredTags => {
                rest.push(ConnectionEffect::IgnoredTags);
                continue;
            }
            Effect::Close(reason) => {
                rest.push(ConnectionEffect::Close(reason));
                continue;
            }
            Effect::Post(post) => {
                rest.extend(post_or_report(context, client, post));
                continue;
            }
            Effect::ReplyText(payload) => frames::text(&mut frame, payload.bytes(received)),
            Effect::ReplyBinary(payload) => frames::binary(&mut frame, payload.bytes(received)),
            Effect::Reply(json) => frames::text(&mut frame, &rendered(session, json)),
        }
        rest.push(ConnectionEffect::Frame(frame));
    }
    context.resources.keep_effects(effects);
    if output == CallOutput::AboutIt {
        rest.insert(0, ConnectionEffect::AwaitBroker);
    }
    rest
}

/// Takes over an event for a backend; a client whose message is not taken gets a text instead.
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
    frames::text(&mut frame, &rendered(session, json));
    Some(ConnectionEffect::Frame(frame))
}

/// Applies what concerns the connection itself; returns the reason if that ends it.
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
                read::reply(context, connection, replies, frame, PartKind::Frames);
            }
            ConnectionEffect::Fyi(fyi) => {
                if let Phase::Open(session) = &mut connection.phase {
                    session.words.get_or_insert_default().fyi = fyi;
                }
            }
            ConnectionEffect::Registered(uuid) => {
                if let Phase::Open(session) = &mut connection.phase {
                    session.words.get_or_insert_default().uuid = Some(uuid);
                }
            }
            ConnectionEffect::IgnoredTags => note_ignored_tags(connection),
            ConnectionEffect::Close(reason) => return Some(reason),
        }
    }
    None
}

/// A new user takes `tags` for a selection; the old pages may have such a member for themselves.
fn note_ignored_tags(connection: &mut Connection) {
    let Phase::Open(session) = &mut connection.phase else { return };
    session.has_noted_tags = true;
    info!(
        event = "broadcast_tags_ignored",
        connection = connection.serial,
        "tags of a broadcast are ignored; `[phpws] broadcastTags = select` enables them"
    );
}

/// What one call has sent to the broker, and what its client is told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallOutput {
    /// Nothing that the client could be told about.
    Nothing,
    /// A publication, and nothing about it to the client.
    Publication,
    /// The client is told something that is true once the broker has done its part; where it is
    /// reached in another way from now on, whatever it is told next may speak of that.
    AboutIt,
}

impl CallOutput {
    fn and(self, effect: &Effect) -> Self {
        match (self, effect) {
            (Self::Nothing, Effect::Publish { .. }) => Self::Publication,
            (_, Effect::Retag(_) | Effect::Register { claim: Some(_), .. })
            | (
                Self::Publication,
                Effect::ReplyText(_) | Effect::ReplyBinary(_) | Effect::Reply(_) | Effect::Close(_),
            ) => Self::AboutIt,
            (output, _) => output,
        }
    }
}

/// A message to one client in its protocol.
fn rendered(session: &Session, json: String) -> Vec<u8> {
    let content = Content { form: PayloadForm::Message, payload: json.into() };
    session.protocol.render(&content, Cast::One).into_owned()
}

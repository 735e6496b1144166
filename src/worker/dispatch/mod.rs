//! Calling resources, and doing what they ask for.

pub(crate) mod delivery_report;
pub(crate) mod resource_registry;
pub(crate) mod ticks;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use smallvec::SmallVec;
use tracing::{error, info};

use super::connection::outbox::PartKind;
use super::connection::{Connection, FAULT, Phase};
use super::event_loop::EventLoop;
use super::webhook::queue::Posted;
use crate::link::message::{PresenceQuery, PresenceResult};
use crate::protocol::{Cast, phpws};
use crate::resource::{ClientHandle, Effect, Effects, Presence, Resource, ResourceId};
use crate::session::{Message, Session, Speech};
use crate::types::{ClientClass, CloseCode, CloseReason, Content, PayloadForm, Pressure, Slot};
use crate::webhook::WebhookRequest;
use crate::websocket::write;

/// What a publisher is told when there is no memory for its publication.
fn busy(session: &Session) -> ConnectionEffect {
    match (session.speech, session.class) {
        (Speech::Phpws, ClientClass::Web) => {
            let mut frame = BytesMut::new();
            write::text(&mut frame, phpws::error(BUSY_TEXT).as_bytes());
            ConnectionEffect::Frame(frame)
        }
        _ => ConnectionEffect::Close(BUSY),
    }
}

const BUSY_TEXT: &str = "The server is busy, try again later";
const BUSY: CloseReason = CloseReason::new(CloseCode::LATER, BUSY_TEXT);

/// Room for effects that is kept from one call to the next.
const EFFECTS_KEPT: usize = 64;

/// What is left of effects for the connection itself, once the broker's part is done.
pub(super) type Rest = SmallVec<[ConnectionEffect; 1]>;

/// An effect on the connection itself.
pub(super) enum ConnectionEffect {
    /// What follows leaves when the broker has done what comes before it.
    Settle,
    Frame(BytesMut),
    Fyi(String),
    /// What it calls itself.
    Registered(String),
    /// The tags of its packets select nobody.
    IgnoredTags,
    Close(CloseReason),
}

impl EventLoop {
    /// Gives a message to the resource that it is for.
    pub(super) fn serve(
        &mut self,
        slot: Slot,
        (session, resource): (&Session, ResourceId),
        message: Message<'_>,
    ) -> Rest {
        let effects = self.call(slot, (session, resource), |resource, handle| {
            resource.on_message(handle, message);
        });
        let nothing = delivery_report::of_nothing(session, &effects);
        let mut rest = self.carry_out(slot, (session, resource), (effects, message.bytes()));
        if let Some(report) = nothing {
            rest.push(report);
        }
        rest
    }

    /// Tells a resource who is connected, as it asked.
    pub(super) fn tell_who(&mut self, slot: Slot, question: PresenceQuery, found: PresenceResult) {
        let number = question.number;
        let who = Presence {
            query: question.query,
            tag: question.tag,
            clients: found.clients,
            values: found.values,
        };
        if slot == Slot::NOBODY {
            return self.tell_findings(number, &who);
        }
        let Some(mut connection) = self.table.take(slot) else { return };
        self.tell(slot, &mut connection, |resource, handle| resource.on_who(handle, &who));
        self.put_back(slot, connection);
    }

    /// Tells a resource that a connection ends, and the broker that its client left: in this order,
    /// so that the resource still sees its tags, and what it publishes then follows the leave.
    pub(super) fn tell_end(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (why, fault): (&CloseReason, Option<&CloseReason>),
    ) {
        self.tell_never_opened(slot, connection);
        let Phase::Open(session) = &connection.phase else { return self.relay.uplink.leave(slot) };
        let id = connection.resource;
        let effects = self.call(slot, (session, id), |resource, handle| {
            if let Some(fault) = fault {
                resource.on_error(handle, fault);
            }
            resource.on_end(handle, why);
        });
        self.relay.uplink.leave(slot);
        self.carry_out(slot, (session, id), (effects, b""));
    }

    pub(super) fn tell(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        call: impl FnOnce(&mut dyn Resource, &mut ClientHandle<'_>),
    ) {
        let rest = self.told(slot, connection, call);
        self.say(slot, connection, rest);
    }

    /// Calls the resource of a connection; what is left to do on the connection itself.
    pub(super) fn told(
        &mut self,
        slot: Slot,
        connection: &Connection,
        call: impl FnOnce(&mut dyn Resource, &mut ClientHandle<'_>),
    ) -> Rest {
        let Phase::Open(session) = &connection.phase else { return Rest::new() };
        let by = (&**session, connection.resource);
        let effects = self.call(slot, by, call);
        self.carry_out(slot, by, (effects, b""))
    }

    /// Does what is left to do on the connection itself.
    pub(super) fn say(&mut self, slot: Slot, connection: &mut Connection, rest: Rest) {
        let mut replies = BytesMut::new();
        let end = self.finish(slot, connection, rest, &mut replies);
        self.write(slot, connection, replies.freeze(), PartKind::Frames);
        if let Some(reason) = end {
            self.close(slot, connection, &reason);
        }
    }

    /// Calls a resource. A panic is the end of this connection only: the worker's own tables are
    /// not touched by the call.
    pub(super) fn call(
        &mut self,
        slot: Slot,
        (session, id): (&Session, ResourceId),
        call: impl FnOnce(&mut dyn Resource, &mut ClientHandle<'_>),
    ) -> Effects {
        let Self { services, relay, settings, effects, now, .. } = self;
        let Some(resource) = services.get_mut(id) else { return Effects::new() };
        let Some(client) = relay.uplink.client(slot) else { return Effects::new() };
        let effects = std::mem::take(effects);
        let handle = ClientHandle::new(session, client, &settings.rules).at(now.micros());
        let mut handle = handle.reusing(effects);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            call(resource.as_mut(), &mut handle);
            handle.into_effects()
        }));
        outcome.unwrap_or_else(|_| {
            error!(client = ?session.uuid, "a resource panicked; its connection is closed");
            vec![Effect::Close(FAULT)]
        })
    }

    /// Does what concerns the broker; a publication is held from here on (rule L4), and leaves at
    /// the end of the turn.
    fn carry_out(
        &mut self,
        slot: Slot,
        (session, id): (&Session, ResourceId),
        (mut effects, received): (Effects, &[u8]),
    ) -> Rest {
        let (mut rest, mut said) = (Rest::new(), CallOutput::Nothing);
        for effect in effects.drain(..) {
            said = said.and(&effect);
            let mut frame = BytesMut::new();
            match effect {
                Effect::Publish { .. } if self.memory.pressure() == Pressure::Busy => {
                    rest.push(busy(session));
                    continue;
                }
                Effect::Publish { tenant, address, form, payload } => {
                    let (to, content) = ((&tenant, &address), (form, payload.bytes(received)));
                    match delivery_report::asker(slot, session, &address) {
                        None => self.relay.uplink.publish(to, content),
                        Some(asker) => self.relay.uplink.publish_counted(asker, to, content),
                    }
                    continue;
                }
                Effect::Retag(tags) => {
                    self.memory.grow(tags.held());
                    self.relay.uplink.retag(slot, tags);
                    continue;
                }
                Effect::Ask { query, tag } => {
                    let tenant = session.tenant.clone();
                    self.relay.uplink.ask(slot, (tenant, query, tag));
                    continue;
                }
                Effect::Inquire { about, tenant, query, tag } => {
                    self.inquire((id, about), (tenant, query, tag));
                    continue;
                }
                Effect::Register { claim, said } => {
                    if let Some(claim) = claim {
                        self.relay.uplink.want_alias(slot, claim);
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
                    rest.extend(self.post_or_tell(slot, (session, id), post));
                    continue;
                }
                Effect::ReplyText(payload) => write::text(&mut frame, payload.bytes(received)),
                Effect::ReplyBinary(payload) => write::binary(&mut frame, payload.bytes(received)),
                Effect::Reply(json) => write::text(&mut frame, &worded(session, json)),
            }
            rest.push(ConnectionEffect::Frame(frame));
        }
        if effects.capacity() <= EFFECTS_KEPT {
            self.effects = effects;
        }
        if said == CallOutput::OfIt {
            rest.insert(0, ConnectionEffect::Settle);
        }
        rest
    }

    /// Takes over an event for a backend; a client whose message is not taken is told so.
    fn post_or_tell(
        &mut self,
        slot: Slot,
        (session, id): (&Session, ResourceId),
        post: WebhookRequest,
    ) -> Option<ConnectionEffect> {
        let is_message = post.event == "message";
        let posted = self.post((slot, session.uuid), id, post);
        if posted == Posted::Taken || !is_message {
            return None;
        }
        let json = self.services.get_mut(id)?.backed()?.when_down().to_owned();
        let mut frame = BytesMut::new();
        write::text(&mut frame, &worded(session, json));
        Some(ConnectionEffect::Frame(frame))
    }

    /// Does what concerns the connection itself; tells whether that ends it.
    pub(super) fn finish(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        rest: Rest,
        replies: &mut BytesMut,
    ) -> Option<CloseReason> {
        for own in rest {
            match own {
                ConnectionEffect::Settle => self.hold_until_done(slot, connection, replies),
                ConnectionEffect::Frame(frame) => {
                    self.reply(slot, connection, replies, (frame, PartKind::Frames));
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
}

/// A newcomer takes `tags` for a selection; the old pages may have such a member for themselves.
fn note_ignored_tags(connection: &mut Connection) {
    let Phase::Open(session) = &mut connection.phase else { return };
    session.has_noted_tags = true;
    info!(
        connection = connection.serial,
        "tags of a broadcast are ignored; `[phpws] broadcastTags = select` lets them select"
    );
}

/// What one call says to the broker, and to the client of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallOutput {
    /// Nothing that anybody could speak of.
    Nothing,
    /// A publication, of which the client was told nothing.
    Publication,
    /// The client is told something that is true once the broker has done its part; where it is
    /// reached in another way from now on, whatever it is told next may speak of that.
    OfIt,
}

impl CallOutput {
    fn and(self, effect: &Effect) -> Self {
        match (self, effect) {
            (Self::Nothing, Effect::Publish { .. }) => Self::Publication,
            (_, Effect::Retag(_) | Effect::Register { claim: Some(_), .. })
            | (
                Self::Publication,
                Effect::ReplyText(_) | Effect::ReplyBinary(_) | Effect::Reply(_) | Effect::Close(_),
            ) => Self::OfIt,
            (said, _) => said,
        }
    }
}

/// A message to one client in its dialect.
fn worded(session: &Session, json: String) -> Vec<u8> {
    let content = Content { form: PayloadForm::Message, payload: json.into() };
    match session.speech.dialect() {
        Some(dialect) => dialect.render(&content, Cast::One).into_owned(),
        None => content.payload.to_vec(),
    }
}

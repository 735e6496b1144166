//! Resource whose logic is a backend in any language. It turns what happens into events and carries
//! out the commands of the answers.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::builtin::broadcast::RESOURCE_TAG;
use super::{ClientHandle, ConnectRequest, Presence, ResourceContext, ResourceHooks};
use crate::protocol::Protocol;
use crate::session::Message;
use crate::types::{
    Address, ClientUuid, CloseCode, CloseReason, PayloadForm, Tag, TagError, TagQuery, Tags, Tenant,
};
use crate::webhook::{
    ClientRecord, InvalidAnswer, OpenWhenDown, PublishTo, WebhookCommand, WebhookContent,
    WebhookEvent, WebhookEventName, WebhookRequest,
};

/// Options of a resource with a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Path or name of the resource.
    pub name: String,
    /// Tenant of its application. The resource serves only this tenant.
    pub tenant: Tenant,
    /// Events that the backend receives.
    pub events: Vec<WebhookEventName>,
    /// Interval of ticks. `None`: the backend receives none.
    pub every: Option<Duration>,
    /// JSON message to a client whose message could not be delivered to the backend.
    pub when_down: String,
    /// Policy for a client that opens a connection while the backend does not answer.
    pub open_when_down: OpenWhenDown,
}

/// Resource with a backend. The worker sends its events, one at a time per client, and passes the
/// answers back.
#[derive(Debug)]
pub struct WebhookResource {
    terms: WebhookOptions,
    tag: Tag,
    everyone: TagQuery,
    records: HashMap<ClientUuid, ClientRecord>,
}

/// Events about a client that wants to open a connection.
#[derive(Debug)]
pub struct AuthorizeRequest {
    /// Event that asks whether the client may connect.
    pub open: WebhookRequest,
    /// Event to send if the backend accepted the client and the client disconnected before the
    /// connection was open. `None`: the backend does not receive `close` events.
    pub never: Option<WebhookRequest>,
}

const NEVER: CloseReason = CloseReason::new(CloseCode::LOST, "it was never opened");

impl WebhookResource {
    /// Creates a resource without clients.
    ///
    /// # Errors
    ///
    /// Fails when its name is longer than the value of a tag may be.
    pub fn new(terms: WebhookOptions) -> Result<Self, TagError> {
        let tag = Tag::new(RESOURCE_TAG, &terms.name)?;
        Ok(Self { everyone: Tags::new([tag.clone()])?, tag, terms, records: HashMap::new() })
    }

    /// Returns the JSON message to a client whose message could not be delivered to the backend.
    #[must_use]
    pub fn when_down(&self) -> &str {
        &self.terms.when_down
    }

    /// Returns the path or name of the resource.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.terms.name
    }

    /// Returns true if a client is accepted while the backend does not answer.
    #[must_use]
    pub fn accepts_when_down(&self) -> bool {
        self.terms.open_when_down == OpenWhenDown::Accept
    }

    /// Informs a client that its message could not be delivered to the backend.
    pub fn notify_unavailable(&self, client: &mut ClientHandle<'_>) {
        client.reply_json(self.terms.when_down.clone());
    }

    /// Returns the events about a client that wants to open a connection. `None`: the backend does
    /// not receive `open` events.
    #[must_use]
    pub fn ask(
        &self,
        client: &ClientHandle<'_>,
        request: &ConnectRequest<'_>,
    ) -> Option<AuthorizeRequest> {
        if !self.wants(WebhookEventName::Open) {
            return None;
        }
        let record = record(request);
        let open = self.event(WebhookEventName::Open.word(), client, &record).post();
        let never = || ending(self.event(WebhookEventName::Close.word(), client, &record), &NEVER);
        Some(AuthorizeRequest { open, never: self.wants(WebhookEventName::Close).then(never) })
    }

    /// Carries out the commands for a client. After an error the caller must discard all effects.
    ///
    /// # Errors
    ///
    /// Returns the reason when a command is not valid here.
    pub fn carry_out(
        &self,
        client: &mut ClientHandle<'_>,
        commands: Vec<WebhookCommand>,
    ) -> Result<(), InvalidAnswer> {
        for command in commands {
            match command {
                WebhookCommand::Reply(WebhookContent::Message(json)) => client.reply_json(json),
                WebhookCommand::Reply(WebhookContent::Text(text)) => client.reply_text(text),
                WebhookCommand::Publish(to, content) => {
                    let sender = client.id();
                    let address = self.address(to, Some(sender), |uuid| client.verified(uuid))?;
                    let (form, text) = form_and_text(content);
                    client.forward_for_server(client.tenant().clone(), address, form, text);
                }
                WebhookCommand::Tag { set, remove } => {
                    for name in remove {
                        client.remove_tag(&name);
                    }
                    for tag in &set {
                        client.set_tag(tag.name(), tag.value()).map_err(wrong_tags)?;
                    }
                }
                WebhookCommand::Close(reason) => client.close(reason),
                WebhookCommand::Who { query, tag } => client.query_presence(query, &tag),
                WebhookCommand::Fyi(text) => client.set_fyi(text),
                WebhookCommand::Accept { .. } | WebhookCommand::Refuse(_) => {
                    return Err(InvalidAnswer(
                        "accept and refuse answer the event `open` only".to_owned(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Carries out the commands that need no client. They answer a tick, or an event whose client
    /// `gone` has disconnected. In the second case commands for that client are skipped.
    ///
    /// # Errors
    ///
    /// Returns the reason when a command is not valid here.
    pub fn carry_out_alone(
        &self,
        context: &mut ResourceContext<'_>,
        gone: Option<ClientUuid>,
        commands: Vec<WebhookCommand>,
    ) -> Result<(), InvalidAnswer> {
        for command in commands {
            match command {
                WebhookCommand::Publish(to, content) => {
                    let address = self.address(to, gone, |uuid| context.verified(uuid))?;
                    let (form, text) = form_and_text(content);
                    context.push(self.terms.tenant.clone(), address, form, text);
                }
                WebhookCommand::Who { query, tag } => {
                    context.query_presence(0, self.terms.tenant.clone(), query, &tag);
                }
                _ if gone.is_some() => {}
                _ => {
                    let right = "a tick has no client; use publish or who";
                    return Err(InvalidAnswer(right.to_owned()));
                }
            }
        }
        Ok(())
    }

    fn address(
        &self,
        to: PublishTo,
        sender: Option<ClientUuid>,
        verified: impl Fn(&str) -> Option<ClientUuid>,
    ) -> Result<Address, InvalidAnswer> {
        Ok(match to {
            PublishTo::All => Address::everyone(),
            PublishTo::Others => match sender {
                Some(sender) => Address::everyone_but(sender),
                None => {
                    let right = "a tick has no client, so \"others\" has no meaning; use \"all\"";
                    return Err(InvalidAnswer(right.to_owned()));
                }
            },
            PublishTo::Resource => Address::matching(self.everyone.clone()),
            PublishTo::Uuid(uuid) => {
                let forged = || InvalidAnswer("`uuid` was not issued by this server".to_owned());
                Address::first(Some(verified(&uuid).ok_or_else(forged)?), None)
            }
            PublishTo::Ident(ident) => Address::first(None, Some(ident)),
            PublishTo::Tags(tags) => Address::matching(tags),
            PublishTo::Expression(expression) => Address::expr(expression),
        })
    }

    fn wants(&self, event: WebhookEventName) -> bool {
        self.terms.events.contains(&event)
    }

    fn event(
        &self,
        name: &'static str,
        client: &ClientHandle<'_>,
        record: &ClientRecord,
    ) -> WebhookEvent {
        event(name, &self.terms.name, client, record)
    }

    fn about(&self, name: &'static str, client: &ClientHandle<'_>) -> WebhookEvent {
        match self.records.get(&client.id()) {
            Some(record) => self.event(name, client, record),
            None => self.event(name, client, &ClientRecord::default()),
        }
    }
}

impl ResourceHooks for WebhookResource {
    fn protocol(&self) -> Protocol {
        Protocol::Plain
    }

    fn common_tag(&self) -> Option<&Tag> {
        Some(&self.tag)
    }

    fn tenant(&self) -> Option<&Tenant> {
        Some(&self.terms.tenant)
    }

    fn is_asked_to_open(&self) -> bool {
        self.wants(WebhookEventName::Open)
    }

    fn as_webhook(&mut self) -> Option<&mut WebhookResource> {
        Some(self)
    }

    fn on_open(&mut self, client: &mut ClientHandle<'_>, request: &ConnectRequest<'_>) {
        self.records.insert(client.id(), record(request));
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        if !self.wants(WebhookEventName::Message) {
            return;
        }
        let event = self.about(WebhookEventName::Message.word(), client);
        client.post(with_message(event, message));
    }

    fn detached(&self, client: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        let record = self.records.get(&client).cloned().unwrap_or_default();
        let wants_messages = self.wants(WebhookEventName::Message);
        Some(Box::new(MessageEvents { name: self.terms.name.clone(), record, wants_messages }))
    }

    fn on_presence(&mut self, client: &mut ClientHandle<'_>, who: &Presence) {
        client.post(found(self.about("who", client), who));
    }

    fn user(&self, client: ClientUuid) -> Option<&str> {
        self.records.get(&client)?.user.as_deref()
    }

    fn on_resource_presence(&mut self, context: &mut ResourceContext<'_>, _: u64, who: &Presence) {
        context.post(found(WebhookEvent::new("who", &self.terms.name), who));
    }

    fn tick_interval(&self) -> Option<Duration> {
        self.terms.every
    }

    fn on_tick(&mut self, context: &mut ResourceContext<'_>) {
        context.post(WebhookEvent::new("tick", &self.terms.name).post());
    }

    fn on_close(&mut self, client: &mut ClientHandle<'_>, why: &CloseReason) {
        if self.wants(WebhookEventName::Close) {
            client.post(ending(self.about(WebhookEventName::Close.word(), client), why));
        }
        self.records.remove(&client.id());
    }

    fn on_connection_lost(&mut self, client: &mut ClientHandle<'_>, fault: &CloseReason) {
        if self.wants(WebhookEventName::Error) {
            client.post(ending(self.about(WebhookEventName::Error.word(), client), fault));
        }
    }
}

/// Events about the messages of one client.
struct MessageEvents {
    /// Path or name of the resource.
    name: String,
    record: ClientRecord,
    wants_messages: bool,
}

impl ResourceHooks for MessageEvents {
    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        if self.wants_messages {
            let name = WebhookEventName::Message.word();
            let event = event(name, &self.name, client, &self.record);
            client.post(with_message(event, message));
        }
    }
}

/// Returns an event about a client of the resource with this name.
fn event(
    event: &'static str,
    resource: &str,
    client: &ClientHandle<'_>,
    record: &ClientRecord,
) -> WebhookEvent {
    let mut event = WebhookEvent::new(event, resource);
    event.client(&client.uuid(), client.ident(), client.tags(), record);
    event
}

fn with_message(mut event: WebhookEvent, message: Message<'_>) -> WebhookRequest {
    match message {
        Message::Text(text) => event.text("text", text),
        Message::Binary(bytes) => event.text("binary", &STANDARD.encode(bytes)),
    }
    event.post()
}

fn record(request: &ConnectRequest<'_>) -> ClientRecord {
    let peer = request.peer().to_string();
    let (path, query) = (request.path(), request.query());
    let mut record = ClientRecord::new(&peer, path, query, request.headers(), request.protocol());
    record.user = request.user().map(Into::into);
    record
}

fn ending(mut event: WebhookEvent, why: &CloseReason) -> WebhookRequest {
    event.number("code", why.code.0.into());
    event.text("reason", &why.text);
    event.post()
}

fn found(mut event: WebhookEvent, who: &Presence) -> WebhookRequest {
    // The member `tags` already contains the client's own tags, so the query's tags are in `asked`.
    event.number("clients", who.clients);
    event.texts("values", who.values.iter().map(AsRef::as_ref));
    event.asked(&who.query, &who.tag);
    if let Some(error) = &who.error {
        event.text("error", error);
    }
    event.post()
}

fn form_and_text(content: WebhookContent) -> (PayloadForm, String) {
    match content {
        WebhookContent::Message(json) => (PayloadForm::Message, json),
        WebhookContent::Text(text) => (PayloadForm::Text, text),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn wrong_tags(error: TagError) -> InvalidAnswer {
    InvalidAnswer(error.to_string())
}

#[cfg(test)]
mod tests;

//! A resource's view of a client, and the actions that it can request.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::effect::{Charge, Effect, Effects, NotPublished, Payload, RequestEffect, json_of};
use super::token_refresh::CallRights;
use crate::auth::{Denied, Permit};
use crate::protocol::v1::{V1Error, V1ErrorCode};
use crate::session::{Message, Session, SessionFact, SessionRules};
use crate::types::{
    Address, Alias, Claim, Client, ClientClass, ClientFilter, ClientUuid, CloseReason, Credentials,
    Ident, PayloadForm, Tag, TagEdit, TagError, TagRef, Tags, Tenant,
};
use crate::webhook::WebhookRequest;

/// A resource's view of one client. The worker carries out requested actions after the current call
/// returns, in the order of the requests.
#[derive(Debug)]
pub struct ClientHandle<'c> {
    pub(super) session: &'c Session,
    pub(super) client: &'c Client,
    pub(super) rules: &'c SessionRules,
    /// Microseconds since the worker started.
    uptime: u64,
    /// Unix seconds, by which tokens are judged. 0: the call verifies none.
    pub(super) unix_time: u64,
    /// Tags after the changes of this call. `None` if the call has not changed them.
    pub(super) changed: Option<Tags>,
    /// What the call has changed about the rights of the client. `None`: nothing.
    pub(super) refreshed: Option<CallRights>,
    /// What its next publications count towards.
    pub(super) charged: Charge,
    /// Why its publication was denied.
    pub(super) denied: Option<&'static str>,
    pub(super) effects: Effects,
}

impl<'c> ClientHandle<'c> {
    /// Creates a handle for one call.
    #[must_use]
    pub fn new(session: &'c Session, client: &'c Client, rules: &'c SessionRules) -> Self {
        let (charged, effects) = (Charge::Nothing, Effects::new());
        let (uptime, unix_time, changed, refreshed, denied) = (0, 0, None, None, None);
        Self {
            session,
            client,
            rules,
            uptime,
            unix_time,
            changed,
            refreshed,
            charged,
            denied,
            effects,
        }
    }

    /// Sets the time, in microseconds since the worker started.
    #[must_use]
    pub fn at(self, uptime: u64) -> Self {
        Self { uptime, ..self }
    }

    /// Sets the time of the calendar, in Unix seconds. Tokens are judged by it. Without it no token is accepted.
    #[must_use]
    pub fn with_unix_time(self, unix_time: u64) -> Self {
        Self { unix_time, ..self }
    }

    /// Discards the actions that the call has requested so far.
    pub fn abandon(&mut self) {
        self.effects.clear();
        (self.changed, self.refreshed) = (None, None);
    }

    /// Reuses an allocated list for the requested actions.
    #[must_use]
    pub fn reusing(mut self, mut list: Effects) -> Self {
        list.clear();
        self.effects = list;
        self
    }

    /// Returns why a publication of this call was denied: `permission` or `schema`.
    pub(crate) fn denied(&self) -> Option<&'static str> {
        self.denied
    }

    /// Returns the requested actions.
    #[must_use]
    pub fn into_effects(self) -> Effects {
        self.effects
    }

    // ------------------------------------------------------------------ queries

    /// Returns the client's identity. Use it as the key of data about this client, and in
    /// [`Address::but`].
    #[must_use]
    pub fn id(&self) -> ClientUuid {
        self.session.uuid
    }

    /// Returns the client's UUID in the form that other clients can use as an address.
    #[must_use]
    pub fn uuid(&self) -> String {
        self.rules.signer.text(self.session.uuid)
    }

    /// Returns the name that the client sent in the header `Ident`.
    #[must_use]
    pub fn ident(&self) -> Option<&'c Ident> {
        self.client.ident.as_ref()
    }

    /// Returns whether the client is a web-type or php-type one.
    pub(super) fn class(&self) -> ClientClass {
        self.session.class
    }

    /// Returns the client's tags.
    #[must_use]
    pub fn tags(&self) -> &Tags {
        self.changed.as_ref().unwrap_or(&self.client.tags)
    }

    /// Returns the value of one of the client's tags.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags().iter().find(|tag| tag.name() == name).map(TagRef::value)
    }

    /// Returns the identity in a UUID that this server issued. `None` if the UUID is forged.
    #[must_use]
    pub fn verified(&self, uuid: &str) -> Option<ClientUuid> {
        self.rules.signer.verify(uuid)
    }

    /// Returns the time since the worker started. This clock is monotonic.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        Duration::from_micros(self.uptime)
    }

    // ------------------------------------------------------------------ actions

    /// Sends the client a message in the format of its protocol: bare JSON, or for
    /// phpWebSocketServer's clients a packet with the opcode `feedback`.
    ///
    /// # Errors
    ///
    /// Fails when the message cannot be serialized as JSON or is too large.
    pub fn reply(&mut self, message: &(impl Serialize + ?Sized)) -> Result<(), NotPublished> {
        let json = json_of(message, self.rules)?;
        self.effects.push(Effect::Reply(json));
        Ok(())
    }

    /// Sends the client a text frame.
    pub fn reply_text(&mut self, text: impl Into<String>) {
        self.effects.push(Effect::ReplyText(Payload::Made(text.into().into_bytes())));
    }

    /// Sends the client a binary frame.
    pub fn reply_binary(&mut self, bytes: impl Into<Vec<u8>>) {
        self.effects.push(Effect::ReplyBinary(Payload::Made(bytes.into())));
    }

    /// Publishes a message in the client's tenant. The client's own rights are not checked, because
    /// a resource is server code. The client receives the message too if the address matches it.
    ///
    /// # Errors
    ///
    /// Fails when the message cannot be serialized as JSON or is too large.
    pub fn publish(
        &mut self,
        address: Address,
        message: &(impl Serialize + ?Sized),
    ) -> Result<(), NotPublished> {
        let json = json_of(message, self.rules)?;
        let tenant = self.session.tenant.clone();
        let basis = self.grant().basis;
        self.refreshed.get_or_insert_default().is_for_server = true;
        self.charged = Charge::Application(self.rules.access.application_index(basis));
        self.forward_changed(tenant, address, PayloadForm::Message, json);
        Ok(())
    }

    /// Sets a tag of the client. Later steps of the same call see it.
    ///
    /// # Errors
    ///
    /// Fails when the name or the value is too long, or when the client has too many tags.
    pub fn set_tag(&mut self, name: &str, value: &str) -> Result<(), TagError> {
        self.retag(TagEdit::setting(Tag::new(name, value)?))
    }

    /// Removes a tag of the client.
    pub fn remove_tag(&mut self, name: &str) {
        // No client has a tag with an invalid name, and removing tags cannot exceed their limit.
        let _unchanged = TagEdit::removing(name).and_then(|edit| self.retag(edit));
    }

    fn retag(&mut self, edit: TagEdit) -> Result<(), TagError> {
        let tags = edit.apply(self.tags())?;
        if tags == *self.tags() {
            return Ok(());
        }
        self.changed = Some(tags);
        if let Some(Effect::Retag(last)) = self.effects.last_mut()
            && let Some(both) = last.then(&edit)
        {
            *last = both;
        } else {
            self.effects.push(Effect::Retag(edit));
        }
        Ok(())
    }

    /// Returns the client's tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.session.tenant
    }

    /// Sets the `fyi` text of the client's acknowledgements, from its next message on. It has no
    /// effect in protocols without acknowledgements.
    pub fn set_fyi(&mut self, fyi: impl Into<String>) {
        self.effects.push(Effect::Fyi(fyi.into()));
    }

    /// Registers an alias (phpWebSocketServer's opcode `uuid`). The broker decides whether the
    /// client gets the alias. The client receives no answer to that, as in the original.
    pub(super) fn register(&mut self, said: &str) {
        let Ok(alias) = Alias::new(said) else { return };
        let is_a_uuid = self.rules.signer.is_signed() && self.verified(said).is_some();
        let Some(keeping) = self.rules.protocols.phpws.aliases else { return };
        let claim = (!is_a_uuid).then_some(Claim { alias, keeping });
        self.effects.push(Effect::Register { claim, said: said.to_owned() });
    }

    /// Logs that the tags of a packet are ignored, once per connection.
    pub(super) fn note_ignored_tags(&mut self) {
        if !self.session.facts.has(SessionFact::TagsNoted) {
            self.effects.push(Effect::IgnoredTags);
        }
    }

    /// Returns the options of the protocols.
    pub(super) fn rules(&self) -> &'c SessionRules {
        self.rules
    }

    /// Counts the clients of this tenant that `query` matches (tags or an expression), on all workers,
    /// and collects the values of their tag `tag`.
    /// [`Resource::on_presence`](super::Resource::on_presence) receives the answer. With an empty `tag`
    /// only the number is counted, which costs the broker almost nothing. A client can have at most
    /// sixteen open queries.
    pub fn query_presence(&mut self, query: impl Into<ClientFilter>, tag: &str) {
        let query = query.into();
        self.effects.push(Effect::QueryPresence { query, tag: tag.into() });
    }

    /// Sends the same query on behalf of the resource, also while the client disconnects.
    /// [`ResourceHooks::on_resource_presence`](super::ResourceHooks::on_resource_presence)
    /// receives the answer together with `about`. A worker can have at most a thousand such queries
    /// open; further queries are dropped.
    #[doc(hidden)]
    pub fn query_resource_presence(
        &mut self,
        about: u64,
        query: impl Into<ClientFilter>,
        tag: &str,
    ) {
        let query = query.into();
        let tenant = self.session.tenant.clone();
        self.effects.push(Effect::QueryResourcePresence { about, tenant, query, tag: tag.into() });
    }

    /// Closes the connection. Later actions do not reach the client.
    pub fn close(&mut self, reason: CloseReason) {
        self.effects.push(Effect::Close(reason));
    }

    /// Informs the client that its request is denied, in the form of its protocol: an error frame,
    /// or a Close.
    pub fn deny(&mut self, why: impl Into<Cow<'static, str>>) {
        self.refuse(V1ErrorCode::PermissionDenied, why.into());
    }

    fn refuse(&mut self, code: V1ErrorCode, text: Cow<'static, str>) {
        let spec = self.session.protocol.spec();
        if spec.has_requests {
            let error = V1Error::new(code, text);
            return self.request(RequestEffect::Refuse { id: None, error });
        }
        match (spec.error, self.session.class) {
            (Some(error), ClientClass::Web) => self.reply_text(error(&text)),
            _ => self.close((spec.refusal_close)(&self.rules.protocols).reason(text)),
        }
    }

    /// Returns the tenant in which the client may publish a message with the credentials `shown`.
    /// Returns `None` and informs the client if it may not, or if the message does not match its
    /// application's schema. `message` returns the message as JSON and is called only if there is a
    /// schema.
    pub fn permitted<'m>(
        &mut self,
        shown: Option<&Credentials<'_>>,
        message: impl FnOnce() -> Cow<'m, [u8]>,
    ) -> Option<Tenant> {
        let Permit { tenant, check, application } = match self.authorise(shown) {
            Ok(permit) => permit,
            Err(denied) => {
                self.denied = Some("permission");
                self.deny(denied.text());
                return None;
            }
        };
        self.charged = Charge::Application(application);
        if shown.is_some() || self.refreshed.is_some() {
            self.refreshed.get_or_insert_default().is_for_server = shown.is_some();
        }
        let misfit = check.and_then(|check| check.check(&message()).err());
        let Some(misfit) = misfit else { return Some(tenant) };
        self.denied = Some("schema");
        self.refuse(V1ErrorCode::SchemaViolation, misfit.into());
        None
    }

    /// Checks whether the client may publish with the credentials `shown` of its message.
    ///
    /// # Errors
    ///
    /// Fails when the client may not publish.
    pub fn authorise(&self, shown: Option<&Credentials<'_>>) -> Result<Permit<'c>, Denied> {
        self.rules.access.send(self.grant(), shown)
    }

    /// Sends the client a message that is JSON already.
    pub(super) fn reply_json(&mut self, json: String) {
        self.effects.push(Effect::Reply(json));
    }

    pub(super) fn post(&mut self, post: WebhookRequest) {
        self.effects.push(Effect::Post(post));
    }

    pub(super) fn reply_as_it_came(&mut self, message: Message<'_>) {
        let whole = Payload::Received(0..message.bytes().len());
        self.effects.push(match message {
            Message::Text(_) => Effect::ReplyText(whole),
            Message::Binary(_) => Effect::ReplyBinary(whole),
        });
    }

    /// Publishes a part of the received message without a copy.
    pub(super) fn forward(
        &mut self,
        tenant: Tenant,
        address: Address,
        form: PayloadForm,
        part: Range<usize>,
    ) {
        let (payload, address) = (Payload::Received(part), self.narrowed(address));
        let charged = self.charged;
        self.effects.push(Effect::Publish { tenant, address, form, payload, charged });
    }

    /// Publishes for the server itself, or for a backend.
    pub(super) fn forward_for_server(
        &mut self,
        tenant: Tenant,
        address: Address,
        form: PayloadForm,
        text: String,
    ) {
        self.refreshed.get_or_insert_default().is_for_server = true;
        self.forward_changed(tenant, address, form, text);
    }

    pub(super) fn forward_changed(
        &mut self,
        tenant: Tenant,
        address: Address,
        form: PayloadForm,
        text: String,
    ) {
        let (payload, address) = (Payload::Made(text.into_bytes()), self.narrowed(address));
        let charged = self.charged;
        self.effects.push(Effect::Publish { tenant, address, form, payload, charged });
    }
}

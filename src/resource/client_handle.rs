//! What a resource can see of a client, and have done for it.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::effect::{Effect, Effects, NotPublished, Payload, json_of};
use crate::auth::{Denied, Permit};
use crate::session::{Message, Session, SessionRules};
use crate::types::{
    Address, Alias, Claim, Client, ClientClass, ClientUuid, CloseReason, Credentials, Ident,
    PayloadForm, Tag, TagError, TagQuery, Tags, Tenant,
};
use crate::webhook::WebhookRequest;

/// One client, as its resource sees it. What is asked of it here is done when the call that it was
/// given to has returned, in the order in which it was asked.
#[derive(Debug)]
pub struct ClientHandle<'c> {
    session: &'c Session,
    client: &'c Client,
    rules: &'c SessionRules,
    /// Microseconds since the worker began.
    uptime: u64,
    /// The tags after the changes of this call, if there were any.
    changed: Option<Tags>,
    effects: Effects,
}

impl<'c> ClientHandle<'c> {
    /// A handle for one call.
    #[must_use]
    pub fn new(session: &'c Session, client: &'c Client, rules: &'c SessionRules) -> Self {
        Self { session, client, rules, uptime: 0, changed: None, effects: Effects::new() }
    }

    /// Tells it the time, in microseconds since the worker began.
    #[must_use]
    pub fn at(self, uptime: u64) -> Self {
        Self { uptime, ..self }
    }

    /// Forgets what the call has asked for so far.
    pub fn abandon(&mut self) {
        self.effects.clear();
        self.changed = None;
    }

    /// Collects what the call asks for in a list that was used before.
    #[must_use]
    pub fn reusing(mut self, mut list: Effects) -> Self {
        list.clear();
        self.effects = list;
        self
    }

    /// What the call asked for.
    #[must_use]
    pub fn into_effects(self) -> Effects {
        self.effects
    }

    // ------------------------------------------------------------------ seeing

    /// The client's identity: a key for what a resource keeps of it, and for [`Address::but`].
    #[must_use]
    pub fn id(&self) -> ClientUuid {
        self.session.uuid
    }

    /// The client's UUID as it may be given to others, who can then be addressed by it.
    #[must_use]
    pub fn uuid(&self) -> String {
        self.rules.signer.text(self.session.uuid)
    }

    /// The name that the client gave itself (header `Ident`).
    #[must_use]
    pub fn ident(&self) -> Option<&'c Ident> {
        self.client.ident.as_ref()
    }

    /// The client's tags.
    #[must_use]
    pub fn tags(&self) -> &Tags {
        self.changed.as_ref().unwrap_or(&self.client.tags)
    }

    /// The value of one of its tags.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags().iter().find(|tag| tag.name() == name).map(Tag::value)
    }

    /// The identity in a UUID that this server gave out; a forged one is nobody's.
    #[must_use]
    pub fn verified(&self, uuid: &str) -> Option<ClientUuid> {
        self.rules.signer.verify(uuid)
    }

    /// How long the worker runs: a clock to measure with, which never goes back.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        Duration::from_micros(self.uptime)
    }

    // ------------------------------------------------------------------ doing

    /// Sends the client a message, worded by its protocol: bare JSON, or for phpWebSocketServer's
    /// clients a packet with the opcode `feedback`.
    ///
    /// # Errors
    ///
    /// When the message has no JSON or is too large.
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

    /// Publishes a message within the client's space. A resource is the server's own code: what the
    /// client may do does not matter. The client gets it too if the address names it.
    ///
    /// # Errors
    ///
    /// When the message has no JSON or is too large.
    pub fn publish(
        &mut self,
        address: Address,
        message: &(impl Serialize + ?Sized),
    ) -> Result<(), NotPublished> {
        let json = json_of(message, self.rules)?;
        let tenant = self.session.tenant.clone();
        self.forward_changed(tenant, address, PayloadForm::Message, json);
        Ok(())
    }

    /// Gives the client a tag; what follows in the same call finds it already.
    ///
    /// # Errors
    ///
    /// When name or value are too long, or it has too many tags.
    pub fn set_tag(&mut self, name: &str, value: &str) -> Result<(), TagError> {
        let tag = Tag::new(name, value)?;
        let tags = Tags::new(self.tags().iter().cloned().chain([tag]))?;
        self.retag(tags);
        Ok(())
    }

    /// Takes a tag away from the client.
    pub fn remove_tag(&mut self, name: &str) {
        let rest = self.tags().iter().filter(|tag| tag.name() != name).cloned();
        // Fewer tags than before are never too many.
        if let Ok(tags) = Tags::new(rest.collect::<Vec<_>>()) {
            self.retag(tags);
        }
    }

    fn retag(&mut self, tags: Tags) {
        if tags == *self.tags() {
            return;
        }
        self.changed = Some(tags.clone());
        match self.effects.last_mut() {
            Some(Effect::Retag(last)) => *last = tags,
            _ => self.effects.push(Effect::Retag(tags)),
        }
    }

    /// The client's space.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.session.tenant
    }

    /// Sets what the `fyi` of the client's acknowledgements says from its next message on;
    /// protocols without acknowledgements do not show it.
    pub fn set_fyi(&mut self, fyi: impl Into<String>) {
        self.effects.push(Effect::Fyi(fyi.into()));
    }

    /// Registers what the client calls itself: phpWebSocketServer's opcode `uuid`. Whether others
    /// reach it by that the broker says; the client is not told, as it never was.
    pub(super) fn register(&mut self, said: &str) {
        let Ok(alias) = Alias::new(said) else { return };
        let is_a_uuid = self.rules.signer.is_signed() && self.verified(said).is_some();
        let Some(keeping) = self.rules.protocols.phpws.aliases else { return };
        let claim = (!is_a_uuid).then_some(Claim { alias, keeping });
        self.effects.push(Effect::Register { claim, said: said.to_owned() });
    }

    /// Tells the operator that the tags of a packet select nobody, once for each connection.
    pub(super) fn note_ignored_tags(&mut self) {
        if !self.session.has_noted_tags {
            self.effects.push(Effect::IgnoredTags);
        }
    }

    /// How phpWebSocketServer's and Gomoob's ways are set.
    pub(super) fn rules(&self) -> &'c SessionRules {
        self.rules
    }

    /// Asks how many clients of this space carry some tags, on all workers, and what another tag
    /// of theirs says; [`Resource::on_presence`](super::Resource::on_presence) gets the answer. With
    /// an empty `tag` only the number is counted, which costs the broker next to nothing. A client has
    /// sixteen open questions at the most.
    pub fn query_presence(&mut self, query: TagQuery, tag: &str) {
        self.effects.push(Effect::QueryPresence { query, tag: tag.into() });
    }

    /// The same question for the resource itself, also when the client is about to go:
    /// [`ResourceHooks::on_resource_presence`](super::ResourceHooks::on_resource_presence) gets the answer with `about`. A worker
    /// has a thousand such questions open at the most, and drops one more.
    #[doc(hidden)]
    pub fn query_resource_presence(&mut self, about: u64, query: TagQuery, tag: &str) {
        let tenant = self.session.tenant.clone();
        self.effects.push(Effect::QueryResourcePresence { about, tenant, query, tag: tag.into() });
    }

    /// Ends the connection; nothing that is asked afterwards reaches the client.
    pub fn close(&mut self, reason: CloseReason) {
        self.effects.push(Effect::Close(reason));
    }

    /// Tells the client that it may not do what it asked for, as its protocol does that: by an
    /// error frame, or by a Close.
    pub fn deny(&mut self, why: impl Into<Cow<'static, str>>) {
        let text = why.into();
        let spec = self.session.protocol.spec();
        match (spec.error, self.session.class) {
            (Some(error), ClientClass::Web) => self.reply_text(error(&text)),
            _ => self.close((spec.refusal_close)(&self.rules.protocols).reason(text)),
        }
    }

    /// The space in which the client may publish a message, with what it shows in it; nothing when it
    /// may not, or when the message does not fit its application's schema: then the client is told.
    /// `message` is the JSON of the message, and asked for only where there is a schema.
    pub fn permitted<'m>(
        &mut self,
        shown: Option<&Credentials<'_>>,
        message: impl FnOnce() -> Cow<'m, [u8]>,
    ) -> Option<Tenant> {
        let Permit { tenant, check } = match self.authorise(shown) {
            Ok(permit) => permit,
            Err(denied) => {
                self.deny(denied.text());
                return None;
            }
        };
        let misfit = check.and_then(|check| check.check(&message()).err());
        let Some(misfit) = misfit else { return Some(tenant) };
        self.deny(misfit);
        None
    }

    /// Asks the auth manager whether the client may publish, with what it shows in its message.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn authorise(&self, shown: Option<&Credentials<'_>>) -> Result<Permit<'c>, Denied> {
        self.rules.access.send(self.session.grant(), shown)
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

    /// Publishes a part of the message that was received, without a copy.
    pub(super) fn forward(
        &mut self,
        tenant: Tenant,
        address: Address,
        form: PayloadForm,
        part: Range<usize>,
    ) {
        let payload = Payload::Received(part);
        self.effects.push(Effect::Publish { tenant, address, form, payload });
    }

    pub(super) fn forward_changed(
        &mut self,
        tenant: Tenant,
        address: Address,
        form: PayloadForm,
        text: String,
    ) {
        let payload = Payload::Made(text.into_bytes());
        self.effects.push(Effect::Publish { tenant, address, form, payload });
    }
}

//! What a resource can have done when no client is concerned.

use std::time::Duration;

use serde::Serialize;

use super::effect::{Effect, Effects, NotPublished, Payload, json_of};
use crate::session::SessionRules;
use crate::types::{Address, ClientUuid, PayloadForm, TagQuery, Tenant};
use crate::webhook::WebhookRequest;

/// What a resource is given when it is called for no client: it may publish and ask. It is done, in
/// order, when the call has returned.
#[derive(Debug)]
pub struct ResourceContext<'c> {
    rules: &'c SessionRules,
    unix_time: Duration,
    effects: Effects,
}

impl<'c> ResourceContext<'c> {
    /// A desk for one call at this time, counted from 1970.
    #[must_use]
    pub fn new(rules: &'c SessionRules, unix_time: Duration) -> Self {
        Self { rules, unix_time, effects: Effects::new() }
    }

    /// The time of the call, counted from 1970 (UTC).
    #[must_use]
    pub fn unix_time(&self) -> Duration {
        self.unix_time
    }

    /// All spaces that clients may live in: what is for everybody is published in each.
    #[must_use]
    pub fn tenants(&self) -> Vec<Tenant> {
        self.rules.access.tenants()
    }

    /// What the call asked for.
    #[must_use]
    pub fn into_effects(self) -> Effects {
        self.effects
    }

    /// Publishes a message in a space.
    ///
    /// # Errors
    ///
    /// When the message has no JSON or is too large.
    pub fn publish(
        &mut self,
        tenant: Tenant,
        address: Address,
        message: &(impl Serialize + ?Sized),
    ) -> Result<(), NotPublished> {
        let json = json_of(message, self.rules)?;
        self.push(tenant, address, PayloadForm::Message, json);
        Ok(())
    }

    /// Publishes a text in a space; clients of plain protocols get it as it is.
    ///
    /// # Errors
    ///
    /// When it is too large.
    pub fn publish_text(
        &mut self,
        tenant: Tenant,
        address: Address,
        text: impl Into<String>,
    ) -> Result<(), NotPublished> {
        let text = text.into();
        if text.len() > self.rules.message_bytes_max {
            return Err(NotPublished::TooLarge { bytes: text.len() });
        }
        self.push(tenant, address, PayloadForm::Text, text);
        Ok(())
    }

    /// Asks how many clients of a space carry some tags, on all workers, and what another tag of
    /// theirs says; [`ResourceHooks::on_resource_presence`](super::ResourceHooks::on_resource_presence) gets the answer with
    /// `about`. A worker has a thousand such questions open at the most, and drops one more.
    #[doc(hidden)]
    pub fn query_presence(&mut self, about: u64, tenant: Tenant, query: TagQuery, tag: &str) {
        self.effects.push(Effect::QueryResourcePresence { about, tenant, query, tag: tag.into() });
    }

    pub(super) fn post(&mut self, post: WebhookRequest) {
        self.effects.push(Effect::Post(post));
    }

    pub(super) fn verified(&self, uuid: &str) -> Option<ClientUuid> {
        self.rules.signer.verify(uuid)
    }

    /// Publishes what is no larger than what was received.
    pub(super) fn push(
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

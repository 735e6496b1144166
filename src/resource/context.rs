//! Actions that a resource can request when no client is involved.

use std::time::Duration;

use serde::Serialize;

use super::effect::{Charge, Effect, Effects, NotPublished, Payload, json_of};
use crate::session::SessionRules;
use crate::types::{Address, ClientFilter, ClientUuid, PayloadForm, Tenant};
use crate::webhook::WebhookRequest;

/// Context of a resource's call that concerns no client. The resource may publish and send queries.
/// The worker carries out requested actions after the call returns, in the order of the requests.
#[derive(Debug)]
pub struct ResourceContext<'c> {
    rules: &'c SessionRules,
    unix_time: Duration,
    effects: Effects,
}

impl<'c> ResourceContext<'c> {
    /// Creates a context for one call. `unix_time` is the time since 1970.
    #[must_use]
    pub fn new(rules: &'c SessionRules, unix_time: Duration) -> Self {
        Self { rules, unix_time, effects: Effects::new() }
    }

    /// Returns the time of the call, counted from 1970 (UTC).
    #[must_use]
    pub fn unix_time(&self) -> Duration {
        self.unix_time
    }

    /// Returns all tenants. A message for all clients must be published in each of them.
    #[must_use]
    pub fn tenants(&self) -> Vec<Tenant> {
        self.rules.access.tenants()
    }

    /// Returns the requested actions.
    #[must_use]
    pub fn into_effects(self) -> Effects {
        self.effects
    }

    /// Publishes a message in a tenant.
    ///
    /// # Errors
    ///
    /// Fails when the message cannot be serialized as JSON or is too large.
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

    /// Publishes a text in a tenant. Clients of plain protocols receive it unchanged.
    ///
    /// # Errors
    ///
    /// Fails when the text is too large.
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

    /// Counts the clients of a tenant that `query` matches, on all workers, and collects
    /// the values of their tag `tag`.
    /// [`ResourceHooks::on_resource_presence`](super::ResourceHooks::on_resource_presence)
    /// receives the answer together with `about`. A worker can have at most a thousand such queries
    /// open; further queries are dropped.
    #[doc(hidden)]
    pub fn query_presence(
        &mut self,
        about: u64,
        tenant: Tenant,
        query: impl Into<ClientFilter>,
        tag: &str,
    ) {
        let query = query.into();
        self.effects.push(Effect::QueryResourcePresence { about, tenant, query, tag: tag.into() });
    }

    pub(super) fn post(&mut self, post: WebhookRequest) {
        self.effects.push(Effect::Post(post));
    }

    pub(super) fn verified(&self, uuid: &str) -> Option<ClientUuid> {
        self.rules.signer.verify(uuid)
    }

    /// Publishes a text without a check of its size. The text must not be larger than a received
    /// message.
    pub(super) fn push(
        &mut self,
        tenant: Tenant,
        address: Address,
        form: PayloadForm,
        text: String,
    ) {
        let payload = Payload::Made(text.into_bytes());
        let charged = Charge::Nothing;
        self.effects.push(Effect::Publish { tenant, address, form, payload, charged });
    }
}

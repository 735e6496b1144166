//! Address of all clients of one application.

use std::borrow::Cow;

use super::BloatlessApp;
use crate::protocol::{Cast, gomoob};
use crate::resource::{ClientHandle, RESOURCE_TAG, ResourceContext};
use crate::types::{Address, Content, PayloadForm, Tag, TagError, TagQuery, Tenant};

/// All clients of one application.
#[derive(Clone, Debug)]
pub struct Room {
    tag: Tag,
    everyone: Address,
}

impl Room {
    pub(super) fn of(app: &impl BloatlessApp) -> Result<Self, TagError> {
        Self::at(app.name())
    }

    pub(super) fn at(name: &str) -> Result<Self, TagError> {
        let tag = Tag::new(RESOURCE_TAG, &format!("/{name}"))?;
        let everyone = Address::matching(TagQuery::new([tag.clone()])?);
        Ok(Self { tag, everyone })
    }

    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }

    pub(super) fn everyone(&self) -> Address {
        self.everyone.clone()
    }

    /// Publishes a client's text to all clients of the application, including the sender. If the
    /// client may not publish, it only gets an error.
    pub(super) fn publish(&self, client: &mut ClientHandle<'_>, form: PayloadForm, text: String) {
        let json = || {
            let content = Content { form, payload: text.as_bytes() };
            Cow::Owned(gomoob::render(content, Cast::Many).into_owned())
        };
        let Some(tenant) = client.permitted(None, json) else { return };
        client.forward_changed(tenant, self.everyone(), form, text);
    }

    /// Publishes a text without a sender to all clients of the application in one tenant.
    pub(super) fn announce(
        &self,
        context: &mut ResourceContext<'_>,
        tenant: &Tenant,
        form: PayloadForm,
        text: String,
    ) {
        context.push(tenant.clone(), self.everyone(), form, text);
    }
}

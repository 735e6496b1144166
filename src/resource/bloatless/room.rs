//! The clients of one application, as somebody addresses them all.

use super::Talk;
use crate::resource::{Desk, Handle, RESOURCE_TAG};
use crate::types::{Address, Form, Tag, TagError, TagQuery, Tenant};

/// All clients of one application.
#[derive(Debug)]
pub struct Room {
    tag: Tag,
    everyone: Address,
}

impl Room {
    pub(super) fn of(talk: &impl Talk) -> Result<Self, TagError> {
        Self::at(talk.name())
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

    /// Publishes to all what one of them says, itself included, if it may.
    pub(super) fn say(&self, client: &mut Handle<'_>, what: (Form, String)) {
        match client.authorise(None) {
            Ok(tenant) => client.forward_changed((tenant, self.everyone()), what),
            Err(denied) => client.deny(denied.text()),
        }
    }

    /// Publishes to all of them in one space what nobody of them says.
    pub(super) fn announce(
        &self,
        desk: &mut Desk<'_>,
        tenant: &Tenant,
        (form, text): (Form, String),
    ) {
        desk.forward((tenant.clone(), self.everyone()), (form, text));
    }
}

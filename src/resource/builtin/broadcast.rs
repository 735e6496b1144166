//! What a client says to all clients of the same resource, itself included, as it came.

use std::borrow::Cow;

use crate::protocol::{Protocol, plain};
use crate::resource::{ClientHandle, ResourceHooks};
use crate::session::Message;
use crate::types::{Address, CloseCode, CloseReason, PayloadForm, Tag, TagError, TagQuery, Tags};

/// The tag that says which resource a client was opened with, where its resource addresses all of its
/// own clients.
pub const RESOURCE_TAG: &str = "@resource";

/// The resource `broadcast`: what PHP-WebSockets-Server had none of.
#[derive(Clone, Debug)]
pub struct Broadcast {
    tag: Tag,
    everyone: TagQuery,
}

impl Broadcast {
    /// For the clients of a path, or of a subprotocol.
    ///
    /// # Errors
    ///
    /// When the name is longer than a tag's value may be.
    pub fn new(name: &str) -> Result<Self, TagError> {
        let tag = Tag::new(RESOURCE_TAG, name)?;
        Ok(Self { everyone: Tags::new([tag.clone()])?, tag })
    }
}

impl ResourceHooks for Broadcast {
    fn protocol(&self) -> Protocol {
        Protocol::Plain
    }

    fn common_tag(&self) -> Option<&Tag> {
        Some(&self.tag)
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let Message::Text(text) = message else { return client.close(NO_TEXT) };
        let json = || Cow::Owned(plain::as_json(text.as_bytes()));
        let Some(tenant) = client.permitted(None, json) else { return };
        let address = Address::matching(self.everyone.clone());
        client.forward(tenant, address, PayloadForm::Text, 0..text.len());
    }
}

const NO_TEXT: CloseReason =
    CloseReason::new(CloseCode::UNSUPPORTED, "this resource takes text only");

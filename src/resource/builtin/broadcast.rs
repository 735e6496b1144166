//! Resource `broadcast`: sends each client's text unchanged to all clients of the resource,
//! including the sender.

use std::borrow::Cow;

use crate::protocol::{Protocol, plain};
use crate::resource::{ClientHandle, ResourceHooks};
use crate::session::Message;
use crate::types::{
    Address, ClientUuid, CloseCode, CloseReason, PayloadForm, Tag, TagError, TagQuery, Tags,
};

/// Tag that contains the resource of a client. Resources that publish to all of their own clients
/// use it.
pub const RESOURCE_TAG: &str = "@resource";

/// Resource `broadcast`. PHP-WebSockets-Server has no counterpart.
#[derive(Clone, Debug)]
pub struct Broadcast {
    tag: Tag,
    everyone: TagQuery,
}

impl Broadcast {
    /// Creates the resource for a path or a subprotocol.
    ///
    /// # Errors
    ///
    /// Fails when the name is longer than the value of a tag may be.
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

    fn detached(&self, _: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        Some(Box::new(self.clone()))
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

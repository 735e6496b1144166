//! A message from a publisher to the clients of its address.

use bytes::Bytes;

use super::{Address, Tenant};

/// One message with its tenant and address. Its source and number are separate fields on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Tenant of the publisher.
    pub tenant: Tenant,
    /// Recipients of the message.
    pub address: Address,
    /// Payload of the message.
    pub content: Content,
}

/// The published content. The broker forwards it without parsing it. It owns its payload, or borrows it
/// from the bytes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<P = Bytes> {
    /// How dialects interpret the payload.
    pub form: PayloadForm,
    /// Payload as UTF-8 text.
    pub payload: P,
}

impl<P: AsRef<[u8]>> Content<P> {
    /// Returns the same content with a borrowed payload.
    #[must_use]
    pub fn borrowed(&self) -> Content<&[u8]> {
        Content { form: self.form, payload: self.payload.as_ref() }
    }
}

/// How dialects interpret a payload when they render it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadForm {
    /// A whole packet that contains the message. Clients of the same protocol receive it byte for
    /// byte.
    Packet,
    /// The JSON text of a message alone. Each dialect wraps it in its own format.
    Message,
    /// A text that need not be JSON. Clients of plain dialects receive it unchanged.
    Text,
}

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

/// The published content. The broker forwards it without parsing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// How dialects interpret the payload.
    pub form: PayloadForm,
    /// Payload as UTF-8 text.
    pub payload: Bytes,
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

//! One message on its way from a publisher to the clients that its address names.

use bytes::Bytes;

use super::{Address, Tenant};

/// One message with its tenant and address; its source and number are separate fields on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The space in which it is published.
    pub tenant: Tenant,
    /// Who is to get it.
    pub address: Address,
    /// What they get.
    pub content: Content,
}

/// What was published; the broker carries it without looking inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// How the payload is to be understood by the dialects.
    pub form: PayloadForm,
    /// UTF-8 text.
    pub payload: Bytes,
}

/// How a payload is to be understood when a dialect renders it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadForm {
    /// A whole packet, with the message in it. It is forwarded byte for byte to clients of the protocol
    /// that it came in.
    Packet,
    /// The JSON text of a message alone; each dialect wraps it in its own way.
    Message,
    /// A text that need not be JSON; clients of plain dialects get it as it is.
    Text,
}

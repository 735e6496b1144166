//! A message from a publisher to the clients of its address.

use bytes::Bytes;
use memchr::memchr;

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

impl<'a> Content<&'a [u8]> {
    /// Splits headers from content. Returns the members of `msg` before `data`, and the content without them.
    #[must_use]
    pub fn split_headers(self) -> (&'a [u8], Self) {
        if self.form != PayloadForm::WithHeaders {
            return (b"", self);
        }
        let end = memchr(PayloadForm::HEADERS_END as u8, self.payload);
        let (headers, rest) = self.payload.split_at(end.unwrap_or(self.payload.len()));
        let payload = rest.get(1..).unwrap_or_default();
        match headers.split_first() {
            Some((mark, headers)) if *mark == PayloadForm::TEXT_MARK as u8 => {
                (headers, Self { form: PayloadForm::Text, payload })
            }
            Some((_, headers)) => (headers, Self { form: PayloadForm::Message, payload }),
            None => (b"", Self { form: PayloadForm::Message, payload }),
        }
    }
}

/// A large payload behind the header of the frame that sends it unchanged. Such a frame is sent without a copy
/// of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramedPayload {
    frame: Bytes,
    /// Length of the header.
    header: usize,
}

impl FramedPayload {
    /// Wraps a frame whose payload begins after `header` bytes.
    #[must_use]
    pub fn new(frame: Bytes, header: usize) -> Self {
        Self { frame, header }
    }

    /// Returns the frame.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.frame.get(self.header..).unwrap_or_default()
    }

    /// Returns the payload as a part of the same memory.
    #[must_use]
    pub fn shared_payload(&self) -> Bytes {
        self.frame.slice(self.header.min(self.frame.len())..)
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
    /// A message or a text after a line of headers: a mark for which of the two it is, and members of `msg` of
    /// `tagcast.v1`, each with a comma after it. Other dialects do not show headers.
    WithHeaders,
}

impl PayloadForm {
    /// Begins the headers of a message.
    pub const MESSAGE_MARK: char = 'm';
    /// Begins the headers of a text.
    pub const TEXT_MARK: char = 't';
    /// Ends the headers. JSON strings contain it in an escaped form only.
    pub const HEADERS_END: char = '\n';
}

//! What a client asked for when it opened its connection.

use core::net::SocketAddr;
use std::borrow::Cow;
use std::fmt;

use crate::http::{RequestHead, parameter};

/// What a client asked for when it opened its connection.
#[derive(Clone, Copy)]
pub struct ConnectRequest<'a> {
    head: &'a RequestHead<'a>,
    peer: SocketAddr,
    protocol: Option<&'a str>,
    user: Option<&'a str>,
}

impl<'a> ConnectRequest<'a> {
    /// From a request head, who sent it, and the subprotocol that was agreed.
    #[must_use]
    pub const fn new(
        head: &'a RequestHead<'a>,
        peer: SocketAddr,
        protocol: Option<&'a str>,
    ) -> Self {
        Self { head, peer, protocol, user: None }
    }

    /// The same with who the backend of the resource says that the client is, as JSON.
    #[must_use]
    pub const fn with_user(self, user: Option<&'a str>) -> Self {
        Self { user, ..self }
    }

    pub(super) fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The path, not decoded.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// The query, not decoded; a secret may stand in it.
    #[must_use]
    pub fn query(&self) -> &'a str {
        self.head.query().unwrap_or_default()
    }

    /// A parameter of the query, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        parameter(self.query(), name)
    }

    /// The first header of a name, compared without case. Bytes that are not UTF-8 read as U+FFFD.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        self.head.text(name)
    }

    /// The same as it came, byte for byte.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.head.header(name)
    }

    /// All headers with their names, in their order. Bytes that are not UTF-8 read as U+FFFD.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        self.head.all_headers().map(|(name, value)| (name, String::from_utf8_lossy(value)))
    }

    /// The address of the client's end of the connection; behind trusted proxies the client's
    /// address as they say, with the port of the last proxy.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The subprotocol that was agreed.
    #[must_use]
    pub fn protocol(&self) -> Option<&'a str> {
        self.protocol
    }
}

/// Without query and headers: secrets may stand in them.
impl fmt::Debug for ConnectRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("path", &self.path()).finish_non_exhaustive()
    }
}

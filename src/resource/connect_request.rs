//! The request that opened a connection.

use core::net::SocketAddr;
use std::borrow::Cow;
use std::fmt;

use crate::http::{RequestHead, parameter};

/// The request that opened a connection, as a resource sees it.
#[derive(Clone, Copy)]
pub struct ConnectRequest<'a> {
    head: &'a RequestHead<'a>,
    peer: SocketAddr,
    protocol: Option<&'a str>,
    user: Option<&'a str>,
}

impl<'a> ConnectRequest<'a> {
    /// Creates the request from its head, the client's address and the agreed subprotocol.
    #[must_use]
    pub const fn new(
        head: &'a RequestHead<'a>,
        peer: SocketAddr,
        protocol: Option<&'a str>,
    ) -> Self {
        Self { head, peer, protocol, user: None }
    }

    /// Adds the client's identity as JSON, as the backend of the resource supplied it.
    #[must_use]
    pub const fn with_user(self, user: Option<&'a str>) -> Self {
        Self { user, ..self }
    }

    pub(super) fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// Returns the path, not decoded.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// Returns the query, not decoded. It may contain a secret.
    #[must_use]
    pub fn query(&self) -> &'a str {
        self.head.query().unwrap_or_default()
    }

    /// Returns a parameter of the query, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        parameter(self.query(), name)
    }

    /// Returns the first header of this name, which is compared without case. Bytes that are not
    /// UTF-8 become U+FFFD.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        self.head.text(name)
    }

    /// Returns the unchanged bytes of the first header of this name.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.head.header(name)
    }

    /// Returns all headers with their names, in order. Bytes that are not UTF-8 become U+FFFD.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        self.head.all_headers().map(|(name, value)| (name, String::from_utf8_lossy(value)))
    }

    /// Returns the client's address. Behind trusted proxies it is the address that the proxies
    /// report, with the port of the last proxy.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the agreed subprotocol.
    #[must_use]
    pub fn protocol(&self) -> Option<&'a str> {
        self.protocol
    }
}

/// The output omits query and headers, because they may contain secrets.
impl fmt::Debug for ConnectRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("path", &self.path()).finish_non_exhaustive()
    }
}

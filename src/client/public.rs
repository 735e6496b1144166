//! A connection through the public address of a server, as `tagcast doctor` makes it.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::Message;

use super::connection::{ClientConnection, ClientDialect, ConnectionOptions, PATIENCE, Reports};
use super::credentials::ClientCredentials;
use super::error::ClientError;
use super::url::ServerUrl;

/// Longest wait for the first message. Not every dialect has one.
const GREETING_WAIT: Duration = Duration::from_secs(3);

/// The first message of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PublicGreeting {
    /// The client is connected, with this UUID.
    Client(String),
    /// No resource is bound to the path.
    UnknownPath,
    /// No message, or one of another dialect.
    Other,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct PublicConnection(ClientConnection);

impl PublicConnection {
    /// Connects as a page, with the key of an application but without its secret.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or if it or a proxy refuses.
    pub(crate) fn open(
        url: &ServerUrl,
        key: Option<&str>,
        ca: Option<&Path>,
    ) -> Result<Self, ClientError> {
        // A page cannot send the header by which other programs choose a dialect.
        let dialect = ClientDialect::Gomoob;
        let options = ConnectionOptions { dialect, reports: Reports::Unwanted };
        let access = ClientCredentials { credentials: None, ca: ca.map(Path::to_owned) };
        let uri = url.with(key.map(|key| ("key", key)).into_iter())?;
        ClientConnection::open(url, uri, options, &access).map(Self)
    }

    /// Returns the address of this end.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        self.0.tcp().local_addr().ok().map(|address| address.ip())
    }

    /// Reads the first message.
    ///
    /// # Errors
    ///
    /// If the connection ends.
    pub(crate) fn greeting(&mut self) -> Result<PublicGreeting, ClientError> {
        self.0.wait_at_most(GREETING_WAIT)?;
        let first = self.0.read();
        self.0.wait_at_most(PATIENCE)?;
        let text = match first {
            Ok(Message::Text(text)) => text,
            Ok(_) | Err(ClientError::Silent(_)) => return Ok(PublicGreeting::Other),
            Err(error) => return Err(error),
        };
        let packet: Value = serde_json::from_str(&text).unwrap_or_default();
        let member = |name: &str| packet.get(name).and_then(Value::as_str);
        Ok(match (member("opcode"), member("uuid")) {
            (Some("ready"), Some(uuid)) => PublicGreeting::Client(uuid.to_owned()),
            (Some("close"), _) => PublicGreeting::UnknownPath,
            _ => PublicGreeting::Other,
        })
    }

    /// Sends a ping. Returns the time until its pong.
    ///
    /// # Errors
    ///
    /// If the connection ends, or if no pong arrives in time.
    #[expect(clippy::disallowed_methods, reason = "a round trip is measured")]
    pub(crate) fn round_trip(&mut self) -> Result<Duration, ClientError> {
        let begin = Instant::now();
        self.0.ping()?;
        while !matches!(self.0.read()?, Message::Pong(_)) {}
        Ok(begin.elapsed())
    }

    /// Answers pings for a time, and sends nothing else.
    ///
    /// # Errors
    ///
    /// If the connection ends before.
    #[expect(clippy::disallowed_methods, reason = "the time is the test")]
    pub(crate) fn stays_open(&mut self, time: Duration) -> Result<(), ClientError> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.0.wait_at_most(PATIENCE)?;
                return self.round_trip().map(drop);
            }
            self.0.wait_at_most(left)?;
            match self.0.read() {
                Ok(_) | Err(ClientError::Silent(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

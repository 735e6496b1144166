//! Publishes messages: to single clients and to all clients with packets of phpWebSocketServer, to
//! tags with a request of Gomoob.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use super::connection::{ClientConnection, ClientDialect, ConnectionOptions, Reports};
use super::credentials::ClientCredentials;
use super::error::ClientError;
use super::report;
use super::url::ServerUrl;
use crate::types::TagQuery;

/// The recipients of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The client with this UUID, as the server assigned it.
    Uuid(String),
    /// The client with this ident that has been connected longest.
    Ident(String),
    /// All clients.
    All,
}

/// An open connection for publishing. It waits for the `next` of each message.
#[derive(Debug)]
pub struct Publisher {
    connection: ClientConnection,
    access: ClientCredentials,
}

/// The members of a server packet that a publisher needs.
#[derive(Deserialize)]
struct PublishAnswer {
    #[serde(default)]
    opcode: String,
    error: Option<String>,
}

impl Publisher {
    /// Connects to a server that needs no credentials, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If no server answers at this URL, or if it rejects the connection.
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_as(&url.parse()?, ClientCredentials::default())
    }

    /// Connects and waits until the server is ready.
    ///
    /// # Errors
    ///
    /// If no server answers at this URL, or if it rejects the connection.
    pub fn connect_as(url: &ServerUrl, access: ClientCredentials) -> Result<Self, ClientError> {
        Self::open(url, access, Reports::Unwanted)
    }

    /// Like [`Publisher::connect_as`], and also requests reports for
    /// [`Publisher::publish_counted`].
    ///
    /// # Errors
    ///
    /// If no server answers at this URL, or if it rejects the connection.
    pub fn connect_counting(
        url: &ServerUrl,
        access: ClientCredentials,
    ) -> Result<Self, ClientError> {
        Self::open(url, access, Reports::Wanted)
    }

    fn open(
        url: &ServerUrl,
        access: ClientCredentials,
        reports: Reports,
    ) -> Result<Self, ClientError> {
        let uri = url.with(access.members())?;
        let options = ConnectionOptions { dialect: ClientDialect::Phpws, reports };
        let connection = ClientConnection::open(url, uri, options, &access)?;
        let mut publisher = Self { connection, access };
        publisher.await_opcode("ready")?;
        Ok(publisher)
    }

    /// Publishes one message, waits until the server has accepted it, and returns the number of
    /// clients reached. None if the server does not report it.
    ///
    /// # Errors
    ///
    /// If the server rejects the message, or reports that the UUID is not one of its own.
    pub fn publish_counted(
        &mut self,
        to: &Destination,
        message: &Value,
    ) -> Result<Option<u64>, ClientError> {
        self.publish(to, message)?;
        let report = report::await_report(&mut self.connection, refusal_in)?;
        let Some(report) = report else { return Ok(None) };
        let is_unknown = report.is_of_unknown_uuid() || !report.published;
        match to {
            Destination::Uuid(_) if is_unknown && report.clients == 0 => {
                let why = "this server did not issue the UUID (forged, truncated, or from an \
                    earlier state/uuid.key), and no client has it as an alias";
                Err(ClientError::Data(why.to_owned()))
            }
            Destination::Ident(_) if !report.published => {
                Err(ClientError::Data("the ident is longer than 255 bytes".to_owned()))
            }
            _ => Ok(Some(report.clients)),
        }
    }

    /// Publishes one message and waits until the server has accepted it. A denied publication is
    /// reported slightly later: by the next call, or by [`Publisher::close`].
    ///
    /// # Errors
    ///
    /// If the server rejects the message, or has denied the one before.
    pub fn publish(&mut self, to: &Destination, message: &Value) -> Result<(), ClientError> {
        let mut packet = match to {
            Destination::Uuid(uuid) => {
                json!({"opcode": "feedback", "message": message, "uuid": uuid})
            }
            Destination::Ident(ident) => {
                json!({"opcode": "feedback", "message": message, "ident": ident})
            }
            Destination::All => json!({"opcode": "broadcast", "message": message}),
        };
        if let Some(members) = packet.as_object_mut() {
            members.extend(self.access.members().map(|(name, text)| (name.into(), text.into())));
        }
        self.connection.send(packet.to_string())?;
        self.await_opcode("next")
    }

    /// Closes the connection and reports whether the last publication was denied.
    ///
    /// # Errors
    ///
    /// If it was denied. Other errors while closing are ignored, because the server has already
    /// accepted the publication.
    pub fn close(mut self) -> Result<(), ClientError> {
        if self.connection.send_close().is_err() {
            return Ok(());
        }
        while let Ok(message) = self.connection.read() {
            match &message {
                Message::Text(text) => refusal_in(text)?,
                Message::Close(Some(frame)) if frame.code == CloseCode::Policy => {
                    return Err(ClientError::refused_by(Some(frame)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn await_opcode(&mut self, opcode: &str) -> Result<(), ClientError> {
        loop {
            match self.connection.read()? {
                Message::Text(text) => {
                    refusal_in(&text)?;
                    if has_opcode(&text, opcode) {
                        return Ok(());
                    }
                }
                Message::Close(frame) => {
                    return Err(ClientError::refused_by(frame.as_ref()));
                }
                _ => {}
            }
        }
    }
}

/// Publishes one message to all clients that have all of these tags, and waits until the server has
/// accepted it. Returns the number of clients reached, or None if the server does not report it.
///
/// # Errors
///
/// If no server answers at this URL, or if it rejects the message.
pub fn publish_to_tags(
    url: &ServerUrl,
    access: &ClientCredentials,
    tags: &TagQuery,
    message: &Value,
) -> Result<Option<u64>, ClientError> {
    url.check_takes_tags()?;
    // Without tags of its own it receives the fewest publications of others.
    let parameters = std::iter::once(("tags", "{}")).chain(access.members());
    let options = ConnectionOptions { dialect: ClientDialect::Gomoob, reports: Reports::Wanted };
    let mut connection = ClientConnection::open(url, url.with(parameters)?, options, access)?;
    let metadata: Map<_, _> =
        access.members().map(|(name, text)| (name.to_owned(), text.into())).collect();
    let request = json!({"message": message, "tags": tags_object(tags), "metadata": metadata});
    connection.send(request.to_string())?;
    // This dialect denies only with a Close frame. A text frame is a publication.
    let report = report::await_report(&mut connection, |_| Ok(()))?;
    // This dialect has no acknowledgement. The server processes frames in order, so the answer to a
    // Close that follows the request proves that the request was processed.
    connection.send_close()?;
    await_answer(&mut connection)?;
    Ok(report.map(|report| report.clients))
}

fn tags_object(tags: &TagQuery) -> Value {
    tags.iter().map(|tag| (tag.name(), tag.value())).collect()
}

fn await_answer(connection: &mut ClientConnection) -> Result<(), ClientError> {
    let mut is_first = true;
    loop {
        match connection.read()? {
            Message::Text(text) if is_first && has_opcode(&text, "ready") => {
                let why = "this path speaks phpWebSocketServer's dialect, which has no tags";
                return Err(ClientError::Url(why.to_owned()));
            }
            Message::Close(Some(frame))
                if frame.code == CloseCode::Normal && frame.reason.is_empty() =>
            {
                return Ok(());
            }
            Message::Close(frame) => {
                return Err(ClientError::refused_by(frame.as_ref()));
            }
            // A client without tags receives publications to all clients.
            _ => is_first = false,
        }
    }
}

fn has_opcode(text: &str, opcode: &str) -> bool {
    serde_json::from_str::<PublishAnswer>(text).is_ok_and(|answer| answer.opcode == opcode)
}

fn refusal_in(text: &str) -> Result<(), ClientError> {
    match serde_json::from_str::<PublishAnswer>(text) {
        Ok(answer) if matches!(answer.opcode.as_str(), "close" | "error") => {
            Err(ClientError::denied(answer.error.as_deref().unwrap_or("unknown path")))
        }
        _ => Ok(()),
    }
}

//! Publishing: to clients one by one and to all over phpWebSocketServer's packets, to tags by
//! Gomoob's request.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use super::connection::{ClientConnection, ClientDialect, Manner, Reports};
use super::credentials::ClientCredentials;
use super::error::ClientError;
use super::report;
use super::url::ServerUrl;
use crate::types::{TagQuery, Tags};

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The client with this UUID, as the server gave it out.
    Uuid(String),
    /// The first client with this ident.
    Ident(String),
    /// Everyone.
    All,
}

/// An open connection to publish through: it waits for the `next` of each message.
#[derive(Debug)]
pub struct Publisher {
    connection: ClientConnection,
    access: ClientCredentials,
}

/// What the server says, as far as a publisher cares.
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
    /// When there is no server at this URL, or it does not let us in.
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_as(&url.parse()?, ClientCredentials::default())
    }

    /// Connects, and waits until the server is ready.
    ///
    /// # Errors
    ///
    /// When there is no server at this URL, or it does not let us in.
    pub fn connect_as(url: &ServerUrl, access: ClientCredentials) -> Result<Self, ClientError> {
        Self::open(url, access, Reports::Unwanted)
    }

    /// As [`Publisher::connect_as`], for [`Publisher::publish_counted`].
    ///
    /// # Errors
    ///
    /// When there is no server at this URL, or it does not let us in.
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
        let manner = Manner { dialect: ClientDialect::Phpws, reports };
        let connection = ClientConnection::open(url, uri, manner, &access)?;
        let mut publisher = Self { connection, access };
        publisher.await_opcode("ready")?;
        Ok(publisher)
    }

    /// Publishes one message, waits until the server holds it, and tells how many clients it has
    /// reached; nothing when the server does not say.
    ///
    /// # Errors
    ///
    /// When the server did not take it, or says that it gave out no such UUID.
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
                let why = "the UUID was not given out by this server (forged, cut short, or of an \
                           earlier state/uuid.key), and no client has it as an alias";
                Err(ClientError::Data(why.to_owned()))
            }
            Destination::Ident(_) if !report.published => {
                Err(ClientError::Data("the ident is longer than 255 bytes".to_owned()))
            }
            _ => Ok(Some(report.clients)),
        }
    }

    /// Publishes one message, and waits until the server holds it. A server that finds that we
    /// may not publish says so a little later: to the next call, or to [`Publisher::close`].
    ///
    /// # Errors
    ///
    /// When the server did not take it, or refused the one before.
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

    /// Says goodbye, and hears whether what was published last was refused.
    ///
    /// # Errors
    ///
    /// When it was. A goodbye that fails otherwise is none: what was published is held by the
    /// server already.
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

/// Publishes one message to all clients that carry all of these tags, and waits until the server has
/// taken it. Tells how many that were; nothing when the server does not say.
///
/// # Errors
///
/// When there is no server at this URL, or it did not take the message.
pub fn publish_to_tags(
    url: &ServerUrl,
    access: &ClientCredentials,
    tags: &TagQuery,
    message: &Value,
) -> Result<Option<u64>, ClientError> {
    let mut connection = open_with_tags(url, access, &Tags::default(), Reports::Wanted)?;
    let metadata: Map<_, _> =
        access.members().map(|(name, text)| (name.to_owned(), text.into())).collect();
    let request = json!({"message": message, "tags": tags_object(tags), "metadata": metadata});
    connection.send(request.to_string())?;
    // It denies by a Close alone; a text is a publication.
    let report = report::await_report(&mut connection, |_| Ok(()))?;
    // This dialect has no acknowledgement. But the server takes what comes in its order, so the
    // answer to a Close that follows the request means that the request was taken before.
    connection.send_close()?;
    await_answer(&mut connection)?;
    Ok(report.map(|report| report.clients))
}

/// Opens a connection that carries these tags.
pub(super) fn open_with_tags(
    url: &ServerUrl,
    access: &ClientCredentials,
    tags: &Tags,
    reports: Reports,
) -> Result<ClientConnection, ClientError> {
    url.check_takes_tags()?;
    let tags = tags_object(tags).to_string();
    let parameters = std::iter::once(("tags", tags.as_str())).chain(access.members());
    let manner = Manner { dialect: ClientDialect::Gomoob, reports };
    ClientConnection::open(url, url.with(parameters)?, manner, access)
}

fn tags_object(tags: &Tags) -> Value {
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
            // To a client without tags come publications to everyone.
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

//! How many clients a publication has reached, where the server says so.

use std::time::Instant;

use serde::Deserialize;
use tungstenite::Message;

use super::connection::{ClientConnection, PATIENCE};
use super::error::ClientError;

/// What the server says about one publication.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct PublishReport {
    opcode: String,
    token: String,
    /// Whether the message named anybody at all.
    pub(super) published: bool,
    #[serde(default)]
    pub(super) clients: u64,
    #[serde(default)]
    uuid: Option<String>,
}

impl PublishReport {
    /// Whether the recipient was named by a UUID that the server has not given out.
    pub(super) fn is_of_unknown_uuid(&self) -> bool {
        self.uuid.as_deref() == Some("unknown")
    }
}

/// Waits for the report of what was published last. None when the server sends none, or none in time:
/// it may wait for its broker, and holds the publication meanwhile. `denial` knows the texts that deny.
#[expect(clippy::disallowed_methods, reason = "whatever others publish, this has an end")]
pub(super) fn await_report(
    connection: &mut ClientConnection,
    denial: fn(&str) -> Result<(), ClientError>,
) -> Result<Option<PublishReport>, ClientError> {
    let Some(token) = connection.reports().map(str::to_owned) else { return Ok(None) };
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match connection.read() {
            Ok(Message::Text(text)) => match serde_json::from_str::<PublishReport>(&text) {
                Ok(report) if report.opcode == "report" && report.token == token => {
                    return Ok(Some(report));
                }
                _ => denial(&text)?,
            },
            Ok(Message::Close(frame)) => return Err(ClientError::refused_by(frame.as_ref())),
            Ok(_) => {}
            Err(ClientError::Silent(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

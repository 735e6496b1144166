//! Reports of how many clients a publication has reached.

use std::time::Instant;

use serde::Deserialize;
use tungstenite::Message;

use super::connection::{ClientConnection, PATIENCE};
use super::error::ClientError;

/// The report about one publication.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct PublishReport {
    opcode: String,
    token: String,
    /// True if the message had a valid recipient.
    pub(super) published: bool,
    #[serde(default)]
    pub(super) clients: u64,
    #[serde(default)]
    uuid: Option<String>,
}

impl PublishReport {
    /// Returns true if the recipient was a UUID that the server has not assigned.
    pub(super) fn is_of_unknown_uuid(&self) -> bool {
        self.uuid.as_deref() == Some("unknown")
    }
}

/// Waits for the report of the last publication. Returns None if the server sends no reports or
/// does not answer in time: it may be waiting for its broker, and keeps the publication until then.
/// `denial` recognizes the texts of denials.
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

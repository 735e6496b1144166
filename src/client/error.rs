//! What can go wrong between a client and a server, in words for people.

use std::fmt;
use std::io::ErrorKind;

use serde::Deserialize;
use tungstenite::http::Response;
use tungstenite::protocol::CloseFrame;

use super::connection::PATIENCE;
use super::url::ServerUrl;

/// What of a refusal's body is shown, in characters.
const BODY_CHARACTERS_MAX: usize = 200;

/// Why a client got no further.
#[derive(Debug)]
pub enum ClientError {
    /// The URL cannot be used.
    Url(String),
    /// There are no certificates to trust.
    Trust(String),
    /// The server cannot be reached, or the connection broke.
    Connection(String, Box<tungstenite::Error>),
    /// The server did not let us in, or did not take what we sent.
    Refused(String),
    /// The server ended the connection.
    Ended(String),
    /// No answer came in time.
    Silent(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => {
                write!(f, "the URL cannot be used: {why}; one like ws://127.0.0.1:8094/ can")
            }
            Self::Trust(why) => write!(f, "no certificate can be trusted: {why}"),
            Self::Connection(url, error) => write!(f, "{url}: {error}"),
            Self::Refused(why) => write!(f, "the server refused: {why}"),
            Self::Ended(why) => write!(f, "the server ended the connection: {why}"),
            Self::Silent(url) => write!(f, "{url}: no answer in {} s", PATIENCE.as_secs()),
        }
    }
}

impl std::error::Error for ClientError {}

impl ClientError {
    /// From what tungstenite says.
    pub(super) fn from_websocket(url: &ServerUrl, error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Io(error) if is_late(&error) => Self::Silent(url.to_string()),
            tungstenite::Error::Http(response) => Self::Refused(refusal(&response)),
            error => Self::Connection(url.to_string(), Box::new(error)),
        }
    }

    /// From a socket's error.
    pub(super) fn from_io(url: &ServerUrl, error: std::io::Error) -> Self {
        Self::from_websocket(url, error.into())
    }
}

/// Whether the time is over that a socket was given.
fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Code and reason of a Close frame.
pub(super) fn close_words(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(frame) if frame.reason.is_empty() => format!("Close {}", u16::from(frame.code)),
        Some(frame) => {
            format!("Close {}, {}", u16::from(frame.code), printable(frame.reason.as_str()))
        }
        None => "Close without a code".to_owned(),
    }
}

/// The body of our own refusals: `{"error":"…"}`.
#[derive(Deserialize)]
struct Body {
    error: String,
}

/// `HTTP 401 Unauthorized: there is no such key`.
fn refusal(response: &Response<Option<Vec<u8>>>) -> String {
    let status = response.status().to_string();
    let body = response.body().as_deref().unwrap_or_default();
    let why = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error,
        Err(_) => first_line(&String::from_utf8_lossy(body), &status),
    };
    let why: String = printable(&why).chars().take(BODY_CHARACTERS_MAX).collect();
    if why.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {why}") }
}

/// What a body of plain text says beyond the status; nothing of a page of HTML.
fn first_line(body: &str, status: &str) -> String {
    let line = body.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix(status).unwrap_or(line).trim_start_matches([':', ' ']);
    if line.starts_with('<') { String::new() } else { line.to_owned() }
}

/// The text on one line, with nothing in it that a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Control characters, the line breaks of Unicode, and what turns the direction of writing.
pub(super) fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> String {
        let body = Some(body.as_bytes().to_vec());
        refusal(&Response::builder().status(status).body(body).unwrap())
    }

    #[test]
    fn a_refusal_is_told_with_status_and_reason() {
        assert_eq!(refused(401, r#"{"error":"wrong key"}"#), "HTTP 401 Unauthorized: wrong key");
        assert_eq!(
            refused(429, "429 Too Many Requests: 8 connections from your address\n"),
            "HTTP 429 Too Many Requests: 8 connections from your address"
        );
        assert_eq!(refused(502, "<html>…"), "HTTP 502 Bad Gateway");
        assert_eq!(refused(503, ""), "HTTP 503 Service Unavailable");
        assert_eq!(
            refused(403, "{\"error\":\"a\\u001b[2Jb\"}"),
            "HTTP 403 Forbidden: a\\u{1b}[2Jb"
        );
    }

    #[test]
    fn nothing_printed_is_obeyed_by_a_terminal() {
        assert_eq!(printable("Bonjour à tous"), "Bonjour à tous");
        assert_eq!(printable("a\nb\tc\u{1b}[31m"), "a\\nb\\tc\\u{1b}[31m");
        assert_eq!(
            printable("\u{9b}2J\u{202e}\u{2028}\u{7f}"),
            "\\u{9b}2J\\u{202e}\\u{2028}\\u{7f}"
        );
    }
}

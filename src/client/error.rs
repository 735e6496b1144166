//! Errors between a client and a server, with texts for users.

use std::fmt;
use std::io::ErrorKind;

use serde::Deserialize;
use tungstenite::http::Response;
use tungstenite::protocol::CloseFrame;

use super::connection::PATIENCE;
use super::tls_failure::TlsFailure;

/// Maximum characters of a response body that an error shows.
const BODY_CHARACTERS_MAX: usize = 200;

/// An error of a client.
#[derive(Debug)]
pub enum ClientError {
    /// The URL is invalid or cannot be used.
    Url(String),
    /// The trusted certificates could not be loaded.
    Trust(String),
    /// The TLS handshake failed; with the server and the reason.
    Tls(String, Box<TlsFailure>),
    /// The server cannot be reached, or the connection broke.
    Connection(String, Box<tungstenite::Error>),
    /// The server rejected the connection or a message.
    Refused(ClientErrorKind, String),
    /// The server closed the connection.
    Ended(ClientErrorKind, String),
    /// The address of the HTTP API is invalid.
    ApiUrl(String),
    /// No answer arrived in time.
    Silent(String),
    /// The message or its recipient is invalid.
    Data(String),
}

/// The way to fix an error. Each kind has its own exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientErrorKind {
    /// The data must be changed.
    Data,
    /// The attempt may succeed later.
    Unavailable,
    /// Another key or secret is needed.
    NotPermitted,
    /// Another URL or file is needed, or the server must be configured.
    Configuration,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => {
                write!(f, "the URL cannot be used: {why}; use one like ws://127.0.0.1:8094/")
            }
            Self::ApiUrl(why) => {
                write!(f, "the address cannot be used: {why}; use one like http://127.0.0.1:8094")
            }
            Self::Trust(why) => write!(f, "no certificate can be trusted: {why}"),
            Self::Tls(url, failure) => write!(f, "{url}: {failure}"),
            Self::Connection(url, error) => write!(f, "{url}: {error}"),
            Self::Refused(_, why) => write!(f, "the server refused: {why}"),
            Self::Ended(_, why) => write!(f, "the server ended the connection: {why}"),
            Self::Data(why) => f.write_str(why),
            Self::Silent(url) => write!(f, "{url}: no answer in {} s", PATIENCE.as_secs()),
        }
    }
}

impl std::error::Error for ClientError {}

impl ClientError {
    /// Returns the kind of this error, which says how to fix it.
    #[must_use]
    pub fn kind(&self) -> ClientErrorKind {
        match self {
            Self::Url(_) | Self::ApiUrl(_) | Self::Trust(_) => ClientErrorKind::Configuration,
            Self::Tls(_, failure) => failure.kind(),
            Self::Connection(..) | Self::Silent(_) => ClientErrorKind::Unavailable,
            Self::Refused(kind, _) | Self::Ended(kind, _) => *kind,
            Self::Data(_) => ClientErrorKind::Data,
        }
    }

    /// Creates an error from the denial text of the server.
    pub(super) fn denied(why: &str) -> Self {
        Self::Refused(kind_of_words(why), printable(why))
    }

    /// Creates an error from a Close frame that arrived instead of an answer.
    pub(super) fn refused_by(frame: Option<&CloseFrame>) -> Self {
        Self::Refused(kind_of_close(frame), close_words(frame))
    }

    /// Converts an error of tungstenite.
    pub(super) fn from_websocket(url: &impl fmt::Display, error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Io(error) if is_late(&error) => Self::Silent(url.to_string()),
            tungstenite::Error::Http(response) => {
                Self::Refused(kind_of_status(response.status().as_u16()), refusal(&response))
            }
            error => Self::Connection(url.to_string(), Box::new(error)),
        }
    }

    /// Converts an I/O error of the socket.
    pub(super) fn from_io(url: &impl fmt::Display, error: std::io::Error) -> Self {
        Self::from_websocket(url, error.into())
    }
}

/// Returns true if the timeout of the socket has expired.
fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Classifies the denial text of the server. A server that does not know the path sends no text.
fn kind_of_words(why: &str) -> ClientErrorKind {
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if has(&["busy", "try again", "Try again", "Too many connections", "To many connections"]) {
        ClientErrorKind::Unavailable
    } else if has(&["schema", "JSON", "'message'", "'tags'", "property", "UTF-8"]) {
        ClientErrorKind::Data
    } else if why.is_empty() || has(&["unknown path"]) {
        ClientErrorKind::Configuration
    } else {
        ClientErrorKind::NotPermitted
    }
}

/// Classifies a Close frame (RFC 6455 §7.4.1).
fn kind_of_close(frame: Option<&CloseFrame>) -> ClientErrorKind {
    match frame.map(|frame| (u16::from(frame.code), frame.reason.as_str())) {
        Some((1002 | 1003 | 1007 | 1009, _)) => ClientErrorKind::Data,
        Some((1008, reason)) => kind_of_words(reason),
        _ => ClientErrorKind::Unavailable,
    }
}

/// Classifies an HTTP status.
fn kind_of_status(status: u16) -> ClientErrorKind {
    match status {
        401 | 403 | 407 => ClientErrorKind::NotPermitted,
        413 | 431 => ClientErrorKind::Data,
        408 | 425 | 429 | 500..=599 => ClientErrorKind::Unavailable,
        _ => ClientErrorKind::Configuration,
    }
}

/// Formats the code and reason of a Close frame.
fn close_words(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(frame) if frame.reason.is_empty() => format!("Close {}", u16::from(frame.code)),
        Some(frame) => {
            format!("Close {}, {}", u16::from(frame.code), printable(frame.reason.as_str()))
        }
        None => "Close without a code".to_owned(),
    }
}

/// The body of an HTTP error from Tagcast: `{"error":"…"}`.
#[derive(Deserialize)]
struct Body {
    error: String,
}

/// Formats an HTTP error: `HTTP 401 Unauthorized: there is no such key`.
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

/// Returns the first line of a plain text body if it differs from the status. Returns an empty text
/// for HTML.
fn first_line(body: &str, status: &str) -> String {
    let line = body.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix(status).unwrap_or(line).trim_start_matches([':', ' ']);
    if line.starts_with('<') { String::new() } else { line.to_owned() }
}

/// Returns the text as one line in which all characters that control a terminal are escaped.
pub(crate) fn printable(text: &str) -> String {
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

/// Returns true for control characters, Unicode line breaks and characters that change the writing
/// direction.
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
    fn a_refusal_is_reported_with_status_and_reason() {
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
    fn exit_codes_distinguish_temporary_from_permanent_failures() {
        let close = |code: u16, reason: &'static str| {
            kind_of_close(Some(&CloseFrame { code: code.into(), reason: reason.into() }))
        };
        assert_eq!(
            close(1008, "Message sending is not authorized !"),
            ClientErrorKind::NotPermitted
        );
        assert_eq!(
            close(1008, "the message does not fit its schema at /a: …"),
            ClientErrorKind::Data
        );
        assert_eq!(close(1008, "The 'message' property is mandatory !"), ClientErrorKind::Data);
        assert_eq!(close(1008, "unknown path"), ClientErrorKind::Configuration);
        assert_eq!(close(1013, "slow client"), ClientErrorKind::Unavailable);
        assert_eq!(close(1009, ""), ClientErrorKind::Data);
        assert_eq!(kind_of_close(None), ClientErrorKind::Unavailable);
        let denied = |why| ClientError::denied(why).kind();
        assert_eq!(denied("The server is busy, try again later"), ClientErrorKind::Unavailable);
        assert_eq!(denied("Too many connections"), ClientErrorKind::Unavailable);
        assert_eq!(denied("Message sending is not authorized !"), ClientErrorKind::NotPermitted);
        let kinds = [401, 403, 404, 400, 503, 429].map(kind_of_status);
        let (never, here) = (ClientErrorKind::NotPermitted, ClientErrorKind::Configuration);
        assert_eq!(
            kinds,
            [never, never, here, here, ClientErrorKind::Unavailable, ClientErrorKind::Unavailable]
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

//! Errors: why a request failed, and why there is no connection.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use tokio_tungstenite::tungstenite;

/// What happened to a request, for programs.
///
/// The codes of the server are described in its protocol. The last eight are the client's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// `unknown_op`: the server does not know the request.
    UnknownOp,
    /// `invalid_request`: a member is missing, or has a wrong type or value.
    InvalidRequest,
    /// `invalid_target`: the recipients are not exactly one target.
    InvalidTarget,
    /// `invalid_expression`: the expression of the recipients is not valid.
    InvalidExpression,
    /// `permission_denied`: the credentials of the connection do not allow it.
    PermissionDenied,
    /// `schema_violation`: the data violate the schema of the application.
    SchemaViolation,
    /// `payload_too_large`: the message is larger than the server accepts.
    PayloadTooLarge,
    /// `limit_exceeded`: too many tags, or an expression that costs too much.
    LimitExceeded,
    /// `rate_limited`: too many messages or bytes.
    RateLimited,
    /// `busy`: the server is short of memory, or its backend of time.
    Busy,
    /// `gone`: the client that was asked is not connected, or has ended.
    Gone,
    /// `away`: the client that was asked is away.
    Away,
    /// `refused`: the client that was asked refuses to answer.
    Refused,
    /// `unhandled`: the client that was asked does not answer such questions.
    Unhandled,
    /// `unsupported`: not in this version of the server, not on this path, or not for the client that was asked.
    Unsupported,
    /// The connection was lost before the answer, and the server does not know whether it has carried out the request.
    Unknown,
    /// No answer in time. The request may have taken effect.
    Timeout,
    /// The connection of a request that is not repeated was lost. The request may have taken effect.
    Lost,
    /// The client is not online, and the request must not wait.
    Offline,
    /// Too many requests, or too many bytes, wait to be sent.
    QueueFull,
    /// The request has waited for a connection for too long. It was not sent.
    QueueExpired,
    /// The client is closed.
    Closed,
    /// The data cannot be written as JSON. The request was not sent.
    Data,
    /// Any other code of the server.
    Other(String),
}

const CODES: &[(&str, ErrorCode)] = &[
    ("unknown_op", ErrorCode::UnknownOp),
    ("invalid_request", ErrorCode::InvalidRequest),
    ("invalid_target", ErrorCode::InvalidTarget),
    ("invalid_expression", ErrorCode::InvalidExpression),
    ("permission_denied", ErrorCode::PermissionDenied),
    ("schema_violation", ErrorCode::SchemaViolation),
    ("payload_too_large", ErrorCode::PayloadTooLarge),
    ("limit_exceeded", ErrorCode::LimitExceeded),
    ("rate_limited", ErrorCode::RateLimited),
    ("busy", ErrorCode::Busy),
    ("gone", ErrorCode::Gone),
    ("away", ErrorCode::Away),
    ("refused", ErrorCode::Refused),
    ("unhandled", ErrorCode::Unhandled),
    ("unsupported", ErrorCode::Unsupported),
    ("unknown", ErrorCode::Unknown),
    ("timeout", ErrorCode::Timeout),
    ("lost", ErrorCode::Lost),
    ("offline", ErrorCode::Offline),
    ("queue_full", ErrorCode::QueueFull),
    ("queue_expired", ErrorCode::QueueExpired),
    ("closed", ErrorCode::Closed),
    ("invalid_data", ErrorCode::Data),
];

impl ErrorCode {
    /// The code as the protocol writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Other(code) = self {
            return code;
        }
        CODES.iter().find(|(_, code)| code == self).map_or("", |(text, _)| text)
    }
}

impl From<&str> for ErrorCode {
    fn from(text: &str) -> Self {
        let known = CODES.iter().find(|(code, _)| *code == text);
        known.map_or_else(|| Self::Other(text.to_owned()), |(_, code)| code.clone())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError(Box<RequestFailure>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct RequestFailure {
    code: ErrorCode,
    message: String,
    is_retryable: bool,
    retry_after: Option<Duration>,
}

/// The members of a frame `error`.
#[derive(Deserialize)]
pub(crate) struct ErrorFrame {
    code: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    retry: bool,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

impl ErrorFrame {
    pub(crate) fn code(&self) -> ErrorCode {
        ErrorCode::from(self.code.as_str())
    }
}

impl RequestError {
    pub(crate) fn new(code: ErrorCode) -> Self {
        let is_retryable = matches!(
            code,
            ErrorCode::Timeout
                | ErrorCode::Lost
                | ErrorCode::Offline
                | ErrorCode::QueueFull
                | ErrorCode::QueueExpired
        );
        let message = code.to_string();
        Self(Box::new(RequestFailure { code, message, is_retryable, retry_after: None }))
    }

    pub(crate) fn invalid_data(error: &serde_json::Error) -> Self {
        let mut created = Self::new(ErrorCode::Data);
        created.0.message = error.to_string();
        created
    }

    /// What happened, for programs.
    #[must_use]
    pub fn code(&self) -> &ErrorCode {
        &self.0.code
    }

    /// What happened, for people: the text of the server, or the code.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.is_retryable
    }

    /// When the server wants the request again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl From<ErrorFrame> for RequestError {
    fn from(frame: ErrorFrame) -> Self {
        let code = frame.code();
        let message = frame.message.unwrap_or(frame.code);
        Self(Box::new(RequestFailure {
            code,
            message,
            is_retryable: frame.retry,
            retry_after: frame.retry_after_ms.map(Duration::from_millis),
        }))
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            message if message == self.code().as_str() => f.write_str(message),
            message => write!(f, "{message} ({})", self.code()),
        }
    }
}

impl std::error::Error for RequestError {}

/// Why an attempt to connect failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not valid, or is neither `ws://` nor `wss://`.
    Url(String),
    /// There is no certificate that can be trusted.
    Trust(String),
    /// The host has no address, or cannot be reached.
    Io(io::Error),
    /// The TLS handshake failed. The source of this error is one of rustls, if the certificate is the reason.
    Tls(io::Error),
    /// The server refused the WebSocket: the status and the body of its answer.
    Http(u16, String),
    /// The WebSocket handshake failed, for example because the server does not speak `tagcast.v1`.
    Handshake(Box<tungstenite::Error>),
    /// The token function failed.
    Token(String),
    /// No `welcome` in time.
    Timeout,
    /// The server closed the connection, or it broke before the `welcome`: Close code and reason.
    Closed(u16, String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the URL cannot be used: {why}"),
            Self::Trust(why) => write!(f, "no certificate can be trusted: {why}"),
            Self::Io(error) | Self::Tls(error) => error.fmt(f),
            Self::Http(status, body) if body.is_empty() => write!(f, "HTTP {status}"),
            Self::Http(status, body) => write!(f, "HTTP {status}: {body}"),
            Self::Handshake(error) => error.fmt(f),
            Self::Token(why) => write!(f, "there is no token: {why}"),
            Self::Timeout => f.write_str("the server sends no welcome"),
            Self::Closed(code, reason) => write!(f, "the server closed with {code} {reason}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::Tls(error) => Some(error),
            Self::Handshake(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_text_and_is_read_from_it() {
        for (text, code) in CODES {
            assert_eq!(code.as_str(), *text);
            assert_eq!(ErrorCode::from(*text), *code);
        }
        assert_eq!(ErrorCode::from("future"), ErrorCode::Other("future".to_owned()));
        assert_eq!(ErrorCode::from("future").as_str(), "future");
    }

    #[test]
    fn an_error_shows_its_code_once() {
        let own = RequestError::new(ErrorCode::QueueFull);
        assert_eq!((own.to_string().as_str(), own.is_retryable()), ("queue_full", true));
        let text = r#"{"op":"error","code":"busy","message":"memory is short","retry":true,"retry_after_ms":5}"#;
        let served = RequestError::from(serde_json::from_str::<ErrorFrame>(text).unwrap());
        assert_eq!(served.to_string(), "memory is short (busy)");
        assert_eq!(served.retry_after(), Some(Duration::from_millis(5)));
    }
}

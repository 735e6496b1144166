//! Errors of requests: a stable code, a text for people, and members for programs.

use std::fmt::Write;
use std::time::Duration;

use hyper::StatusCode;

use crate::json;
use crate::types::{RateLimit, TooExpensive};

/// Maximum bytes of the input that an error quotes.
const SHOWN_BYTES_MAX: usize = 24;

macro_rules! error_codes {
    ($($name:ident = $code:literal, $status:literal;)+) => {
        /// A stable code. Programs compare it; `docs/api.md` lists all of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum ErrorCode {
            $(
                #[doc = concat!("`", $code, "`")]
                $name,
            )+
        }

        impl ErrorCode {
            /// All codes.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the code as text.
            pub(super) const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// Returns the HTTP status of the code.
            pub(super) const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }
        }
    };
}

error_codes! {
    BadRequest = "bad_request", 400;
    InvalidJson = "invalid_json", 400;
    UnknownMember = "unknown_member", 400;
    DuplicateMember = "duplicate_member", 400;
    MissingMember = "missing_member", 400;
    WrongType = "wrong_type", 400;
    InvalidValue = "invalid_value", 400;
    UnknownParameter = "unknown_parameter", 400;
    InvalidParameter = "invalid_parameter", 400;
    InvalidCursor = "invalid_cursor", 400;
    InvalidUuid = "invalid_uuid", 400;
    InvalidHeader = "invalid_header", 400;
    MultipleCredentials = "multiple_credentials", 400;
    MissingCredentials = "missing_credentials", 401;
    InvalidCredentials = "invalid_credentials", 401;
    InvalidSignature = "invalid_signature", 401;
    TimestampExpired = "timestamp_expired", 401;
    TimestampAhead = "timestamp_ahead", 401;
    NonceReused = "nonce_reused", 401;
    BodyMismatch = "body_mismatch", 401;
    PredatesRestart = "predates_restart", 401;
    PermissionDenied = "permission_denied", 403;
    SignatureRequired = "signature_required", 403;
    InvalidHost = "invalid_host", 403;
    NotFound = "not_found", 404;
    ConnectionNotFound = "connection_not_found", 404;
    MethodNotAllowed = "method_not_allowed", 405;
    RequestTimeout = "request_timeout", 408;
    TooManyRecipients = "too_many_recipients", 409;
    VersionConflict = "version_conflict", 409;
    RetagUnsupported = "retag_unsupported", 409;
    AskUnsupported = "ask_unsupported", 409;
    Away = "away", 409;
    Unhandled = "unhandled", 409;
    InProgress = "in_progress", 409;
    NotPossible = "not_possible", 409;
    NoSigningKey = "no_signing_key", 409;
    ConnectionClosed = "connection_closed", 410;
    PayloadTooLarge = "payload_too_large", 413;
    UnsupportedMediaType = "unsupported_media_type", 415;
    InvalidExpression = "invalid_expression", 422;
    ExpressionTooExpensive = "expression_too_expensive", 422;
    InvalidTags = "invalid_tags", 422;
    TooManyTags = "too_many_tags", 422;
    InvalidToken = "invalid_token", 422;
    SchemaViolation = "schema_violation", 422;
    IdReused = "id_reused", 422;
    Refused = "refused", 422;
    RateLimited = "rate_limited", 429;
    InternalError = "internal_error", 500;
    Draining = "draining", 503;
    Busy = "busy", 503;
    BrokerUnavailable = "broker_unavailable", 503;
    AskTimeout = "ask_timeout", 504;
}

/// The error of a refused request.
#[derive(Debug)]
pub(super) struct ApiError(Box<ErrorBody>);

#[derive(Debug)]
struct ErrorBody {
    code: ErrorCode,
    message: String,
    /// Additional members as JSON, each after a comma.
    members: String,
    retry_after: Option<Duration>,
    allow: Option<String>,
}

impl ApiError {
    /// Creates an error with a text for people. A program may show it in a terminal or a log, so control
    /// characters of what it quotes are escaped.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retry_after = (code.status() == 503).then_some(Duration::from_secs(1));
        let message = without_controls(message.into());
        Self(Box::new(ErrorBody {
            code,
            message,
            members: String::new(),
            retry_after,
            allow: None,
        }))
    }

    /// Creates an error about one place of the body, given as a JSON pointer.
    pub(super) fn at(code: ErrorCode, at: &str, message: impl Into<String>) -> Self {
        Self::new(code, message).with_text("at", at)
    }

    /// Creates the error for a number above the limit of a setting.
    pub(super) fn over_limit(what: &str, found: u64, limit: u64, setting: &'static str) -> Self {
        let message = format!("{what} has {found} bytes, the limit is {limit} ({setting})");
        let error = Self::new(ErrorCode::PayloadTooLarge, message);
        error.with_number("limit", limit).with_text("setting", setting)
    }

    /// An expression that the broker does not evaluate.
    pub(super) fn too_expensive(cost: TooExpensive) -> Self {
        let TooExpensive { values, limit } = cost;
        Self::new(ErrorCode::ExpressionTooExpensive, cost.to_string())
            .with_number("values", values)
            .with_number("limit", limit)
            .with_text("setting", "exprScanMax")
    }

    /// The broker has not answered in time. Nothing was done.
    pub(super) fn broker_unavailable() -> Self {
        Self::new(ErrorCode::BrokerUnavailable, "the broker does not answer")
    }

    /// The methods that are right.
    pub(super) fn method_not_allowed(allow: &str) -> Self {
        let mut error =
            Self::new(ErrorCode::MethodNotAllowed, format!("the methods here are {allow}"));
        error.0.allow = Some(allow.to_owned());
        error
    }

    /// Adds a text member.
    pub(super) fn with_text(mut self, name: &str, text: &str) -> Self {
        let _written = write!(self.0.members, ",\"{name}\":");
        json::push_text(text, &mut self.0.members);
        self
    }

    /// Adds a number member.
    pub(super) fn with_number(mut self, name: &str, number: u64) -> Self {
        let _written = write!(self.0.members, ",\"{name}\":{number}");
        self
    }

    /// Adds members that are JSON already.
    pub(super) fn with_members(mut self, members: &str) -> Self {
        let _written = write!(self.0.members, ",{members}");
        self
    }

    /// The error of a limit of a rate, by the name of the limit.
    pub(super) fn rate_limited(name: &str, limit: RateLimit, wait: Duration) -> Self {
        let message = format!("the limit is {limit} ({name})");
        let error = Self::new(ErrorCode::RateLimited, message).with_text("name", name);
        error.with_number("limit", limit.per_second()).retry_within(wait)
    }

    /// Adds the time after which the request may be sent again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.retry_within(Duration::from_secs(seconds))
    }

    /// The same, to the millisecond.
    fn retry_within(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        let millis = wait.as_nanos().div_ceil(1_000_000);
        self.with_number("retry_after_ms", u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Returns the code.
    pub(super) fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the time after which the request may be sent again, in whole seconds, rounded up.
    pub(super) fn retry_after_seconds(&self) -> Option<u64> {
        self.0
            .retry_after
            .map(|after| after.as_nanos().div_ceil(1_000_000_000).max(1))?
            .try_into()
            .ok()
    }

    /// The value of the header `Allow`.
    pub(super) fn allow(&self) -> Option<&str> {
        self.0.allow.as_deref()
    }

    /// Returns the answer as JSON.
    pub(super) fn json(&self, request_id: Option<&str>) -> String {
        format!("{{{}}}", self.members(request_id))
    }

    /// Returns the member `error` of an answer.
    pub(super) fn members(&self, request_id: Option<&str>) -> String {
        let ErrorBody { code, message, members, .. } = &*self.0;
        let mut text = format!("\"error\":{{\"code\":\"{}\",\"message\":", code.text());
        json::push_text(message, &mut text);
        if let Some(id) = request_id {
            text.push_str(",\"request_id\":");
            json::push_text(id, &mut text);
        }
        text.push_str(members);
        text.push('}');
        text
    }
}

/// Returns a part of the input in the form that an error may quote.
pub(super) fn shown(text: &str) -> &str {
    text.get(..text.floor_char_boundary(SHOWN_BYTES_MAX)).unwrap_or_default()
}

fn without_controls(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escaped = |letter: char| match letter.is_control() {
        true => letter.escape_debug().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let error = ApiError::new(ErrorCode::UnknownMember, "`a\r\u{1b}[2Jé` is unknown");
        let shown = r"`a\r\u{1b}[2Jé` is unknown".replace('\\', r"\\");
        assert_eq!(
            error.json(None),
            format!(r#"{{"error":{{"code":"unknown_member","message":"{shown}"}}}}"#)
        );
    }

    /// A30.
    #[test]
    fn an_error_is_json_with_what_a_program_needs() {
        let error = ApiError::over_limit("the message", 11, 10, "maxMessage");
        assert_eq!(
            error.json(Some("a\"b")),
            r#"{"error":{"code":"payload_too_large","message":"the message has 11 bytes, the limit is 10 (maxMessage)","request_id":"a\"b","limit":10,"setting":"maxMessage"}}"#
        );
        assert_eq!((error.status().as_u16(), error.retry_after_seconds()), (413, None));
        let busy = ApiError::new(ErrorCode::Busy, "x");
        assert_eq!((busy.status().as_u16(), busy.retry_after_seconds()), (503, Some(1)));
        for code in ErrorCode::ALL.iter().filter(|code| code.status() == 503) {
            assert_eq!(ApiError::new(*code, "x").retry_after_seconds(), Some(1), "{}", code.text());
        }
    }

    #[test]
    fn little_of_what_was_sent_is_repeated() {
        assert_eq!(shown("short"), "short");
        assert_eq!(shown(&"é".repeat(20)), "é".repeat(12));
    }

    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../docs/api.md");
        for code in ErrorCode::ALL {
            assert!(page.contains(&format!("`{}`", code.text())), "{}", code.text());
        }
    }
}

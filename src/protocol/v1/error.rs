//! Errors that answer a request.

use std::borrow::Cow;

use super::frame::V1RequestId;
use crate::json::push_text;

/// Why a request was not carried out, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V1ErrorCode {
    /// The server does not know the `op`.
    UnknownOp,
    /// A member is missing, or has a wrong type or value.
    InvalidRequest,
    /// `to` does not name exactly one target.
    InvalidTarget,
    /// The expression is not valid.
    InvalidExpression,
    /// The credentials of the connection do not allow it.
    PermissionDenied,
    /// The message does not fit the schema of its application.
    SchemaViolation,
    /// The message is nested too deeply.
    PayloadTooLarge,
    /// There would be too many tags, or an expression costs too much.
    LimitExceeded,
    /// The request was accepted before, and the server cannot say what has become of it.
    Unknown,
    /// The request is so old that the server cannot say whether it was accepted before.
    TooOld,
    /// There is no such client, or it has ended.
    Gone,
    /// The client is away.
    Away,
    /// The client has not answered in time.
    Timeout,
    /// The client refuses to answer.
    Refused,
    /// The client has no handler for such questions.
    Unhandled,
    /// Memory is short, or the backend has too many events.
    Busy,
    /// Not in this version, not on this path, or not for this client.
    Unsupported,
}

impl V1ErrorCode {
    /// Returns the code as frames have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownOp => "unknown_op",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidExpression => "invalid_expression",
            Self::PermissionDenied => "permission_denied",
            Self::SchemaViolation => "schema_violation",
            Self::PayloadTooLarge => "payload_too_large",
            Self::LimitExceeded => "limit_exceeded",
            Self::Unknown => "unknown",
            Self::TooOld => "too_old",
            Self::Gone => "gone",
            Self::Away => "away",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Unhandled => "unhandled",
            Self::Busy => "busy",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Place of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V1Place {
    /// JSON pointer (RFC 6901) into the frame, or into the message for a violation of its schema.
    Pointer(Cow<'static, str>),
    /// Byte offset in an expression.
    Byte(usize),
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Error {
    /// For programs.
    pub code: V1ErrorCode,
    /// For people.
    pub message: Cow<'static, str>,
    /// Where the error is.
    pub at: Option<V1Place>,
    /// The limit that is exceeded.
    pub limit: Option<u64>,
    /// Whether the same request may succeed later.
    pub is_retryable: bool,
    /// Milliseconds after which it may, if that is known.
    pub retry_after_ms: Option<u64>,
}

impl V1Error {
    /// Creates an error without further members.
    #[must_use]
    pub fn new(code: V1ErrorCode, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        let (at, limit, is_retryable, retry_after_ms) = (None, None, false, None);
        Box::new(Self { code, message: message.into(), at, limit, is_retryable, retry_after_ms })
    }

    /// Creates the error of a member, given its JSON pointer.
    #[must_use]
    pub fn invalid(
        pointer: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Box<Self> {
        Self::new(V1ErrorCode::InvalidRequest, message).at(V1Place::Pointer(pointer.into()))
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self: Box<Self>, place: V1Place) -> Box<Self> {
        self.at = Some(place);
        self
    }

    /// Adds the limit.
    #[must_use]
    pub fn over(mut self: Box<Self>, limit: usize) -> Box<Self> {
        self.limit = Some(limit as u64);
        self
    }

    /// Adds the time after which the request may succeed.
    #[must_use]
    pub fn retry_after_ms(mut self: Box<Self>, milliseconds: u64) -> Box<Self> {
        (self.is_retryable, self.retry_after_ms) = (true, Some(milliseconds));
        self
    }

    /// The request may succeed later.
    #[must_use]
    pub fn retryable(mut self: Box<Self>) -> Box<Self> {
        self.is_retryable = true;
        self
    }

    /// Returns the frame that answers a request.
    #[must_use]
    pub fn frame(&self, id: Option<V1RequestId>) -> String {
        let Self { code, message, at, limit, is_retryable, retry_after_ms } = self;
        let mut frame = r#"{"op":"error""#.to_owned();
        if let Some(id) = id {
            frame.push_str(&format!(",\"id\":{}", id.0));
        }
        frame.push_str(&format!(r#","code":"{}","message":"#, code.name()));
        push_text(message, &mut frame);
        frame.push_str(&format!(",\"retry\":{is_retryable}"));
        if let Some(milliseconds) = retry_after_ms {
            frame.push_str(&format!(",\"retry_after_ms\":{milliseconds}"));
        }
        match at {
            None => {}
            Some(V1Place::Byte(offset)) => frame.push_str(&format!(",\"at\":{offset}")),
            Some(V1Place::Pointer(pointer)) => {
                frame.push_str(",\"at\":");
                push_text(pointer, &mut frame);
            }
        }
        if let Some(limit) = limit {
            frame.push_str(&format!(",\"limit\":{limit}"));
        }
        frame.push('}');
        frame
    }
}

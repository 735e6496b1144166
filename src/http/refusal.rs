//! Reason of a refused request, and the HTTP response.

use std::borrow::Cow;
use std::fmt;

use super::response::{ResponseBody, response};

/// Status of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalStatus {
    /// 400: the request violates HTTP or RFC 6455.
    BadRequest,
    /// 400: the WebSocket version is not supported, in the form of Gomoob's server.
    BadVersion,
    /// 401: key, secret or session are wrong or missing.
    Unauthorized,
    /// 403: this origin may not connect.
    Forbidden,
    /// 404: the path does not exist.
    NotFound,
    /// 405: the method is not GET.
    MethodNotAllowed,
    /// 406: the client does not accept what the path sends.
    NotAcceptable,
    /// 408: the head did not arrive in time.
    Timeout,
    /// 426: the WebSocket version is not 13.
    UpgradeRequired,
    /// 429: one address has too many connections.
    TooManyRequests,
    /// 431: the head is too long.
    HeadTooLarge,
    /// 503: the server is full, draining, or without a broker.
    Unavailable,
}

impl RefusalStatus {
    /// Returns code and phrase for the status line.
    #[must_use]
    pub const fn line(self) -> &'static str {
        match self {
            Self::BadRequest | Self::BadVersion => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::NotAcceptable => "406 Not Acceptable",
            Self::Timeout => "408 Request Timeout",
            Self::UpgradeRequired => "426 Upgrade Required",
            Self::TooManyRequests => "429 Too Many Requests",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }

    /// Returns the header lines that tell a client how to correct its request.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "Allow: GET\r\n",
            // RFC 6455 §4.4 requires the version, RFC 9110 §15.5.22 the protocol.
            Self::UpgradeRequired => "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
            Self::BadVersion => "Sec-WebSocket-Version: 13, 8\r\n",
            _ => "",
        }
    }
}

/// Refused request. The response is an error, and the connection is closed after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the response.
    pub status: RefusalStatus,
    /// Error and what would be valid, for the body and the log. It never repeats received bytes.
    pub why: Cow<'static, str>,
    /// What is wrong with a token.
    pub token: Option<Box<TokenRefusal>>,
}

/// Addition to the refusal of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefusal {
    /// Code in the body.
    pub code: &'static str,
    /// Reason of a Close frame, where the refusal is one.
    pub close_reason: &'static str,
    /// Exact reason, for the log alone.
    pub detail: String,
}

impl Refusal {
    /// Response to a plain GET of an unknown path.
    pub const NOT_FOUND: Self = Self::new(RefusalStatus::NotFound, "there is no such page");
    /// Response to a plain GET of a path that is served over WebSocket.
    pub const WEBSOCKET_ONLY: Self =
        Self::new(RefusalStatus::BadRequest, "this path speaks WebSocket: send Upgrade: websocket");
    /// Response to a handshake with an unknown path and unknown subprotocols.
    pub const UNKNOWN_PROTOCOL: Self = Self::new(
        RefusalStatus::BadRequest,
        "there is nothing on this path, and none of the subprotocols is known here",
    );
    /// Response to a head that did not arrive in time.
    pub const TOO_SLOW: Self =
        Self::new(RefusalStatus::Timeout, "the request did not come in time");

    /// Creates a refusal with a constant text.
    #[must_use]
    pub const fn new(status: RefusalStatus, why: &'static str) -> Self {
        Self { status, why: Cow::Borrowed(why), token: None }
    }

    /// Creates a refusal whose text is composed.
    #[must_use]
    pub const fn composed(status: RefusalStatus, why: String) -> Self {
        Self { status, why: Cow::Owned(why), token: None }
    }

    /// Returns the reason for the log.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.token.as_ref().map_or(&self.why, |token| &token.detail)
    }

    pub(super) const fn bad(why: &'static str) -> Self {
        Self::new(RefusalStatus::BadRequest, why)
    }

    /// Returns the complete response. The body of a 401 or 403 is JSON, because programs read it.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let (content_type, body) = match self.status {
            RefusalStatus::Unauthorized | RefusalStatus::Forbidden => {
                let mut body = serde_json::json!({ "error": self.why });
                if let (Some(token), Some(members)) = (&self.token, body.as_object_mut()) {
                    members.insert("code".to_owned(), token.code.into());
                }
                ("application/json", body.to_string())
            }
            _ => ("text/plain; charset=utf-8", format!("{self}\n")),
        };
        let head = format!("{}Content-Type: {content_type}\r\n", self.status.header());
        response(self.status.line(), &head, ResponseBody::Whole(body.as_bytes()))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.line(), self.why)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(refusal: &Refusal) -> String {
        String::from_utf8(refusal.response()).unwrap()
    }

    #[test]
    fn a_refusal_is_a_complete_response() {
        let body = "404 Not Found: there is no such page\n";
        let expected = format!(
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(text(&Refusal::NOT_FOUND), expected);
    }

    #[test]
    fn a_refusal_names_what_is_allowed() {
        let version = text(&Refusal::new(RefusalStatus::UpgradeRequired, "x"));
        assert!(version.contains("\r\nSec-WebSocket-Version: 13\r\n"));
        assert!(
            text(&Refusal::new(RefusalStatus::MethodNotAllowed, "x"))
                .contains("\r\nAllow: GET\r\n")
        );
        let key = text(&Refusal::new(RefusalStatus::Unauthorized, "no \"such\" key"));
        assert!(key.ends_with("\r\n\r\n{\"error\":\"no \\\"such\\\" key\"}"));
    }
}

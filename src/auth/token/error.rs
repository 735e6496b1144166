//! Why a token is refused.

use std::borrow::Cow;
use std::fmt;

/// Reason of the Close frame of a connection whose token has expired.
pub const TOKEN_EXPIRED: &str = "token expired";

/// Reason of the Close frame of a connection whose token was revoked.
pub const REVOKED_TOKEN: &str = "token revoked";

/// Kinds of refusals. Each has a code for logs and for `tagcast token verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is not a token in compact form, or its header is not one that is accepted.
    Malformed,
    /// The algorithm is not that of the key.
    Algorithm,
    /// No key of the application has this id.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is valid for too long.
    TooLong,
    /// It is for another application.
    Audience,
    /// It is from another issuer.
    Issuer,
    /// A claim is missing or wrong.
    Claims,
    /// It names a tenant that the application's tokens may not name.
    Tenant,
    /// It was revoked.
    Revoked,
    /// The application accepts no tokens.
    Disabled,
    /// The client showed two tokens that differ.
    Multiple,
}

impl TokenFault {
    /// Returns the code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::TooLong => "token_too_long",
            Self::Audience => "token_audience",
            Self::Issuer => "token_issuer",
            Self::Claims => "token_claims",
            Self::Tenant => "token_tenant",
            Self::Revoked => "token_revoked",
            Self::Disabled => "tokens_disabled",
            Self::Multiple => "multiple_tokens",
        }
    }

    /// Returns the code that the client gets. A page must know whether a new token helps, and nothing else.
    #[must_use]
    pub const fn public_code(self) -> &'static str {
        match self {
            Self::Expired => "token_expired",
            Self::Revoked => "token_revoked",
            _ => "token_invalid",
        }
    }

    /// Returns the same as the reason of a Close frame.
    #[must_use]
    pub const fn close_reason(self) -> &'static str {
        match self {
            Self::Expired => TOKEN_EXPIRED,
            Self::Revoked => REVOKED_TOKEN,
            _ => "invalid token",
        }
    }
}

/// Refusal of a token. It repeats nothing of the token but names and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError {
    /// The kind.
    pub fault: TokenFault,
    /// What is wrong, and what would be right.
    pub why: Cow<'static, str>,
}

impl TokenError {
    pub(crate) fn new(fault: TokenFault, why: impl Into<Cow<'static, str>>) -> Self {
        Self { fault, why: why.into() }
    }

    pub(super) fn malformed(why: &'static str) -> Self {
        Self::new(TokenFault::Malformed, why)
    }

    pub(crate) fn claim(name: &str, right: &str) -> Self {
        Self::new(TokenFault::Claims, format!("the claim `{name}` must be {right}"))
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault.code(), self.why)
    }
}

impl std::error::Error for TokenError {}

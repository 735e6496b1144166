//! The claim `lim`: lower limits for the connection of a token.

use super::error::TokenError;
use super::known_members::{self, InvalidObject};
use crate::auth::PublisherLimits;
use crate::json::Scalar;
use crate::types::{LimitValue, RateLimit, RateText};

/// Limits of a token. They may lower those of the application, and never raise one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLimits {
    /// Publications of the connection.
    pub publications: Option<RateLimit>,
    /// Bytes of their payloads.
    pub bytes: Option<RateLimit>,
    /// Maximum bytes of a message.
    pub message: Option<usize>,
}

impl TokenLimits {
    /// Returns true if publications of the connection have a limit.
    #[must_use]
    pub fn limits_publications(&self) -> bool {
        self.publications.is_some() || self.bytes.is_some()
    }

    /// Returns the limits of a connection whose application has these for each.
    #[must_use]
    pub fn lowered(&self, limits: PublisherLimits) -> PublisherLimits {
        PublisherLimits {
            publications: lower(limits.publications, self.publications),
            bytes: lower(limits.bytes, self.bytes),
        }
    }

    /// Reads the claim. An unknown member may be a restriction, so it makes the token invalid.
    pub(super) fn read(raw: &str) -> Result<Self, TokenError> {
        const KNOWN: [&str; 3] = ["publications", "bytes", "message"];
        let found = known_members::read(raw, KNOWN).map_err(|invalid| match invalid {
            InvalidObject::NotAnObject => TokenError::claim("lim", "a JSON object"),
            InvalidObject::Twice(name) => {
                TokenError::claim(&format!("lim.{name}"), "there once only")
            }
        })?;
        if found.other.is_some() {
            let right = "an object with `publications`, `bytes` and `message` only";
            return Err(TokenError::claim("lim", right));
        }
        let [publications, bytes, message] = found.values;
        let right = "a rate such as \"5/s\" or \"5/s burst 20\"";
        let publications = rate(publications, count)
            .ok_or_else(|| TokenError::claim("lim.publications", right))?;
        let right = "a rate such as \"64K/s\" or \"64K/s burst 1M\"";
        let bytes = rate(bytes, size).ok_or_else(|| TokenError::claim("lim.bytes", right))?;
        let message = match message.map(|raw| count(raw).and_then(|n| usize::try_from(n).ok())) {
            None => None,
            Some(None) => {
                return Err(TokenError::claim("lim.message", "a number of bytes, at least 1"));
            }
            Some(bytes) => bytes,
        };
        Ok(Self { publications, bytes, message })
    }
}

/// Returns the lower one of two limits, in its rate and in its burst.
fn lower(limit: LimitValue<RateLimit>, own: Option<RateLimit>) -> LimitValue<RateLimit> {
    let Some(own) = own else { return limit };
    let Some(of_all) = limit.limit() else { return LimitValue::At(own) };
    let per_second = own.per_second().min(of_all.per_second());
    LimitValue::At(RateLimit::new(per_second, own.burst().min(of_all.burst())))
}

/// Reads a rate. `None` inside: there is none. `None`: it is not a rate.
#[expect(clippy::option_option, reason = "missing and malformed are two things")]
fn rate(raw: Option<&str>, number: fn(&str) -> Option<u64>) -> Option<Option<RateLimit>> {
    let Some(raw) = raw else { return Some(None) };
    let text = Scalar::of(raw).text()?;
    let RateText { per_second, burst } = RateText::of(&text)?;
    let per_second = number(per_second)?;
    let burst = burst.map_or(Some(per_second), number)?;
    Some(Some(RateLimit::new(per_second, burst)))
}

fn count(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && (1..=1 << 40).contains(number))
}

fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    count(digits)?.checked_mul(1 << shift).filter(|bytes| *bytes <= 1 << 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_strictly() {
        let read = |raw: &str| TokenLimits::read(raw).ok();
        let right = r#"{"publications":"5/s","bytes":"64K/s burst 1M","message":4096}"#;
        let limits = TokenLimits {
            publications: Some(RateLimit::new(5, 5)),
            bytes: Some(RateLimit::new(64 << 10, 1 << 20)),
            message: Some(4096),
        };
        assert_eq!(read(right), Some(limits));
        assert_eq!(read("{}"), Some(TokenLimits::default()));
        for wrong in [
            "[]",
            "1",
            r#"{"message":"4096"}"#,
            r#"{"message":0}"#,
            r#"{"message":-1}"#,
            r#"{"message":1,"message":2}"#,
            r#"{"publications":5}"#,
            r#"{"publications":"5K/s"}"#,
            r#"{"publications":"0/s"}"#,
            r#"{"publications":"5/m"}"#,
            r#"{"bytes":"5T/s"}"#,
            r#"{"bytes":null}"#,
            r#"{"connections":5}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_lowers_a_limit_and_never_raises_one() {
        let at = |per_second, burst| LimitValue::At(RateLimit::new(per_second, burst));
        let own = |rate| TokenLimits { publications: Some(rate), ..TokenLimits::default() };
        let of_application = PublisherLimits { publications: at(10, 20), ..Default::default() };
        let lowered = own(RateLimit::new(5, 50)).lowered(of_application);
        assert_eq!(lowered.publications, at(5, 20));
        let lowered = own(RateLimit::new(50, 5)).lowered(of_application);
        assert_eq!((lowered.publications, lowered.bytes), (at(10, 5), LimitValue::Inherited));
        let alone = own(RateLimit::new(5, 5)).lowered(PublisherLimits::default());
        assert_eq!(alone.publications, at(5, 5));
        assert_eq!(TokenLimits::default().lowered(of_application), of_application);
    }
}

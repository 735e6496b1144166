//! The claims of a token (RFC 7519 §4.1, and those of this server).

use super::capabilities::TokenCapabilities;
use super::error::{TokenError, TokenFault};
use super::known_members::{self, InvalidObject};
use super::token_limits::TokenLimits;
use crate::json::Scalar;
use crate::protocol::tags;
use crate::types::limits::{
    IDENT_BYTES_MAX, TOKEN_ID_BYTES_MAX, TOKEN_SUBJECT_BYTES_MAX, TOKEN_USER_BYTES_MAX,
};
use crate::types::{AsTag, Tag, TagEdit, TagError, TagNames, TagRef, Tags, Topics};

/// Claims whose types were checked. Claims that are not in the table of the documentation are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// `exp`: Unix seconds.
    pub expires: u64,
    /// `nbf`: Unix seconds.
    pub not_before: Option<u64>,
    /// `iat`: Unix seconds.
    pub issued: Option<u64>,
    /// `iss`.
    pub issuer: Option<Box<str>>,
    /// `sub`: the user.
    pub subject: Option<Box<str>>,
    /// `jti`: the id of the token.
    pub id: Option<Box<str>>,
    /// `tags`.
    pub tags: Tags,
    /// `ident`: replaces the header `Ident`.
    pub ident: Option<Box<str>>,
    /// `user`: JSON for HTTP resources.
    pub user: Option<Box<str>>,
    /// `info`: JSON that other clients may see of the user.
    pub info: Option<Box<str>>,
    /// `tenant`: the space of the connection.
    pub tenant: Option<Box<str>>,
    /// `caps`.
    pub capabilities: TokenCapabilities,
    /// `lim`.
    pub limits: TokenLimits,
    /// `uuid`: the only connection that it may be given to.
    pub uuid: Option<Box<str>>,
}

impl TokenClaims {
    /// Returns true if publications reach the client.
    #[must_use]
    pub fn receives(&self) -> bool {
        self.capabilities.receive != Some(false)
    }

    /// Returns the tag that names the user. Only the server gives it.
    ///
    /// # Errors
    ///
    /// If the user is too long for a tag, which no claim is that was read.
    pub fn user_tag(&self) -> Result<Option<Tag>, TagError> {
        self.subject.as_deref().map(|subject| Tag::new("@user", subject)).transpose()
    }

    /// Returns the change of a connection's tags when this token replaces the token `former`.
    ///
    /// # Errors
    ///
    /// If it has too many tags.
    pub fn tags_replacing(&self, former: Option<&Self>) -> Result<TagEdit, TagError> {
        let set = {
            let user = self.user_tag()?;
            Tags::new(self.tags.iter().chain(user.iter().map(AsTag::as_tag)))?
        };
        let former = former.into_iter().flat_map(|former| &former.tags).map(TagRef::name);
        let dropped = former.filter(|name| set.value_of(name).is_none());
        let remove = TagNames::new(dropped.map(Into::into))?;
        Ok(TagEdit::Update { set, remove, leave: Topics::default() })
    }

    /// Checks that the token may open a connection. A connection has no UUID before it is open.
    pub(crate) fn check_opening(&self) -> Result<(), TokenError> {
        match self.uuid {
            Some(_) => Err(TokenError::claim("uuid", "left out when a connection opens")),
            None => Ok(()),
        }
    }

    /// Returns the bytes on the heap.
    #[must_use]
    pub fn held(&self) -> usize {
        let Self { issuer, subject, id, ident, user, info, tenant, uuid, tags, .. } = self;
        let texts = [issuer, subject, id, ident, user, info, tenant, uuid];
        tags.held()
            + self.capabilities.held()
            + texts.into_iter().flatten().map(|text| text.len()).sum::<usize>()
    }

    /// Reads claims.
    pub(super) fn read(json: &str) -> Result<Self, TokenError> {
        const KNOWN: [&str; 14] = [
            "exp", "nbf", "iat", "iss", "sub", "jti", "tags", "ident", "user", "info", "tenant",
            "caps", "lim", "uuid",
        ];
        let found = known_members::read(json, KNOWN).map_err(invalid_claims)?;
        let [exp, nbf, iat, iss, sub, jti, tags, ident, user, info, tenant, caps, lim, uuid] =
            found.values;
        Ok(Self {
            expires: time(exp, "exp")?.ok_or_else(|| TokenError::claim("exp", "there"))?,
            not_before: time(nbf, "nbf")?,
            issued: time(iat, "iat")?,
            issuer: text(iss, "iss", usize::MAX)?,
            subject: text(sub, "sub", TOKEN_SUBJECT_BYTES_MAX)?,
            id: text(jti, "jti", TOKEN_ID_BYTES_MAX)?,
            tags: tags_of(tags)?,
            ident: text(ident, "ident", IDENT_BYTES_MAX)?,
            user: json_value(user, "user")?,
            info: json_value(info, "info")?,
            tenant: text(tenant, "tenant", TOKEN_SUBJECT_BYTES_MAX)?,
            capabilities: caps
                .map_or_else(|| Ok(TokenCapabilities::default()), TokenCapabilities::read)?,
            limits: lim.map_or_else(|| Ok(TokenLimits::default()), TokenLimits::read)?,
            uuid: text(uuid, "uuid", TOKEN_SUBJECT_BYTES_MAX)?,
        })
    }
}

fn invalid_claims(invalid: InvalidObject) -> TokenError {
    match invalid {
        InvalidObject::NotAnObject => TokenError::malformed("its claims are not a JSON object"),
        InvalidObject::Twice(name) => TokenError::claim(name, "there once only"),
    }
}

/// Reads `aud`, which is needed to find the keys: a text or a list of texts (RFC 7519 §4.1.3).
pub(super) fn audiences(json: &str) -> Result<Vec<Box<str>>, TokenError> {
    let [raw] = known_members::read(json, ["aud"]).map_err(invalid_claims)?.values;
    let fault = || {
        let why = "the claim `aud` must be the key of the application, or a list with it";
        TokenError::new(TokenFault::Audience, why)
    };
    let raw = raw.ok_or_else(fault)?;
    match Scalar::of(raw).text() {
        Some(one) => Ok(vec![one.as_ref().into()]),
        None => serde_json::from_str(raw).map_err(|_| fault()),
    }
}

/// Reads a NumericDate (RFC 7519 §2). The fraction is dropped.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was compared"
)]
fn time(raw: Option<&str>, name: &str) -> Result<Option<u64>, TokenError> {
    /// Greatest whole number up to which a float has every whole number.
    const MAX: f64 = 9_007_199_254_740_992.0;
    let Some(raw) = raw else { return Ok(None) };
    let number = match Scalar::of(raw) {
        Scalar::Integer(digits) | Scalar::Number(digits) => digits.parse::<f64>().ok(),
        _ => None,
    };
    let number = number.filter(|number| (0.0..MAX).contains(number));
    let number = number.ok_or_else(|| TokenError::claim(name, "a number of seconds since 1970"))?;
    Ok(Some(number as u64))
}

fn text(raw: Option<&str>, name: &str, bytes_max: usize) -> Result<Option<Box<str>>, TokenError> {
    let Some(raw) = raw else { return Ok(None) };
    let text = Scalar::of(raw).text();
    let is_allowed =
        |text: &str| (1..=bytes_max).contains(&text.len()) && !text.contains(char::is_control);
    let text = text.filter(|text| is_allowed(text)).ok_or_else(|| {
        let right = format!("a text of 1 to {bytes_max} bytes without control characters");
        let right =
            if bytes_max == usize::MAX { "a text without control characters" } else { &right };
        TokenError::claim(name, right)
    })?;
    Ok(Some(text.as_ref().into()))
}

/// Reads tags as those of a handshake. No token can give a tag of the server.
fn tags_of(raw: Option<&str>) -> Result<Tags, TokenError> {
    let Some(raw) = raw else { return Ok(Tags::default()) };
    tags::of_opening(raw).map_err(|why| {
        let why = why.replace("The 'tags' URL parameter", "The claim 'tags'");
        TokenError::new(TokenFault::Claims, why)
    })
}

fn json_value(raw: Option<&str>, name: &str) -> Result<Option<Box<str>>, TokenError> {
    match raw {
        Some(raw) if raw.len() > TOKEN_USER_BYTES_MAX => {
            Err(TokenError::claim(name, "JSON of up to 4096 bytes"))
        }
        raw => Ok(raw.map(Into::into)),
    }
}

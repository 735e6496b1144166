//! The header of a token (RFC 7515 §4).

use std::borrow::Cow;

use super::error::{TokenError, TokenFault};
use super::key::TokenAlgorithm;
use super::known_members::{self, InvalidObject};
use crate::json::Scalar;

/// Values of `typ`. Tokens of another kind, such as `at+jwt`, were signed for another purpose (RFC 8725
/// §3.11).
const TYPES: [&str; 2] = ["JWT", "tagcast+jwt"];

/// A header that can be accepted.
#[derive(Debug)]
pub(crate) struct TokenHeader {
    pub(crate) algorithm: TokenAlgorithm,
    /// Id of the key. `None`: every key of the algorithm may be the one.
    pub(crate) key: Option<Box<str>>,
}

impl TokenHeader {
    /// Reads a header. Members such as `jwk`, `jku` and `x5c` are ignored: a key that comes with a token
    /// proves nothing.
    pub(super) fn read(json: &str) -> Result<Self, TokenError> {
        const KNOWN: [&str; 6] = ["alg", "kid", "typ", "crit", "zip", "enc"];
        let found = known_members::read(json, KNOWN).map_err(|invalid| match invalid {
            InvalidObject::NotAnObject => TokenError::malformed("its header is not a JSON object"),
            InvalidObject::Twice(_) => TokenError::malformed("a member of its header occurs twice"),
        })?;
        let [alg, kid, typ, crit, zip, enc] = found.values;
        // RFC 7515 §4.1.11: an extension that is not understood makes the token invalid.
        if crit.or(zip).or(enc).is_some() {
            let why = "its header has `crit`, `zip` or `enc`, which are not supported";
            return Err(TokenError::malformed(why));
        }
        let is_known = |typ: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ));
        if typ.is_some() && !text(typ)?.is_some_and(|typ| is_known(&typ)) {
            let why = "`typ` in its header is neither `JWT` nor `tagcast+jwt`";
            return Err(TokenError::malformed(why));
        }
        let alg = text(alg)?.ok_or_else(|| TokenError::malformed("its header has no `alg`"))?;
        let algorithm = TokenAlgorithm::named(&alg).ok_or_else(|| {
            let why = "`alg` in its header is none of HS256, EdDSA and ES256";
            TokenError::new(TokenFault::Algorithm, why)
        })?;
        Ok(Self { algorithm, key: text(kid)?.map(|kid| kid.as_ref().into()) })
    }
}

fn text(raw: Option<&str>) -> Result<Option<Cow<'_, str>>, TokenError> {
    let Some(raw) = raw else { return Ok(None) };
    let why = "a member of its header is not a text";
    Scalar::of(raw).text().map(Some).ok_or_else(|| TokenError::malformed(why))
}

//! The compact form of a token: header, claims and signature in base64url, with dots between them (RFC 7515
//! §7.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::audiences;
use super::error::TokenError;
use super::header::TokenHeader;
use crate::types::limits::TOKEN_BYTES_MAX;

/// A token that is not verified yet.
#[derive(Debug)]
pub(crate) struct CompactToken<'a> {
    pub(crate) header: TokenHeader,
    /// The claims as JSON text. Nothing in it is true before the signature was checked.
    pub(crate) claims: String,
    /// The bytes that are signed.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> CompactToken<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// If it is not in compact form, or if its header is not accepted.
    pub(crate) fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::malformed("it has more than 4096 bytes"));
        }
        let parts = "it is not three parts in base64url with a dot between them";
        let parts = || TokenError::malformed(parts);
        let (signed, signature) = token.rsplit_once('.').ok_or_else(parts)?;
        let (header, claims) = signed.split_once('.').ok_or_else(parts)?;
        let (header, claims) = (decoded(header).ok_or_else(parts)?, decoded(claims));
        let header = TokenHeader::read(&header)?;
        let claims = claims.ok_or_else(parts)?;
        Ok(Self { header, claims, signed, signature })
    }

    /// Returns the keys of the applications that the token says it is for.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub(crate) fn audiences(&self) -> Result<Vec<Box<str>>, TokenError> {
        audiences(&self.claims)
    }
}

/// Returns header and claims of a token as JSON text, to show them. Nothing of them is checked.
#[must_use]
pub fn token_parts(token: &str) -> Option<[String; 2]> {
    let mut parts = token.split('.').map(decoded);
    Some([parts.next()??, parts.next()??])
}

/// Decodes a part that must be text. Padding, other characters and bits that have no meaning are refused,
/// so a token has one form only.
fn decoded(part: &str) -> Option<String> {
    URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Encodes a part.
pub(super) fn encoded(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

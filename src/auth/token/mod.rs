//! Connection tokens: JSON Web Tokens (RFC 7519) that a backend signs and a client shows.
//!
//! The algorithm is the key's and never the token's (RFC 8725 §3.1). No key, URL or certificate of a token's
//! header is used. The library computes signatures only: header and claims are read here, strictly, and the
//! time is an argument.

mod capabilities;
mod claims;
mod compact;
mod error;
mod header;
mod key;
mod known_members;
mod signing;
mod tag_source;
#[cfg(test)]
mod tests;
mod token_limits;
#[cfg(test)]
mod vectors;
mod verifier;

pub use self::capabilities::TokenCapabilities;
pub use self::claims::TokenClaims;
pub(crate) use self::compact::CompactToken;
pub use self::compact::token_parts;
pub use self::error::{REVOKED_TOKEN, TOKEN_EXPIRED, TokenError, TokenFault};
pub use self::key::{TokenAlgorithm, TokenKey, TokenKeyMaterial, TokenSettings};
pub use self::signing::{InvalidSigningKey, sign_token};
pub use self::tag_source::TagSource;
pub use self::token_limits::TokenLimits;
pub(crate) use self::verifier::{SignatureBudget, TokenVerifier};

//! Limits of connection tokens.

use std::time::Duration;

/// Maximum bytes of a token. A token travels in a header or in the query, next to the rest of a head of
/// 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Maximum keys of an application. A token without `kid` is checked with each key of its algorithm.
pub const TOKEN_KEYS_MAX: usize = 8;
/// Maximum signatures that are computed for one token. A list of audiences and many keys would make one
/// request expensive.
pub const TOKEN_SIGNATURES_MAX: usize = 16;
/// Minimum bytes of a key of HS256 (RFC 7518 §3.2).
pub const TOKEN_SECRET_BYTES_MIN: usize = 32;
/// How far the clock of a backend may differ, for `exp`, `nbf`, `iat` and `tokenMaxAge`.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(30);
/// How long before its end the client of a token is asked for the next one.
pub const TOKEN_NOTICE: Duration = Duration::from_secs(30);
/// The part of the life of a token that is left then at most, so that a short token is not replaced at once.
pub const TOKEN_NOTICE_PART: u32 = 10;
/// Default of `tokenMaxAge`.
pub const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Maximum of `tokenMaxAge`.
pub const TOKEN_AGE_LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// Maximum bytes of `sub`. It becomes the value of a tag.
pub const TOKEN_SUBJECT_BYTES_MAX: usize = 255;
/// Maximum bytes of `jti`.
pub const TOKEN_ID_BYTES_MAX: usize = 128;
/// Maximum bytes of `user`, and of `info`.
pub const TOKEN_USER_BYTES_MAX: usize = 4096;
/// Maximum names in a list of a capability.
pub const TOKEN_NAMES_MAX: usize = 128;
/// Maximum revocations of tokens. A worker keeps all of them, with less than 500 bytes each.
pub const REVOCATIONS_MAX: usize = 100_000;
/// Maximum revocations in one command to a worker.
pub const REVOCATIONS_SENT_MAX: usize = 1000;
/// Time between two warnings about tokens in queries.
pub const QUERY_TOKEN_LOG_EVERY: Duration = Duration::from_secs(24 * 3600);

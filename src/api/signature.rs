//! Signed requests: an HMAC over method, path, query, time, nonce and the digest of the body.

use hmac::{Hmac, Mac};
use hyper::HeaderMap;
use sha2::{Digest, Sha256};

use super::error::{ApiError, ErrorCode};
use crate::http::request_signature::{CONTENT, NONCE, SIGNATURE, SignedParts, TIMESTAMP};

const TIMESTAMP_DIGITS_MAX: usize = 12;
const NONCE_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
/// The SHA-256 of an empty body.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The valid signature headers of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedHeaders {
    /// Time of the signature in Unix seconds.
    pub(super) timestamp: u64,
    /// The nonce, which makes the request unique.
    pub(super) nonce: String,
    /// The digest of the body in hexadecimal.
    content: String,
    signature: [u8; 32],
}

/// The signed parts of a request besides its headers, unchanged from the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignedTarget<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

impl SignedHeaders {
    /// Reads the headers. Returns `None` if the request is not signed.
    ///
    /// # Errors
    ///
    /// 400 if one of them is repeated, missing or malformed.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let names = [TIMESTAMP, NONCE, CONTENT, SIGNATURE];
        if names.iter().all(|name| !headers.contains_key(*name)) {
            return Ok(None);
        }
        let timestamp = required(headers, TIMESTAMP)?;
        let is_timestamp = (1..=TIMESTAMP_DIGITS_MAX).contains(&timestamp.len())
            && timestamp.bytes().all(|byte| byte.is_ascii_digit())
            && (timestamp == "0" || !timestamp.starts_with('0'));
        let timestamp = timestamp.parse().ok().filter(|_| is_timestamp);
        let nonce = required(headers, NONCE)?;
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let is_nonce = NONCE_BYTES.contains(&nonce.len()) && nonce.bytes().all(is_known);
        let content = only(headers, CONTENT)?.unwrap_or(NOTHING);
        let signature = required(headers, SIGNATURE)?.strip_prefix("v1=").and_then(digest);
        Ok(Some(Self {
            timestamp: timestamp.ok_or_else(|| malformed(TIMESTAMP))?,
            nonce: Some(nonce.to_owned()).filter(|_| is_nonce).ok_or_else(|| malformed(NONCE))?,
            content: digest(content)
                .map(|_| content.to_owned())
                .ok_or_else(|| malformed(CONTENT))?,
            signature: signature.ok_or_else(|| malformed(SIGNATURE))?,
        }))
    }

    /// Whether the signature of this text was made with this key, in constant time.
    pub(super) fn is_by(&self, key: &Hmac<Sha256>, text: &str) -> bool {
        let mut mac = key.clone();
        mac.update(text.as_bytes());
        mac.verify_slice(&self.signature).is_ok()
    }

    /// Returns the seven signed lines.
    pub(super) fn text(&self, SignedTarget { method, path, query }: SignedTarget<'_>) -> String {
        let Self { timestamp, nonce, content, .. } = self;
        SignedParts { method, path, query, timestamp: *timestamp, nonce, content }.text()
    }

    /// Returns true if a body has the signed digest.
    pub(super) fn is_of(&self, body: &[u8]) -> bool {
        let found: [u8; 32] = Sha256::digest(body).into();
        digest(&self.content) == Some(found)
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| malformed(name)),
        (Some(_), Some(_)) => Err(malformed(name)),
    }
}

fn required<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, ApiError> {
    only(headers, name)?.ok_or_else(|| malformed(name))
}

fn malformed(name: &'static str) -> ApiError {
    let message =
        format!("the header {name} of a signed request is missing, repeated or malformed");
    ApiError::new(ErrorCode::InvalidHeader, message)
}

/// Checks for 64 lower-case hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes = pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?));
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::KeyInit;
    use hyper::header::HeaderValue;

    const SECRET: &[u8] = b"k3y-for-tests-only-0123456789abcdef";
    const FRENCH: &str = r#"{"to":{"tags":{"language":"FR"}},"message":"Bonjour"}"#;

    type Vector = ([&'static str; 3], &'static str, [&'static str; 4]);

    /// Method, path, query; body; timestamp, nonce, digest, signature.
    const VECTORS: [Vector; 3] = [
        (
            ["POST", "/v1/apps/shop/publish", ""],
            FRENCH,
            [
                "1764345600",
                "5f0c3b1e9a7d4c62",
                "a8022e941211dc6ceeae33f0f6b0859b6658022b395e6001e523aaa724cb9612",
                "997f20cd48482e309f754287f12cc0d5f7dfcc1159c67ba678e0a07a438b3a37",
            ],
        ),
        (
            [
                "GET",
                "/v1/apps/shop/connections",
                "expr=role%3Dadmin%20%26%20!(region%3Deu)&limit=2",
            ],
            "",
            [
                "1764345601",
                "n-0000000000000002",
                NOTHING,
                "cdcc71305d629a07f51f77842b19bfb35d8fd8b6147a9a681d36f44c5b097aec",
            ],
        ),
        (
            [
                "PATCH",
                "/v1/apps/b%C3%BCro/connections/a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11.f7f866aa58c8463afad232391f473ca28a6405fe84d292b87a6527e882bfbf97/tags",
                "",
            ],
            r#"{"set":{"ville":"Besançon"},"if_version":7}"#,
            [
                "1764345602",
                "AAAAAAAAAAAAAAAAAAAAAA",
                "d2c5d1ca445349b24ee06e84500ce8e9128e04420659ff02366eb55a9f3140f9",
                "a61db0c9b90adbf5c4398ef1792b07befb71830e7e59323360ac74a0626adee9",
            ],
        ),
    ];

    fn headers([timestamp, nonce, content, signature]: [&str; 4]) -> HeaderMap {
        let mut map = HeaderMap::new();
        let signature = format!("v1={signature}");
        for (name, value) in
            [(TIMESTAMP, timestamp), (NONCE, nonce), (CONTENT, content), (SIGNATURE, &signature)]
        {
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn key(secret: &[u8]) -> Hmac<Sha256> {
        Hmac::new_from_slice(secret).unwrap()
    }

    /// A34, A35.
    #[test]
    fn the_vectors_are_signed_by_their_secret_and_by_no_other() {
        for ([method, path, query], body, values) in VECTORS {
            let signed = SignedHeaders::read(&headers(values)).unwrap().unwrap();
            let target = SignedTarget { method, path, query };
            assert!(
                signed.is_by(&key(SECRET), &signed.text(target)) && signed.is_of(body.as_bytes()),
                "{path}"
            );
            assert!(
                !signed.is_by(&key(b"ci--for-tests-only-0123456789abcdef"), &signed.text(target))
            );
            for other in [
                SignedTarget { method: "PUT", ..target },
                SignedTarget { path: "/v1/apps/b%C3%BCro/publish", ..target },
                SignedTarget { query: "a", ..target },
            ] {
                assert!(!signed.is_by(&key(SECRET), &signed.text(other)));
            }
            assert!(!signed.is_of(b"x"));
        }
    }

    /// A35.
    #[test]
    fn every_changed_header_breaks_the_signature() {
        let ([method, path, query], _, values) = VECTORS[0];
        for at in 0..4 {
            let mut changed = values.map(str::to_owned);
            let last = changed[at].pop().unwrap();
            changed[at].push(if last == '1' { '2' } else { '1' });
            let changed = [&*changed[0], &*changed[1], &*changed[2], &*changed[3]];
            let signed = SignedHeaders::read(&headers(changed)).unwrap().unwrap();
            assert!(
                !signed.is_by(&key(SECRET), &signed.text(SignedTarget { method, path, query })),
                "{at}"
            );
        }
    }

    /// A44.
    #[test]
    fn malformed_headers_are_refused_and_missing_ones_mean_unsigned() {
        assert_eq!(SignedHeaders::read(&HeaderMap::new()).unwrap(), None);
        let (_, _, values) = VECTORS[0];
        for (at, wrong) in [
            (0, "01764345600"),
            (0, "+1"),
            (0, "1.5"),
            (0, "1e9"),
            (0, "-1"),
            (0, "99999999999999999999"),
            (0, ""),
            (1, "1234567"),
            (1, "12345678 "),
            (1, "12345 78"),
            (2, "x"),
            (3, "997F20CD48482e309f754287f12cc0d5f7dfcc1159c67ba678e0a07a438b3a37"),
            (3, "997f20cd48482e309f754287f12cc0d5f7dfcc1159c67ba678e0a07a438b3a3"),
        ] {
            let mut changed = values;
            changed[at] = wrong;
            assert!(SignedHeaders::read(&headers(changed)).is_err(), "{wrong}");
        }
        let mut twice = headers(values);
        twice.append(NONCE, HeaderValue::from_static("5f0c3b1e9a7d4c62"));
        assert!(SignedHeaders::read(&twice).is_err());
        let mut bare = headers(values);
        bare.insert(SIGNATURE, HeaderValue::from_static(VECTORS[0].2[3]));
        assert!(SignedHeaders::read(&bare).is_err());
        let mut without = headers(values);
        without.remove(SIGNATURE);
        assert!(SignedHeaders::read(&without).is_err());
    }
}

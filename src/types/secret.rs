//! A secret text that is never displayed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// A secret that no log, error or debug output displays and that is wiped from memory on drop. For
/// processes that only compare it, it can be replaced by its digest.
///
/// It is serializable only because the supervisor sends it to its children as part of the
/// configuration, over a private socket. The encoding is hexadecimal, so that no JSON parser needs
/// to copy the text to unescape it.
#[derive(Clone)]
pub struct Secret(SecretForm);

#[derive(Clone)]
enum SecretForm {
    Text(SecretString),
    /// SHA-256 of the text, and the length of the text in bytes.
    Digest([u8; DIGEST_BYTES], usize),
}

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretForm::Text(text.into()))
    }

    /// Returns the text, for comparing it or passing it on. Empty if only the digest is known.
    #[must_use]
    pub fn expose(&self) -> &str {
        match &self.0 {
            SecretForm::Text(text) => text.expose_secret(),
            SecretForm::Digest(..) => "",
        }
    }

    /// Returns the length of the text in bytes, also if only the digest is known.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.0 {
            SecretForm::Text(text) => text.expose_secret().len(),
            SecretForm::Digest(_, bytes) => *bytes,
        }
    }

    /// Returns true if the text itself is known.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.0, SecretForm::Text(_))
    }

    /// Returns the SHA-256 of the text.
    #[must_use]
    pub fn digest(&self) -> [u8; DIGEST_BYTES] {
        match &self.0 {
            SecretForm::Text(text) => Sha256::digest(text.expose_secret().as_bytes()).into(),
            SecretForm::Digest(digest, _) => *digest,
        }
    }

    /// Returns the secret reduced to its digest.
    #[must_use]
    pub fn to_digest(&self) -> Self {
        Self(SecretForm::Digest(self.digest(), self.bytes()))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (SecretForm::Text(one), SecretForm::Text(other)) => {
                one.expose_secret() == other.expose_secret()
            }
            _ => self.digest() == other.digest(),
        }
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Prefix of a serialized text, before its hexadecimal digits.
const TEXT: char = 't';
/// Prefix of a serialized digest. The length of the text in bytes follows the digits.
const DIGEST: char = 'd';

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (kind, bytes) = match &self.0 {
            SecretForm::Text(text) => (TEXT, text.expose_secret().as_bytes()),
            SecretForm::Digest(digest, _) => (DIGEST, digest.as_slice()),
        };
        let mut written = Zeroizing::new(String::with_capacity(1 + 2 * bytes.len()));
        written.push(kind);
        push_hexadecimal(&mut written, bytes);
        if let SecretForm::Digest(_, bytes) = &self.0 {
            written.push_str(&format!(",{bytes}"));
        }
        to.serialize_str(&written)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(SecretVisitor)
    }
}

/// Deserializes a secret from a borrowed string.
struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret in hexadecimal")
    }

    fn visit_str<E: de::Error>(self, written: &str) -> Result<Secret, E> {
        let wrong = || E::custom("a secret that is not in hexadecimal");
        if let Some(digits) = written.strip_prefix(DIGEST) {
            let (digits, bytes) = digits.split_once(',').ok_or_else(wrong)?;
            let digest = from_hexadecimal(digits).ok_or_else(wrong)?;
            let digest = digest.as_slice().try_into().map_err(|_| wrong())?;
            let bytes = bytes.parse().map_err(|_| wrong())?;
            return Ok(Secret(SecretForm::Digest(digest, bytes)));
        }
        let digits = written.strip_prefix(TEXT).ok_or_else(wrong)?;
        let bytes = from_hexadecimal(digits).ok_or_else(wrong)?;
        // The exact length avoids another copy when the string is wrapped.
        str::from_utf8(&bytes).map(|text| Secret::new(text.to_owned())).map_err(|_| wrong())
    }
}

/// Appends bytes in lower case hexadecimal.
pub fn push_hexadecimal(to: &mut String, bytes: &[u8]) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    for byte in bytes {
        to.push(digit(byte >> 4));
        to.push(digit(byte & 0x0f));
    }
}

/// Decodes a hexadecimal text.
#[must_use]
pub fn from_hexadecimal(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks_exact(2) {
        let value = |digit: &u8| char::from(*digit).to_digit(16);
        let byte = pair.iter().try_fold(0, |sum, digit| Some(sum * 16 + value(digit)?))?;
        bytes.push(u8::try_from(byte).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_travels_whole_or_as_its_digest_and_never_as_it_is() {
        for text in ["", "hunter2", "quotes \" and\nlines", "\u{e9}\u{1f600}"] {
            let secret = Secret::new(text.to_owned());
            let json = serde_json::to_string(&secret).unwrap();
            assert!(text.is_empty() || !json.contains(text));
            let read: Secret = serde_json::from_str(&json).unwrap();
            assert_eq!((read.expose(), read.is_text()), (text, true));
            let json = serde_json::to_string(&secret.to_digest()).unwrap();
            let read: Secret = serde_json::from_str(&json).unwrap();
            assert_eq!((read.expose(), read.is_text()), ("", false));
            assert_eq!((read.digest(), &read), (secret.digest(), &secret));
            assert_eq!(read.bytes(), text.len());
        }
        for wrong in ["\"\"", "\"t0\"", "\"tgg\"", "\"d00\"", "\"x00\"", "7", "\"tff\""] {
            assert!(serde_json::from_str::<Secret>(wrong).is_err(), "{wrong}");
        }
    }
}

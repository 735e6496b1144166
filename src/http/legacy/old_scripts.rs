//! Handshake deviations of one-shot scripts for the old servers: an arbitrary key, and a
//! `Content-Length` before the first frame.

use crate::http::{Refusal, RequestHead, Upgrade, WireFormat};

pub(in crate::http) const UNUSABLE_KEY: Refusal =
    Refusal::bad("Sec-WebSocket-Key is not 1 to 128 visible characters without blanks");
const BAD_KEY: Refusal = Refusal::bad("Sec-WebSocket-Key is not 16 bytes in base64");
const CHUNKED: Refusal = Refusal::bad("a WebSocket handshake must not have Transfer-Encoding");
const BAD_LENGTH: Refusal = Refusal::bad("Content-Length must be one number and occur only once");
const BODY: Refusal =
    Refusal::bad("a WebSocket handshake must not have a body: remove Content-Length");

/// Longest key that is accepted. Keys by RFC 6455 have 24 characters.
const KEY_BYTES_MAX: usize = 128;
/// Most digits in a length.
const LENGTH_DIGITS_MAX: usize = 19;

/// Returns true if an accept value can be derived from the key. The old servers check nothing else.
pub(in crate::http) fn is_any_key(key: &[u8]) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

/// Returns true for 16 bytes in base64: 22 characters and two padding characters.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

/// Refuses ambiguous body lengths on all paths (RFC 9112 §6.3). Request smuggling exploits two
/// parsers that disagree about the end of a request.
pub(in crate::http) fn check_length(head: &RequestHead<'_>) -> Result<(), Refusal> {
    if head.header("Transfer-Encoding").is_some() {
        return Err(CHUNKED);
    }
    let mut lengths = head.headers("Content-Length");
    let is_number = |it: &[u8]| {
        (1..=LENGTH_DIGITS_MAX).contains(&it.len()) && it.iter().all(u8::is_ascii_digit)
    };
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if is_number(length) => Ok(()),
        _ => Err(BAD_LENGTH),
    }
}

impl Upgrade<'_> {
    /// Checks the key by RFC 6455 §4.1. Do not call this for paths of the old servers, which accept
    /// any key.
    ///
    /// # Errors
    ///
    /// 400 if the key is invalid.
    pub fn check_key(&self) -> Result<(), Refusal> {
        let key = self.head.header("Sec-WebSocket-Key").unwrap_or_default();
        if self.wire != WireFormat::Rfc6455 || is_key(key) { Ok(()) } else { Err(BAD_KEY) }
    }

    /// Checks that the request has no body. Do not call this for paths of the old servers, which
    /// ignore the length and read the bytes after the head as frames.
    ///
    /// # Errors
    ///
    /// 400 if the request announces a body.
    pub fn check_body(&self) -> Result<(), Refusal> {
        let length = self.head.header("Content-Length").unwrap_or_default();
        if length.iter().all(|digit| *digit == b'0') { Ok(()) } else { Err(BODY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{RequestKind, decide, parse};

    fn outcome(key: &str, lines: &str) -> [Result<(), Refusal>; 2] {
        let head = format!(
            "GET /web HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
        );
        let head = parse(head.as_bytes()).unwrap();
        match decide(&head) {
            Ok(RequestKind::Upgrade(upgrade)) => [upgrade.check_key(), upgrade.check_body()],
            other => [Err(other.unwrap_err()), Ok(())],
        }
    }

    #[test]
    fn keys_of_old_scripts_are_usable_and_not_right() {
        assert_eq!(outcome("dGhlIHNhbXBsZSBub25jZQ==", ""), [Ok(()), Ok(())]);
        for wrong in ["dGhlIHNhbXBsZSBub25jZQAA", "dGhlIHNhbXBsZSBub25jZ-==", "=="] {
            assert_eq!(outcome(wrong, "")[0], Err(BAD_KEY), "{wrong}");
        }
        for odd in ["abcdefghijklmnopqrstuvwxy", "x", "!\"~", &"k".repeat(128)] {
            assert_eq!(outcome(odd, ""), [Err(BAD_KEY), Ok(())], "{odd}");
        }
        for bad in ["", "a b", "a\tb", "\u{e9}", &"k".repeat(129)] {
            assert_eq!(outcome(bad, "")[0], Err(UNUSABLE_KEY), "{bad}");
        }
    }

    #[test]
    fn a_length_is_one_number_or_none() {
        let of = |lines: &str| outcome("dGhlIHNhbXBsZSBub25jZQ==", lines);
        assert_eq!(of("Content-Length: 0\r\n"), [Ok(()), Ok(())]);
        assert_eq!(of("Content-Length: 5\r\n"), [Ok(()), Err(BODY)]);
        for twofold in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 0\r\ncontent-length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
        ] {
            assert_eq!(of(twofold)[0], Err(BAD_LENGTH), "{twofold}");
        }
        for coded in ["chunked", "identity", "Chunked, gzip", ""] {
            assert_eq!(of(&format!("Transfer-Encoding: {coded}\r\n"))[0], Err(CHUNKED), "{coded}");
        }
    }
}

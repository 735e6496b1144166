//! Handshakes of drafts 75 and 76 (hixie), which browsers of 2010 send. They have no
//! `Sec-WebSocket-Version`. In draft 76 the response proves knowledge of two headers and of eight
//! bytes after the head.

use md5::{Digest, Md5};

use crate::types::{Encryption, HixieForm};

use crate::http::handshake;
use crate::http::handshake::Upgrade;
use crate::http::{Refusal, RequestHead};

/// Length of the key after the head of draft 76, in bytes.
pub const KEY3_BYTES: usize = 8;

const BAD_KEYS: Refusal = Refusal::bad(
    "Sec-WebSocket-Key1 and -Key2 each hold a number that is a multiple of its blanks",
);
const NO_CONNECTION: Refusal = Refusal::bad("the header Connection: Upgrade is missing");

/// Draft-specific parts of a handshake response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hixie {
    draft: HixieDraft,
    answer: HixieForm,
    /// URL of the client's request, repeated in the response.
    location: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HixieDraft {
    Draft75,
    /// Draft 76, with the answer to its challenge.
    Draft76([u8; 16]),
}

/// Returns the keys if the head belongs to one of the two drafts. The missing version header tells
/// the drafts from RFC 6455.
fn which<'a>(head: &RequestHead<'a>) -> Option<Keys<'a>> {
    let upgrade = head.header("Upgrade")?;
    if head.header("Sec-WebSocket-Version").is_some() {
        return None;
    }
    match (head.header("Sec-WebSocket-Key1"), head.header("Sec-WebSocket-Key2")) {
        (Some(one), Some(two)) if upgrade.eq_ignore_ascii_case(b"websocket") => {
            Some(Some((one, two)))
        }
        (None, None) if upgrade == b"WebSocket" && head.header("Sec-WebSocket-Key").is_none() => {
            Some(None)
        }
        _ => None,
    }
}

/// The two keys of draft 76. Draft 75 has none.
type Keys<'a> = Option<(&'a [u8], &'a [u8])>;

/// Returns the number of bytes after the head that belong to the handshake. The response needs
/// them.
#[must_use]
pub fn bytes_behind(head: &RequestHead<'_>) -> usize {
    if which(head).flatten().is_some() { KEY3_BYTES } else { 0 }
}

/// Parses the handshake of a client of one of the two drafts. `behind` are the bytes after the
/// head. Returns `None` for other clients.
///
/// # Errors
///
/// 400 or 405, and what would be valid.
pub fn hixie<'a>(
    head: &'a RequestHead<'a>,
    behind: &[u8],
    encryption: Encryption,
    answer: HixieForm,
) -> Result<Option<Upgrade<'a>>, Refusal> {
    let Some(keys) = which(head) else { return Ok(None) };
    if !head.tokens("Connection").any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
        return Err(NO_CONNECTION);
    }
    let draft = match keys {
        None => HixieDraft::Draft75,
        Some((one, two)) => {
            let key3 = behind.get(..KEY3_BYTES).unwrap_or(behind);
            HixieDraft::Draft76(challenge(number(one)?, number(two)?, key3))
        }
    };
    let host = String::from_utf8_lossy(handshake::host(head)?.unwrap_or_default());
    let scheme = match encryption {
        Encryption::Plain => "ws",
        Encryption::Tls => "wss",
    };
    let location = format!("{scheme}://{host}{}", head.target());
    handshake::older(head, Hixie { draft, answer, location }).map(Some)
}

/// Decodes a key by draft 76 §5.2: its digits as one number, divided by its number of spaces. A
/// conforming client produces an integer of at most 32 bits.
fn number(key: &[u8]) -> Result<u32, Refusal> {
    let blanks = key.iter().filter(|byte| **byte == b' ').count() as u64;
    let mut digits = key.iter().filter(|byte| byte.is_ascii_digit());
    let number = digits
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or(BAD_KEYS)?;
    let whole = number.checked_rem(blanks).is_some_and(|rest| rest == 0);
    let quotient = number.checked_div(blanks).filter(|_| whole).ok_or(BAD_KEYS)?;
    u32::try_from(quotient).map_err(|_| BAD_KEYS)
}

fn challenge(one: u32, two: u32, key3: &[u8]) -> [u8; 16] {
    let mut md5 = Md5::new();
    md5.update(one.to_be_bytes());
    md5.update(two.to_be_bytes());
    md5.update(key3);
    md5.finalize().into()
}

impl Hixie {
    /// Returns the name of the header with the offered subprotocols.
    pub(in crate::http) const fn protocol_header(&self) -> &'static str {
        match self.draft {
            HixieDraft::Draft75 => "WebSocket-Protocol",
            HixieDraft::Draft76(_) => "Sec-WebSocket-Protocol",
        }
    }

    /// Returns the 101 response for a page of this origin.
    pub(in crate::http) fn switching_protocols(
        &self,
        origin: Option<&str>,
        protocol: Option<&str>,
    ) -> Vec<u8> {
        let location = &self.location;
        let line = |name, value: Option<&str>| match value {
            Some(value) => format!("{name}: {value}\r\n"),
            None => String::new(),
        };
        let upgrade = "Upgrade: WebSocket\r\nConnection: Upgrade\r\n";
        match (self.draft, self.answer) {
            (HixieDraft::Draft75, HixieForm::Draft) => format!(
                "HTTP/1.1 101 Web Socket Protocol Handshake\r\n{upgrade}{}\
                 WebSocket-Location: {location}\r\n{}\r\n",
                line("WebSocket-Origin", origin),
                line("WebSocket-Protocol", protocol),
            )
            .into_bytes(),
            (draft, _) => {
                let (nameless, digest) = match &draft {
                    HixieDraft::Draft75 => (Some("_ECHO_"), &b"\r\n"[..]),
                    HixieDraft::Draft76(digest) => (None, &digest[..]),
                };
                let head = format!(
                    "HTTP/1.1 101 WebSocket Protocol Handshake\r\n{upgrade}{}{}\
                     Sec-WebSocket-Location: {location}\r\n\r\n",
                    line("Sec-WebSocket-Protocol", protocol.or(nameless)),
                    line("Sec-WebSocket-Origin", origin),
                );
                [head.as_bytes(), digest].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Malformed request head of phpWebSocketServer's PHP clients of May to July 2021. Their source
//! file had other line endings than the authors assumed. Each line therefore follows an empty line
//! and eight spaces, and no empty line ends the head.

use crate::http::{Refusal, RefusalStatus};
use crate::types::limits::{HEAD_LINES_MAX, OLD_HEAD_BYTES_MAX};

/// First bytes of the head; the path is always this one. A head that ends here has no headers, so
/// no other client sends it.
const BEGIN: &[u8] = b"GET /php HTTP/1.1\r\n\r\n";
/// Bytes that follow [`BEGIN`].
const SECOND: &[u8] = b"        Host:";
/// Name of the last header.
const LAST: &str = "sec-websocket-version:";

const TOO_LONG: Refusal = Refusal::new(RefusalStatus::HeadTooLarge, "the head may have 8192 bytes");

/// Result of parsing a possibly malformed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairedHead {
    /// The bytes are another kind of head.
    Other,
    /// The bytes are the beginning of such a head. More bytes are needed.
    Incomplete,
    /// The bytes contain a complete malformed head.
    Whole {
        /// Corrected head.
        head: Vec<u8>,
        /// Length of the malformed head in bytes.
        length: usize,
    },
}

/// Checks the first bytes of a connection for the malformed head.
///
/// Request smuggling exploits two parsers that disagree about the end of a head. Call this only for
/// requests that may come from such a script.
///
/// # Errors
///
/// 431 if the head is too long.
pub fn repair(bytes: &[u8]) -> Result<RepairedHead, Refusal> {
    let Some(rest) = bytes.strip_prefix(BEGIN) else { return Ok(RepairedHead::Other) };
    if !rest.starts_with(SECOND) {
        let may_be = SECOND.starts_with(rest);
        return Ok(if may_be { RepairedHead::Incomplete } else { RepairedHead::Other });
    }
    let mut head = b"GET /php HTTP/1.1\r\n".to_vec();
    let mut length = BEGIN.len();
    for (number, line) in rest.split_inclusive(|byte| *byte == b'\n').enumerate() {
        length += line.len();
        if length > OLD_HEAD_BYTES_MAX || number > 2 * HEAD_LINES_MAX {
            return Err(TOO_LONG);
        }
        if !line.ends_with(b"\n") {
            break;
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
        let name = line.get(..LAST.len()).unwrap_or_default();
        if name.eq_ignore_ascii_case(LAST.as_bytes()) {
            head.extend_from_slice(b"\r\n");
            return Ok(RepairedHead::Whole { head, length });
        }
    }
    if length < OLD_HEAD_BYTES_MAX { Ok(RepairedHead::Incomplete) } else { Err(TOO_LONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "GET /php HTTP/1.1\r\n\r\n        Host: h\r\n\r\n        Upgrade: websocket\
        \r\n\r\n        Connection: Upgrade\r\n\r\n        Sec-WebSocket-Key: k\r\n\r\n        \
        Origin: \r\n     \r\n        Sec-WebSocket-Version: 13\r\n";

    #[test]
    fn a_malformed_head_is_repaired_once_its_last_line_is_there() {
        let meant = "GET /php HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: k\r\nOrigin:\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let whole = RepairedHead::Whole { head: meant.into(), length: SENT.len() };
        assert_eq!(repair(SENT.as_bytes()), Ok(whole.clone()));
        assert_eq!(repair(format!("{SENT}\u{81}").as_bytes()), Ok(whole));
        for end in BEGIN.len()..SENT.len() {
            assert_eq!(repair(&SENT.as_bytes()[..end]), Ok(RepairedHead::Incomplete), "{end}");
        }
    }

    #[test]
    fn other_heads_are_unchanged_and_endless_ones_refused() {
        for other in [
            "GET /php HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /web HTTP/1.1\r\n\r\n        Host: h\r\n",
            "GET /php HTTP/1.1\r\n\r\nGET /php HTTP/1.1\r\n",
            "GET /php HTTP/1.1\r\n\r\n        Hose: h\r\n",
        ] {
            assert_eq!(repair(other.as_bytes()), Ok(RepairedHead::Other), "{other:?}");
        }
        let begun = &SENT[..40];
        assert_eq!(repair(format!("{begun}{}", "x".repeat(9000)).as_bytes()), Err(TOO_LONG));
        assert_eq!(repair(format!("{begun}{}", "\r\n".repeat(200)).as_bytes()), Err(TOO_LONG));
    }
}

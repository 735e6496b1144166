//! Greeting of phpWebSocketServer's raw TCP clients (2019 to 2021). It is not HTTP.

use crate::http::{Refusal, RefusalStatus};
use crate::types::limits::OLD_HEAD_BYTES_MAX;

/// First bytes of all raw clients.
pub const RAW_GREETING: &[u8] = b"php process\n";

const BAD_LINE: Refusal = Refusal::bad("the line after `php process` must be: GET /path HTTP/1.1");
const TOO_LONG: Refusal =
    Refusal::new(RefusalStatus::HeadTooLarge, "the greeting may have 8192 bytes");

/// Result of parsing the first bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawGreeting {
    /// The client is not a raw client.
    Other,
    /// The client may be a raw client. More bytes are needed.
    Incomplete,
    /// The client is a raw client.
    Whole {
        /// Equivalent request head.
        head: Vec<u8>,
        /// Length of the greeting in bytes.
        length: usize,
    },
}

/// Checks the first bytes of a connection for the greeting.
///
/// The oldest clients send no path and mean `/`. A second line ending after the greeting is not
/// consumed, because blanks between messages are ignored.
///
/// # Errors
///
/// 400 if the line with the path is invalid, 431 if it is too long.
pub fn raw_greeting(bytes: &[u8]) -> Result<RawGreeting, Refusal> {
    let Some(rest) = bytes.strip_prefix(RAW_GREETING) else {
        let may_be = RAW_GREETING.starts_with(bytes);
        return Ok(if may_be { RawGreeting::Incomplete } else { RawGreeting::Other });
    };
    let begun = rest.get(..GET.len()).unwrap_or(rest);
    if rest.is_empty() || (begun.len() < GET.len() && GET.starts_with(begun)) {
        return Ok(RawGreeting::Incomplete);
    }
    if begun != GET {
        return Ok(whole("/", RAW_GREETING.len()));
    }
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < OLD_HEAD_BYTES_MAX {
            Ok(RawGreeting::Incomplete)
        } else {
            Err(TOO_LONG)
        };
    };
    let line = rest.get(GET.len()..end).and_then(|line| std::str::from_utf8(line).ok());
    let target = line.and_then(|line| Some(line.trim_end().rsplit_once(" HTTP/")?.0));
    let is_plain = |target: &&str| !target.bytes().any(|byte| byte.is_ascii_control());
    let target = target.filter(is_plain).ok_or(BAD_LINE)?;
    Ok(whole(target, RAW_GREETING.len() + end + 1))
}

const GET: &[u8] = b"GET ";

fn whole(target: &str, length: usize) -> RawGreeting {
    let head = format!("GET {target} HTTP/1.1\r\nClient-Type: php\r\n\r\n").into_bytes();
    RawGreeting::Whole { head, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_greetings_are_known_however_they_are_cut() {
        for (greeting, path, length) in [
            ("php process\nGET /php HTTP/1.1\n", "/php", 30),
            ("php process\nGET /php HTTP/1.1\n\n", "/php", 30),
            ("php process\n\n", "/", 12),
            ("php process\n{", "/", 12),
            ("php process\nGET /a b?c={\"d\"} HTTP/1.0\r\n", "/a b?c={\"d\"}", 39),
        ] {
            let head = format!("GET {path} HTTP/1.1\r\nClient-Type: php\r\n\r\n").into_bytes();
            let whole = RawGreeting::Whole { head, length };
            assert_eq!(raw_greeting(greeting.as_bytes()), Ok(whole));
            for end in 0..length {
                let begun = raw_greeting(&greeting.as_bytes()[..end]);
                assert_eq!(begun, Ok(RawGreeting::Incomplete), "{end} bytes of {greeting:?}");
            }
        }
    }

    #[test]
    fn other_protocols_and_endless_lines_are_distinguished() {
        for other in ["GET / HTTP/1.1\r\n", "php processes\n", "PHP process\n", "\n"] {
            assert_eq!(raw_greeting(other.as_bytes()), Ok(RawGreeting::Other), "{other:?}");
        }
        let long = format!("php process\nGET /{}", "x".repeat(OLD_HEAD_BYTES_MAX));
        assert_eq!(raw_greeting(long.as_bytes()), Err(TOO_LONG));
        for bad in ["GET /php\n", "GET /\0 HTTP/1.1\n", "GET \u{1} HTTP/1.1\n"] {
            assert_eq!(raw_greeting(format!("php process\n{bad}").as_bytes()), Err(BAD_LINE));
        }
    }
}

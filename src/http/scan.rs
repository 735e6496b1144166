//! Search for the end of a request head that arrives in pieces.

use crate::types::limits::{HEAD_BYTES_MAX, HEAD_LINES_MAX};

use super::{Refusal, RefusalStatus};

const TOO_MANY: Refusal =
    Refusal::new(RefusalStatus::HeadTooLarge, "the head may have 100 header lines");
const NUL: Refusal = Refusal::bad("the head contains a NUL byte");
const LONE_CR: Refusal = Refusal::bad("a CR must be followed by a LF");
const MIXED: Refusal = Refusal::bad("lines must all end in CR LF, or all in LF");

const _: () = assert!(HEAD_LINES_MAX == 100, "the text above says so");

/// Finds the empty line that ends a head.
///
/// The scanner keeps its position and reads each byte once, however small the pieces are. A head
/// that never ends therefore costs no more than its bytes (CVE-2023-43669).
#[derive(Clone, Copy, Debug)]
pub struct HeadScanner {
    /// Longest head in bytes.
    bytes_max: u32,
    /// Number of scanned bytes.
    seen: u32,
    /// Number of complete lines, including the request line.
    lines: u16,
    line: LineState,
    ends: Option<LineEnd>,
}

/// State of the current line.
#[derive(Clone, Copy, Debug, Default)]
enum LineState {
    #[default]
    Empty,
    EmptyThenCr,
    Text,
    TextThenCr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Lf,
    CrLf,
}

impl Default for HeadScanner {
    fn default() -> Self {
        Self::new(HEAD_BYTES_MAX)
    }
}

impl HeadScanner {
    /// Creates a scanner for a head of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        Self { bytes_max, seen: 0, lines: 0, line: LineState::Empty, ends: None }
    }

    /// Scans the new part of `bytes`, which contains all bytes received so far. Returns the length
    /// of the head, including its empty line, once the head is complete.
    ///
    /// # Errors
    ///
    /// 431 if the head is too long, 400 if a line is invalid. The scanner must not be used after an
    /// error.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let bytes_max = self.bytes_max as usize;
        let head = bytes.get(..bytes_max).unwrap_or(bytes);
        let mut rest = head.get(self.seen as usize..).unwrap_or_default();
        while let Some((byte, behind)) = rest.split_first() {
            let before = self.line;
            self.line = self.admit(*byte)?;
            rest = if matches!(self.line, LineState::Text) { behind_plain(behind) } else { behind };
            self.seen = u32::try_from(head.len() - rest.len()).unwrap_or(u32::MAX);
            if *byte == b'\n' && matches!(before, LineState::Empty | LineState::EmptyThenCr) {
                return Ok(Some(self.seen as usize));
            }
        }
        if head.len() == bytes_max { Err(too_long(bytes_max)) } else { Ok(None) }
    }

    fn admit(&mut self, byte: u8) -> Result<LineState, Refusal> {
        match (byte, self.line) {
            (b'\n', LineState::Empty) => self.end_head(LineEnd::Lf),
            (b'\n', LineState::EmptyThenCr) => self.end_head(LineEnd::CrLf),
            (b'\n', LineState::Text) => self.end_line(LineEnd::Lf),
            (b'\n', LineState::TextThenCr) => self.end_line(LineEnd::CrLf),
            (_, LineState::EmptyThenCr | LineState::TextThenCr) => Err(LONE_CR),
            (0, _) => Err(NUL),
            (b'\r', LineState::Empty) => Ok(LineState::EmptyThenCr),
            (b'\r', LineState::Text) => Ok(LineState::TextThenCr),
            _ => Ok(LineState::Text),
        }
    }

    /// Requires one kind of line ending for the whole head. RFC 9112 §2.2 allows a bare LF. Request
    /// smuggling exploits two parsers that disagree about the end of a line.
    fn end_head(&mut self, end: LineEnd) -> Result<LineState, Refusal> {
        if *self.ends.get_or_insert(end) == end { Ok(LineState::Empty) } else { Err(MIXED) }
    }

    fn end_line(&mut self, end: LineEnd) -> Result<LineState, Refusal> {
        self.lines += 1;
        if usize::from(self.lines) > 1 + HEAD_LINES_MAX {
            return Err(TOO_MANY);
        }
        self.end_head(end)
    }
}

fn too_long(bytes_max: usize) -> Refusal {
    let why = format!("the head may have {bytes_max} bytes (maxHead)");
    Refusal::composed(RefusalStatus::HeadTooLarge, why)
}

/// Returns the bytes from the first one that may end or invalidate the line: NUL, LF, CR, and a few
/// equally rare bytes. This takes one comparison per byte, where a full step costs five times as
/// much.
fn behind_plain(bytes: &[u8]) -> &[u8] {
    let plain = bytes.iter().position(|byte| *byte <= b'\r').unwrap_or(bytes.len());
    bytes.get(plain..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at_once(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        HeadScanner::default().scan(bytes)
    }

    fn byte_by_byte(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut scanner = HeadScanner::default();
        for end in 0..=bytes.len() {
            match scanner.scan(&bytes[..end]) {
                Ok(None) => {}
                found => return found,
            }
        }
        Ok(None)
    }

    fn head_of(lines: usize, end: &str) -> Vec<u8> {
        format!("GET / HTTP/1.1{end}{}{end}", format!("a: b{end}").repeat(lines)).into_bytes()
    }

    #[test]
    fn the_end_is_found_and_what_follows_is_not_counted() {
        assert_eq!(at_once(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\x81\x00"), Ok(Some(27)));
        assert_eq!(at_once(b"GET / HTTP/1.1\nHost: h\n\n\0\0"), Ok(Some(24)));
        assert_eq!(at_once(b"GET / HTTP/1.1\r\nHost: h\r\n\r"), Ok(None));
        assert_eq!(at_once(b"\r\n"), Ok(Some(2)));
        assert_eq!(at_once(b""), Ok(None));
    }

    #[test]
    fn bad_lines_are_refused() {
        for (bytes, why) in [
            (&b"GET / HTTP/1.1\r\nHost: h\n"[..], MIXED),
            (b"GET / HTTP/1.1\nHost: h\r\n", MIXED),
            (b"GET / HTTP/1.1\r\nHost: h\r\n\n", MIXED),
            (b"GET / HTTP/1.1\r\nHost: a\rb", LONE_CR),
            (b"GET / HTTP/1.1\r\nHost: a\r\r", LONE_CR),
            (b"GET / HTTP/1.1\r\nHost: a\0", NUL),
        ] {
            assert_eq!(at_once(bytes), Err(why.clone()), "{bytes:?}");
            assert_eq!(byte_by_byte(bytes), Err(why), "{bytes:?}");
        }
    }

    #[test]
    fn the_limits_are_reached_exactly() {
        for end in ["\r\n", "\n"] {
            let most = head_of(100, end);
            assert_eq!(at_once(&most), Ok(Some(most.len())));
            assert_eq!(at_once(&head_of(101, end)), Err(TOO_MANY));
        }
        let long = |bytes: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(bytes - 18));
        for most in [1024, HEAD_BYTES_MAX, 65_536] {
            let of = |bytes: &[u8]| HeadScanner::new(most).scan(bytes);
            assert_eq!(of(long(most).as_bytes()), Ok(Some(most)));
            assert_eq!(of(long(most + 1).as_bytes()), Err(too_long(most)));
            assert_eq!(of(&vec![b'x'; most - 1]), Ok(None));
            assert_eq!(of(&vec![b'x'; most]), Err(too_long(most)));
        }
        let many = vec![b'x'; HEAD_BYTES_MAX + 99];
        assert_eq!(byte_by_byte(&many), Err(too_long(HEAD_BYTES_MAX)));
    }

    #[test]
    fn a_connection_without_a_head_stays_small() {
        assert!(size_of::<HeadScanner>() <= 16);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            bytes in prop_oneof![
                "[a: \r\n]{0,300}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..300),
            ],
        ) {
            prop_assert_eq!(byte_by_byte(&bytes), at_once(&bytes));
        }
    }
}

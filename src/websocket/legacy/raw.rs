//! Takes messages out of a stream without frames: phpWebSocketServer's raw TCP clients (2019 to 2021)
//! send JSON values, one a write, and nothing between them.

use std::mem;

use crate::types::word_choices;
use crate::websocket::{Violation, take};

/// Words that are messages of their own, and no JSON.
const CHUNKS_BEGIN: &[u8] = b"bufferON";
const CHUNKS_END: &[u8] = b"bufferOFF";

word_choices! {
    /// Where a message of a raw client ends.
    RawEnd {
        /// With its JSON value, with `bufferON` or `bufferOFF`, or by a pause.
        Value = "json",
        /// With the read that brought it, as phpWebSocketServer has it.
        Read = "reads",
    }
}

/// Reads the messages of one connection; between messages it owns no memory.
///
/// ```
/// use tagcast::websocket::{RawEnd, RawReader};
/// let mut bytes = *b"{\"a\":\"}\"}[1";
/// let (mut reader, mut input) = (RawReader::new(RawEnd::Value), &mut bytes[..]);
/// assert_eq!(reader.next(&mut input, 100), Ok(Some("{\"a\":\"}\"}")));
/// assert_eq!(reader.next(&mut input, 100), Ok(None));
/// reader.pause();
/// assert_eq!(reader.next(&mut &mut [][..], 100), Ok(Some("[1")));
/// ```
#[derive(Debug)]
pub struct RawReader {
    end: RawEnd,
    /// The message so far.
    held: Vec<u8>,
    nesting: Nesting,
    stage: RawStage,
    pause: Pause,
    /// What the last message borrows from.
    lent: Vec<u8>,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RawStage {
    /// JSON.
    Values,
    /// Parts of a message, which end by a pause.
    Chunks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    None,
    /// Nothing has come for a while: what is held is all of its message.
    Over,
}

/// How deep in a JSON value the last byte stood.
#[derive(Clone, Copy, Debug, Default)]
struct Nesting {
    depth: u32,
    place: ScanPosition,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ScanPosition {
    #[default]
    Between,
    InString,
    Escaped,
}

impl RawReader {
    /// A reader that stands before the first message.
    #[must_use]
    pub fn new(end: RawEnd) -> Self {
        let (held, lent) = (Vec::new(), Vec::new());
        let (nesting, stage, pause) = (Nesting::default(), RawStage::Values, Pause::None);
        Self { end, held, nesting, stage, pause, lent }
    }

    /// Takes the next message out of `input`, as [`FrameReader::next`](crate::websocket::FrameReader::next)
    /// does.
    ///
    /// # Errors
    ///
    /// A message above `bytes_max` bytes, or one that is not UTF-8.
    pub fn next<'r>(
        &'r mut self,
        input: &mut &mut [u8],
        bytes_max: usize,
    ) -> Result<Option<&'r str>, Violation> {
        self.lent = Vec::new();
        if self.held.is_empty() && self.stage == RawStage::Values {
            let blanks = input.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            take(input, blanks);
        }
        let end = self.end_in(input);
        let part = take(input, end.unwrap_or(input.len()));
        if part.len() > bytes_max.saturating_sub(self.held.len()) {
            return Err(Violation::TooBig { max: bytes_max });
        }
        self.held.extend_from_slice(part);
        let pause = mem::replace(&mut self.pause, Pause::None);
        if self.held.is_empty() || (end.is_none() && pause == Pause::None) {
            return Ok(None);
        }
        self.nesting = Nesting::default();
        self.lent = mem::take(&mut self.held);
        match self.lent.as_slice() {
            CHUNKS_BEGIN => self.stage = RawStage::Chunks,
            CHUNKS_END => self.stage = RawStage::Values,
            _ => {}
        }
        std::str::from_utf8(&self.lent).map(Some).map_err(|_| Violation::BadMessage)
    }

    /// The message ends with what has come of it: [`RawReader::next`] gives it away, when it is asked
    /// without further input.
    pub fn pause(&mut self) {
        self.pause = Pause::Over;
    }

    /// Bytes that it holds.
    pub(in crate::websocket) fn held(&self) -> usize {
        self.held.len() + self.lent.len()
    }

    /// Gives back the memory of the last message.
    pub(in crate::websocket) fn give_back(&mut self) {
        self.lent = Vec::new();
    }

    /// Gives up what it holds: no more is read.
    pub(in crate::websocket) fn forget(&mut self) {
        (self.held, self.lent) = (Vec::new(), Vec::new());
    }

    /// Whether a message has begun and not ended: it has a deadline, and a pause ends it.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many bytes of the input belong to the message under way, when it ends in there.
    fn end_in(&mut self, input: &[u8]) -> Option<usize> {
        let first = *self.held.first().or_else(|| input.first())?;
        if self.end == RawEnd::Read {
            return Some(input.len());
        }
        if self.stage == RawStage::Chunks {
            // A chunk may begin with these letters; alone they are the word.
            let is_word = |word: &&[u8]| self.begins_with(input, word) == Some(input.len());
            return [CHUNKS_BEGIN, CHUNKS_END].iter().any(is_word).then_some(input.len());
        }
        match first {
            b'{' | b'[' | b'"' => self.nesting.end_in(input),
            b'b' => {
                let words = [CHUNKS_BEGIN, CHUNKS_END];
                words.iter().find_map(|word| self.begins_with(input, word))
            }
            // A number, a word, or no JSON at all: only a pause shows where it ends.
            _ => None,
        }
    }

    /// How many bytes of the input belong to a word that the message under way begins with.
    fn begins_with(&self, input: &[u8], word: &[u8]) -> Option<usize> {
        let rest = word.strip_prefix(self.held.as_slice())?;
        input.starts_with(rest).then_some(rest.len())
    }
}

impl Nesting {
    /// How many bytes the value has that is under way, when it ends in these.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = bytes.iter().position(|byte| self.closes(*byte))?;
        Some(end + 1)
    }

    /// Steps over a byte; tells whether it is the last one of the value.
    fn closes(&mut self, byte: u8) -> bool {
        match (self.place, byte) {
            (ScanPosition::Between, b'"') | (ScanPosition::Escaped, _) => {
                self.place = ScanPosition::InString;
            }
            (ScanPosition::Between, b'{' | b'[') => self.depth = self.depth.saturating_add(1),
            (ScanPosition::Between, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            (ScanPosition::InString, b'\\') => self.place = ScanPosition::Escaped,
            (ScanPosition::InString, b'"') => {
                self.place = ScanPosition::Between;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of segments; `None` is a pause.
    fn read(end: RawEnd, segments: &[Option<&str>]) -> Result<Vec<String>, Violation> {
        let mut reader = RawReader::new(end);
        let mut messages = Vec::new();
        for segment in segments {
            if segment.is_none() {
                reader.pause();
            }
            let mut segment = segment.unwrap_or_default().as_bytes().to_vec();
            let mut input = &mut segment[..];
            while let Some(message) = reader.next(&mut input, 40)? {
                messages.push(message.to_owned());
            }
            assert!(input.is_empty());
        }
        Ok(messages)
    }

    #[test]
    fn a_value_ends_where_it_ends_however_it_was_cut() {
        let stream = r#"{"a":"}\"]"}[[1],{"b":"\\"}] "é" {"c":[]}"#;
        let whole = read(RawEnd::Value, &[Some(stream)]).unwrap();
        assert_eq!(whole, [r#"{"a":"}\"]"}"#, r#"[[1],{"b":"\\"}]"#, "\"é\"", r#"{"c":[]}"#]);
        let letters: Vec<String> = stream.chars().map(String::from).collect();
        let bytewise: Vec<Option<&str>> = letters.iter().map(|one| Some(one.as_str())).collect();
        assert_eq!(read(RawEnd::Value, &bytewise).unwrap(), whole);
    }

    #[test]
    fn what_has_no_end_of_its_own_is_ended_by_a_pause() {
        let read = |segments: &[Option<&str>]| read(RawEnd::Value, segments).unwrap();
        assert_eq!(read(&[Some("hel"), Some("lo"), None, None]), ["hello"]);
        assert_eq!(read(&[Some("{\"a\""), None, Some("5"), None]), ["{\"a\"", "5"]);
        assert_eq!(read(&[Some(" \r\n"), None]), [""; 0]);
    }

    #[test]
    fn chunks_are_whatever_stands_between_two_pauses() {
        let segments = [
            Some("buffer"),
            Some("ON"),
            Some("{\"a\":"),
            None,
            Some(" 1}"),
            None,
            Some("bufferON"),
            Some("bufferOF"),
            Some("F"),
            Some("[1][2]"),
        ];
        let expected = ["bufferON", "{\"a\":", " 1}", "bufferON", "bufferOFF", "[1]", "[2]"];
        assert_eq!(read(RawEnd::Value, &segments).unwrap(), expected);
    }

    #[test]
    fn a_read_is_a_message_where_that_is_wanted() {
        let segments = [Some("{\"a\":"), Some("1}"), Some("[1][2]")];
        assert_eq!(read(RawEnd::Read, &segments).unwrap(), ["{\"a\":", "1}", "[1][2]"]);
    }

    #[test]
    fn a_message_has_a_limit() {
        let long = "[".repeat(41);
        let too_big = Err(Violation::TooBig { max: 40 });
        assert_eq!(read(RawEnd::Value, &[Some(&long)]), too_big);
        assert_eq!(read(RawEnd::Value, &[Some(&long[..40]), Some("[")]), too_big);
    }
}

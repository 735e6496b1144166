//! Reader for messages without frames. phpWebSocketServer's raw TCP clients (2019 to 2021) send one
//! JSON value per write, without a separator.

use std::mem;

use super::buffer::MessageBuffer;
use crate::types::word_choices;
use crate::websocket::{Violation, take};

/// Words that are messages but not JSON.
const CHUNKS_BEGIN: &[u8] = b"bufferON";
const CHUNKS_END: &[u8] = b"bufferOFF";

word_choices! {
    /// End of a raw client's message.
    RawEnd {
        /// The end of a JSON value, the word `bufferON` or `bufferOFF`, or a pause.
        Value = "json",
        /// The end of a read, as in phpWebSocketServer.
        Read = "reads",
    }
}

/// Reads the messages of one connection. Holds no heap memory between messages.
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
    buffer: MessageBuffer,
    nesting: Nesting,
    stage: RawStage,
    /// A pause has completed the buffered message.
    is_paused: bool,
}

/// Expected input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RawStage {
    /// JSON values.
    Values,
    /// Chunks of a message. A pause ends each chunk.
    Chunks,
}

/// Nesting depth in a JSON value after the last byte.
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
    /// Creates a reader for a new connection.
    #[must_use]
    pub fn new(end: RawEnd) -> Self {
        let (nesting, stage) = (Nesting::default(), RawStage::Values);
        Self { end, buffer: MessageBuffer::new(), nesting, stage, is_paused: false }
    }

    /// Reads the next message from `input`, as
    /// [`FrameReader::next`](crate::websocket::FrameReader::next) does.
    ///
    /// # Errors
    ///
    /// Fails for a message longer than `bytes_max` bytes, or for invalid UTF-8.
    pub fn next<'r>(
        &'r mut self,
        input: &mut &mut [u8],
        bytes_max: usize,
    ) -> Result<Option<&'r str>, Violation> {
        self.buffer.release_message();
        if self.buffer.incomplete().is_empty() && self.stage == RawStage::Values {
            let blanks = input.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            take(input, blanks);
        }
        let end = self.end_in(input);
        let part = take(input, end.unwrap_or(input.len()));
        self.buffer.push(part, bytes_max)?;
        let is_paused = mem::take(&mut self.is_paused);
        if self.buffer.incomplete().is_empty() || (end.is_none() && !is_paused) {
            return Ok(None);
        }
        self.nesting = Nesting::default();
        match self.buffer.complete() {
            CHUNKS_BEGIN => self.stage = RawStage::Chunks,
            CHUNKS_END => self.stage = RawStage::Values,
            _ => {}
        }
        self.buffer.text().map(Some)
    }

    /// Ends the current message. The following call of [`RawReader::next`] with empty input returns
    /// it.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    pub(super) const fn buffer(&self) -> &MessageBuffer {
        &self.buffer
    }

    pub(super) const fn buffer_mut(&mut self) -> &mut MessageBuffer {
        &mut self.buffer
    }

    /// Returns true inside a message. The rest of the message has a deadline, and a pause ends it.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.incomplete().is_empty()
    }

    /// Returns the number of input bytes up to the end of the current message. `None` if the
    /// message does not end in the input.
    fn end_in(&mut self, input: &[u8]) -> Option<usize> {
        let first = *self.buffer.incomplete().first().or_else(|| input.first())?;
        if self.end == RawEnd::Read {
            return Some(input.len());
        }
        if self.stage == RawStage::Chunks {
            // A chunk may begin with these letters. They are a mark only if nothing follows.
            let is_word = |word: &&[u8]| self.begins_with(input, word) == Some(input.len());
            return [CHUNKS_BEGIN, CHUNKS_END].iter().any(is_word).then_some(input.len());
        }
        match first {
            b'{' | b'[' | b'"' => self.nesting.end_in(input),
            b'b' => {
                let words = [CHUNKS_BEGIN, CHUNKS_END];
                words.iter().find_map(|word| self.begins_with(input, word))
            }
            // For a number, a word or invalid JSON only a pause marks the end.
            _ => None,
        }
    }

    /// Returns the number of input bytes that complete `word`. `None` if the message does not begin
    /// with it.
    fn begins_with(&self, input: &[u8], word: &[u8]) -> Option<usize> {
        let rest = word.strip_prefix(self.buffer.incomplete())?;
        input.starts_with(rest).then_some(rest.len())
    }
}

impl Nesting {
    /// Returns the number of bytes up to the end of the current value. `None` if it does not end in
    /// them.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = bytes.iter().position(|byte| self.closes(*byte))?;
        Some(end + 1)
    }

    /// Processes one byte. Returns true if it ends the value.
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

    /// Reads the messages of these segments. `None` is a pause.
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
    fn chunks_are_separated_by_pauses() {
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

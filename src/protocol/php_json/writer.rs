//! Re-encodes JSON token by token.

use super::edits::Edits;
use super::names::{NameMark, ObjectNames};
use super::number::NumberWriter;
use super::{NotForPhp, Objects};
use crate::json::{JsonToken, Tokens, unescaped};

/// Depth limit of `json_decode` and `json_encode`.
const DEPTH_MAX: usize = 512;

/// State of re-encoding one text.
#[derive(Debug)]
pub(super) struct Writer {
    objects: Objects,
    out: Vec<u8>,
    levels: Vec<OpenContainer>,
    names: ObjectNames,
    edits: Edits,
    numbers: NumberWriter,
}

/// A list or an object whose closing bracket was not read yet.
#[derive(Debug)]
struct OpenContainer {
    /// Output offset of the opening bracket.
    start: usize,
    inside: Inside,
}

#[derive(Clone, Copy, Debug)]
enum Inside {
    List,
    /// The next string is a name.
    Name(NameMark),
    Value(NameMark),
}

impl Writer {
    pub(super) fn new(objects: Objects, bytes: usize) -> Self {
        Self {
            objects,
            out: Vec::with_capacity(bytes),
            levels: Vec::new(),
            names: ObjectNames::default(),
            edits: Edits::default(),
            numbers: NumberWriter::default(),
        }
    }

    /// Re-encodes a text, which must be valid JSON.
    pub(super) fn written(mut self, json: &str) -> Result<String, NotForPhp> {
        for token in Tokens::of(json) {
            match token {
                JsonToken::Open(bracket) => self.open(bracket)?,
                JsonToken::Close(_) => self.close(),
                JsonToken::Comma => self.comma(),
                JsonToken::Colon => self.out.push(b':'),
                JsonToken::Text(raw) => self.text(raw)?,
                JsonToken::Word(raw) => match raw.as_bytes() {
                    [b't' | b'f' | b'n', ..] => self.out.extend_from_slice(raw.as_bytes()),
                    _ => self.numbers.write(raw, &mut self.out)?,
                },
            }
        }
        let made = self.edits.made(self.out);
        String::from_utf8(made).map_err(|_| NotForPhp::NotJson)
    }

    fn open(&mut self, bracket: u8) -> Result<(), NotForPhp> {
        if self.levels.len() >= DEPTH_MAX {
            return Err(NotForPhp::TooDeep);
        }
        let inside = match bracket {
            b'{' => Inside::Name(self.names.mark()),
            _ => Inside::List,
        };
        self.levels.push(OpenContainer { start: self.out.len(), inside });
        self.out.push(bracket);
        Ok(())
    }

    fn comma(&mut self) {
        self.out.push(b',');
        if let Some(level) = self.levels.last_mut()
            && let Inside::Value(mark) = level.inside
        {
            level.inside = Inside::Name(mark);
        }
    }

    fn close(&mut self) {
        let Some(OpenContainer { start, inside }) = self.levels.pop() else { return };
        let (Inside::Name(mark) | Inside::Value(mark)) = inside else { return self.out.push(b']') };
        self.names.close(mark, &self.out, &mut self.edits);
        let is_list =
            self.objects == Objects::Arrays && self.names.number(mark, &self.out, &mut self.edits);
        self.names.forget(mark);
        if !is_list {
            return self.out.push(b'}');
        }
        self.out.push(b']');
        if let Some(bracket) = self.out.get_mut(start) {
            *bracket = b'[';
        }
    }

    fn text(&mut self, raw: &str) -> Result<(), NotForPhp> {
        let level = self.levels.last_mut().map(|level| &mut level.inside);
        let Some(inside @ &mut Inside::Name(mark)) = level else {
            write_text(raw, &mut self.out);
            return Ok(());
        };
        *inside = Inside::Value(mark);
        let start = u32::try_from(self.out.len()).map_err(|_| NotForPhp::TooDeep)?;
        write_text(raw, &mut self.out);
        let name = self.out.get(start as usize..).unwrap_or_default();
        if self.objects == Objects::Objects && name.starts_with(b"\"\\u0000") {
            return Err(NotForPhp::Name);
        }
        self.names.push(start);
        Ok(())
    }
}

/// Writes a string. Characters beyond ASCII become `\u` with four lower-case digits, and a slash is preceded
/// by a backslash.
fn write_text(raw: &str, out: &mut Vec<u8>) {
    let inside = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if inside.bytes().all(|byte| is_plain(byte.into())) {
        return out.extend_from_slice(raw.as_bytes());
    }
    out.push(b'"');
    let mut rest = inside;
    while let Some(place) = rest.find(|letter| !is_plain(letter)) {
        let (plain, special) = rest.split_at(place);
        out.extend_from_slice(plain.as_bytes());
        let mut letters = special.chars();
        let (letter, behind) = match letters.next() {
            Some('\\') => unescaped(letters.as_str()),
            Some(letter) => (letter, letters.as_str()),
            None => break,
        };
        match u8::try_from(letter) {
            Ok(byte) if is_plain(letter) => out.push(byte),
            _ => write_special(letter, out),
        }
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

const fn is_plain(letter: char) -> bool {
    matches!(letter, ' '..='\u{7f}') && !matches!(letter, '"' | '\\' | '/')
}

fn write_special(letter: char, out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let short = match letter {
        '"' | '\\' | '/' => u8::try_from(letter).ok(),
        '\u{8}' => Some(b'b'),
        '\u{c}' => Some(b'f'),
        '\n' => Some(b'n'),
        '\r' => Some(b'r'),
        '\t' => Some(b't'),
        _ => None,
    };
    if let Some(short) = short {
        return out.extend([b'\\', short]);
    }
    for unit in letter.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(b"\\u");
        let nibbles = [*unit >> 12, *unit >> 8, *unit >> 4, *unit].map(|it| usize::from(it & 15));
        out.extend(nibbles.iter().filter_map(|nibble| DIGITS.get(*nibble)));
    }
}

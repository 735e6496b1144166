//! Tokens of JSON that is known to be valid.

use super::reader::plain_bytes;

/// A token of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonToken<'a> {
    /// `{` or `[`.
    Open(u8),
    /// `}` or `]`.
    Close(u8),
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// A string as it was written, with its quotes.
    Text(&'a str),
    /// A number, `true`, `false` or `null`, as it was written.
    Word(&'a str),
}

impl JsonToken<'_> {
    /// Returns the length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(raw) | Self::Word(raw) => raw.len(),
            Self::Open(_) | Self::Close(_) | Self::Comma | Self::Colon => 1,
        }
    }
}

/// An iterator over the tokens of valid JSON. Over any other text it yields some tokens and ends.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// Creates an iterator over the tokens of `text`.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        Self { text, rest: text.as_bytes() }
    }

    /// Returns the offset of the end of the last token, in bytes.
    #[must_use]
    pub fn place(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.place()).unwrap_or_default()
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = JsonToken<'a>;

    fn next(&mut self) -> Option<JsonToken<'a>> {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let start = self.place();
        let (first, behind) = self.rest.split_first()?;
        self.rest = match first {
            b'"' => behind_text(behind),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => behind,
            _ => behind_word(behind),
        };
        Some(match first {
            b'{' | b'[' => JsonToken::Open(*first),
            b'}' | b']' => JsonToken::Close(*first),
            b',' => JsonToken::Comma,
            b':' => JsonToken::Colon,
            b'"' => JsonToken::Text(self.since(start)),
            _ => JsonToken::Word(self.since(start)),
        })
    }
}

/// Returns the input after a string, given the input after the opening quote.
fn behind_text(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = rest.get(plain_bytes(rest)..).unwrap_or_default();
        rest = loop {
            match rest {
                [b'"', behind @ ..] => return behind,
                // A character after a backslash never ends the string.
                [b'\\', _, behind @ ..] => break behind,
                [b'\\'] | [] => return &[],
                [_, behind @ ..] => rest = behind,
            }
        };
    }
}

fn behind_word(rest: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}');
    let end = rest.iter().position(is_end).unwrap_or(rest.len());
    rest.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_the_bytes_of_the_text() {
        let tokens: Vec<_> = Tokens::of(" {\"a\\\"}\" : [1.5e3,true ,\"é\"]}\n").collect();
        let expected = [
            JsonToken::Open(b'{'),
            JsonToken::Text("\"a\\\"}\""),
            JsonToken::Colon,
            JsonToken::Open(b'['),
            JsonToken::Word("1.5e3"),
            JsonToken::Comma,
            JsonToken::Word("true"),
            JsonToken::Comma,
            JsonToken::Text("\"é\""),
            JsonToken::Close(b']'),
            JsonToken::Close(b'}'),
        ];
        assert_eq!(tokens, expected);
    }

    proptest! {
        #[test]
        fn every_text_ends(text in r#"(?s)([\[\]{},:"\\ 1é]|.){0,30}"#) {
            prop_assert!(Tokens::of(&text).count() <= text.len());
        }
    }
}

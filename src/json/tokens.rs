//! JSON that is known to be valid, piece by piece.

/// A piece of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
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

impl Token<'_> {
    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(raw) | Self::Word(raw) => raw.len(),
            Self::Open(_) | Self::Close(_) | Self::Comma | Self::Colon => 1,
        }
    }
}

/// The pieces of a text that is valid JSON. Of any other text it gives some pieces, and an end.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// The pieces of this text.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the last piece ended.
    #[must_use]
    pub fn place(&self) -> usize {
        self.at
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The place after the closing quote of a string that starts here.
    fn end_of_text(&self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
                None => return bytes.len(),
                Some(found) if rest.get(found) == Some(&b'"') => return at + found + 1,
                // Whatever stands after a backslash is no end.
                Some(found) => at = (at + found + 2).min(bytes.len()),
            }
        }
    }

    fn end_of_word(&self, start: usize) -> usize {
        let bytes = self.text.as_bytes().get(start..).unwrap_or_default();
        let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}');
        start + bytes.iter().position(is_end).unwrap_or(bytes.len())
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        while matches!(self.byte(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let start = self.at;
        let first = self.byte(start)?;
        self.at = match first {
            b'"' => self.end_of_text(start),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => start + 1,
            _ => self.end_of_word(start).max(start + 1),
        };
        let piece = self.text.get(start..self.at).unwrap_or_default();
        Some(match first {
            b'{' | b'[' => Token::Open(first),
            b'}' | b']' => Token::Close(first),
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => Token::Text(piece),
            _ => Token::Word(piece),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pieces_are_what_stands_there() {
        let tokens: Vec<_> = Tokens::of(" {\"a\\\"}\" : [1.5e3,true ,\"é\"]}\n").collect();
        let expected = [
            Token::Open(b'{'),
            Token::Text("\"a\\\"}\""),
            Token::Colon,
            Token::Open(b'['),
            Token::Word("1.5e3"),
            Token::Comma,
            Token::Word("true"),
            Token::Comma,
            Token::Text("\"é\""),
            Token::Close(b']'),
            Token::Close(b'}'),
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

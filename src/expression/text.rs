//! The text form of expressions: `role=admin & !(region=eu* | beta?)`.

use super::error::ExpressionError;
use crate::types::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_NESTING_MAX};
use crate::types::{
    Expression, ExpressionFault, ExpressionSize, TagCondition, TagTerm, ValueTest, is_keyword,
    is_word_byte,
};

/// Maximum bytes of a name in a message.
const NAME_SHOWN_MAX: usize = 24;

/// Reads an expression from its text form.
pub(super) fn parse(text: &str) -> Result<Expression, ExpressionError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let fault = ExpressionFault::TooLong { bytes: text.len() };
        return Err(ExpressionError::with_advice(EXPRESSION_BYTES_MAX, fault));
    }
    let mut parser = TextParser { text, at: 0, size: ExpressionSize::default(), open: 0 };
    let condition = parser.any()?;
    if parser.peek().is_some() {
        return Err(parser.unexpected("expected & or | or the end"));
    }
    Expression::new(condition).map_err(|fault| ExpressionError::with_advice(0, fault))
}

/// A recursive descent over the text, whose depth is bounded by [`EXPRESSION_NESTING_MAX`].
struct TextParser<'a> {
    text: &'a str,
    at: usize,
    size: ExpressionSize,
    /// Number of open parentheses and NOTs.
    open: usize,
}

impl<'a> TextParser<'a> {
    /// Reads the operands of OR.
    fn any(&mut self) -> Result<TagCondition, ExpressionError> {
        let mut operands = vec![self.all()?];
        while self.takes_operator("|", "or") {
            operands.push(self.all()?);
        }
        Ok(TagCondition::Any(operands.into()))
    }

    /// Reads the operands of AND.
    fn all(&mut self) -> Result<TagCondition, ExpressionError> {
        let mut operands = vec![self.item()?];
        while self.takes_operator("&", "and") {
            operands.push(self.item()?);
        }
        Ok(TagCondition::All(operands.into()))
    }

    fn item(&mut self) -> Result<TagCondition, ExpressionError> {
        let start = self.place();
        if self.takes("!") || self.takes_word("not") {
            self.enter(start)?;
            let operand = self.item()?;
            self.open -= 1;
            return Ok(TagCondition::Not(Box::new(operand)));
        }
        if !self.takes("(") {
            return self.term();
        }
        self.enter(start)?;
        let inside = self.any()?;
        if !self.takes(")") {
            return Err(self.unexpected("expected & or | or )"));
        }
        self.open -= 1;
        Ok(inside)
    }

    fn enter(&mut self, at: usize) -> Result<(), ExpressionError> {
        self.open += 1;
        if self.open > EXPRESSION_NESTING_MAX {
            return Err(ExpressionError::in_text(self.text, at, ExpressionFault::TooDeep));
        }
        Ok(())
    }

    fn term(&mut self) -> Result<TagCondition, ExpressionError> {
        let start = self.place();
        let name = self.name()?;
        let operator = self.place();
        let test = if self.takes("?") {
            ValueTest::Exists
        } else if self.takes("=") {
            self.value_or_prefix(&name)?
        } else if self.takes_word("in") {
            self.list()?
        } else if self.takes("!=") || self.takes_word("not") {
            return Err(no_negated_test(operator, &name));
        } else {
            return Err(self.unexpected("expected = or in or ?"));
        };
        let fault = |fault| ExpressionError::in_text(self.text, start, fault);
        let term = TagTerm::new(&name, test).map_err(fault)?;
        self.size.add(&term).map_err(fault)?;
        Ok(TagCondition::Term(term))
    }

    fn name(&mut self) -> Result<String, ExpressionError> {
        let start = self.place();
        match self.word_or_quoted("expected a condition: a tag name, !, not or (")? {
            Word::Plain(word) if is_keyword(word) => {
                let advice = format!("{word} is an operator; write \"{word}\" as a tag name");
                Err(ExpressionError::with_advice(start, advice))
            }
            word => Ok(word.into_text()),
        }
    }

    /// Reads the test after `=`.
    fn value_or_prefix(&mut self, name: &str) -> Result<ValueTest, ExpressionError> {
        let start = self.place();
        if self.rest().starts_with('*') {
            return Err(empty_prefix(start, name));
        }
        let value = self.value()?;
        if self.rest().starts_with('*') {
            if value.is_empty() {
                return Err(empty_prefix(self.at, name));
            }
            self.at += 1;
            return Ok(ValueTest::Prefix(value.into()));
        }
        if self.peek() == Some(b'*') {
            let advice = "the * of a prefix must come directly after the value";
            return Err(ExpressionError::in_text(self.text, self.place(), advice));
        }
        Ok(ValueTest::Is(value.into()))
    }

    /// Reads the list after `in`.
    fn list(&mut self) -> Result<ValueTest, ExpressionError> {
        if !self.takes("(") {
            return Err(self.unexpected("expected ( and a list of values"));
        }
        let mut values: Vec<Box<str>> = Vec::new();
        loop {
            values.push(self.value()?.into());
            if self.takes(")") {
                return Ok(ValueTest::In(values.into()));
            }
            if !self.takes(",") {
                return Err(self.unexpected("expected , or )"));
            }
        }
    }

    fn value(&mut self) -> Result<String, ExpressionError> {
        let expected = "expected a value: a word, or a text in double quotes";
        self.word_or_quoted(expected).map(Word::into_text)
    }

    fn word_or_quoted(&mut self, expected: &str) -> Result<Word<'a>, ExpressionError> {
        let start = self.place();
        if self.rest().starts_with('"') {
            return self.quoted(start).map(Word::Quoted);
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.unexpected(expected));
        }
        self.at += word.len();
        Ok(Word::Plain(word))
    }

    /// Reads the JSON string at the current position.
    fn quoted(&mut self, start: usize) -> Result<String, ExpressionError> {
        let mut is_escaped = false;
        let end = self.rest().bytes().skip(1).position(|byte| {
            let is_end = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        });
        let Some(end) = end else {
            return Err(ExpressionError::in_text(self.text, start, "unterminated string"));
        };
        // The length of the two quotes.
        let raw = self.rest().get(..end + 2).unwrap_or_default();
        let text = serde_json::from_str(raw).map_err(|error| {
            let at = start + error.column().saturating_sub(1).min(raw.len());
            ExpressionError::in_text(self.text, at, "invalid JSON string")
        })?;
        self.at += raw.len();
        Ok(text)
    }

    /// Returns the word at the current position. It may be empty.
    fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !is_word_byte(byte)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// Skips an operator in any of its three spellings.
    fn takes_operator(&mut self, sign: &str, word: &str) -> bool {
        if self.takes(sign) {
            if self.rest().starts_with(sign) {
                self.at += sign.len();
            }
            return true;
        }
        self.takes_word(word)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let start = self.place();
        let takes = self.rest().starts_with(sign);
        self.at = start + if takes { sign.len() } else { 0 };
        takes
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.place();
        let takes = self.word() == word;
        self.at += if takes { word.len() } else { 0 };
        takes
    }

    fn peek(&mut self) -> Option<u8> {
        self.place();
        self.rest().bytes().next()
    }

    /// Returns the position of the next token.
    fn place(&mut self) -> usize {
        let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.at += self.rest().as_bytes().iter().take_while(|byte| white(byte)).count();
        self.at
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn unexpected(&mut self, expected: &str) -> ExpressionError {
        let at = self.place();
        ExpressionError::in_text(self.text, at, expected)
    }
}

/// A name or a value, unchanged from the input.
enum Word<'a> {
    Plain(&'a str),
    Quoted(String),
}

impl Word<'_> {
    fn into_text(self) -> String {
        match self {
            Self::Plain(word) => word.to_owned(),
            Self::Quoted(text) => text,
        }
    }
}

fn empty_prefix(at: usize, name: &str) -> ExpressionError {
    let advice = format!("a prefix needs at least one byte; use {}?", shown(name));
    ExpressionError::with_advice(at, advice)
}

fn no_negated_test(at: usize, name: &str) -> ExpressionError {
    let name = shown(name);
    let advice = format!(
        "there is no != and no not in; write !{name}=…, which clients without the tag match too, \
         or {name}? & !{name}=…"
    );
    ExpressionError::with_advice(at, advice)
}

/// Returns a name, truncated to the length that a message may quote.
fn shown(name: &str) -> &str {
    let is_plain = name.bytes().all(is_word_byte) && name.len() <= NAME_SHOWN_MAX;
    if is_plain { name } else { "name" }
}

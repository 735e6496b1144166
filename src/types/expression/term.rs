//! One tag of a client with a test of its value, and the text format of both.

use std::fmt::{self, Write as _};

use super::ExpressionFault;
use crate::types::limits::{EXPRESSION_LIST_MAX, TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX};
use crate::types::{
    Tags, Topics, is_integer_key, is_topic_name, is_topic_tag_name, topic_tag_name,
};

/// A tag name and a test of the tag's value. A client without the tag does not pass any test.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagTerm {
    name: Box<str>,
    test: ValueTest,
}

/// A test of the value of a tag. Values are compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueTest {
    /// Equal to this value.
    Is(Box<str>),
    /// Equal to one of these values. An expression has at least two values here, sorted and without
    /// duplicates.
    In(Box<[Box<str>]>),
    /// Starts with this text, which is not empty.
    Prefix(Box<str>),
    /// Any value.
    Exists,
}

impl TagTerm {
    /// Creates a term.
    ///
    /// # Errors
    ///
    /// If the name is empty, too long or an integer, if a value is too long, if a prefix is empty,
    /// or if a list is empty or too long.
    pub fn new(name: &str, test: ValueTest) -> Result<Self, ExpressionFault> {
        if name.is_empty() {
            return Err(ExpressionFault::NameEmpty);
        }
        if name.len() > TAG_NAME_BYTES_MAX {
            return Err(ExpressionFault::NameTooLong { bytes: name.len() });
        }
        if is_integer_key(name) {
            return Err(ExpressionFault::NameIsInteger);
        }
        match &test {
            ValueTest::Prefix(prefix) if prefix.is_empty() => {
                return Err(ExpressionFault::PrefixEmpty);
            }
            ValueTest::In(values) if values.is_empty() => return Err(ExpressionFault::ListEmpty),
            ValueTest::In(values) if values.len() > EXPRESSION_LIST_MAX => {
                return Err(ExpressionFault::ListTooLong);
            }
            _ => {}
        }
        let longest = test.values().iter().map(|value| value.len()).max().unwrap_or(0);
        if longest > TAG_VALUE_BYTES_MAX {
            return Err(ExpressionFault::ValueTooLong { bytes: longest });
        }
        Ok(Self { name: name.into(), test })
    }

    /// Returns the name of the tag.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the test of its value.
    #[must_use]
    pub fn test(&self) -> &ValueTest {
        &self.test
    }

    /// Returns true if a client with these tags and topics passes the test.
    #[must_use]
    pub fn matches(&self, tags: &Tags) -> bool {
        tags.value_of(&self.name).is_some_and(|value| self.test.passes(value))
            || self.matches_topic(tags.topics())
    }

    fn matches_topic(&self, topics: &Topics) -> bool {
        if topics.is_empty() || !is_topic_tag_name(&self.name) {
            return false;
        }
        match &self.test {
            ValueTest::Is(value) => topics.match_tag(&self.name, value),
            ValueTest::In(values) => values.iter().any(|it| topics.match_tag(&self.name, it)),
            test @ (ValueTest::Prefix(_) | ValueTest::Exists) => {
                topics.values_of(&self.name).any(|topic| test.passes(topic))
            }
        }
    }

    /// Returns the topic whose clients pass the test, if it is exactly one.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        let ValueTest::Is(value) = &self.test else { return None };
        let is_one = is_topic_name(value) && topic_tag_name(value) == &*self.name;
        is_one.then_some(value)
    }

    /// Sorts the values of a list and removes duplicates. A list of one value becomes an equality.
    pub(super) fn canonical(mut self) -> Self {
        if let ValueTest::In(values) = &mut self.test {
            let mut all = std::mem::take(values).into_vec();
            all.sort_unstable();
            all.dedup();
            self.test = match all.len() {
                1 => ValueTest::Is(all.swap_remove(0)),
                _ => ValueTest::In(all.into_boxed_slice()),
            };
        }
        self
    }
}

impl ValueTest {
    /// Returns true if a value passes the test.
    #[must_use]
    pub fn passes(&self, value: &str) -> bool {
        match self {
            Self::Is(expected) => **expected == *value,
            Self::In(values) => values.iter().any(|expected| **expected == *value),
            Self::Prefix(prefix) => value.starts_with(&**prefix),
            Self::Exists => true,
        }
    }

    /// Returns the values or the prefix of the test.
    #[must_use]
    pub fn values(&self) -> &[Box<str>] {
        match self {
            Self::Is(value) | Self::Prefix(value) => std::slice::from_ref(value),
            Self::In(values) => values,
            Self::Exists => &[],
        }
    }
}

impl fmt::Display for TagTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_keyword(&self.name) {
            write_quoted(&self.name, f)?;
        } else {
            write_word(&self.name, f)?;
        }
        match &self.test {
            ValueTest::Is(value) => {
                f.write_str("=")?;
                write_word(value, f)
            }
            ValueTest::Prefix(prefix) => {
                f.write_str("=")?;
                write_word(prefix, f)?;
                f.write_str("*")
            }
            ValueTest::Exists => f.write_str("?"),
            ValueTest::In(values) => {
                f.write_str(" in (")?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    write_word(value, f)?;
                }
                f.write_str(")")
            }
        }
    }
}

/// Returns true if this byte is allowed in an unquoted name or value.
#[must_use]
pub const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/' | b'@')
}

/// Returns true if this unquoted name would be read as an operator.
#[must_use]
pub fn is_keyword(name: &str) -> bool {
    matches!(name, "and" | "or" | "not" | "in")
}

/// Writes a name or value, with quotes if the grammar requires them.
fn write_word(word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !word.is_empty() && word.bytes().all(is_word_byte) {
        return f.write_str(word);
    }
    write_quoted(word, f)
}

fn write_quoted(word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for letter in word.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\0'..' ' => write!(f, "\\u{:04x}", u32::from(letter))?,
            _ => f.write_char(letter)?,
        }
    }
    f.write_char('"')
}

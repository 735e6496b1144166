//! The limits of expressions, and the errors of conditions that exceed them.

use std::fmt;

use super::{TagTerm, ValueTest};
use crate::types::limits::{
    EXPRESSION_BYTES_MAX, EXPRESSION_LIST_MAX, EXPRESSION_NESTING_MAX, EXPRESSION_TERMS_MAX,
    EXPRESSION_VALUES_MAX, TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX,
};

/// The number of terms and values that an expression has so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpressionSize {
    terms: usize,
    values: usize,
}

impl ExpressionSize {
    /// Adds a term.
    ///
    /// # Errors
    ///
    /// If the number of terms or values exceeds its limit.
    pub fn add(&mut self, term: &TagTerm) -> Result<(), ExpressionFault> {
        self.terms += 1;
        if self.terms > EXPRESSION_TERMS_MAX {
            return Err(ExpressionFault::TooManyTerms);
        }
        if let ValueTest::In(values) = term.test() {
            self.values += values.len();
        }
        if self.values > EXPRESSION_VALUES_MAX {
            return Err(ExpressionFault::TooManyValues);
        }
        Ok(())
    }
}

/// The reason why a condition is not a valid expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionFault {
    /// An AND or an OR without operands.
    NoOperand,
    /// A tag without a name.
    NameEmpty,
    /// A name longer than [`TAG_NAME_BYTES_MAX`].
    NameTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A name that PHP would convert to an integer. Tags cannot have such names.
    NameIsInteger,
    /// A value longer than [`TAG_VALUE_BYTES_MAX`].
    ValueTooLong {
        /// Its length.
        bytes: usize,
    },
    /// An empty prefix, which every value would match.
    PrefixEmpty,
    /// An `in` without values.
    ListEmpty,
    /// An `in` with more than [`EXPRESSION_LIST_MAX`] values.
    ListTooLong,
    /// More than [`EXPRESSION_TERMS_MAX`] terms.
    TooManyTerms,
    /// More than [`EXPRESSION_VALUES_MAX`] values of all `in`.
    TooManyValues,
    /// More than [`EXPRESSION_NESTING_MAX`] parentheses and NOTs are open.
    TooDeep,
    /// More than [`EXPRESSION_BYTES_MAX`] bytes.
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl ExpressionFault {
    /// Returns true if the error is about the name of a tag and not about a value.
    #[must_use]
    pub fn is_about_name(self) -> bool {
        matches!(self, Self::NameEmpty | Self::NameTooLong { .. } | Self::NameIsInteger)
    }
}

impl fmt::Display for ExpressionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOperand => write!(f, "an operator needs at least one operand"),
            Self::NameEmpty => write!(f, "a tag needs a name"),
            Self::NameTooLong { bytes } => {
                write!(f, "the tag name has {bytes} bytes, the limit is {TAG_NAME_BYTES_MAX}")
            }
            Self::NameIsInteger => write!(f, "a tag name must not be an integer"),
            Self::ValueTooLong { bytes } => {
                write!(f, "the tag value has {bytes} bytes, the limit is {TAG_VALUE_BYTES_MAX}")
            }
            Self::PrefixEmpty => write!(f, "a prefix needs at least one byte"),
            Self::ListEmpty => write!(f, "a list needs at least one value"),
            Self::ListTooLong => {
                write!(f, "more than {EXPRESSION_LIST_MAX} values in one list")
            }
            Self::TooManyTerms => write!(f, "more than {EXPRESSION_TERMS_MAX} terms"),
            Self::TooManyValues => {
                write!(f, "more than {EXPRESSION_VALUES_MAX} values in all lists")
            }
            Self::TooDeep => {
                write!(f, "more than {EXPRESSION_NESTING_MAX} open parentheses and NOTs")
            }
            Self::TooLong { bytes } => {
                write!(f, "the expression has {bytes} bytes, the limit is {EXPRESSION_BYTES_MAX}")
            }
        }
    }
}

impl std::error::Error for ExpressionFault {}

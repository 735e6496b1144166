//! Tag expressions: Boolean conditions over the tags of a client, as publishers write them.
//!
//! ```
//! use tagcast::Expression;
//!
//! let expression = Expression::parse("role = admin and not (region = eu* or beta?)")?;
//! assert_eq!(expression.canonical(), "!(beta?|region=eu*)&role=admin");
//! assert!(!expression.is_open());
//! # Ok::<(), tagcast::ExpressionError>(())
//! ```
//!
//! An [`Expression`] itself, its limits and its meaning are in `types`, because an address may
//! contain one. This module has its two written forms, and the explanation for one client.

mod error;
mod explain;
mod json_form;
mod text;

#[cfg(test)]
mod tests;

pub use self::error::{ExpressionError, ExpressionPlace};
pub use self::explain::{ExplainedOperator, ExplainedPart, Explanation};
use crate::types::{Expression, Tags};

impl Expression {
    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// If the text is not an expression. The error contains the byte offset.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        text::parse(text)
    }

    /// Reads the JSON form, an object as it was written. The text form inside JSON is refused.
    ///
    /// # Errors
    ///
    /// If the JSON is not an expression. The error contains a JSON pointer relative to the
    /// expression. A duplicate member at any level is reported before all other errors except those
    /// of size and syntax.
    pub fn from_json(raw: &str) -> Result<Self, ExpressionError> {
        json_form::parse(raw)
    }

    /// Reads either form: JSON if the input starts with `{`, because no text form does.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`] and [`Self::from_json`].
    pub fn from_parameter(text: &str) -> Result<Self, ExpressionError> {
        let is_json = text.trim_ascii_start().starts_with('{');
        if is_json { Self::from_json(text) } else { Self::parse(text) }
    }

    /// Explains why a client with these tags matches or does not.
    #[must_use]
    pub fn explain(&self, tags: &Tags) -> Explanation {
        explain::explain(self, tags)
    }
}

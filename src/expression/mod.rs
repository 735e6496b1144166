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
//! An [`Expression`] itself, its limits and its meaning are in `types`, because an address may contain
//! one. Here are its two written forms, and the explanation for one client.

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
    /// What is wrong, with the offset of the byte.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        text::parse(text)
    }

    /// Reads the JSON form, an object as it was written. The text form inside JSON is refused.
    ///
    /// # Errors
    ///
    /// What is wrong, with a JSON pointer that begins at the expression. A duplicate member at any level is
    /// found before anything else but the size and the syntax.
    pub fn from_json(raw: &str) -> Result<Self, ExpressionError> {
        json_form::parse(raw)
    }

    /// Reads either form: JSON if it begins with `{`, which no text does.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`] and [`Self::from_json`].
    pub fn from_parameter(text: &str) -> Result<Self, ExpressionError> {
        let is_json = text.trim_ascii_start().starts_with('{');
        if is_json { Self::from_json(text) } else { Self::parse(text) }
    }

    /// Why a client with these tags matches or does not.
    #[must_use]
    pub fn explain(&self, tags: &Tags) -> Explanation {
        explain::explain(self, tags)
    }
}

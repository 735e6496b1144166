//! JSON Schema, restricted to rules whose cost can be calculated in advance.
//!
//! A schema comes from the operator, a message from any client. Every keyword has a cost in *steps*
//! of about ten nanoseconds each. A check counts its steps, and a message that would take more than
//! [`SCHEMA_STEPS_MAX`](crate::types::limits::SCHEMA_STEPS_MAX) is denied. The worst-case cost of a
//! schema is calculated when it is loaded (`cost`). A schema that could not check even a short
//! message is rejected. A message is not converted to a tree: only eight bytes are stored per
//! value.

mod cost;
mod error_text;
mod keywords;
mod list;
mod literal;
mod message;
mod misspelled;
mod object;
mod parse;
mod pattern;
mod refs;
mod validate;

use std::collections::{HashMap, HashSet};

use self::literal::Literal;
use self::message::MessageValues;
use self::pattern::Pattern;
use self::validate::Validator;
use crate::json::Decimal;

/// A parsed schema.
#[derive(Debug)]
pub struct Schema {
    /// The subschemas, referenced by index.
    parts: Vec<SchemaPart>,
    root: PartId,
}

/// Index of a subschema.
type PartId = usize;

/// A schema or subschema.
#[derive(Debug)]
enum SchemaPart {
    /// A schema that accepts every value or none.
    Always(bool),
    Rules(Box<ValueRules>),
}

/// The rules for a value. Rules for one type of value do not apply to other types.
#[derive(Debug, Default)]
struct ValueRules {
    types: Option<Types>,
    /// Allowed values: `enum`, or `const` as an `enum` with one value.
    choices: Option<Choices>,
    numbers: Vec<NumberRule>,
    text: Option<TextRules>,
    list: Option<ListRules>,
    object: Option<ObjectRules>,
    all: Vec<PartId>,
    any: Vec<PartId>,
    one: Vec<PartId>,
    not: Option<PartId>,
    condition: Option<Condition>,
    reference: Option<PartId>,
    /// Steps to check a value, without those that depend on the value.
    steps: u64,
}

/// Allowed types of values: a bit set and their names.
#[derive(Debug)]
struct Types {
    bits: u8,
    names: Vec<&'static str>,
}

#[derive(Debug)]
struct Choices {
    strings: HashSet<Box<str>>,
    others: Vec<Literal>,
    /// The values as an error lists them.
    shown: String,
    is_const: bool,
}

#[derive(Debug)]
struct NumberRule {
    kind: NumberBound,
    /// The number as it is written.
    limit: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberBound {
    Maximum,
    ExclusiveMaximum,
    Minimum,
    ExclusiveMinimum,
    MultipleOf,
}

impl NumberRule {
    fn limit(&self) -> Decimal<'_> {
        Decimal::of(&self.limit)
    }
}

#[derive(Debug, Default)]
struct TextRules {
    length: Range,
    pattern: Option<Pattern>,
}

/// Allowed range of a length or count.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    min: Option<u64>,
    max: Option<u64>,
}

#[derive(Debug, Default)]
struct ListRules {
    first: Vec<PartId>,
    rest: Option<PartId>,
    contains: Option<(PartId, Range)>,
    length: Range,
    is_unique: bool,
}

#[derive(Debug, Default)]
struct ObjectRules {
    /// Known member names, each with a number.
    names: HashMap<Box<str>, KnownSchema>,
    required: Vec<Box<str>>,
    patterns: Vec<(Pattern, PartId)>,
    additional: Option<PartId>,
    of_names: Option<PartId>,
    length: Range,
    /// Names that are required if another member is present.
    dependent: Vec<(Box<str>, Vec<Box<str>>)>,
    dependent_parts: Vec<(Box<str>, PartId)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct KnownSchema {
    number: usize,
    property: Option<PartId>,
}

#[derive(Debug)]
struct Condition {
    test: PartId,
    then: Option<PartId>,
    otherwise: Option<PartId>,
}

impl Schema {
    /// Parses a schema.
    ///
    /// # Errors
    ///
    /// Says what is wrong and where.
    pub fn read(text: &str) -> Result<Self, String> {
        parse::schema(text)
    }

    /// Checks a message in JSON.
    ///
    /// # Errors
    ///
    /// Says where the first violation is and what is wrong, in at most 123 bytes.
    pub fn check(&self, json: &str) -> Result<(), String> {
        let message = MessageValues::read(json).map_err(error_text::unreadable_text)?;
        Validator::new(self, &message)
            .whole()
            .map_err(|stop| error_text::misfit_text(&message, stop))
    }

    fn part(&self, place: PartId) -> &SchemaPart {
        self.parts.get(place).unwrap_or(&SchemaPart::Always(false))
    }
}

#[cfg(test)]
mod tests;

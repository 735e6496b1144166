//! JSON Schema, as far as what a check of a message costs can be said beforehand.
//!
//! A schema is the operator's, a message is anybody's. Every keyword has a cost in *steps*, of some ten
//! nanoseconds each; a check counts its steps, and a message that would take more of them than
//! [`SCHEMA_STEPS_MAX`](crate::types::limits::SCHEMA_STEPS_MAX) does not fit. What a schema can cost at the
//! worst is worked out when it is read (`cost`), and one that could not even check a short message
//! is refused. No tree is made of a message: eight bytes are kept for each of its values.

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

/// A schema that was read.
#[derive(Debug)]
pub struct Schema {
    /// The parts; what refers to one knows its place.
    parts: Vec<SchemaPart>,
    root: PartId,
}

/// The place of a part of a schema.
type PartId = usize;

/// A schema, or one within it.
#[derive(Debug)]
enum SchemaPart {
    /// Everything fits, or nothing does.
    Always(bool),
    Rules(Box<ValueRules>),
}

/// What a value has to fit. Rules about one kind of value say nothing about others.
#[derive(Debug, Default)]
struct ValueRules {
    types: Option<Types>,
    /// `const` is an `enum` of one.
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
    /// Steps for looking at a value, without those that depend on the value.
    steps: u64,
}

/// What kinds of values fit: a set, and the words for them.
#[derive(Debug)]
struct Types {
    bits: u8,
    names: Vec<&'static str>,
}

#[derive(Debug)]
struct Choices {
    strings: HashSet<Box<str>>,
    others: Vec<Literal>,
    /// The values as an error shows them.
    shown: String,
    is_const: bool,
}

#[derive(Debug)]
struct NumberRule {
    kind: NumberBound,
    /// The number as it was written.
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

/// How many there may be.
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
    /// The names that are known, each with a number of its own.
    names: HashMap<Box<str>, KnownSchema>,
    required: Vec<Box<str>>,
    patterns: Vec<(Pattern, PartId)>,
    additional: Option<PartId>,
    of_names: Option<PartId>,
    length: Range,
    /// With this member those are required, and that part has to fit.
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
    /// Reads a schema.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn read(text: &str) -> Result<Self, String> {
        parse::schema(text)
    }

    /// Decides about the JSON of a message.
    ///
    /// # Errors
    ///
    /// The place of the first violation and what is wrong there, in at most 123 bytes.
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

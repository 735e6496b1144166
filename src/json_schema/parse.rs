//! Parses a schema from JSON. Everything in it is checked once, and an error names its position.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::keywords::Keyword;
use super::{PartId, Schema, SchemaPart, ValueRules, cost, keywords, refs};
use crate::types::limits::SCHEMA_NESTING_MAX;

/// Maximum characters of the schema's own text that an error repeats.
const SHOWN_CHARS_MAX: usize = 200;

pub(super) fn schema(text: &str) -> Result<Schema, String> {
    let schema: Value =
        serde_json::from_str(text).map_err(|error| format!("is not valid JSON: {error}"))?;
    let draft = SchemaDraft::of(&schema)?;
    refs::check(&schema)?;
    let mut reading = SchemaParser {
        whole: &schema,
        draft,
        parts: Vec::new(),
        places: Vec::new(),
        known: HashMap::new(),
        depth: 0,
    };
    let root = reading.part("", &schema)?;
    cost::check(&reading.parts, &reading.places)?;
    Ok(Schema { parts: reading.parts, root })
}

/// The draft of JSON Schema that a schema uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SchemaDraft {
    Four,
    Six,
    Seven,
    Of2019,
    Of2020,
}

impl SchemaDraft {
    fn of(schema: &Value) -> Result<Self, String> {
        let Some(named) = schema.get("$schema") else { return Ok(Self::Of2020) };
        let name = named.as_str().unwrap_or_default().trim_end_matches('#');
        let name = name.trim_start_matches("https://").trim_start_matches("http://");
        match name {
            "json-schema.org/draft-04/schema" => Ok(Self::Four),
            "json-schema.org/draft-06/schema" => Ok(Self::Six),
            "json-schema.org/draft-07/schema" => Ok(Self::Seven),
            "json-schema.org/draft/2019-09/schema" => Ok(Self::Of2019),
            "json-schema.org/draft/2020-12/schema" => Ok(Self::Of2020),
            _ => Err(wrong(
                "/$schema",
                &format!("Unknown meta-schema {}; drafts 4 to 2020-12 are known", shown(named)),
            )),
        }
    }
}

/// Splits a schema into parts. A part comes after the parts that it consists of.
pub(super) struct SchemaParser<'v> {
    whole: &'v Value,
    pub(super) draft: SchemaDraft,
    parts: Vec<SchemaPart>,
    /// JSON pointer of each part.
    places: Vec<String>,
    known: HashMap<String, PartId>,
    depth: usize,
}

impl SchemaParser<'_> {
    /// Parses the subschema at a JSON pointer.
    pub(super) fn part(&mut self, at: &str, value: &Value) -> Result<PartId, String> {
        if let Some(place) = self.known.get(at) {
            return Ok(*place);
        }
        let part = match value {
            Value::Bool(fits) => SchemaPart::Always(*fits),
            Value::Object(members) => {
                if self.depth >= SCHEMA_NESTING_MAX {
                    let why = format!("it is nested more than {SCHEMA_NESTING_MAX} deep");
                    return Err(wrong(at, &why));
                }
                self.depth += 1;
                let rules = self.rules(at, members)?;
                self.depth -= 1;
                SchemaPart::Rules(Box::new(rules))
            }
            other => return Err(is_not(at, other, "of types \"boolean\", \"object\"")),
        };
        let place = self.parts.len();
        self.parts.push(part);
        self.places.push(at.to_owned());
        self.known.insert(at.to_owned(), place);
        Ok(place)
    }

    /// Returns the subschema of a reference. An earlier check has made sure that it exists.
    pub(super) fn referred(&mut self, to: &str) -> Result<PartId, String> {
        let pointer = to.strip_prefix('#').unwrap_or(to);
        match self.whole.pointer(pointer) {
            Some(value) => self.part(pointer, value),
            None => Err(wrong(pointer, "it is not there")),
        }
    }

    fn rules(&mut self, at: &str, members: &Map<String, Value>) -> Result<ValueRules, String> {
        let mut rules = ValueRules { steps: 1, ..ValueRules::default() };
        // Up to draft 7 a `$ref` replaces all keywords next to it.
        if self.draft <= SchemaDraft::Seven
            && let Some(Value::String(to)) = members.get("$ref")
        {
            rules.reference = Some(self.referred(to)?);
            return Ok(rules);
        }
        for (name, value) in members {
            let at = &under(at, name);
            keywords::read(self, &mut rules, Keyword { name, at, value, siblings: members })?;
            rules.steps += 1;
        }
        Ok(rules)
    }
}

/// Returns the JSON pointer of a member of the value at `at`.
pub(super) fn under(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

pub(super) fn wrong(at: &str, why: &str) -> String {
    format!("is wrong at {}: {why}", if at.is_empty() { "its top".to_owned() } else { visible(at) })
}

pub(super) fn is_not(at: &str, value: &Value, right: &str) -> String {
    wrong(at, &format!("{} is not {right}", shown(value)))
}

pub(super) fn shown(value: &Value) -> String {
    visible(&value.to_string())
}

/// Makes a text of any content and length safe for one line of a terminal.
pub(super) fn visible(text: &str) -> String {
    let letters = text.chars().take(SHOWN_CHARS_MAX);
    letters.map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

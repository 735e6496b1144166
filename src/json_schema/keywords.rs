//! The keywords of JSON Schema: their allowed values and the rules that they create.

use serde_json::{Map, Value};

use super::literal::Literal;
use super::misspelled;
use super::parse::{SchemaDraft, SchemaParser, is_not, shown, under, visible, wrong};
use super::pattern::Pattern;
use super::{
    Choices, Condition, KnownSchema, ListRules, NumberBound, NumberRule, ObjectRules, PartId,
    Range, TextRules, Types, ValueRules,
};
use crate::json::Decimal;

/// A keyword of a schema.
#[derive(Clone, Copy)]
pub(super) struct Keyword<'k> {
    pub(super) name: &'k str,
    /// JSON pointer of the keyword.
    pub(super) at: &'k str,
    pub(super) value: &'k Value,
    /// All keywords of the same schema object.
    pub(super) siblings: &'k Map<String, Value>,
}

/// Adds a keyword to the rules of its schema.
///
/// # Errors
///
/// If its value is invalid or the keyword is not supported.
pub(super) fn read(
    reading: &mut SchemaParser<'_>,
    rules: &mut ValueRules,
    keyword: Keyword<'_>,
) -> Result<(), String> {
    let Keyword { name, at, value, siblings } = keyword;
    match name {
        "type" => rules.types = Some(types(at, value)?),
        "enum" | "const" => choices(rules, keyword)?,
        "maximum" | "exclusiveMaximum" | "minimum" | "exclusiveMinimum" | "multipleOf" => {
            rules.numbers.extend(number(reading.draft, keyword)?);
        }
        "maxLength" | "minLength" | "pattern" => {
            text(rules.text.get_or_insert_default(), keyword)?;
        }
        "items" | "prefixItems" | "additionalItems" | "contains" | "maxItems" | "minItems"
        | "uniqueItems" | "minContains" | "maxContains" => {
            list(reading, rules.list.get_or_insert_default(), keyword)?;
        }
        "properties"
        | "patternProperties"
        | "additionalProperties"
        | "propertyNames"
        | "required"
        | "maxProperties"
        | "minProperties"
        | "dependencies"
        | "dependentRequired"
        | "dependentSchemas" => {
            object(reading, rules.object.get_or_insert_default(), keyword)?;
        }
        "allOf" => rules.all = several(reading, at, value)?,
        "anyOf" => rules.any = several(reading, at, value)?,
        "oneOf" => rules.one = several(reading, at, value)?,
        "not" => rules.not = Some(reading.part(at, value)?),
        "if" => rules.condition = condition(reading, at, siblings)?,
        "$ref" => rules.reference = Some(reading.referred(value.as_str().unwrap_or_default())?),
        "$defs" | "definitions" => {
            for (name, part) in members(at, value)? {
                reading.part(&under(at, name), part)?;
            }
        }
        _ => misspelled::other(reading.draft, name, at)?,
    }
    Ok(())
}

impl Types {
    pub(super) const NULL: u8 = 1;
    pub(super) const BOOLEAN: u8 = 2;
    pub(super) const OBJECT: u8 = 4;
    pub(super) const ARRAY: u8 = 8;
    pub(super) const NUMBER: u8 = 16;
    pub(super) const INTEGER: u8 = 32;
    pub(super) const STRING: u8 = 64;

    const ALL: [(&'static str, u8); 7] = [
        ("array", Self::ARRAY),
        ("boolean", Self::BOOLEAN),
        ("integer", Self::INTEGER),
        ("null", Self::NULL),
        ("number", Self::NUMBER),
        ("object", Self::OBJECT),
        ("string", Self::STRING),
    ];
}

fn types(at: &str, value: &Value) -> Result<Types, String> {
    let right = || is_not(at, value, "the name of a type of JSON, or a list of such names");
    let one = |value: &Value| {
        let name = value.as_str().ok_or_else(right)?;
        Types::ALL.iter().find(|(known, _)| *known == name).ok_or_else(right)
    };
    let mut found = match value {
        Value::Array(list) if list.is_empty() => return Err(right()),
        Value::Array(list) => list.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        value => vec![one(value)?],
    };
    found.sort_unstable();
    let bits = found.iter().fold(0, |bits, (_, bit)| bits | bit);
    Ok(Types { bits, names: found.iter().map(|(name, _)| *name).collect() })
}

/// Maximum values that an error lists.
const SHOWN_MAX: usize = 3;

fn choices(rules: &mut ValueRules, keyword: Keyword<'_>) -> Result<(), String> {
    let Keyword { name, at, value, .. } = keyword;
    let is_const = name == "const";
    if rules.choices.is_some() {
        return Err(wrong(at, "use either `enum` or `const`"));
    }
    let list = match value {
        value if is_const => std::slice::from_ref(value),
        Value::Array(list) => list.as_slice(),
        _ => return Err(is_not(at, value, "a list of values")),
    };
    let named = if list.len() > SHOWN_MAX { SHOWN_MAX - 1 } else { list.len() };
    let mut texts: Vec<String> = list.iter().take(named).map(shown).collect();
    if list.len() > named {
        texts.push(format!("{} other candidates", list.len() - named));
    }
    let last = texts.pop().unwrap_or_default();
    let shown = if texts.is_empty() { last } else { format!("{} or {last}", texts.join(", ")) };
    let mut choices = Choices { strings: [].into(), others: Vec::new(), shown, is_const };
    for value in list {
        match value {
            Value::String(text) => {
                choices.strings.insert(text.as_str().into());
            }
            other => {
                let literal = Literal::new(other.to_string());
                let literal = literal.map_err(|_| wrong(at, "a value is nested too deeply"))?;
                choices.others.push(literal);
            }
        }
    }
    rules.choices = Some(choices);
    Ok(())
}

fn number(draft: SchemaDraft, keyword: Keyword<'_>) -> Result<Option<NumberRule>, String> {
    let Keyword { name, at, value, siblings } = keyword;
    let is_strict =
        |name| draft == SchemaDraft::Four && siblings.get(name) == Some(&Value::Bool(true));
    let kind = match name {
        // In draft 4 these keywords are booleans that make the other limit exclusive.
        "exclusiveMaximum" | "exclusiveMinimum"
            if draft == SchemaDraft::Four && value.is_boolean() =>
        {
            return Ok(None);
        }
        "maximum" if is_strict("exclusiveMaximum") => NumberBound::ExclusiveMaximum,
        "minimum" if is_strict("exclusiveMinimum") => NumberBound::ExclusiveMinimum,
        "maximum" => NumberBound::Maximum,
        "exclusiveMaximum" => NumberBound::ExclusiveMaximum,
        "minimum" => NumberBound::Minimum,
        "exclusiveMinimum" => NumberBound::ExclusiveMinimum,
        _ => NumberBound::MultipleOf,
    };
    let Value::Number(number) = value else { return Err(is_not(at, value, "of type \"number\"")) };
    let limit: Box<str> = number.to_string().into();
    if kind == NumberBound::MultipleOf {
        let decimal = Decimal::of(&limit);
        let is_right = !decimal.is_empty()
            && !decimal.is_negative()
            && decimal.len() <= Decimal::DIVISOR_DIGITS_MAX;
        if !is_right {
            let most = Decimal::DIVISOR_DIGITS_MAX;
            return Err(is_not(at, value, &format!("above 0, with at most {most} digits")));
        }
    }
    Ok(Some(NumberRule { kind, limit }))
}

fn text(rules: &mut TextRules, keyword: Keyword<'_>) -> Result<(), String> {
    let Keyword { name, at, value, .. } = keyword;
    match name {
        "maxLength" => rules.length.max = Some(count(at, value)?),
        "minLength" => rules.length.min = Some(count(at, value)?),
        _ => {
            let text = value.as_str().ok_or_else(|| is_not(at, value, "a regular expression"))?;
            rules.pattern = Some(pattern(at, text)?);
        }
    }
    Ok(())
}

fn list(
    reading: &mut SchemaParser<'_>,
    rules: &mut ListRules,
    keyword: Keyword<'_>,
) -> Result<(), String> {
    let Keyword { name, at, value, siblings } = keyword;
    let has_first = siblings.get("items").is_some_and(Value::is_array);
    match (name, value) {
        ("items", Value::Array(_)) if reading.draft == SchemaDraft::Of2020 => {
            return Err(wrong(at, "in draft 2020-12 a list of schemas is `prefixItems`"));
        }
        ("items", Value::Array(list)) => {
            let parts = list.iter().enumerate();
            let parts = parts.map(|(place, part)| reading.part(&format!("{at}/{place}"), part));
            rules.first = parts.collect::<Result<_, _>>()?;
        }
        ("items", _) => rules.rest = Some(reading.part(at, value)?),
        ("prefixItems", _) if reading.draft < SchemaDraft::Of2020 => {
            return Err(wrong(at, "before draft 2020-12 it is a list below `items`"));
        }
        ("prefixItems", _) => rules.first = several(reading, at, value)?,
        ("additionalItems", _) if reading.draft == SchemaDraft::Of2020 => {
            return Err(wrong(at, "in draft 2020-12 it is `items`, beside `prefixItems`"));
        }
        ("additionalItems", _) => {
            let part = reading.part(at, value)?;
            rules.rest = if has_first { Some(part) } else { rules.rest };
        }
        ("contains", _) => {
            let bound = |name: &str| match siblings.get(name) {
                Some(value) if reading.draft >= SchemaDraft::Of2019 => count(at, value).map(Some),
                _ => Ok(None),
            };
            let range = Range { min: bound("minContains")?, max: bound("maxContains")? };
            rules.contains = Some((reading.part(at, value)?, range));
        }
        ("maxItems", _) => rules.length.max = Some(count(at, value)?),
        ("minItems", _) => rules.length.min = Some(count(at, value)?),
        ("uniqueItems", Value::Bool(is_unique)) => rules.is_unique = *is_unique,
        ("uniqueItems", _) => return Err(is_not(at, value, "of type \"boolean\"")),
        _ => drop(count(at, value)?),
    }
    Ok(())
}

fn object(
    reading: &mut SchemaParser<'_>,
    rules: &mut ObjectRules,
    keyword: Keyword<'_>,
) -> Result<(), String> {
    let Keyword { name, at, value, .. } = keyword;
    match name {
        "properties" => {
            for (name, part) in members(at, value)? {
                let part = reading.part(&under(at, name), part)?;
                rules.known(name).property = Some(part);
            }
        }
        "patternProperties" => {
            for (text, part) in members(at, value)? {
                let place = under(at, text);
                rules.patterns.push((pattern(&place, text)?, reading.part(&place, part)?));
            }
        }
        "additionalProperties" => rules.additional = Some(reading.part(at, value)?),
        "propertyNames" => rules.of_names = Some(reading.part(at, value)?),
        "required" => {
            rules.required = strings(at, value)?;
            for name in rules.required.clone() {
                rules.know(&name);
            }
        }
        "maxProperties" => rules.length.max = Some(count(at, value)?),
        "minProperties" => rules.length.min = Some(count(at, value)?),
        // Each member of `dependencies` is either a list of names or a schema.
        _ => {
            for (name, needed) in members(at, value)? {
                rules.know(name);
                let place = under(at, name);
                if needed.is_array() {
                    let needed = strings(&place, needed)?;
                    needed.iter().for_each(|name| rules.know(name));
                    rules.dependent.push((name.as_str().into(), needed));
                } else {
                    let part = reading.part(&place, needed)?;
                    rules.dependent_parts.push((name.as_str().into(), part));
                }
            }
        }
    }
    Ok(())
}

fn condition(
    reading: &mut SchemaParser<'_>,
    at: &str,
    siblings: &Map<String, Value>,
) -> Result<Option<Condition>, String> {
    let parent = at.strip_suffix("/if").unwrap_or(at);
    let mut part = |name: &str| match siblings.get(name) {
        Some(value) => reading.part(&under(parent, name), value).map(Some),
        None => Ok(None),
    };
    let (test, then, otherwise) = (part("if")?, part("then")?, part("else")?);
    Ok(test.map(|test| Condition { test, then, otherwise }))
}

fn several(reading: &mut SchemaParser<'_>, at: &str, value: &Value) -> Result<Vec<PartId>, String> {
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| is_not(at, value, "a list of schemas"))?.iter().enumerate();
    list.map(|(place, part)| reading.part(&format!("{at}/{place}"), part)).collect()
}

fn members<'v>(at: &str, value: &'v Value) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| is_not(at, value, "of type \"object\""))
}

fn strings(at: &str, value: &Value) -> Result<Vec<Box<str>>, String> {
    let right = || is_not(at, value, "a list of names");
    let list = value.as_array().ok_or_else(right)?;
    list.iter().map(|name| name.as_str().map(Into::into).ok_or_else(right)).collect()
}

fn count(at: &str, value: &Value) -> Result<u64, String> {
    let whole = value.as_number().filter(|_| Decimal::of(&value.to_string()).is_whole());
    let count = value.as_u64().or_else(|| whole?.to_string().trim_end_matches(".0").parse().ok());
    count.ok_or_else(|| is_not(at, value, "a whole number of 0 or more"))
}

fn pattern(at: &str, text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|why| {
        wrong(
            at,
            &format!("\"{}\" is not a regular expression here: {}", visible(text), visible(&why)),
        )
    })
}

impl ObjectRules {
    fn know(&mut self, name: &str) {
        self.known(name);
    }

    fn known(&mut self, name: &str) -> &mut KnownSchema {
        let number = self.names.len();
        self.names.entry(name.into()).or_insert(KnownSchema { number, property: None })
    }
}

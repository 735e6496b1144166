//! The JSON form of expressions: `{"and":[{"tag":"role","is":"admin"},{"not":{"tag":"beta","exists":true}}]}`.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::error::ExpressionError;
use crate::json::{JsonToken, Scalar, Tokens, is_json, members};
use crate::types::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_NESTING_MAX};
use crate::types::{Expression, ExpressionFault, ExpressionSize, TagCondition, TagTerm, ValueTest};

/// Maximum bytes of the name of an unknown or duplicate member in a pointer.
const NAME_SHOWN_MAX: usize = 24;

const SHAPES: &str = "expected tag with is, in, prefix or exists; or and, or, not";

/// Reads an expression from its JSON form.
pub(super) fn parse(raw: &str) -> Result<Expression, ExpressionError> {
    let mut reader = JsonReader::default();
    if raw.len() > EXPRESSION_BYTES_MAX {
        return Err(reader.fault(ExpressionFault::TooLong { bytes: raw.len() }));
    }
    if !is_json(raw) {
        return Err(reader.error("invalid JSON"));
    }
    if let Some(pointer) = duplicate_member(raw) {
        return Err(ExpressionError::duplicate_member(&pointer));
    }
    let condition = reader.condition(raw)?;
    Expression::new(condition).map_err(|fault| reader.fault(fault))
}

/// A recursive descent over the objects, whose depth is bounded by [`EXPRESSION_NESTING_MAX`].
#[derive(Default)]
struct JsonReader {
    /// Pointer of the value that is being read.
    pointer: String,
    size: ExpressionSize,
    /// Number of operators around that value.
    open: usize,
}

/// A member of an object, unchanged from the input.
struct Member<'a> {
    name: Box<str>,
    raw: &'a str,
}

impl JsonReader {
    fn condition(&mut self, raw: &str) -> Result<TagCondition, ExpressionError> {
        let mut found: Vec<Member<'_>> = Vec::new();
        let is_object = members(raw, |name, value| {
            found.push(Member { name: crate::json::text(name.raw).into(), raw: value });
            Ok(())
        });
        if is_object.is_err() {
            return Err(self.error("expected an object"));
        }
        if let Some(at) = found.iter().position(|member| &*member.name == "tag") {
            let tag = found.remove(at);
            return self.term(tag.raw, &found);
        }
        match found.as_slice() {
            [member] => self.operator(member),
            [] => Err(self.error(SHAPES)),
            [_, second, ..] => Err(self.inside(&second.name, |it| it.error(SHAPES))),
        }
    }

    fn operator(&mut self, member: &Member<'_>) -> Result<TagCondition, ExpressionError> {
        if !matches!(&*member.name, "and" | "or" | "not") {
            return Err(self.inside(&member.name, |it| it.error(SHAPES)));
        }
        self.open += 1;
        if self.open > EXPRESSION_NESTING_MAX {
            let what = format_args!("more than {EXPRESSION_NESTING_MAX} nested operators");
            return Err(self.error(what));
        }
        let condition = self.inside(&member.name, |it| match &*member.name {
            "and" => it.operands(member.raw).map(TagCondition::All),
            "or" => it.operands(member.raw).map(TagCondition::Any),
            _ => it.condition(member.raw).map(|it| TagCondition::Not(Box::new(it))),
        })?;
        self.open -= 1;
        Ok(condition)
    }

    fn operands(&mut self, raw: &str) -> Result<Box<[TagCondition]>, ExpressionError> {
        let items = self.items(raw)?;
        let each = (0..).zip(items);
        each.map(|(at, item)| self.inside_item(at, |it| it.condition(item.get()))).collect()
    }

    fn term(&mut self, tag: &str, tests: &[Member<'_>]) -> Result<TagCondition, ExpressionError> {
        let Some(name) = strict_text(tag) else {
            return Err(self.inside("tag", |it| it.error("expected a text")));
        };
        let is_test = |it: &&Member<'_>| matches!(&*it.name, "is" | "in" | "prefix" | "exists");
        if let Some(unknown) = tests.iter().find(|it| !is_test(it)) {
            let what = "unknown member";
            return Err(self.inside(&unknown.name, |it| it.error(what)));
        }
        let [test] = tests else {
            let Some(second) = tests.get(1) else { return Err(self.error(SHAPES)) };
            let what = "expected one of is, in, prefix and exists";
            return Err(self.inside(&second.name, |it| it.error(what)));
        };
        let value = self.inside(&test.name, |it| it.test(test))?;
        let term = TagTerm::new(&name, value).map_err(|fault| {
            let place = if fault.is_about_name() { "tag" } else { &*test.name };
            self.inside(place, |it| it.fault(fault))
        })?;
        self.size.add(&term).map_err(|fault| self.fault(fault))?;
        Ok(TagCondition::Term(term))
    }

    fn test(&mut self, member: &Member<'_>) -> Result<ValueTest, ExpressionError> {
        match &*member.name {
            "is" => self.value(member.raw).map(ValueTest::Is),
            "prefix" => self.value(member.raw).map(ValueTest::Prefix),
            "exists" if member.raw == "true" => Ok(ValueTest::Exists),
            "exists" => Err(self.error("exists must be true; use not to test for a missing tag")),
            _ => {
                let items = self.items(member.raw)?;
                let each = (0..).zip(items);
                let values = each.map(|(at, it)| self.inside_item(at, |own| own.value(it.get())));
                values.collect::<Result<_, _>>().map(ValueTest::In)
            }
        }
    }

    /// Returns the items of a list. An empty list is an error.
    fn items<'a>(&self, raw: &'a str) -> Result<Vec<&'a RawValue>, ExpressionError> {
        match serde_json::from_str::<Vec<&RawValue>>(raw) {
            Ok(items) if !items.is_empty() => Ok(items),
            _ => Err(self.error("expected a list that is not empty")),
        }
    }

    /// Reads a text, or the digits of a 64-bit integer, as in the tags of a client.
    fn value(&self, raw: &str) -> Result<Box<str>, ExpressionError> {
        let value = match Scalar::of(raw) {
            Scalar::Text(_) => strict_text(raw),
            Scalar::Integer(digits) if digits.parse::<i64>().is_ok() => Some(digits.to_owned()),
            _ => None,
        };
        value.map(Into::into).ok_or_else(|| self.error("expected a text or a 64-bit integer"))
    }

    /// Runs a function while the pointer names a member of the current value.
    fn inside<T>(&mut self, name: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let outside = self.pointer.len();
        push_name(&mut self.pointer, name);
        let done = act(self);
        self.pointer.truncate(outside);
        done
    }

    fn inside_item<T>(&mut self, at: usize, act: impl FnOnce(&mut Self) -> T) -> T {
        self.inside(&at.to_string(), act)
    }

    fn error(&self, what: impl std::fmt::Display) -> ExpressionError {
        ExpressionError::in_json(&self.pointer, what)
    }

    fn fault(&self, fault: ExpressionFault) -> ExpressionError {
        self.error(fault)
    }
}

/// Decodes a JSON string. Returns `None` for half of a surrogate pair and for values that are not
/// strings.
fn strict_text(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// Appends a name to a JSON pointer (RFC 6901 §3), truncated to the length that a message may
/// quote.
fn push_name(pointer: &mut String, name: &str) {
    let shown = name.get(..name.floor_char_boundary(NAME_SHOWN_MAX)).unwrap_or_default();
    pointer.push('/');
    pointer.push_str(&shown.replace('~', "~0").replace('/', "~1"));
}

/// An object or a list that is open.
enum Open {
    Object { names: HashSet<String>, last: String },
    List { items: usize },
}

/// Maximum number of open brackets in an expression: an object and a list for each operator, and
/// for the term.
const BRACKETS_MAX: usize = 2 * (EXPRESSION_NESTING_MAX + 1);

/// Returns the pointer of the first duplicate member in valid JSON. Deeper brackets than those of
/// an expression are not examined: the reader refuses them, and the pointer stays short.
fn duplicate_member(raw: &str) -> Option<String> {
    let mut open: Vec<Open> = Vec::new();
    let mut tokens = Tokens::of(raw).peekable();
    while let Some(token) = tokens.next() {
        if open.len() > BRACKETS_MAX {
            return None;
        }
        match token {
            JsonToken::Open(b'{') => {
                open.push(Open::Object { names: HashSet::new(), last: String::new() });
            }
            JsonToken::Open(_) => open.push(Open::List { items: 0 }),
            JsonToken::Close(_) => drop(open.pop()),
            JsonToken::Comma => {
                if let Some(Open::List { items }) = open.last_mut() {
                    *items += 1;
                }
            }
            JsonToken::Text(text) if tokens.peek() == Some(&JsonToken::Colon) => {
                let name = crate::json::text(text).into_owned();
                let Some(Open::Object { names, last }) = open.last_mut() else { continue };
                last.clone_from(&name);
                if !names.insert(name) {
                    return Some(pointer_of(&open));
                }
            }
            JsonToken::Colon | JsonToken::Text(_) | JsonToken::Word(_) => {}
        }
    }
    None
}

fn pointer_of(open: &[Open]) -> String {
    let mut pointer = String::new();
    for it in open {
        match it {
            Open::Object { last, .. } => push_name(&mut pointer, last),
            Open::List { items } => push_name(&mut pointer, &items.to_string()),
        }
    }
    pointer
}

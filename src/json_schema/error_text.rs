//! Builds the close reason for a message that does not match its schema.

use std::fmt::{self, Display, Write};

use super::message::{MessageValue, MessageValues, UnreadableMessage, text_of};
use super::validate::{EarlyEnd, Why};
use super::{NumberBound, Types};
use crate::types::limits::SCHEMA_STEPS_MAX;

/// Maximum bytes of the reason in a Close frame (RFC 6455 §5.5).
const TEXT_BYTES_MAX: usize = 123;
/// Maximum bytes of a message value that the reason repeats.
const VALUE_BYTES_MAX: usize = 24;
/// Maximum bytes of the JSON pointer in the reason.
const PLACE_BYTES_MAX: usize = 50;

pub(super) fn unreadable_text(why: UnreadableMessage) -> String {
    let why = match why {
        UnreadableMessage::NotJson => "it is no JSON",
        UnreadableMessage::TooDeep => "it is nested too deeply",
        UnreadableMessage::TooLong => "it is too long",
    };
    format!("the message cannot be held against its schema: {why}")
}

pub(super) fn misfit_text(message: &MessageValues<'_>, stop: EarlyEnd<'_>) -> String {
    let (value, why) = match stop {
        EarlyEnd::Misfit(value, why) => (value, why),
        EarlyEnd::Spent => {
            return format!(
                "the message takes too long to hold against its schema: more than {SCHEMA_STEPS_MAX} steps"
            );
        }
    };
    // For an unexpected member the reason names the object that contains it.
    let at = if let Why::Unexpected(_) = why { parent(message, value) } else { value };
    let place = place(message, at);
    let shown = message.short(at, VALUE_BYTES_MAX).unwrap_or("the value");
    let mut text = BoundedText::of(TEXT_BYTES_MAX);
    let before = if place.is_empty() { "" } else { " at " };
    // Text beyond the limit is dropped.
    let _full = write!(text, "the message does not fit its schema{before}{place}: ")
        .and_then(|()| write_why(&mut text, message, shown, why));
    text.text
}

fn write_why(
    out: &mut BoundedText,
    message: &MessageValues<'_>,
    shown: &str,
    why: Why<'_>,
) -> fmt::Result {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    match why {
        Why::Never => write!(out, "False schema does not allow {shown}"),
        Why::Types(types) => write!(out, "{shown} is not of {types}"),
        Why::Choices(choices) if choices.is_const => write!(out, "{} was expected", choices.shown),
        Why::Choices(choices) => write!(out, "{shown} is not one of {}", choices.shown),
        Why::Number(rule) => write!(out, "{shown} is {} {}", words(rule.kind), rule.limit),
        Why::Longer(max) => write!(out, "{shown} is longer than {max} character{}", plural(max)),
        Why::Shorter(min) => write!(out, "{shown} is shorter than {min} character{}", plural(min)),
        Why::Pattern(pattern) => write!(out, "{shown} does not match \"{pattern}\""),
        Why::MoreItems(max) => write!(out, "{shown} has more than {max} item{}", plural(max)),
        Why::FewerItems(min) => write!(out, "{shown} has less than {min} item{}", plural(min)),
        Why::Unexpected(name) => {
            let name = text_of(message, name);
            write!(out, "Additional properties are not allowed ('{name}' was unexpected)")
        }
        Why::UnexpectedItems => write!(out, "Additional items are not allowed"),
        Why::Contains => {
            write!(out, "{shown} does not contain the required number of matching elements")
        }
        Why::NotUnique => write!(out, "{shown} has non-unique elements"),
        Why::MoreMembers(1) => write!(out, "{shown} has more than 1 property"),
        Why::MoreMembers(max) => write!(out, "{shown} has more than {max} properties"),
        Why::FewerMembers(1) => write!(out, "{shown} has less than 1 property"),
        Why::FewerMembers(min) => write!(out, "{shown} has less than {min} properties"),
        Why::Required(name) => {
            write!(out, "{} is a required property", serde_json::Value::from(name))
        }
        Why::Any => write!(out, "{shown} is not valid under any of the schemas listed in 'anyOf'"),
        Why::OneOfNone => {
            write!(out, "{shown} is not valid under any of the schemas listed in 'oneOf'")
        }
        Why::OneOfMany => {
            write!(out, "{shown} is valid under more than one of the schemas listed in 'oneOf'")
        }
        Why::Not => write!(out, "{shown} is what 'not' does not allow"),
    }
}

const fn words(bound: NumberBound) -> &'static str {
    match bound {
        NumberBound::Maximum => "greater than the maximum of",
        NumberBound::ExclusiveMaximum => "greater than or equal to the maximum of",
        NumberBound::Minimum => "less than the minimum of",
        NumberBound::ExclusiveMinimum => "less than or equal to the minimum of",
        NumberBound::MultipleOf => "not a multiple of",
    }
}

impl Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.names.len() == 1 { "type" } else { "types" })?;
        for (place, name) in self.names.iter().enumerate() {
            write!(f, "{} \"{name}\"", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Returns the list or object that contains a value.
fn parent(message: &MessageValues<'_>, value: MessageValue) -> MessageValue {
    steps_to(message, value).last().map_or(MessageValue::ROOT, |(container, _)| *container)
}

/// Returns the JSON pointer of a value.
fn place(message: &MessageValues<'_>, value: MessageValue) -> String {
    let mut text = BoundedText::of(PLACE_BYTES_MAX);
    for (_, step) in steps_to(message, value) {
        let written = match step {
            PathStep::Item(number) => write!(text, "/{number}"),
            PathStep::Member(name) => {
                let name = text_of(message, name);
                write!(text, "/{}", name.replace('~', "~0").replace('/', "~1"))
            }
        };
        if written.is_err() {
            break;
        }
    }
    text.text
}

/// A step from a list or object to one of its values.
enum PathStep {
    Item(usize),
    Member(MessageValue),
}

/// Returns the path to a value: the lists and objects that contain it, from the outside in.
fn steps_to(message: &MessageValues<'_>, value: MessageValue) -> Vec<(MessageValue, PathStep)> {
    let mut steps = Vec::new();
    let mut at = MessageValue::ROOT;
    while at != value {
        let next = match message.first_byte(at) {
            b'[' => {
                let mut items = message.items(at).enumerate();
                let found = items.find(|(_, item)| message.is_within(value, *item));
                found.map(|(number, item)| (item, PathStep::Item(number)))
            }
            _ => {
                let mut members = message.members(at);
                let found = members.find(|(name, _)| message.is_within(value, *name));
                found.map(|(name, inside)| (inside, PathStep::Member(name)))
            }
        };
        let Some((inside, step)) = next else { break };
        let is_name = matches!(step, PathStep::Member(name) if name == value);
        steps.push((at, step));
        if is_name {
            break;
        }
        at = inside;
    }
    steps
}

/// A text with a maximum length in bytes, which ends in `…` if it was cut.
struct BoundedText {
    text: String,
    left: usize,
}

impl BoundedText {
    const fn of(bytes: usize) -> Self {
        Self { text: String::new(), left: bytes }
    }
}

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.left {
            self.text.push_str(text);
            self.left -= text.len();
            return Ok(());
        }
        let whole = self.text.len() + self.left;
        self.text.push_str(text.get(..text.floor_char_boundary(self.left)).unwrap_or_default());
        let cut = self.text.floor_char_boundary(whole.saturating_sub('…'.len_utf8()));
        self.text.truncate(cut);
        self.text.push('…');
        self.left = 0;
        Err(fmt::Error)
    }
}

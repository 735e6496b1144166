//! Compares values of a message with values of a schema, and with each other.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::message::{MessageValue, MessageValues, UnreadableMessage, text_of};
use super::validate::{CheckBudget, Spent, steps_of};
use crate::json::Decimal;

/// A value of a schema as JSON text.
#[derive(Debug)]
pub(super) struct Literal {
    json: Box<str>,
    /// Maximum steps of a comparison. A larger value is known to differ after that many steps.
    pub(super) steps: u64,
}

impl Literal {
    pub(super) fn new(json: String) -> Result<Self, UnreadableMessage> {
        let count = MessageValues::read(&json)?.len();
        let steps = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(4);
        Ok(Self { steps: steps.saturating_add(steps_of(json.len())), json: json.into() })
    }

    pub(super) fn equals(
        &self,
        message: &MessageValues<'_>,
        value: MessageValue,
        budget: &mut CheckBudget,
    ) -> Result<bool, Spent> {
        budget.spend(1)?;
        let kind = ValueKind::of(self.json.as_bytes().first().copied().unwrap_or_default());
        if kind != ValueKind::of(message.first_byte(value)) {
            return Ok(false);
        }
        match kind {
            ValueKind::Word => Ok(*self.json == *message.raw(value)),
            ValueKind::Number => {
                let raw = message.raw(value);
                budget.spend_bytes(raw.len())?;
                Ok(Decimal::of(&self.json).compare(&Decimal::of(raw)) == Ordering::Equal)
            }
            ValueKind::Text | ValueKind::List | ValueKind::Object => {
                budget.spend(self.steps)?;
                // The text was parsed before, so parsing it again succeeds.
                let Ok(own) = MessageValues::read(&self.json) else { return Ok(false) };
                is_equal(ValueOf(&own, MessageValue::ROOT), ValueOf(message, value), budget)
            }
        }
    }
}

/// A value and the message that contains it.
#[derive(Clone, Copy)]
pub(super) struct ValueOf<'m>(pub(super) &'m MessageValues<'m>, pub(super) MessageValue);

/// Returns true if two values are equal by the rules of JSON Schema: numbers by numeric value,
/// objects in any order of members.
pub(super) fn is_equal(
    left: ValueOf<'_>,
    right: ValueOf<'_>,
    budget: &mut CheckBudget,
) -> Result<bool, Spent> {
    let (ValueOf(one, a), ValueOf(other, b)) = (left, right);
    budget.spend(1)?;
    let kind = ValueKind::of(one.first_byte(a));
    if kind != ValueKind::of(other.first_byte(b)) {
        return Ok(false);
    }
    match kind {
        ValueKind::Word => Ok(one.raw(a) == other.raw(b)),
        ValueKind::Number => {
            budget.spend_bytes(one.raw(a).len())?;
            let order = Decimal::of(one.raw(a)).compare(&Decimal::of(other.raw(b)));
            Ok(order == Ordering::Equal)
        }
        ValueKind::Text => {
            budget.spend_bytes(one.raw(a).len().min(other.raw(b).len()))?;
            Ok(text_of(one, a) == text_of(other, b))
        }
        ValueKind::List => {
            let (mut left_items, mut right_items) = (one.items(a), other.items(b));
            loop {
                match (left_items.next(), right_items.next()) {
                    (None, None) => return Ok(true),
                    (Some(a), Some(b)) if is_equal(ValueOf(one, a), ValueOf(other, b), budget)? => {
                    }
                    _ => return Ok(false),
                }
            }
        }
        ValueKind::Object => is_equal_object(left, right, budget),
    }
}

fn is_equal_object(
    left: ValueOf<'_>,
    right: ValueOf<'_>,
    budget: &mut CheckBudget,
) -> Result<bool, Spent> {
    let (ValueOf(one, a), ValueOf(other, b)) = (left, right);
    let mut count = 0;
    for (name, value) in one.members(a) {
        count += 1;
        let name = text_of(one, name);
        let mut same = None;
        for (candidate, found) in other.members(b) {
            budget.spend(1)?;
            if text_of(other, candidate) == name {
                same = Some(found);
                break;
            }
        }
        match same {
            Some(found) if is_equal(ValueOf(one, value), ValueOf(other, found), budget)? => {}
            _ => return Ok(false),
        }
    }
    Ok(other.members(b).take(count + 1).count() == count)
}

/// Returns a hash that is the same for equal values.
pub(super) fn hash(
    message: &MessageValues<'_>,
    value: MessageValue,
    budget: &mut CheckBudget,
) -> Result<u64, Spent> {
    budget.spend(4)?;
    let mut hasher = DefaultHasher::new();
    let kind = ValueKind::of(message.first_byte(value));
    kind.hash(&mut hasher);
    match kind {
        ValueKind::Word => message.raw(value).hash(&mut hasher),
        ValueKind::Number => {
            budget.spend_bytes(message.raw(value).len())?;
            let number = Decimal::of(message.raw(value));
            // 0 and -0 are equal.
            (number.is_negative() && !number.is_empty()).hash(&mut hasher);
            number.point().hash(&mut hasher);
            number.digits().for_each(|digit| hasher.write_u8(digit));
        }
        ValueKind::Text => {
            budget.spend_bytes(message.raw(value).len())?;
            text_of(message, value).hash(&mut hasher);
        }
        ValueKind::List => {
            for item in message.items(value) {
                hash(message, item, budget)?.hash(&mut hasher);
            }
        }
        ValueKind::Object => {
            let mut sum: u64 = 0;
            for (name, value) in message.members(value) {
                let mut member = DefaultHasher::new();
                budget.spend_bytes(message.raw(name).len())?;
                text_of(message, name).hash(&mut member);
                hash(message, value, budget)?.hash(&mut member);
                // The order of members is irrelevant, so their hashes are added.
                sum = sum.wrapping_add(member.finish());
            }
            sum.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

/// The type of a value, derived from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ValueKind {
    Word,
    Number,
    Text,
    List,
    Object,
}

impl ValueKind {
    pub(super) const fn of(first: u8) -> Self {
        match first {
            b'{' => Self::Object,
            b'[' => Self::List,
            b'"' => Self::Text,
            b'-' | b'0'..=b'9' => Self::Number,
            _ => Self::Word,
        }
    }
}

//! Checks a message against a schema within a budget of steps.

use std::cmp::Ordering;

use super::literal::ValueKind;
use super::message::{MessageValue, MessageValues, text_of};
use super::{
    Choices, Condition, NumberBound, NumberRule, PartId, Schema, SchemaPart, TextRules, Types,
    ValueRules,
};
use crate::json::Decimal;
use crate::types::limits::{SCHEMA_STEP_BYTES, SCHEMA_STEPS_MAX};

/// Steps that the check of one message may still take.
#[derive(Debug)]
pub(super) struct CheckBudget(u64);

/// The error of a spent budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl CheckBudget {
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Spent> {
        self.0 = self.0.checked_sub(steps).ok_or(Spent)?;
        Ok(())
    }

    /// Spends the steps for reading this many bytes.
    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Spent> {
        self.spend(steps_of(bytes))
    }
}

pub(super) fn steps_of(bytes: usize) -> u64 {
    u64::try_from(bytes / SCHEMA_STEP_BYTES).unwrap_or(u64::MAX)
}

/// The reason why a check stopped early.
#[derive(Clone, Copy, Debug)]
pub(super) enum EarlyEnd<'s> {
    /// A value does not match.
    Misfit(MessageValue, Why<'s>),
    /// The budget is spent.
    Spent,
}

impl From<Spent> for EarlyEnd<'_> {
    fn from(Spent: Spent) -> Self {
        Self::Spent
    }
}

/// The violation of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why<'s> {
    Never,
    Types(&'s Types),
    Choices(&'s Choices),
    Number(&'s NumberRule),
    Longer(u64),
    Shorter(u64),
    Pattern(&'s str),
    MoreItems(u64),
    FewerItems(u64),
    Unexpected(MessageValue),
    UnexpectedItems,
    Contains,
    NotUnique,
    MoreMembers(u64),
    FewerMembers(u64),
    Required(&'s str),
    Any,
    OneOfNone,
    OneOfMany,
    Not,
}

pub(super) type Fits<'s> = Result<(), EarlyEnd<'s>>;

/// The check of one message against one schema.
#[derive(Debug)]
pub(super) struct Validator<'s, 'm> {
    schema: &'s Schema,
    pub(super) message: &'m MessageValues<'m>,
    pub(super) budget: CheckBudget,
}

impl<'s, 'm> Validator<'s, 'm> {
    pub(super) fn new(schema: &'s Schema, message: &'m MessageValues<'m>) -> Self {
        Self { schema, message, budget: CheckBudget(SCHEMA_STEPS_MAX) }
    }

    /// Checks the whole message.
    pub(super) fn whole(mut self) -> Fits<'s> {
        self.value(self.schema.root, MessageValue::ROOT)
    }

    /// Checks one value against a subschema.
    pub(super) fn value(&mut self, part: PartId, value: MessageValue) -> Fits<'s> {
        match self.schema.part(part) {
            SchemaPart::Always(true) => Ok(self.budget.spend(1)?),
            SchemaPart::Always(false) => Err(EarlyEnd::Misfit(value, Why::Never)),
            SchemaPart::Rules(rules) => self.rules(rules, value),
        }
    }

    /// Returns true if a value matches; the violation is dropped.
    pub(super) fn fits(&mut self, part: PartId, value: MessageValue) -> Result<bool, EarlyEnd<'s>> {
        match self.value(part, value) {
            Ok(()) => Ok(true),
            Err(EarlyEnd::Misfit(..)) => Ok(false),
            Err(EarlyEnd::Spent) => Err(EarlyEnd::Spent),
        }
    }

    fn rules(&mut self, rules: &'s ValueRules, value: MessageValue) -> Fits<'s> {
        self.budget.spend(rules.steps)?;
        let kind = ValueKind::of(self.message.first_byte(value));
        if let Some(types) = &rules.types {
            self.types(types, kind, value)?;
        }
        if let Some(choices) = &rules.choices {
            self.choices(choices, kind, value)?;
        }
        match kind {
            ValueKind::Number => self.number(&rules.numbers, value)?,
            ValueKind::Text => self.text(rules.text.as_ref(), value)?,
            ValueKind::List => self.list(rules.list.as_ref(), value)?,
            ValueKind::Object => self.object(rules.object.as_ref(), value)?,
            ValueKind::Word => {}
        }
        if let Some(reference) = rules.reference {
            self.value(reference, value)?;
        }
        self.combined(rules, value)
    }

    fn types(&self, types: &'s Types, kind: ValueKind, value: MessageValue) -> Fits<'s> {
        let is_whole = || Decimal::of(self.message.raw(value)).is_whole();
        let bits = match kind {
            ValueKind::Object => Types::OBJECT,
            ValueKind::List => Types::ARRAY,
            ValueKind::Text => Types::STRING,
            ValueKind::Number if types.bits & Types::NUMBER == 0 && !is_whole() => 0,
            ValueKind::Number => Types::NUMBER | Types::INTEGER,
            ValueKind::Word if self.message.first_byte(value) == b'n' => Types::NULL,
            ValueKind::Word => Types::BOOLEAN,
        };
        if types.bits & bits == 0 {
            Err(EarlyEnd::Misfit(value, Why::Types(types)))
        } else {
            Ok(())
        }
    }

    fn choices(&mut self, choices: &'s Choices, kind: ValueKind, value: MessageValue) -> Fits<'s> {
        if kind == ValueKind::Text {
            self.budget.spend_bytes(self.message.raw(value).len())?;
            if choices.strings.contains(text_of(self.message, value).as_ref()) {
                return Ok(());
            }
        } else {
            for literal in &choices.others {
                if literal.equals(self.message, value, &mut self.budget)? {
                    return Ok(());
                }
            }
        }
        Err(EarlyEnd::Misfit(value, Why::Choices(choices)))
    }

    fn number(&mut self, rules: &'s [NumberRule], value: MessageValue) -> Fits<'s> {
        if rules.is_empty() {
            return Ok(());
        }
        let raw = self.message.raw(value);
        let number = Decimal::of(raw);
        for rule in rules {
            self.budget.spend_bytes(raw.len())?;
            let order = |limit: &Decimal<'_>| number.compare(limit);
            let fits = match rule.kind {
                NumberBound::Maximum => order(&rule.limit()) != Ordering::Greater,
                NumberBound::ExclusiveMaximum => order(&rule.limit()) == Ordering::Less,
                NumberBound::Minimum => order(&rule.limit()) != Ordering::Less,
                NumberBound::ExclusiveMinimum => order(&rule.limit()) == Ordering::Greater,
                NumberBound::MultipleOf => {
                    // One division per digit.
                    self.budget.spend(u64::try_from(raw.len()).unwrap_or(u64::MAX))?;
                    number.is_multiple_of(&rule.limit())
                }
            };
            if !fits {
                return Err(EarlyEnd::Misfit(value, Why::Number(rule)));
            }
        }
        Ok(())
    }

    fn text(&mut self, rules: Option<&'s TextRules>, value: MessageValue) -> Fits<'s> {
        let Some(rules) = rules else { return Ok(()) };
        self.budget.spend_bytes(self.message.raw(value).len())?;
        let text = text_of(self.message, value);
        let misfit = |why| Err(EarlyEnd::Misfit(value, why));
        if rules.length.min.is_some() || rules.length.max.is_some() {
            let count = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            if let Some(max) = rules.length.max.filter(|max| count > *max) {
                return misfit(Why::Longer(max));
            }
            if let Some(min) = rules.length.min.filter(|min| count < *min) {
                return misfit(Why::Shorter(min));
            }
        }
        if let Some(pattern) = &rules.pattern {
            self.budget.spend(pattern.steps(text.len()))?;
            if !pattern.is_match(&text) {
                return misfit(Why::Pattern(pattern.as_str()));
            }
        }
        Ok(())
    }

    fn combined(&mut self, rules: &'s ValueRules, value: MessageValue) -> Fits<'s> {
        for part in &rules.all {
            self.value(*part, value)?;
        }
        let misfit = |why| Err(EarlyEnd::Misfit(value, why));
        if !rules.any.is_empty() && self.count(&rules.any, value, 1)? == 0 {
            return misfit(Why::Any);
        }
        if !rules.one.is_empty() {
            match self.count(&rules.one, value, 2)? {
                0 => return misfit(Why::OneOfNone),
                1 => {}
                _ => return misfit(Why::OneOfMany),
            }
        }
        if let Some(not) = rules.not
            && self.fits(not, value)?
        {
            return misfit(Why::Not);
        }
        if let Some(Condition { test, then, otherwise }) = rules.condition {
            let next = if self.fits(test, value)? { then } else { otherwise };
            next.map_or(Ok(()), |next| self.value(next, value))?;
        }
        Ok(())
    }

    /// Counts the subschemas that a value matches, up to a maximum.
    fn count(
        &mut self,
        parts: &'s [PartId],
        value: MessageValue,
        enough: usize,
    ) -> Result<usize, EarlyEnd<'s>> {
        let mut count = 0;
        for part in parts {
            count += usize::from(self.fits(*part, value)?);
            if count >= enough {
                break;
            }
        }
        Ok(count)
    }
}

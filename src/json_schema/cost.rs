//! Worst-case cost of a schema, in steps per byte of a message.
//!
//! | keyword | steps |
//! | --- | --- |
//! | any | 1 for each value that is checked |
//! | `type`, `enum` and `const` of strings, `minimum` and similar, lengths, sizes | plus 1 per 16 bytes |
//! | `multipleOf` | plus 1 per digit |
//! | `pattern`, each of `patternProperties` | per byte, the compiled size divided by 64 |
//! | `enum` and `const` of other values | 4 for each value within the schema's value |
//! | `items`, `properties`, `additionalProperties`, `propertyNames`, `prefixItems` | those of the subschema, for the values that it applies to |
//! | `contains`, `dependentSchemas`, `allOf`, `anyOf`, `oneOf`, `not`, `if`, `$ref` | the sum of all subschemas |
//! | `uniqueItems` | 16 for each item and each value in it |
//! | `required`, `dependentRequired` | 1 per 8 names |

use super::{Choices, ListRules, ObjectRules, PartId, SchemaPart, ValueRules};
use crate::types::limits::{SCHEMA_STEPS_MAX, SCHEMA_WEIGHT_MAX};

/// Checks that the worst-case cost of a schema is within the limit.
///
/// # Errors
///
/// Names the innermost subschema that exceeds the limit.
pub(super) fn check(parts: &[SchemaPart], places: &[String]) -> Result<(), String> {
    let mut weights = Weights(Vec::with_capacity(parts.len()));
    for (part, place) in parts.iter().zip(places) {
        let weight = weights.of_part(part);
        if weight > SCHEMA_WEIGHT_MAX {
            let why = format!(
                "a check of it can take {weight} steps for each byte of a message, and \
                 {SCHEMA_WEIGHT_MAX} are allowed (a message has {SCHEMA_STEPS_MAX} in all); shorter \
                 patterns, lists and combinations take fewer"
            );
            return Err(super::parse::wrong(place, &why));
        }
        weights.0.push(weight);
    }
    Ok(())
}

/// Worst-case cost of each part so far. A part comes after the parts that it consists of.
struct Weights(Vec<u64>);

impl Weights {
    fn of(&self, place: PartId) -> u64 {
        self.0.get(place).copied().unwrap_or(u64::MAX)
    }

    fn sum<'p>(&self, places: impl IntoIterator<Item = &'p PartId>) -> u64 {
        places.into_iter().fold(0, |sum: u64, place| sum.saturating_add(self.of(*place)))
    }

    fn most<'p>(&self, places: impl IntoIterator<Item = &'p PartId>) -> u64 {
        places.into_iter().map(|place| self.of(*place)).max().unwrap_or(0)
    }

    fn of_part(&self, part: &SchemaPart) -> u64 {
        match part {
            SchemaPart::Always(_) => 1,
            SchemaPart::Rules(rules) => self.of_rules(rules),
        }
    }

    fn of_rules(&self, rules: &ValueRules) -> u64 {
        let condition = rules.condition.as_ref().map_or(0, |condition| {
            let branches = condition.then.iter().chain(&condition.otherwise);
            self.of(condition.test).saturating_add(self.most(branches))
        });
        let pattern = rules.text.as_ref().and_then(|text| text.pattern.as_ref());
        let single = rules.not.iter().chain(&rules.reference);
        [
            rules.steps,
            rules.choices.as_ref().map_or(0, of_choices),
            length(rules.numbers.len()).saturating_mul(2),
            pattern.map_or(1, |pattern| pattern.steps(1)),
            rules.list.as_ref().map_or(0, |list| self.of_list(list)),
            rules.object.as_ref().map_or(0, |object| self.of_object(object)),
            self.sum(rules.all.iter().chain(&rules.any).chain(&rules.one).chain(single)),
            condition,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    fn of_list(&self, list: &ListRules) -> u64 {
        let items = self.most(list.first.iter().chain(&list.rest));
        let contains = list.contains.map_or(0, |(part, _)| self.of(part));
        let unique = if list.is_unique { 16 } else { 0 };
        [1, items, contains, unique].into_iter().fold(0, u64::saturating_add)
    }

    fn of_object(&self, object: &ObjectRules) -> u64 {
        let properties = object.names.values().filter_map(|known| known.property.as_ref());
        let patterns = object
            .patterns
            .iter()
            .map(|(pattern, part)| pattern.steps(1).saturating_add(self.of(*part)));
        let needed = object.dependent.iter().map(|(_, needed)| needed.len()).sum::<usize>();
        [
            2 + length(object.required.len() + needed) / 8,
            self.most(properties.chain(&object.additional)),
            patterns.fold(0, u64::saturating_add),
            self.sum(
                object.of_names.iter().chain(object.dependent_parts.iter().map(|(_, part)| part)),
            ),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

fn of_choices(choices: &Choices) -> u64 {
    choices.others.iter().fold(1, |sum: u64, literal| sum.saturating_add(literal.steps))
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

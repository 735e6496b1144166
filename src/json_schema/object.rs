//! Checks objects against their rules.

use super::ObjectRules;
use super::message::{MessageValue, text_of};
use super::validate::{EarlyEnd, Fits, Validator, Why};

/// Bit set of the known names that an object has.
struct SeenNames(Vec<u64>);

impl SeenNames {
    fn new(names: usize) -> Self {
        Self(vec![0; names.div_ceil(64)])
    }

    fn mark(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn has(&self, rules: &ObjectRules, name: &str) -> bool {
        let number = rules.names.get(name).map(|known| known.number);
        let word = number.and_then(|number| Some((self.0.get(number / 64)?, number % 64)));
        word.is_some_and(|(word, bit)| word & (1 << bit) != 0)
    }
}

impl<'s> Validator<'s, '_> {
    pub(super) fn object(
        &mut self,
        rules: Option<&'s ObjectRules>,
        object: MessageValue,
    ) -> Fits<'s> {
        let Some(rules) = rules else { return Ok(()) };
        let mut seen = SeenNames::new(rules.names.len());
        let (mut count, message) = (0, self.message);
        for (name, value) in message.members(object) {
            count += 1;
            self.member(rules, name, value, &mut seen)?;
        }
        let misfit = |why| Err(EarlyEnd::Misfit(object, why));
        if let Some(name) = rules.required.iter().find(|name| !seen.has(rules, name)) {
            return misfit(Why::Required(name));
        }
        if let Some(max) = rules.length.max.filter(|max| count > *max) {
            return misfit(Why::MoreMembers(max));
        }
        if let Some(min) = rules.length.min.filter(|min| count < *min) {
            return misfit(Why::FewerMembers(min));
        }
        for (name, needed) in &rules.dependent {
            let missing = needed.iter().find(|name| !seen.has(rules, name));
            if let Some(missing) = missing.filter(|_| seen.has(rules, name)) {
                return misfit(Why::Required(missing));
            }
        }
        for (name, part) in &rules.dependent_parts {
            if seen.has(rules, name) {
                self.value(*part, object)?;
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        rules: &'s ObjectRules,
        name: MessageValue,
        value: MessageValue,
        seen: &mut SeenNames,
    ) -> Fits<'s> {
        self.budget.spend(2)?;
        self.budget.spend_bytes(self.message.raw(name).len())?;
        let text = text_of(self.message, name);
        if let Some(part) = rules.of_names {
            self.value(part, name)?;
        }
        let known = rules.names.get(text.as_ref());
        known.into_iter().for_each(|known| seen.mark(known.number));
        let property = known.and_then(|known| known.property);
        let mut is_expected = property.is_some();
        if let Some(part) = property {
            self.value(part, value)?;
        }
        for (pattern, part) in &rules.patterns {
            self.budget.spend(pattern.steps(text.len()))?;
            if pattern.is_match(&text) {
                is_expected = true;
                self.value(*part, value)?;
            }
        }
        let Some(part) = rules.additional.filter(|_| !is_expected) else { return Ok(()) };
        self.value(part, value).map_err(|stop| match stop {
            EarlyEnd::Misfit(wrong, Why::Never) if wrong == value => {
                EarlyEnd::Misfit(value, Why::Unexpected(name))
            }
            stop => stop,
        })
    }
}

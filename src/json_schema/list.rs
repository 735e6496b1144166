//! Checks lists against their rules.

use super::ListRules;
use super::literal::{ValueOf, hash, is_equal};
use super::message::MessageValue;
use super::validate::{EarlyEnd, Fits, Validator, Why};

impl<'s> Validator<'s, '_> {
    pub(super) fn list(&mut self, rules: Option<&'s ListRules>, list: MessageValue) -> Fits<'s> {
        let Some(rules) = rules else { return Ok(()) };
        let message = self.message;
        let mut first = rules.first.iter();
        let mut count = 0;
        for item in message.items(list) {
            self.budget.spend(1)?;
            count += 1;
            if let Some(max) = rules.length.max.filter(|max| count > *max) {
                return Err(EarlyEnd::Misfit(list, Why::MoreItems(max)));
            }
            let Some(part) = first.next().copied().or(rules.rest) else { continue };
            self.value(part, item).map_err(|stop| match stop {
                EarlyEnd::Misfit(value, Why::Never) if value == item => {
                    EarlyEnd::Misfit(list, Why::UnexpectedItems)
                }
                stop => stop,
            })?;
        }
        if let Some(min) = rules.length.min.filter(|min| count < *min) {
            return Err(EarlyEnd::Misfit(list, Why::FewerItems(min)));
        }
        self.contains(rules, list)?;
        if rules.is_unique { self.unique(list) } else { Ok(()) }
    }

    fn contains(&mut self, rules: &'s ListRules, list: MessageValue) -> Fits<'s> {
        let Some((part, range)) = rules.contains else { return Ok(()) };
        let (min, mut count) = (range.min.unwrap_or(1), 0);
        let message = self.message;
        for item in message.items(list) {
            if count >= min && range.max.is_none() {
                break;
            }
            count += u64::from(self.fits(part, item)?);
        }
        let fits = count >= min && range.max.is_none_or(|max| count <= max);
        if fits { Ok(()) } else { Err(EarlyEnd::Misfit(list, Why::Contains)) }
    }

    /// Checks that all items differ. Only items with equal hashes are compared.
    fn unique(&mut self, list: MessageValue) -> Fits<'s> {
        let message = self.message;
        let count = message.items(list).count();
        // Covers hashing and sorting. The budget is spent before the memory is allocated.
        self.budget.spend(4_u64.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX)))?;
        let mut hashes = Vec::with_capacity(count);
        for item in message.items(list) {
            hashes.push((hash(message, item, &mut self.budget)?, item));
        }
        hashes.sort_unstable_by_key(|(hash, _)| *hash);
        for alike in hashes.chunk_by(|one, next| one.0 == next.0) {
            for (place, (_, one)) in alike.iter().enumerate() {
                for (_, other) in alike.iter().skip(place + 1) {
                    if is_equal(ValueOf(message, *one), ValueOf(message, *other), &mut self.budget)?
                    {
                        return Err(EarlyEnd::Misfit(list, Why::NotUnique));
                    }
                }
            }
        }
        Ok(())
    }
}

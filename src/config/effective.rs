//! The values of all keys as they were written, to tell one configuration from the next.

use std::collections::BTreeMap;

use super::ConfigKey;
use super::diagnostic::visible;

/// The values that were given; keys without one have their default.
#[derive(Clone, Debug, Default)]
pub struct EffectiveValues(BTreeMap<(&'static str, &'static str), EffectiveValue>);

#[derive(Clone)]
struct EffectiveValue {
    /// As it may be shown.
    written: String,
    /// What holds, with variables in their places.
    text: String,
}

/// Without the text: a secret may be in it.
impl std::fmt::Debug for EffectiveValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.written)
    }
}

impl EffectiveValues {
    pub(super) fn put(&mut self, key: &ConfigKey, written: &str, text: &str) {
        let written = if key.name == "uuidKey" { "(secret)" } else { written };
        let value = EffectiveValue { written: visible(written), text: text.trim().to_owned() };
        self.0.insert((key.section, key.name), value);
    }

    fn text<'a>(&'a self, key: &'a ConfigKey) -> &'a str {
        self.0.get(&(key.section, key.name)).map_or(key.default, |value| &value.text)
    }

    pub(super) fn is_same(&self, other: &Self, key: &ConfigKey) -> bool {
        self.text(key) == other.text(key)
    }

    /// A value as it may be printed.
    pub(super) fn shown<'a>(&'a self, key: &'a ConfigKey) -> &'a str {
        self.0.get(&(key.section, key.name)).map_or(key.default, |value| &value.written)
    }

    /// The fresh values of the keys that a reload changes, and the others as they are.
    pub(super) fn renewed(&self, fresh: &Self) -> Self {
        let mut renewed = Self::default();
        for key in super::KEYS {
            let of = if key.reloadable { fresh } else { self };
            if let Some(value) = of.0.get(&(key.section, key.name)) {
                renewed.0.insert((key.section, key.name), value.clone());
            }
        }
        renewed
    }
}

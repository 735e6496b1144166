//! The values of all keys as they were written, for comparing two configurations.

use std::collections::BTreeMap;

use super::ConfigKey;
use super::diagnostic::visible;

/// The given values. A key without a value has its default.
#[derive(Clone, Debug, Default)]
pub struct EffectiveValues(BTreeMap<(&'static str, &'static str), EffectiveValue>);

#[derive(Clone)]
struct EffectiveValue {
    /// Value that may be displayed.
    written: String,
    /// Effective value, with variables expanded.
    text: String,
}

/// Omits the effective value, because it may contain a secret.
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

    /// Returns a value that may be displayed.
    pub(super) fn shown<'a>(&'a self, key: &'a ConfigKey) -> &'a str {
        self.0.get(&(key.section, key.name)).map_or(key.default, |value| &value.written)
    }

    /// Returns the fresh values of keys that a reload changes, and the current values of all
    /// others.
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

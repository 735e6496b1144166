//! The values of all keys as they were written, for comparing two configurations.

use std::collections::BTreeMap;

use super::ConfigKey;
use super::diagnostic::{ValueLocation, visible};

/// The given values. A key without a value has its default.
#[derive(Clone, Debug, Default)]
pub struct EffectiveValues(BTreeMap<(&'static str, &'static str), EffectiveValue>);

#[derive(Clone)]
struct EffectiveValue {
    /// Value that may be displayed.
    written: String,
    /// Effective value, with variables expanded.
    text: String,
    /// File and line, variable or flag.
    source: String,
}

/// Omits the effective value, because it may contain a secret.
impl std::fmt::Debug for EffectiveValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.written)
    }
}

impl EffectiveValues {
    pub(super) fn put(
        &mut self,
        key: &ConfigKey,
        place: &ValueLocation,
        written: &str,
        text: &str,
    ) {
        let written = if key.name == "uuidKey" { "(secret)" } else { written };
        let (written, text) = (visible(written), text.trim().to_owned());
        let value = EffectiveValue { written, text, source: place.to_string() };
        self.0.insert((key.section, key.name), value);
    }

    fn text<'a>(&'a self, key: &'a ConfigKey) -> &'a str {
        self.0.get(&(key.section, key.name)).map_or(key.default, |value| &value.text)
    }

    pub(super) fn is_same(&self, other: &Self, key: &ConfigKey) -> bool {
        self.text(key) == other.text(key)
    }

    /// Compares the values of the key with this name, which has no section.
    pub(super) fn is_same_named(&self, other: &Self, name: &str) -> bool {
        super::schema::find("", name).is_none_or(|key| self.is_same(other, key))
    }

    /// Returns a value that may be displayed.
    pub(super) fn shown<'a>(&'a self, key: &'a ConfigKey) -> &'a str {
        self.0.get(&(key.section, key.name)).map_or(key.default, |value| &value.written)
    }

    /// Returns where a value comes from.
    pub(super) fn source<'a>(&'a self, key: &'a ConfigKey) -> &'a str {
        self.0.get(&(key.section, key.name)).map_or("default", |value| &value.source)
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

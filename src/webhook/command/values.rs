//! Values of a webhook answer whose size is bounded while they are read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Scalar;

/// Unparsed items of a list. Only the first `MAX` items are kept.
#[derive(Default)]
pub(super) struct ListItems<'a, const MAX: usize> {
    pub(super) first: Vec<&'a RawValue>,
    /// Number of all items, including those that were not kept.
    pub(super) count: usize,
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for ListItems<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Items<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Items<MAX> {
            type Value = ListItems<'de, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut written = ListItems::default();
                while written.first.len() < MAX
                    && let Some(item) = list.next_element()?
                {
                    written.first.push(item);
                }
                written.count = written.first.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    written.count += 1;
                }
                Ok(written)
            }
        }

        json.deserialize_seq(Items)
    }
}

/// String in which an unpaired surrogate is replaced by U+FFFD.
pub(super) struct LossyText<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for LossyText<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(json)?.get();
        let text = Scalar::of(raw).text().map(Self);
        text.ok_or_else(|| D::Error::custom("a string is expected"))
    }
}

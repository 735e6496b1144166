//! Tags as JSON: the parameter `?tags=` of an opening, and the member `tags` of Gomoob's requests.
//!
//! The error texts are those that Gomoob's users know.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::types::limits::TAGS_MAX;
use crate::types::{Tag, Tags};

/// The tags that a client opens with: the value of `?tags=`, decoded. `{}` and `[]` are none.
///
/// # Errors
///
/// What is wrong, for the Close frame.
pub fn of_opening(text: &str) -> Result<Tags, Cow<'static, str>> {
    let not_an_array = "The 'tags' URL parameter is not a JSON array !";
    let members = read(text).ok_or(not_an_array)?;
    let tags = tags(&members, |name| format!("The '{name}' tag is not an integer or a string !"))?;
    match tags.iter().find(|tag| tag.is_servers_own()) {
        Some(tag) => Err(Cow::Owned(format!("The tag '{}' is the server's to give !", tag.name()))),
        None => Ok(tags),
    }
}

/// The tags of a request, which its recipients must carry.
///
/// # Errors
///
/// What is wrong, for the Close frame.
pub fn of_request(text: &str) -> Result<Tags, Cow<'static, str>> {
    let members = read(text).ok_or("The 'tags' property is not an array !")?;
    tags(&members, |name| {
        format!("The tag named '{name}' has a value which is not an integer or a string !")
    })
}

/// The tags of a request that [`of_request`] has admitted, in their order: of one name given twice
/// the last value stands at the first place.
#[must_use]
pub fn in_order(text: &str) -> Box<[Tag]> {
    let mut tags: Vec<Tag> = Vec::new();
    for (name, value) in read(text).unwrap_or_default() {
        let Some(Ok(tag)) = value.map(|value| Tag::new(&name, &value)) else { continue };
        if let Some(known) = tags.iter_mut().find(|known| known.name() == name) {
            *known = tag;
        } else if tags.len() < TAGS_MAX {
            tags.push(tag);
        }
    }
    tags.into()
}

/// A member that may become a tag: its name, and its value where that is a text or an integer.
type Member<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// The members of an object; those of a list have numbers for names, as in PHP. `None` for
/// anything else.
fn read(text: &str) -> Option<Vec<Member<'_>>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_any(Members).ok()?;
    json.end().ok()?;
    Some(members)
}

fn tags(
    members: &[Member<'_>],
    wrong_value: impl Fn(&str) -> String,
) -> Result<Tags, Cow<'static, str>> {
    let tag = |(name, value): &Member<'_>| {
        if is_integer(name) {
            return Err(Cow::Owned(format!("The tag name '{name}' is not a string !")));
        }
        let value = value.as_ref().ok_or_else(|| Cow::Owned(wrong_value(name)))?;
        Tag::new(name, value).map_err(|error| Cow::Owned(error.to_string()))
    };
    let all = members.iter().map(tag).collect::<Result<Vec<Tag>, _>>();
    let tags = match all {
        Ok(tags) => tags,
        Err(_) => last_of_each(members).into_iter().map(tag).collect::<Result<_, _>>()?,
    };
    Tags::new(tags).map_err(|error| Cow::Owned(error.to_string()))
}

/// The members that PHP would see: of those with one name it has the last alone, so that what is
/// wrong with another one is not wrong.
fn last_of_each<'m, 'a>(members: &'m [Member<'a>]) -> Vec<&'m Member<'a>> {
    let mut seen = HashSet::new();
    let mut last: Vec<_> = members.iter().rev().filter(|(name, _)| seen.insert(name)).collect();
    last.reverse();
    last
}

/// Whether PHP would make an integer of this array key.
fn is_integer(name: &str) -> bool {
    name.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && name.parse::<i64>().is_ok_and(|number| number.to_string() == name)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tags")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Text(name), Value(value))) = map.next_entry::<Text<'de>, Value<'de>>()? {
            members.push((name, value));
        }
        Ok(members)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Value(value)) = list.next_element::<Value<'de>>()? {
            members.push((Cow::Owned(members.len().to_string()), value));
        }
        Ok(members)
    }
}

/// A text, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A text, or an integer by its decimal text; anything else is none.
struct Value<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value(Some(Cow::Owned(number.to_string()))))
    }

    /// PHP makes a float of what is beyond 63 bits, and a float is no tag.
    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value(i64::try_from(number).ok().map(|number| Cow::Owned(number.to_string()))))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(tags: &Tags) -> Vec<(&str, &str)> {
        tags.iter().map(|tag| (tag.name(), tag.value())).collect()
    }

    #[test]
    fn integers_and_their_texts_are_one_value() {
        let tags = of_opening(r#"{"b":12,"a":"x","c":"012","b":-3}"#).unwrap();
        assert_eq!(pairs(&tags), [("a", "x"), ("b", "-3"), ("c", "012")]);
        let tags = of_opening(r#"{"a":[1],"b":1,"a":"x"}"#).unwrap();
        assert_eq!(pairs(&tags), [("a", "x"), ("b", "1")]);
        assert!(of_opening(r#"{"a":"x","a":[1]}"#).is_err());
        assert!(of_opening("{}").unwrap().is_empty() && of_opening(" [] ").unwrap().is_empty());
    }

    #[test]
    fn the_order_of_tags_is_that_of_a_php_array() {
        let tags = in_order(r#"{"b":1,"a":"x","b":2}"#);
        let pairs: Vec<_> = tags.iter().map(|tag| (tag.name(), tag.value())).collect();
        assert_eq!(pairs, [("b", "2"), ("a", "x")]);
        assert!(in_order("[]").is_empty() && in_order("rubbish").is_empty());
    }

    #[test]
    fn what_is_no_tag_is_said_in_gomoobs_words() {
        let not_an_array = "The 'tags' URL parameter is not a JSON array !";
        for text in ["abcde", "null", "5", "\"s\"", "", "true", "{} x", "{\"a\""] {
            assert_eq!(of_opening(text).unwrap_err(), not_an_array, "{text}");
        }
        let not_a_name = "The tag name '45' is not a string !";
        assert_eq!(of_opening(r#"{"45":"x"}"#).unwrap_err(), not_a_name);
        assert_eq!(of_opening(r#"["a"]"#).unwrap_err(), "The tag name '0' is not a string !");
        for value in ["[1]", "{}", "true", "1.5", "null", "18446744073709551615", "1e3"] {
            let text = format!(r#"{{"p":{value}}}"#);
            let (opening, request) = (of_opening(&text), of_request(&text));
            assert_eq!(opening.unwrap_err(), "The 'p' tag is not an integer or a string !");
            assert_eq!(
                request.unwrap_err(),
                "The tag named 'p' has a value which is not an integer or a string !"
            );
        }
        assert_eq!(of_request("\"str\"").unwrap_err(), "The 'tags' property is not an array !");
        let own = "The tag '@resource' is the server's to give !";
        assert_eq!(of_opening(r#"{"@resource":"/room"}"#).unwrap_err(), own);
        assert!(of_request(r#"{"@resource":"/room"}"#).is_ok());
        assert!(of_opening(&format!(r#"{{"n":"{}"}}"#, "v".repeat(256))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s)([\\{\\}\\[\\]:,\"a1-]|.){0,30}") {
            drop(of_opening(&text));
            drop(of_request(&text));
        }
    }
}

//! Tags as JSON: the parameter `?tags=` of a handshake, and the member `tags` of Gomoob's requests.
//!
//! The error texts are those of Gomoob's server.

use std::borrow::Cow;
use std::fmt;

use crate::json;
use crate::json::{NotJson, Scalar};
use crate::types::limits::{TAG_NAME_BYTES_MAX, TAGS_MAX};
use crate::types::{Tag, TagError, Tags, is_integer_key};

/// Maximum number of members that are read in search of tags; repetitions of a name count. JSON encoders
/// never repeat a name, so a client that repeats one very often gets the error for too many tags.
const MEMBERS_MAX: usize = 8 * TAGS_MAX;

/// Parses the tags of a handshake: the decoded value of `?tags=`. `{}` and `[]` mean no tags.
///
/// # Errors
///
/// The problem, as text for the Close frame.
pub fn of_opening(text: &str) -> Result<Tags, Cow<'static, str>> {
    let found = read(text).ok_or("The 'tags' URL parameter is not a JSON array !")?;
    let tags = found.tags(|name| format!("The '{name}' tag is not an integer or a string !"))?;
    match tags.iter().find(|tag| tag.is_servers_own()) {
        Some(tag) => Err(Cow::Owned(the_servers(tag.name()))),
        None => Ok(tags),
    }
}

/// Why tags of a change are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidTags {
    /// There are too many.
    TooMany,
    /// The problem, as text.
    Wrong(Cow<'static, str>),
}

impl fmt::Display for InvalidTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => TagError::TooMany.fmt(f),
            Self::Wrong(text) => f.write_str(text),
        }
    }
}

impl From<TagError> for InvalidTags {
    fn from(error: TagError) -> Self {
        match error {
            TagError::TooMany => Self::TooMany,
            other => Self::Wrong(Cow::Owned(other.to_string())),
        }
    }
}

/// Parses tags that a backend sets. They are valid if those of a handshake would be.
///
/// # Errors
///
/// The problem.
pub fn of_change(text: &str) -> Result<Tags, InvalidTags> {
    match of_opening(text) {
        Ok(tags) => Ok(tags),
        Err(_) if read(text).is_some_and(|found| found.is_too_many()) => Err(InvalidTags::TooMany),
        Err(why) => Err(InvalidTags::Wrong(why)),
    }
}

/// Checks the name of a tag that a backend removes.
///
/// # Errors
///
/// The problem, if no tag that a backend sets could have this name.
pub fn check_removable(name: &str) -> Result<(), InvalidTags> {
    let tag = Tag::new(name, "")?;
    if is_integer_key(name) {
        return Err(InvalidTags::Wrong(Cow::Owned(not_a_name(name))));
    }
    if tag.is_servers_own() {
        return Err(InvalidTags::Wrong(Cow::Owned(the_servers(name))));
    }
    Ok(())
}

fn not_a_name(name: &str) -> String {
    format!("The tag name '{name}' is not a string !")
}

fn the_servers(name: &str) -> String {
    format!("The tag '{name}' is the server's to give !")
}

/// Returns the JSON of tags that are separate parameters (`?tags[language]=FR`). A value that is not text
/// becomes a list, which is not a valid tag either.
#[must_use]
pub fn json_of(members: &[(String, Option<Cow<'_, str>>)]) -> String {
    let mut json = "{".to_owned();
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        // A text can always be encoded.
        json.push_str(&serde_json::to_string(name).unwrap_or_default());
        json.push(':');
        match value {
            Some(value) => json.push_str(&serde_json::to_string(value).unwrap_or_default()),
            None => json.push_str("[]"),
        }
    }
    json.push('}');
    json
}

/// Parses the tags of a request, which its recipients must carry.
///
/// # Errors
///
/// The problem, as text for the Close frame.
pub fn of_request(text: &str) -> Result<Tags, Cow<'static, str>> {
    let found = read(text).ok_or("The 'tags' property is not an array !")?;
    found.tags(|name| {
        format!("The tag named '{name}' has a value which is not an integer or a string !")
    })
}

/// Returns the tags of a request in their order. [`of_request`] must have accepted them. If a name occurs
/// twice, the last value is used at the position of the first.
#[must_use]
pub fn in_order(text: &str) -> Box<[Tag]> {
    let found = read(text).unwrap_or_default();
    found
        .members
        .iter()
        .filter_map(|member| Tag::new(&member.name, &member.value()?).ok())
        .collect()
}

/// Members that may become tags.
#[derive(Default)]
struct FoundTags<'a> {
    /// In the order in which their names first occurred, each name once.
    members: Vec<TagMember<'a>>,
    count: usize,
    /// There are more members than a client may have tags, so reading stopped early.
    is_too_many: bool,
}

/// A member that may become a tag.
struct TagMember<'a> {
    name: Cow<'a, str>,
    /// The JSON of the last value of this name.
    raw: &'a str,
    /// Position of that value among all members.
    last: usize,
}

/// Reads the members of an object. A list counts as an object with numbers for names, as in PHP. `None` for
/// anything else.
fn read(text: &str) -> Option<FoundTags<'_>> {
    let mut found = FoundTags::default();
    if text.trim_ascii_start().starts_with('{') {
        let whole = json::members(text, |name, value| {
            found.keep(json::text(name.raw), value);
            if found.is_enough() {
                found.is_too_many = true;
                return Err(NotJson);
            }
            Ok(())
        });
        // Input that exceeds a limit is refused in any case, so the rest need not be valid.
        return (whole.is_ok() || found.is_too_many).then_some(found);
    }
    match json::pick::<0>(text, []).ok()? {
        json::JsonShape::Empty => {}
        json::JsonShape::List => found.keep(Cow::Borrowed("0"), "null"),
        _ => return None,
    }
    Some(found)
}

impl<'a> FoundTags<'a> {
    /// Converts the members to tags. As in PHP, only the last value of a name counts, so an earlier invalid
    /// value is no error. The first error is returned.
    fn tags(mut self, wrong: impl Fn(&str) -> String) -> Result<Tags, Cow<'static, str>> {
        self.members.sort_unstable_by_key(|member| member.last);
        let tags = self.members.iter().map(|member| member.tag(&wrong));
        let tags = tags.collect::<Result<Vec<_>, _>>()?;
        let tags = if self.is_too_many { Err(TagError::TooMany) } else { Tags::new(tags) };
        tags.map_err(|error| Cow::Owned(error.to_string()))
    }

    /// Returns whether there are more names than a client may have tags.
    fn is_too_many(&self) -> bool {
        self.members.len() > TAGS_MAX || self.count > MEMBERS_MAX
    }

    fn keep(&mut self, name: Cow<'a, str>, raw: &'a str) {
        let last = self.count;
        self.count += 1;
        match self.members.iter_mut().find(|known| known.name == name) {
            Some(known) => (known.raw, known.last) = (raw, last),
            None => self.members.push(TagMember { name, raw, last }),
        }
    }

    /// Returns whether reading can stop, because the members read so far will be refused.
    fn is_enough(&self) -> bool {
        let is_too_long = |member: &TagMember<'_>| member.name.len() > TAG_NAME_BYTES_MAX;
        self.count > MEMBERS_MAX
            || self.members.len() > TAGS_MAX
            || self.members.last().is_some_and(is_too_long)
    }
}

impl<'a> TagMember<'a> {
    fn tag(&self, wrong: impl Fn(&str) -> String) -> Result<Tag, Cow<'static, str>> {
        let Self { name, .. } = self;
        if is_integer_key(name) {
            return Err(Cow::Owned(not_a_name(name)));
        }
        let value = self.value().ok_or_else(|| wrong(name))?;
        Tag::new(name, &value).map_err(|error| Cow::Owned(error.to_string()))
    }

    /// Returns the value as text: a string, or the digits of an integer. Integers beyond 63 bits are floats
    /// in PHP, which are not valid tags.
    fn value(&self) -> Option<Cow<'a, str>> {
        match Scalar::of(self.raw) {
            Scalar::Text(text) => Some(text),
            Scalar::Integer(digits) if digits.parse::<i64>().is_ok() => Some(digits.into()),
            _ => None,
        }
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
    fn an_invalid_tag_is_reported_in_gomoobs_words() {
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

    #[test]
    fn half_pairs_in_tags_are_replaced_and_a_huge_number_is_reported() {
        let cut = of_opening(r#"{"a\ud83d":"\udc00x"}"#).unwrap();
        assert_eq!(pairs(&cut), [("a\u{fffd}", "\u{fffd}x")]);
        let why = of_opening(r#"{"p":1e400}"#).unwrap_err();
        assert_eq!(why, "The 'p' tag is not an integer or a string !");
        assert_eq!(pairs(&of_opening(r#"{"p":1e400,"p":5}"#).unwrap()), [("p", "5")]);
    }

    #[test]
    fn more_than_there_may_be_is_read_no_further() {
        let many = |count: usize, name: &dyn Fn(usize) -> String| {
            let members: Vec<_> = (0..count).map(|it| format!(r#""{}":1"#, name(it))).collect();
            of_request(&format!("{{{}}}", members.join(",")))
        };
        let each = |it: usize| format!("n{it}");
        assert_eq!(many(TAGS_MAX, &each).unwrap().len(), TAGS_MAX);
        assert_eq!(many(TAGS_MAX + 1, &each).unwrap_err(), "more than 128 tags");
        let same = |_: usize| "n".to_owned();
        assert_eq!(many(MEMBERS_MAX, &same).unwrap().len(), 1);
        assert_eq!(many(100_000, &same).unwrap_err(), "more than 128 tags");
        let long = format!(r#"{{"{}":1}}"#, "n".repeat(300));
        assert_eq!(of_request(&long).unwrap_err(), "a tag name of 300 bytes, 255 at most");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s)([\\{\\}\\[\\]:,\"a1-]|.){0,30}") {
            drop(of_opening(&text));
            drop(of_request(&text));
        }
    }
}

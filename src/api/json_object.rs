//! Strict JSON objects: every member is known, occurs once and has its type. An error names the
//! place.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ApiError, ErrorCode, shown};
use crate::json;
use crate::json::{NotJson, Scalar};

/// Maximum members of an object that are kept. No object of the API has more.
const MEMBERS_MAX: usize = 32;

/// The members of an object, unchanged from the input.
#[derive(Debug)]
pub(super) struct JsonObject<'a> {
    /// The JSON pointer of the object.
    at: String,
    members: Vec<(Cow<'a, str>, &'a str)>,
}

/// The error of the first member that is not allowed.
enum Misplaced {
    Unknown(String),
    Twice(String),
}

impl<'a> JsonObject<'a> {
    /// Reads an object that may have these members.
    ///
    /// # Errors
    ///
    /// If the text is not an object, or if a member is unknown or occurs twice.
    pub(super) fn read(text: &'a str, at: &str, known: &[&str]) -> Result<Self, ApiError> {
        let mut members: Vec<(Cow<'a, str>, &'a str)> = Vec::new();
        let mut misplaced = None;
        let read = json::members(text, |name, value| {
            let name = json::text(name.raw);
            if misplaced.is_some() {
            } else if members.iter().any(|(other, _)| *other == name) {
                misplaced = Some(Misplaced::Twice(name.into_owned()));
            } else if members.len() >= MEMBERS_MAX || !known.contains(&name.as_ref()) {
                misplaced = Some(Misplaced::Unknown(name.into_owned()));
            } else {
                members.push((name, value));
            }
            Ok(())
        });
        read.map_err(|NotJson| not_an_object(text, at))?;
        match misplaced {
            None => Ok(Self { at: at.to_owned(), members }),
            Some(Misplaced::Unknown(name)) => {
                let names = known.join(", ");
                let message = format!("`{}` is unknown here; known are {names}", shown(&name));
                Err(ApiError::at(ErrorCode::UnknownMember, &pointer(at, &name), message))
            }
            Some(Misplaced::Twice(name)) => Err(duplicate(at, &name)),
        }
    }

    /// Returns the JSON pointer of a member.
    pub(super) fn place(&self, name: &str) -> String {
        pointer(&self.at, name)
    }

    /// Returns a member, unchanged from the input. `null` counts as missing.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        let found = self.members.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value).filter(|value| *value != "null")
    }

    /// Returns the number of members.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, ApiError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match Scalar::of(raw).text() {
            Some(text) => Ok(Some(text)),
            None => Err(self.wrong_type(name, "a string")),
        }
    }

    /// Returns a count.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match raw.parse() {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(self.wrong_type(name, "a whole number that is not negative")),
        }
    }

    /// Returns `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.raw(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.wrong_type(name, "true or false")),
        }
    }

    /// Returns a required member.
    pub(super) fn missing(&self, name: &str, right: &str) -> ApiError {
        let message = format!("`{name}` is missing; {right}");
        ApiError::at(ErrorCode::MissingMember, &self.place(name), message)
    }

    /// Returns the error for a value that is not one of the allowed ones.
    pub(super) fn invalid(&self, name: &str, right: impl Into<String>) -> ApiError {
        ApiError::at(ErrorCode::InvalidValue, &self.place(name), right)
    }

    /// Returns the error for a value of another type.
    pub(super) fn wrong_type(&self, name: &str, right: &str) -> ApiError {
        let message = format!("`{name}` must be {right}");
        ApiError::at(ErrorCode::WrongType, &self.place(name), message)
    }
}

fn not_an_object(text: &str, at: &str) -> ApiError {
    let what = if json::is_json(text) { "it is not an object" } else { "it is not JSON" };
    ApiError::at(ErrorCode::InvalidJson, at, what)
}

/// Returns the elements of a list, unchanged from the input. A longer list gives one element more
/// than `max`, so the memory depends on the limit and not on the request.
///
/// # Errors
///
/// If this is not a list.
pub(super) fn list_of(raw: &str, max: usize) -> Result<Vec<&RawValue>, serde_json::Error> {
    struct UpTo(usize);

    impl<'de> Visitor<'de> for UpTo {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while elements.len() < self.0
                && let Some(element) = list.next_element()?
            {
                elements.push(element);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(elements)
        }
    }

    (&mut serde_json::Deserializer::from_str(raw)).deserialize_seq(UpTo(max + 1))
}

/// Returns the error for a duplicate member.
pub(super) fn duplicate(at: &str, name: &str) -> ApiError {
    let message = format!("`{}` occurs twice", shown(name));
    ApiError::at(ErrorCode::DuplicateMember, &pointer(at, name), message)
}

/// RFC 6901 §3. A long name comes from outside, so only a part of it is quoted.
pub(super) fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", shown(name).replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        JsonObject::read(text, "/a", &["x", "y"]).unwrap_err().json(None)
    }

    #[test]
    fn of_a_long_list_one_element_more_than_the_limit_is_returned() {
        let elements = |raw: &str| list_of(raw, 2).map(|list| list.len()).ok();
        assert_eq!(elements("[]"), Some(0));
        assert_eq!(elements("[1, [2]]"), Some(2));
        assert_eq!(elements(&format!("[{}0]", "0,".repeat(100_000))), Some(3));
        assert_eq!(elements("{}"), None);
        assert_eq!(elements("1"), None);
    }

    #[test]
    fn members_are_taken_as_they_were_written() {
        let object = JsonObject::read(r#" {"x":1.0e0,"\u0079":"a\n"} "#, "", &["x", "y"]).unwrap();
        assert_eq!((object.raw("x"), object.len()), (Some("1.0e0"), 2));
        assert_eq!(object.text("y").unwrap().as_deref(), Some("a\n"));
        assert!(
            object.count("x").is_err() && object.flag("x").is_err() && object.text("x").is_err()
        );
        let object = JsonObject::read(r#"{"x":7,"y":null}"#, "", &["x", "y"]).unwrap();
        assert_eq!((object.count("x").unwrap(), object.raw("y")), (Some(7), None));
        let object = JsonObject::read(r#"{"x":true,"y":false}"#, "", &["x", "y"]).unwrap();
        assert_eq!(
            (object.flag("x").unwrap(), object.flag("y").unwrap()),
            (Some(true), Some(false))
        );
    }

    #[test]
    fn an_error_names_its_place() {
        assert!(error(r#"{"x":1,"z/~":2}"#).contains(r#""at":"/a/z~1~0""#));
        assert!(error(r#"{"x":1,"z":2}"#).contains("unknown_member"));
        assert!(error(r#"{"x":1,"\u0078":2}"#).contains("duplicate_member"));
        assert!(error(&format!(r#"{{"{}":2}}"#, "z".repeat(100))).len() < 250);
        for text in ["", "[1]", "1", "{\"x\":1,}", "{\"x\":1} {}"] {
            assert!(error(text).contains("invalid_json"), "{text}");
        }
        // Invalid JSON is reported before errors of its content.
        assert!(error(r#"{"z":1,"z":2"#).contains("invalid_json"));
    }

    #[test]
    fn an_object_of_a_million_members_keeps_few() {
        let many: String = (0..100_000).map(|n| format!("\"m{n}\":1,")).collect();
        assert!(error(&format!("{{{many}\"x\":1}}")).contains("unknown_member"));
    }
}

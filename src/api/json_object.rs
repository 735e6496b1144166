//! Strict JSON objects: every member is known, occurs once and has its type. An error names the
//! place.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ApiError, ErrorCode, shown};
use crate::json;
use crate::json::{MemberName, NotJson, Scalar};

/// Members that need no allocation. Most objects have no more.
const MEMBERS_USUAL: usize = 4;

/// The members of an object, unchanged from the input.
#[derive(Debug)]
pub(super) struct JsonObject<'a> {
    at: JsonPlace<'a>,
    members: ReadMembers<'a>,
}

/// The known names of members, with the values. A `SmallVec` would fix the lifetime of its texts.
#[derive(Debug, Default)]
struct ReadMembers<'a> {
    first: [Option<(&'a str, &'a str)>; MEMBERS_USUAL],
    others: Vec<(&'a str, &'a str)>,
}

impl<'a> ReadMembers<'a> {
    fn push(&mut self, name: &'a str, value: &'a str) {
        let member = (name, value);
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(member),
            None => self.others.push(member),
        }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let mut members = self.first.iter().flatten().chain(&self.others);
        members.find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn len(&self) -> usize {
        self.first.iter().flatten().count() + self.others.len()
    }
}

/// The place of a value in a body. Its JSON pointer (RFC 6901) is written for an error only.
#[derive(Clone, Copy, Debug)]
pub(super) enum JsonPlace<'p> {
    /// The body as a whole.
    Body,
    /// A member of an object.
    Member {
        /// The object.
        of: &'p Self,
        /// The name of the member.
        name: &'p str,
    },
    /// An element of a list.
    Element {
        /// The list.
        of: &'p Self,
        /// Its place in the list, from 0.
        index: usize,
    },
}

impl JsonPlace<'_> {
    /// Returns the JSON pointer.
    pub(super) fn pointer(&self) -> String {
        match self {
            Self::Body => String::new(),
            Self::Member { of, name } => pointer(&of.pointer(), name),
            Self::Element { of, index } => format!("{}/{index}", of.pointer()),
        }
    }
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
    pub(super) fn read(
        text: &'a str,
        at: JsonPlace<'a>,
        known: &[&'a str],
    ) -> Result<Self, ApiError> {
        let mut members = ReadMembers::default();
        let mut misplaced = None;
        let read = json::members(text, |name, value| {
            if misplaced.is_some() {
                return Ok(());
            }
            let own = |name: MemberName<'_>| json::text(name.raw).into_owned();
            match known.iter().find(|known| name.is(known)) {
                Some(known) if members.value(known).is_some() => {
                    misplaced = Some(Misplaced::Twice(own(name)));
                }
                Some(known) => members.push(known, value),
                None => misplaced = Some(Misplaced::Unknown(own(name))),
            }
            Ok(())
        });
        read.map_err(|NotJson| not_an_object(text, at))?;
        match misplaced {
            None => Ok(Self { at, members }),
            Some(Misplaced::Unknown(name)) => {
                let names = known.join(", ");
                let message = format!("`{}` is unknown here; known are {names}", shown(&name));
                let at = pointer(&at.pointer(), &name);
                Err(ApiError::at(ErrorCode::UnknownMember, &at, message))
            }
            Some(Misplaced::Twice(name)) => Err(duplicate(at, &name)),
        }
    }

    /// Returns the place of a member.
    pub(super) fn place<'p>(&'p self, name: &'p str) -> JsonPlace<'p> {
        JsonPlace::Member { of: &self.at, name }
    }

    /// Returns the JSON pointer of a member.
    fn pointer(&self, name: &str) -> String {
        self.place(name).pointer()
    }

    /// Returns a member, unchanged from the input. `null` counts as missing.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.members.value(name).filter(|value| *value != "null")
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
        ApiError::at(ErrorCode::MissingMember, &self.pointer(name), message)
    }

    /// Returns the error for a value that is not one of the allowed ones.
    pub(super) fn invalid(&self, name: &str, right: impl Into<String>) -> ApiError {
        ApiError::at(ErrorCode::InvalidValue, &self.pointer(name), right)
    }

    /// Returns the error for a value of another type.
    pub(super) fn wrong_type(&self, name: &str, right: &str) -> ApiError {
        let message = format!("`{name}` must be {right}");
        ApiError::at(ErrorCode::WrongType, &self.pointer(name), message)
    }
}

fn not_an_object(text: &str, at: JsonPlace<'_>) -> ApiError {
    let what = if json::is_json(text) { "it is not an object" } else { "it is not JSON" };
    ApiError::at(ErrorCode::InvalidJson, &at.pointer(), what)
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
pub(super) fn duplicate(at: JsonPlace<'_>, name: &str) -> ApiError {
    let message = format!("`{}` occurs twice", shown(name));
    ApiError::at(ErrorCode::DuplicateMember, &pointer(&at.pointer(), name), message)
}

/// RFC 6901 §3. A long name comes from outside, so only a part of it is quoted.
fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", shown(name).replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let at = JsonPlace::Member { of: &JsonPlace::Body, name: "a" };
        JsonObject::read(text, at, &["x", "y"]).unwrap_err().json(None)
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
        let read = |text| JsonObject::read(text, JsonPlace::Body, &["x", "y"]).unwrap();
        let object = read(r#" {"x":1.0e0,"\u0079":"a\n"} "#);
        assert_eq!((object.raw("x"), object.len()), (Some("1.0e0"), 2));
        assert_eq!(object.text("y").unwrap().as_deref(), Some("a\n"));
        assert!(
            object.count("x").is_err() && object.flag("x").is_err() && object.text("x").is_err()
        );
        let object = read(r#"{"x":7,"y":null}"#);
        assert_eq!((object.count("x").unwrap(), object.raw("y")), (Some(7), None));
        let object = read(r#"{"x":true,"y":false}"#);
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

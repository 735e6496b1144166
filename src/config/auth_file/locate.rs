//! The line of a place in a YAML text, as its parser knows it.
//!
//! A parsed value has no lines. So the text is read once more, and the reading fails on purpose at
//! the wanted place: the error carries the line.

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// The file as a whole.
    File,
    /// The value of a member at the top.
    Top(String),
    /// An application, counted from 0.
    Application(usize),
    /// The value of a member of an application.
    Member(usize, String),
}

/// The line of a spot, counted from 1; none when it stands nowhere.
pub(super) fn line_of(text: &str, spot: &Spot) -> Option<usize> {
    location(text, spot).map(|(line, _)| line)
}

/// Line and column of a spot, counted from 1.
pub(super) fn location(text: &str, spot: &Spot) -> Option<(usize, usize)> {
    let reader = serde_yaml::Deserializer::from_str(text);
    let error = Walk(&steps(spot)?, Find::Line).deserialize(reader).err()?;
    error.location().map(|at| (at.line(), at.column()))
}

/// A scalar as it was written: `1e3` and `0x10` are numbers to YAML, and these texts to whoever wrote
/// them.
pub(super) fn text_at(text: &str, spot: &Spot) -> Option<String> {
    let found = RefCell::new(None);
    let reader = serde_yaml::Deserializer::from_str(text);
    Walk(&steps(spot)?, Find::Text(&found)).deserialize(reader).ok()?;
    found.into_inner()
}

fn steps(spot: &Spot) -> Option<Vec<Step>> {
    let list = || Step::Name("applications".to_owned());
    Some(match spot {
        Spot::File => return None,
        Spot::Top(name) => vec![Step::Name(name.clone())],
        Spot::Application(at) => vec![list(), Step::Place(*at)],
        Spot::Member(at, name) => vec![list(), Step::Place(*at), Step::Name(name.clone())],
    })
}

/// What is wanted of a spot.
#[derive(Clone, Copy)]
enum Find<'f> {
    /// Where it is: the walk fails there.
    Line,
    /// What was written there.
    Text(&'f RefCell<Option<String>>),
}

/// One step from a value to one inside it.
enum Step {
    Name(String),
    Place(usize),
}

struct Walk<'p>(&'p [Step], Find<'p>);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        match (self.0.split_first(), self.1) {
            (Some((step, rest)), find) => value.deserialize_any(Inside(step, rest, find)),
            (None, Find::Line) => value.deserialize_any(Nowhere).map(|_| ()),
            (None, Find::Text(found)) => {
                *found.borrow_mut() = Some(String::deserialize(value)?);
                Ok(())
            }
        }
    }
}

/// Takes nothing: whatever stands here is an error that carries the line.
struct Nowhere;

impl Visitor<'_> for Nowhere {
    type Value = IgnoredAny;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

/// Looks for a step, and skips everything else.
struct Inside<'p>(&'p Step, &'p [Step], Find<'p>);

impl<'de> Visitor<'de> for Inside<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<serde_yaml::Value>()? {
            match self.0 {
                Step::Name(wanted) if name.as_str() == Some(wanted) => {
                    map.next_value_seed(Walk(self.1, self.2))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut place = 0;
        loop {
            let found = match self.0 {
                Step::Place(wanted) if *wanted == place => {
                    list.next_element_seed(Walk(self.1, self.2))?
                }
                _ => list.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if found.is_none() {
                return Ok(());
            }
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_values() {
        let text = "# comment\nanonymous: a\n\napplications:\n  - key: a\n    secret:\n      long\n  \
                    # between\n  - {key: b,\n     secret: c}\n";
        let member = |at, name: &str| line_of(text, &Spot::Member(at, name.to_owned()));
        assert_eq!(line_of(text, &Spot::Top("anonymous".to_owned())), Some(2));
        assert_eq!(location(text, &Spot::Application(0)), Some((5, 5)));
        assert_eq!(member(0, "key"), Some(5));
        assert_eq!(member(0, "secret"), Some(7));
        assert_eq!(line_of(text, &Spot::Application(1)), Some(9));
        assert_eq!(member(1, "secret"), Some(10));
        assert_eq!(member(1, "tenant"), None);
        assert_eq!(line_of(text, &Spot::File), None);
    }
}

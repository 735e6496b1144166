//! Members of the JSON objects of a token: the known ones, each at most once.

use crate::json;
use crate::json::NotJson;

/// Why an object is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidObject {
    /// It is not a JSON object.
    NotAnObject,
    /// A known member occurs twice. Readers differ in which one they use.
    Twice(&'static str),
}

/// The known members of an object as they are written, and the first other one.
#[derive(Debug)]
pub(super) struct KnownMembers<'a, const N: usize> {
    pub(super) values: [Option<&'a str>; N],
    pub(super) other: Option<String>,
}

/// Reads an object.
pub(super) fn read<'a, const N: usize>(
    text: &'a str,
    known: [&'static str; N],
) -> Result<KnownMembers<'a, N>, InvalidObject> {
    let mut found = KnownMembers { values: [None; N], other: None };
    let mut twice = None;
    let read = json::members(text, |name, value| {
        match known.iter().zip(&mut found.values).find(|(known, _)| name.is(known)) {
            Some((known, Some(_))) => twice = twice.or(Some(*known)),
            Some((_, free)) => *free = Some(value),
            None => _ = found.other.get_or_insert_with(|| json::text(name.raw).into_owned()),
        }
        Ok(())
    });
    match (read, twice) {
        (Err(NotJson), _) => Err(InvalidObject::NotAnObject),
        (Ok(()), Some(name)) => Err(InvalidObject::Twice(name)),
        (Ok(()), None) => Ok(found),
    }
}

//! The claim `caps`: what a client with a token may do.

use super::error::TokenError;
use super::known_members::{self, InvalidObject};
use crate::json::Scalar;
use crate::types::limits::{TAG_NAME_BYTES_MAX, TOKEN_NAMES_MAX};
use crate::types::{AllowedNames, Expression};

/// Capabilities of a token. `None`: as the application says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenCapabilities {
    /// Whether the client may publish without a secret.
    pub publish: Option<bool>,
    /// What the client publishes without a secret reaches only those clients of its address that match.
    pub among: Option<Expression>,
    /// Whether publications reach the client.
    pub receive: Option<bool>,
    /// Names of tags that the client may change, in a protocol that has a frame for it.
    pub retag: Option<AllowedNames>,
    /// Topics that the client may join, in a protocol that has topics.
    pub topics: Option<AllowedNames>,
    /// What the client may watch, in a protocol that has presence.
    pub watch: Option<AllowedNames>,
}

impl TokenCapabilities {
    /// Reads the claim. An unknown member may be a restriction, so it makes the token invalid.
    pub(super) fn read(raw: &str) -> Result<Self, TokenError> {
        const KNOWN: [&str; 5] = ["publish", "receive", "retag", "topics", "watch"];
        let found = known_members::read(raw, KNOWN).map_err(|invalid| match invalid {
            InvalidObject::NotAnObject => TokenError::claim("caps", "a JSON object"),
            InvalidObject::Twice(name) => {
                TokenError::claim(&format!("caps.{name}"), "there once only")
            }
        })?;
        if found.other.is_some() {
            let right = "an object with `publish`, `receive`, `retag`, `topics` and `watch` only";
            return Err(TokenError::claim("caps", right));
        }
        let [publish, receive, retag, topics, watch] = found.values;
        let among = among(publish)?;
        let retag = retag.map(|raw| if raw == "false" { "[]" } else { raw });
        Ok(Self {
            publish: if among.is_some() { Some(true) } else { flag(publish, "caps.publish")? },
            among,
            receive: flag(receive, "caps.receive")?,
            retag: names(retag, "caps.retag")?,
            topics: names(topics, "caps.topics")?,
            watch: names(watch, "caps.watch")?,
        })
    }

    /// Returns the bytes on the heap.
    pub(super) fn held(&self) -> usize {
        let Self { among, retag, topics, watch, .. } = self;
        let names = [retag, topics, watch].into_iter().flatten().map(AllowedNames::held);
        names.sum::<usize>() + among.as_ref().map_or(0, Expression::held)
    }
}

/// Reads the expression of `publish`, in its text form or as an object.
fn among(raw: Option<&str>) -> Result<Option<Expression>, TokenError> {
    let Some(raw) = raw else { return Ok(None) };
    let read = match Scalar::of(raw).text() {
        Some(text) => Expression::parse(&text),
        None if raw.starts_with('{') => Expression::from_json(raw),
        None => return Ok(None),
    };
    read.map(Some).map_err(|error| {
        let right = format!("true, false or an expression over tags: {error}");
        TokenError::claim("caps.publish", &right)
    })
}

fn names(raw: Option<&str>, claim: &str) -> Result<Option<AllowedNames>, TokenError> {
    let Some(raw) = raw else { return Ok(None) };
    if raw == "true" {
        return Ok(Some(AllowedNames::All));
    }
    let names =
        listed(raw).ok_or_else(|| TokenError::claim(claim, "true or a list of up to 128 names"))?;
    Ok(Some(AllowedNames::Listed(names)))
}

fn flag(raw: Option<&str>, name: &str) -> Result<Option<bool>, TokenError> {
    match raw {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(TokenError::claim(name, "true or false")),
    }
}

fn listed(raw: &str) -> Option<Box<[Box<str>]>> {
    // A token is short, so reading all of it is cheap.
    let names: Box<[Box<str>]> = serde_json::from_str(raw).ok()?;
    let is_name = |name: &str| (1..=TAG_NAME_BYTES_MAX).contains(&name.len());
    let is_list = names.len() <= TOKEN_NAMES_MAX && names.iter().all(|name| is_name(name));
    is_list.then_some(names)
}

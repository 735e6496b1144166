//! The claim `caps`: what a client with a token may do.

use super::error::TokenError;
use super::known_members::{self, InvalidObject};
use crate::types::limits::{TAG_NAME_BYTES_MAX, TOKEN_NAMES_MAX};

/// Capabilities of a token. `None`: as the application says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCapabilities {
    /// Whether the client may publish without a secret.
    pub publish: Option<bool>,
    /// Whether publications reach the client.
    pub receive: Option<bool>,
}

impl TokenCapabilities {
    /// Reads the claim. An unknown member may be a restriction, so it makes the token invalid.
    pub(super) fn read(raw: &str) -> Result<Self, TokenError> {
        const KNOWN: [&str; 4] = ["publish", "receive", "topics", "watch"];
        let found = known_members::read(raw, KNOWN).map_err(|invalid| match invalid {
            InvalidObject::NotAnObject => TokenError::claim("caps", "a JSON object"),
            InvalidObject::Twice(name) => {
                TokenError::claim(&format!("caps.{name}"), "there once only")
            }
        })?;
        if found.other.is_some() {
            let right = "an object with `publish`, `receive`, `topics` and `watch` only";
            return Err(TokenError::claim("caps", right));
        }
        let [publish, receive, topics, watch] = found.values;
        for (name, raw) in [("caps.topics", topics), ("caps.watch", watch)] {
            if raw.is_some_and(|raw| raw != "true" && !is_list_of_names(raw)) {
                return Err(TokenError::claim(name, "true or a list of up to 128 names"));
            }
        }
        Ok(Self {
            publish: flag(publish, "caps.publish")?,
            receive: flag(receive, "caps.receive")?,
        })
    }
}

fn flag(raw: Option<&str>, name: &str) -> Result<Option<bool>, TokenError> {
    match raw {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(TokenError::claim(name, "true or false")),
    }
}

fn is_list_of_names(raw: &str) -> bool {
    // A token is short, so reading all of it is cheap.
    let names: Result<Vec<String>, _> = serde_json::from_str(raw);
    let is_name = |name: &String| (1..=TAG_NAME_BYTES_MAX).contains(&name.len());
    names.is_ok_and(|names| names.len() <= TOKEN_NAMES_MAX && names.iter().all(is_name))
}

//! `[resource /path]` and `[resource Name]`: what serves a path, a subprotocol or a `?Name`.

use serde::{Deserialize, Serialize};

use crate::config::finding::{Fault, Place};
use crate::config::given::{Bound, Given};
use crate::config::keys::folded;
use crate::config::value::{self, choice, choices};
use crate::types::limits::TAG_VALUE_BYTES_MAX;

/// A path, or a name, and what it is served by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceBinding {
    /// A path, compared to the letter; or a name without a slash: the subprotocol of that name, and
    /// the query that is nothing but it.
    pub name: String,
    /// What serves it.
    pub kind: ResourceKind,
}

choices! {
    /// What a path can be bound to.
    ResourceKind {
        /// phpWebSocketServer's packets.
        Phpws = "phpws",
        /// Every message back to its sender.
        Echo = "echo",
        /// Gomoob's requests.
        Gomoob = "gomoob",
        /// A client's text to all clients of the same resource, itself included.
        Broadcast = "broadcast",
    }
}

pub(in crate::config) fn read(given: &mut Given<'_>) -> Vec<ResourceBinding> {
    let mut bound: Vec<ResourceBinding> = Vec::new();
    for Bound { place, name, entries } in std::mem::take(&mut given.resources) {
        let title = format!("[resource {name}]");
        if !is_name(&name) {
            let right = "use `[resource /path]`, or `[resource Name]` for a subprotocol, with 255 \
                         bytes at the most";
            let fault = Fault::new("names neither a path nor a subprotocol", right);
            given.find_fault(place.clone(), &title, fault);
        } else if bound.iter().any(|other| other.name == name) {
            let fault = Fault::new("binds a name that is bound already", "bind it once");
            given.find_fault(place.clone(), &title, fault);
        }
        if let Some(kind) = resource_kind(given, place, &title, entries) {
            bound.push(ResourceBinding { name, kind });
        }
    }
    bound
}

/// A path, or a token as RFC 9110 §5.6.2 has it, which a subprotocol is; it has to fit into a tag.
pub(in crate::config) fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_right = match name.starts_with('/') {
        true => !name.contains(['?', '#', ' ']),
        false => !name.is_empty() && name.bytes().all(is_token),
    };
    is_right && name.len() <= TAG_VALUE_BYTES_MAX
}

fn resource_kind(
    given: &mut Given<'_>,
    place: Place,
    title: &str,
    entries: Vec<(Place, String, String)>,
) -> Option<ResourceKind> {
    let mut kind = None;
    let mut is_named = false;
    for (place, key, written) in entries {
        if folded(&key) != "kind" {
            given.find_fault(place, &key, Fault::new("is no key of a resource", "use `kind`"));
        } else if is_named {
            given.find_fault(place, &key, Fault::new("was given before", "give it once"));
        } else {
            is_named = true;
            match choice(&written) {
                Ok(chosen) => kind = Some(chosen),
                Err(fault) => given.find_fault(place, &key, fault),
            }
        }
    }
    if !is_named {
        let right = format!("add `kind = …`: {}", value::words::<ResourceKind>());
        given.find_fault(place, title, Fault::new("does not say what serves it", right));
    }
    kind
}

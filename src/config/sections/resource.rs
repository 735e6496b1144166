//! `[resource /path]`: what serves a path.

use serde::{Deserialize, Serialize};

use crate::config::finding::{Fault, Place};
use crate::config::given::{Bound, Given};
use crate::config::keys::folded;
use crate::config::value::{self, choice, choices};

/// A path and what it is served by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceBinding {
    /// The path, compared to the letter.
    pub path: String,
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
    }
}

pub(in crate::config) fn read(given: &mut Given<'_>) -> Vec<ResourceBinding> {
    let mut bound: Vec<ResourceBinding> = Vec::new();
    for Bound { place, path, entries } in std::mem::take(&mut given.resources) {
        let title = format!("[resource {path}]");
        if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
            let fault = Fault::new("names no path", "use `[resource /path]`");
            given.find_fault(place.clone(), &title, fault);
        } else if bound.iter().any(|other| other.path == path) {
            let fault = Fault::new("binds a path that is bound already", "bind it once");
            given.find_fault(place.clone(), &title, fault);
        }
        if let Some(kind) = resource_kind(given, place, &title, entries) {
            bound.push(ResourceBinding { path, kind });
        }
    }
    bound
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

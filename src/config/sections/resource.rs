//! `[resource /path]` and `[resource Name]`: the resource for a path, a subprotocol or a query
//! `?Name`.

use serde::{Deserialize, Serialize};

use super::backend::{self, BackendBinding, BackendSources, Entries};
use crate::config::diagnostic::{Problem, ValueLocation};
use crate::config::layers::{ConfigLayers, ResourceSection};
use crate::config::parse::choice;
use crate::config::schema::folded;
use crate::resource::ResourceKind;
use crate::types::WordChoice;
use crate::types::limits::TAG_VALUE_BYTES_MAX;

/// The resource for a path or a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceBinding {
    /// A path, which must match exactly, or a name without a slash. A name matches the subprotocol
    /// and a query that consists of nothing else.
    pub name: String,
    /// Kind of the resource.
    pub kind: ResourceKind,
    /// Backend of a resource with `kind = http`.
    pub backend: Option<Box<BackendBinding>>,
}

pub(in crate::config) fn read(
    given: &mut ConfigLayers<'_>,
    sources: BackendSources<'_>,
) -> Vec<ResourceBinding> {
    let mut bound: Vec<ResourceBinding> = Vec::new();
    for ResourceSection { place, name, entries } in std::mem::take(&mut given.resources) {
        let title = format!("[resource {name}]");
        if !is_name(&name) {
            let right = "use `[resource /path]`, or `[resource Name]` for a subprotocol, with at most 255 \
                         bytes";
            let fault = Problem::new("names neither a path nor a subprotocol", right);
            given.find_fault(place.clone(), &title, fault);
        } else if bound.iter().any(|other| other.name == name) {
            let fault = Problem::new("binds a name that is already bound", "bind it once");
            given.find_fault(place.clone(), &title, fault);
        }
        let mut entries = Entries { all: once_each(given, entries), section: (place, &title) };
        let kind = resource_kind(given, &mut entries);
        let backend = match kind {
            Some(ResourceKind::Http) => backend::read(given, &mut entries, sources),
            _ => None,
        };
        for (place, key, _) in entries.all {
            let right = match kind {
                Some(ResourceKind::Http) => format!("use {}", backend::KEYS.join(", ")),
                // The key may belong to a missing kind, which was already reported.
                None if backend::KEYS.iter().any(|known| folded(known) == folded(&key)) => continue,
                None => "use `kind`".to_owned(),
                Some(_) => "use `kind`; `kind = http` has more keys".to_owned(),
            };
            given.find_fault(place, &key, Problem::new("unknown key of this resource", right));
        }
        if let Some(kind) = kind {
            bound.push(ResourceBinding { name, kind, backend: backend.map(Box::new) });
        }
    }
    bound
}

/// Returns the entries of a section. A duplicate entry is reported and left out.
fn once_each(
    given: &mut ConfigLayers<'_>,
    entries: Vec<(ValueLocation, String, String)>,
) -> Vec<(ValueLocation, String, String)> {
    let mut all: Vec<(ValueLocation, String, String)> = Vec::new();
    for (place, key, value) in entries {
        if all.iter().any(|(_, known, _)| folded(known) == folded(&key)) {
            given.find_fault(place, &key, Problem::new("was already set", "set it once"));
        } else {
            all.push((place, key, value));
        }
    }
    all
}

/// Returns true for a path, or for a token of RFC 9110 §5.6.2, as subprotocols are. The name must
/// also fit in a tag.
pub(in crate::config) fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_right = match name.starts_with('/') {
        true => !name.contains(['?', '#', ' ']),
        false => !name.is_empty() && name.bytes().all(is_token),
    };
    is_right && name.len() <= TAG_VALUE_BYTES_MAX
}

fn resource_kind(given: &mut ConfigLayers<'_>, entries: &mut Entries<'_>) -> Option<ResourceKind> {
    let right = format!("add `kind = …`: {}", ResourceKind::words());
    if !entries.has("kind") {
        let (place, title) = entries.section.clone();
        given.find_fault(place, title, Problem::new("has no kind", right));
    }
    entries.take(given, "kind", choice)
}

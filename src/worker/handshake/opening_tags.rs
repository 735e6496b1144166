//! Tags in a client's handshake.

use std::borrow::Cow;

use crate::auth::Grant;
use crate::http::{Parameter, Upgrade, form_parameter};
use crate::protocol::tags;
use crate::resource::{ResourceHooks, Route};
use crate::types::{Tag, Tags};
use crate::worker::settings::WorkerSettings;

const TAGS_CLOSED: &str = "tags in the query are not taken here (openTags)";

/// Returns all tags of a new client.
pub(in crate::worker) fn of_client(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    route: &Route<'_>,
    resource: Option<&dyn ResourceHooks>,
    grant: &Grant,
) -> Result<Tags, Cow<'static, str>> {
    let RequestedTags { own, all } = requested(upgrade.query.unwrap_or_default(), resource)?;
    if own.is_empty() || may_choose_tags(settings, upgrade, route, grant) {
        Ok(all)
    } else {
        Err(TAGS_CLOSED.into())
    }
}

/// Tags of a new client.
struct RequestedTags {
    /// Tags that the client chose.
    own: Tags,
    /// Tags that the client chose, and the common tag of its resource.
    all: Tags,
}

fn requested(
    query: &str,
    resource: Option<&dyn ResourceHooks>,
) -> Result<RequestedTags, Cow<'static, str>> {
    let own = match form_parameter(query, "tags") {
        None => Tags::default(),
        Some(Parameter::Text(json)) => tags::of_opening(&json.unwrap_or_default())?,
        Some(Parameter::Members(members)) => tags::of_opening(&tags::json_of(&members))?,
        Some(Parameter::Broken) => tags::of_opening("")?,
    };
    match resource.and_then(ResourceHooks::common_tag) {
        Some(common) => with_common(&own, common).map(|all| RequestedTags { own, all }),
        None => Ok(RequestedTags { all: own.clone(), own }),
    }
}

/// Returns whether a client may choose its tags.
fn may_choose_tags(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    route: &Route<'_>,
    grant: &Grant,
) -> bool {
    // The subprotocol of an echo application or a room does not grant this.
    let by_name = route.subprotocol.is_some() && !route.resource.is_built_in();
    by_name || lets_choose_tags(settings, upgrade.path, grant)
}

/// Returns true if a client may choose its tags: the option is on, the path is bound to a resource,
/// or the client has shown a secret and may therefore receive everything in its tenant.
fn lets_choose_tags(settings: &WorkerSettings, path: &str, grant: &Grant) -> bool {
    settings.has_open_tags || settings.paths.is_spoken_for(path) || grant.basis.is_proven()
}

/// Adds the common tag of the resource to a client's tags.
fn with_common(tags: &Tags, common: &Tag) -> Result<Tags, Cow<'static, str>> {
    let all = tags.iter().chain([common]).cloned();
    Tags::new(all).map_err(|error| Cow::Owned(error.to_string()))
}

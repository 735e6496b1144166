//! The tags that a client opens its connection with.

use std::borrow::Cow;

use crate::auth::Grant;
use crate::config::OpenTags;
use crate::http::{Parameter, Upgrade, form_parameter};
use crate::protocol::tags;
use crate::resource::{ResourceHooks, Route};
use crate::types::{Tag, Tags};
use crate::worker::settings::WorkerSettings;

const TAGS_CLOSED: &str = "tags in the query are not taken here (openTags)";

/// All tags of a client that opens a connection, if it may have them.
pub(in crate::worker) fn of_client(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    route: &Route<'_>,
    resource: Option<&dyn ResourceHooks>,
    grant: &Grant,
) -> Result<Tags, Cow<'static, str>> {
    let tags = requested(upgrade.query.unwrap_or_default(), resource)?;
    permitted(tags, open_tags(settings, upgrade, route, grant))
}

/// The tags that a client opens with.
struct RequestedTags {
    /// Those of its own choice.
    own: Tags,
    /// These and the one that all clients of its resource carry.
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

/// All tags of a client, where it may choose its own or has none.
fn permitted(
    RequestedTags { own, all }: RequestedTags,
    open_tags: OpenTags,
) -> Result<Tags, Cow<'static, str>> {
    match open_tags {
        OpenTags::Off if !own.is_empty() => Err(TAGS_CLOSED.into()),
        OpenTags::On | OpenTags::Off => Ok(all),
    }
}

/// Whether a client may choose the tags that it opens with.
fn open_tags(
    settings: &WorkerSettings,
    upgrade: &Upgrade<'_>,
    route: &Route<'_>,
    grant: &Grant,
) -> OpenTags {
    // A name of the echo or of a room decides about no tags.
    let by_name = route.subprotocol.is_some() && !route.resource.is_built_in();
    match by_name || lets_choose_tags(settings, upgrade.path, grant) {
        true => OpenTags::On,
        false => OpenTags::Off,
    }
}

/// Whether a client may choose its tags itself: where a resource decides about it, or where
/// it has proven that it may receive all of its space.
fn lets_choose_tags(settings: &WorkerSettings, path: &str, grant: &Grant) -> bool {
    settings.open_tags == OpenTags::On
        || settings.paths.is_spoken_for(path)
        || grant.ground.is_proven()
}

/// A client's own tags, and the one that all clients of its resource carry.
fn with_common(tags: &Tags, common: &Tag) -> Result<Tags, Cow<'static, str>> {
    let all = tags.iter().chain([common]).cloned();
    Tags::new(all).map_err(|error| Cow::Owned(error.to_string()))
}

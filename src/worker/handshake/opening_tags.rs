//! Tags and topics in a client's handshake.

use std::borrow::Cow;

use super::shown_token::AdmittedCredentials;
use crate::auth::{Grant, TokenClaims};
use crate::http::{Parameter, Upgrade, form_parameter};
use crate::protocol::tags;
use crate::protocol::v1::{V1Hello, invalid_frame};
use crate::resource::{ResourceHooks, Route};
use crate::types::{AllowedNames, AsTag, CloseReason, Tags, Topics};
use crate::worker::context::Context;
use crate::worker::settings::WorkerSettings;

const TAGS_CLOSED: &str = "tags in the query are not taken here (openTags)";

/// Returns the tags in a query.
pub(in crate::worker) fn in_query(query: &str) -> Result<Tags, Cow<'static, str>> {
    match form_parameter(query, "tags") {
        None => Ok(Tags::default()),
        Some(Parameter::Text(json)) => tags::of_opening(&json.unwrap_or_default()),
        Some(Parameter::Members(members)) => tags::of_opening(&tags::json_of(&members)),
        Some(Parameter::Broken) => tags::of_opening(""),
    }
}

/// Returns the tags of a first frame, or those in the query of its request.
pub(super) fn of_hello(
    upgrade: &Upgrade<'_>,
    hello: &V1Hello<'_>,
) -> Result<Tags, Cow<'static, str>> {
    match hello.tags {
        Some(json) => tags::of_opening(json),
        None => in_query(upgrade.query.unwrap_or_default()),
    }
}

/// Returns those topics of a first frame that the client may join. It learns from `welcome` which these are. `chosen` are
/// those that it may join if neither its token nor its application says so.
pub(super) fn topics<'n>(
    context: &Context,
    credentials: &'n AdmittedCredentials,
    hello: &V1Hello<'_>,
    chosen: impl FnOnce() -> Option<&'n AllowedNames>,
) -> Result<Topics, CloseReason> {
    let rules = &context.settings.rules;
    let most = rules.topics_max;
    if hello.topics.len() > most {
        return Err(invalid_frame(&format!("more than {most} topics")));
    }
    let AdmittedCredentials { grant, .. } = credentials;
    let named = credentials.claims().and_then(|it| it.capabilities.topics.as_ref());
    let is_by_token = rules.access.has_tags_by_token(&grant.tenant, grant.basis);
    let allowed = named.or_else(|| if is_by_token { None } else { chosen() });
    Ok(hello.topics.filtered(|topic| allowed.is_some_and(|names| names.admits_topic(topic))))
}

/// Returns all tags of a new client, given those that it chose.
pub(in crate::worker) fn of_client(
    context: &Context,
    upgrade: &Upgrade<'_>,
    route: &Route<'_>,
    shown: &AdmittedCredentials,
    own: Tags,
) -> Result<Tags, Cow<'static, str>> {
    let (settings, resource) = (&context.settings, context.resources.get(route.resource));
    let RequestedTags { own, all } = requested(own, resource, shown.claims())?;
    let is_of_token =
        settings.rules.access.has_tags_by_token(&shown.grant.tenant, shown.grant.basis);
    if let Some(claimed) = own.iter().find(|tag| is_of_token && !shown.has_tag(*tag)) {
        return Err(format!("The tag '{}' is not in the token !", claimed.name()).into());
    }
    if is_of_token || own.is_empty() || may_choose_tags(settings, upgrade, route, &shown.grant) {
        Ok(all)
    } else {
        Err(TAGS_CLOSED.into())
    }
}

/// Tags of a new client.
struct RequestedTags {
    /// Tags that the client chose.
    own: Tags,
    /// Tags that the client chose, those of its token, and the common tag of its resource. A later one
    /// replaces an earlier one of its name.
    all: Tags,
}

fn requested(
    own: Tags,
    resource: Option<&dyn ResourceHooks>,
    token: Option<&TokenClaims>,
) -> Result<RequestedTags, Cow<'static, str>> {
    let common = resource.and_then(ResourceHooks::common_tag);
    if common.is_none() && token.is_none() {
        return Ok(RequestedTags { all: own.clone(), own });
    }
    let user = token.map(TokenClaims::user_tag).transpose().map_err(|error| error.to_string())?;
    let user = user.flatten();
    let of_server = user.iter().chain(common).map(AsTag::as_tag);
    let fixed = token.into_iter().flat_map(|token| &token.tags).chain(of_server);
    let all = Tags::new(own.iter().chain(fixed));
    all.map(|all| RequestedTags { own, all }).map_err(|error| Cow::Owned(error.to_string()))
}

/// Returns whether a client may choose its tags.
pub(in crate::worker) fn may_choose_tags(
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

//! `PATCH` and `PUT /connections/{uuid}/tags`: change the tags of one client. `POST /connections:retag`: those of all
//! clients that match.

use std::fmt::Write;
use std::sync::Arc;

use tokio::time::timeout_at;

use super::commanded::CommandedEverywhere;
use super::connections::push_tags;
use super::matching::matched_answer;
use super::payload::check_memory;
use super::recipients::{check_names_once, read_expression};
use super::taken::{RecipientLimits, no_such_client};
use super::{EndpointContext, unexpected};
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace, list_of};
use crate::api::response::ApiAnswer;
use crate::json::Scalar;
use crate::link::command::{CommandKind, CommandOutcome};
use crate::protocol::tags::{self, InvalidTags};
use crate::types::limits::TAGS_MAX;
use crate::types::{TagChange, TagEdit, TagNames, TagVersion, Tags, Topics, VersionedTags};

pub(super) const RETAG_ONE_MEMBERS: &[&str] = &["set", "remove", "if_version"];
pub(super) const RETAG_MEMBERS: &[&str] = &["expr", "set", "remove", "max_recipients", "dry_run"];
pub(super) const REPLACE_TAGS_MEMBERS: &[&str] = &["tags", "if_version"];

/// Sets and removes tags of the client of the path.
///
/// # Errors
///
/// What is wrong with the request, or why the tags were not changed.
pub(in crate::api) async fn update(
    context: EndpointContext<'_>,
    uuid: &str,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let body = JsonObject::read(text, JsonPlace::Body, RETAG_ONE_MEMBERS)?;
    let if_version = body.count("if_version")?.map(TagVersion);
    let edit = read_update(&body)?;
    change(context, uuid, TagChange { edit, if_version }).await
}

/// Replaces the tags of the client of the path.
///
/// # Errors
///
/// The same as of [`update`].
pub(in crate::api) async fn replace(
    context: EndpointContext<'_>,
    uuid: &str,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let body = JsonObject::read(text, JsonPlace::Body, REPLACE_TAGS_MEMBERS)?;
    let if_version = body.count("if_version")?.map(TagVersion);
    let missing = || body.missing("tags", "it is an object with all tags of the client");
    let tags = read_tags(&body, "tags")?.ok_or_else(missing)?;
    change(context, uuid, TagChange { edit: TagEdit::Replace(tags), if_version }).await
}

/// Changes the tags of all clients that match.
///
/// # Errors
///
/// What is wrong with the request, or why no tags were changed.
pub(in crate::api) async fn update_matching(
    context: EndpointContext<'_>,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let body = JsonObject::read(text, JsonPlace::Body, RETAG_MEMBERS)?;
    let edit = read_update(&body)?;
    let limits = RecipientLimits::read(&body, context)?;
    let missing = || body.missing("expr", "it is an expression, as text or as an object");
    let raw = body.raw("expr").ok_or_else(missing)?;
    let clients = read_expression(raw, &body.place("expr").pointer())?.into();
    let EndpointContext { state, application, until, .. } = context;
    check_memory(state)?;
    let place = timeout_at(until, Arc::clone(&state.bulk_changes).acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        let message = "another change of the tags of many clients is under way";
        return Err(ApiError::new(ErrorCode::Busy, message));
    };
    let clients_max = limits.clients_max();
    let command = CommandKind::ChangeTagsMatching { clients, clients_max, edit };
    let (publisher, tenant) = (&state.publisher, &application.tenant);
    let receipt = publisher.command_in(Some(place), tenant, command, until).await?;
    match CommandedEverywhere::of(context, receipt).await.map(CommandedEverywhere::of_matching) {
        Some((CommandOutcome::TooManyTags, _)) => {
            let message =
                format!("a client would have more than {TAGS_MAX} tags; none was changed");
            Err(too_many(message))
        }
        outcome => matched_answer(outcome.as_ref(), limits),
    }
}

async fn change(
    context: EndpointContext<'_>,
    uuid: &str,
    change: TagChange,
) -> Result<ApiAnswer, ApiError> {
    let uuid = context.uuid(uuid, None)?;
    let EndpointContext { state, application, until, .. } = context;
    check_memory(state)?;
    let command = CommandKind::ChangeTags { uuid, change };
    let receipt = state.publisher.command(&application.tenant, command, until).await?;
    let everywhere = CommandedEverywhere::of(context, receipt).await;
    match everywhere.and_then(CommandedEverywhere::of_one) {
        None => Ok(ApiAnswer::accepted()),
        Some(CommandOutcome::Tagged(tags)) => Ok(ApiAnswer::ok(format!("{{{}}}", members(&tags)))),
        Some(CommandOutcome::Unknown) => Err(no_such_client()),
        Some(CommandOutcome::Conflict(present)) => Err(conflict(&present)),
        Some(CommandOutcome::NotReached) => {
            let message = "tags do not reach this client, so it has none that could be changed";
            Err(ApiError::new(ErrorCode::RetagUnsupported, message))
        }
        Some(
            CommandOutcome::Matched(_)
            | CommandOutcome::TooExpensive(_)
            | CommandOutcome::EndedAway
            | CommandOutcome::Forwarded(_),
        ) => Err(unexpected()),
        Some(CommandOutcome::TooManyTags) => {
            let message = format!("the client would have more than {TAGS_MAX} tags");
            Err(too_many(message))
        }
    }
}

/// Reads the members `set` and `remove`.
///
/// # Errors
///
/// What is wrong with them, or that both are missing.
pub(super) fn read_update(body: &JsonObject<'_>) -> Result<TagEdit, ApiError> {
    let (set, remove) = (read_tags(body, "set")?, read_names(body, "remove")?);
    if set.is_none() && remove.is_none() {
        return Err(body.missing("set", "at least one of `set` and `remove` is needed"));
    }
    let (set, remove) = (set.unwrap_or_default(), remove.unwrap_or_default());
    if let Some(tag) = set.iter().find(|tag| remove.contains(tag.name())) {
        let name = crate::api::error::shown(tag.name());
        return Err(body.invalid("remove", format!("`{name}` is in `set` and in `remove`")));
    }
    Ok(TagEdit::Update { set, remove, leave: Topics::default() })
}

pub(super) fn read_tags(body: &JsonObject<'_>, member: &str) -> Result<Option<Tags>, ApiError> {
    let Some(raw) = body.raw(member) else { return Ok(None) };
    if !raw.starts_with('{') {
        return Err(body.wrong_type(member, "an object"));
    }
    check_names_once(raw, body.place(member))?;
    match tags::of_change(raw) {
        Ok(tags) => Ok(Some(tags)),
        Err(why) => Err(invalid_tags(&why, body.place(member))),
    }
}

fn read_names(body: &JsonObject<'_>, member: &str) -> Result<Option<TagNames>, ApiError> {
    let Some(raw) = body.raw(member) else { return Ok(None) };
    let wrong = || body.wrong_type(member, "a list of strings");
    let elements = list_of(raw, TAGS_MAX).map_err(|_| wrong())?;
    if elements.len() > TAGS_MAX {
        return Err(invalid_tags(&InvalidTags::TooMany, body.place(member)));
    }
    let mut names = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let name = Scalar::of(element.get()).text().ok_or_else(wrong)?;
        let at = JsonPlace::Element { of: &body.place(member), index };
        tags::check_removable(&name).map_err(|why| invalid_tags(&why, at))?;
        names.push(name.into());
    }
    let names = TagNames::new(names);
    names.map(Some).map_err(|why| invalid_tags(&why.into(), body.place(member)))
}

fn invalid_tags(why: &InvalidTags, at: JsonPlace<'_>) -> ApiError {
    let at = at.pointer();
    match why {
        InvalidTags::TooMany => too_many(why.to_string()).with_text("at", &at),
        InvalidTags::Wrong(text) => ApiError::at(ErrorCode::InvalidTags, &at, text.as_ref()),
    }
}

fn too_many(message: String) -> ApiError {
    ApiError::new(ErrorCode::TooManyTags, message).with_number("limit", TAGS_MAX as u64)
}

fn conflict(present: &VersionedTags) -> ApiError {
    let message = "the tags have changed since that version; nothing was changed";
    ApiError::new(ErrorCode::VersionConflict, message).with_members(&members(present))
}

fn members(VersionedTags { version, tags }: &VersionedTags) -> String {
    let mut json = String::new();
    let _written = write!(json, "\"version\":{version},\"tags\":");
    push_tags(&mut json, tags);
    json
}

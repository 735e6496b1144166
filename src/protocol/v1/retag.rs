//! The request `tag`: changes of a client's own tags.

use super::error::{V1Error, V1ErrorCode, V1Place};
use super::frame::{BadList, texts_in};
use crate::json::is_empty_inside;
use crate::protocol::tags::{InvalidTags, check_removable, of_change, of_request};
use crate::types::limits::TAGS_MAX;
use crate::types::{Tag, TagEdit, TagNames, Tags};

/// Members of the request, as they are written.
pub(super) struct RetagMembers<'a> {
    pub(super) set: Option<&'a str>,
    pub(super) remove: Option<&'a str>,
    pub(super) join: Option<&'a str>,
    pub(super) leave: Option<&'a str>,
}

const NOT_YOURS: &str = "names that begin with @ are the server's to give";
const TOO_MANY: &str = "a client may have 128 tags";

pub(super) fn read(members: &RetagMembers<'_>) -> Result<TagEdit, Box<V1Error>> {
    let RetagMembers { set, remove, join, leave } = *members;
    for (name, raw) in [("/join", join), ("/leave", leave)] {
        if raw.is_some_and(|raw| !(raw.starts_with('[') && is_empty_inside(raw))) {
            let why = "this server has no topics: use tags";
            let place = V1Place::Pointer(name.into());
            return Err(V1Error::new(V1ErrorCode::Unsupported, why).at(place));
        }
    }
    let set = set.map(read_set).transpose()?.unwrap_or_default();
    let remove = remove.map(read_remove).transpose()?.unwrap_or_default();
    Ok(TagEdit::Update { set, remove })
}

fn too_many(pointer: &'static str) -> Box<V1Error> {
    let wrong = V1Error::new(V1ErrorCode::LimitExceeded, TOO_MANY).over(TAGS_MAX);
    wrong.at(V1Place::Pointer(pointer.into()))
}

fn not_yours(pointer: &'static str) -> Box<V1Error> {
    V1Error::new(V1ErrorCode::PermissionDenied, NOT_YOURS).at(V1Place::Pointer(pointer.into()))
}

fn read_set(raw: &str) -> Result<Tags, Box<V1Error>> {
    if !raw.starts_with('{') {
        return Err(V1Error::invalid("/set", "`set` must be an object of strings and integers"));
    }
    of_change(raw).map_err(|wrong| match wrong {
        InvalidTags::TooMany => too_many("/set"),
        InvalidTags::Wrong(_)
            if of_request(raw).is_ok_and(|tags| tags.iter().any(Tag::is_servers_own)) =>
        {
            not_yours("/set")
        }
        InvalidTags::Wrong(why) => V1Error::invalid("/set", why),
    })
}

fn read_remove(raw: &str) -> Result<TagNames, Box<V1Error>> {
    let names = texts_in(raw, TAGS_MAX).map_err(|bad| match bad {
        BadList::NotAList => V1Error::invalid("/remove", "`remove` must be a list of names"),
        BadList::Item(place) => {
            V1Error::invalid(format!("/remove/{place}"), "the name of a tag must be a string")
        }
        BadList::TooLong => too_many("/remove"),
    })?;
    for (place, name) in names.iter().enumerate() {
        if name.starts_with('@') {
            return Err(not_yours("/remove"));
        }
        check_removable(name)
            .map_err(|why| V1Error::invalid(format!("/remove/{place}"), why.to_string()))?;
    }
    let names = names.into_iter().map(|name| name.into_owned().into_boxed_str());
    TagNames::new(names).map_err(|why| V1Error::invalid("/remove", why.to_string()))
}

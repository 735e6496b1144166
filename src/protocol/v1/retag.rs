//! The request `tag`: changes of a client's own tags and topics.

use std::borrow::Cow;

use super::error::{V1Error, V1ErrorCode, V1Place};
use super::frame::{BadList, texts_in};
use crate::protocol::tags::{InvalidTags, check_removable, of_change, of_request};
use crate::types::limits::{TAGS_MAX, TOPICS_MAX};
use crate::types::{TagEdit, TagNames, TagRef, Tags, Topics, is_topic_name};

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
    let set = set.map(read_set).transpose()?.unwrap_or_default();
    let remove = remove.map(read_remove).transpose()?.unwrap_or_default();
    let topics = |raw: Option<&str>, name: &str| {
        raw.map(|raw| read_topics(raw).map_err(|bad| bad.error(name))).transpose()
    };
    let join = topics(join, "join")?.unwrap_or_default();
    let leave = topics(leave, "leave")?.unwrap_or_default();
    Ok(TagEdit::Update { set: set.with_topics(join), remove, leave })
}

/// Why a list is not one of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadTopics {
    /// It is not a list.
    NotAList,
    /// No topic can have the name of this item.
    Item(usize),
    /// It is longer than any client may have topics.
    TooLong,
}

impl BadTopics {
    fn error(self, member: &str) -> Box<V1Error> {
        match self {
            Self::NotAList => {
                V1Error::invalid(format!("/{member}"), format!("`{member}` must be a list of topics"))
            }
            Self::Item(place) => V1Error::invalid(format!("/{member}/{place}"), TOPIC_NAME),
            Self::TooLong => {
                let why = format!("a client may be in {TOPICS_MAX} topics at most");
                let wrong = V1Error::new(V1ErrorCode::LimitExceeded, why).over(TOPICS_MAX);
                wrong.at(V1Place::Pointer(format!("/{member}").into()))
            }
        }
    }

    /// Returns what is wrong with `topics` of the first frame.
    pub(super) fn text(self) -> Cow<'static, str> {
        match self {
            Self::NotAList => "`topics` must be a list of topics".into(),
            Self::Item(place) => format!("`topics`, item {place}: {TOPIC_NAME}").into(),
            Self::TooLong => format!("more than {TOPICS_MAX} topics").into(),
        }
    }
}

/// What the name of a topic is.
pub(super) const TOPIC_NAME: &str =
    "the name of a topic is a string of 1 to 200 of A-Z a-z 0-9 _ - = @ , . ;";

/// Reads a list of topics.
pub(super) fn read_topics(raw: &str) -> Result<Topics, BadTopics> {
    let names = texts_in(raw, TOPICS_MAX).map_err(|bad| match bad {
        BadList::NotAList => BadTopics::NotAList,
        BadList::Item(place) => BadTopics::Item(place),
        BadList::TooLong => BadTopics::TooLong,
    })?;
    if let Some(place) = names.iter().position(|name| !is_topic_name(name)) {
        return Err(BadTopics::Item(place));
    }
    let names = names.into_iter().map(|name| name.into_owned().into_boxed_str());
    // The names are valid, and not too many.
    Topics::new(names).map_err(|_| BadTopics::TooLong)
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
            if of_request(raw).is_ok_and(|tags| tags.iter().any(TagRef::is_servers_own)) =>
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

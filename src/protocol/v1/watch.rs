//! The requests `watch` and `unwatch`: which clients a client wants to know about.

use std::borrow::Cow;

use super::error::{V1Error, V1ErrorCode, V1Place};
use super::frame::text_of;
use super::publish::read_expression;
use crate::json::{JsonShape, pick};
use crate::protocol::tags;
use crate::types::{ClientFilter, Tag, TagQuery};

/// What a client wants to know.
#[expect(clippy::struct_excessive_bools, reason = "two independent wishes of the client")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Watch {
    /// The clients that it is about.
    pub query: ClientFilter,
    /// Whether it wants a list of them.
    pub has_members: bool,
    /// Whether the watch ends with the first answer.
    pub is_once: bool,
}

/// Members of a request, as they are written.
const NAMES: [&str; 6] = ["topic", "tags", "expr", "mode", "once", "watch"];

const MODES: &str = "`mode` must be \"count\", \"members\" or \"once\"";
const ONE_QUERY: &str = "exactly one of `topic`, `tags` and `expr` must be there";

/// Reads `watch`.
pub(super) fn read_watch(text: &str) -> Result<V1Watch, Box<V1Error>> {
    let [topic, tags, expr, mode, once, _] = members(text);
    let (has_members, is_list_once) = match mode.map(|raw| text_of(Some(raw))).as_ref() {
        None => (false, false),
        Some(Some(word)) if word == "count" => (false, false),
        Some(Some(word)) if word == "members" => (true, false),
        Some(Some(word)) if word == "once" => (true, true),
        Some(_) => return Err(V1Error::invalid("/mode", MODES)),
    };
    let is_once = match once {
        None | Some("false") => is_list_once,
        Some("true") => true,
        Some(_) => return Err(V1Error::invalid("/once", "`once` must be true or false")),
    };
    let query = match (topic, tags, expr) {
        (Some(raw), None, None) => ClientFilter::Tags(read_topic(raw)?),
        (None, Some(raw), None) => {
            let query = tags::of_request(raw);
            ClientFilter::Tags(query.map_err(|why| V1Error::invalid("/tags", why))?)
        }
        (None, None, Some(raw)) => {
            let text = text_of(Some(raw));
            let text = text.ok_or_else(|| V1Error::invalid("/expr", "`expr` must be a string"))?;
            ClientFilter::Expression(read_expression(&text)?)
        }
        _ => return Err(V1Error::new(V1ErrorCode::InvalidTarget, ONE_QUERY)),
    };
    Ok(V1Watch { query, has_members, is_once })
}

/// Reads the number of the watch that `unwatch` ends.
pub(super) fn read_unwatch(text: &str) -> Result<super::V1RequestId, Box<V1Error>> {
    let [.., watch] = members(text);
    watch.and_then(super::V1RequestId::read).ok_or_else(|| {
        V1Error::invalid("/watch", "`watch` must be the number of a `watch` of this connection")
    })
}

fn members(text: &str) -> [Option<&str>; 6] {
    match pick(text, NAMES) {
        Ok(JsonShape::Object(members)) => members.named,
        // The caller has read it as an object.
        _ => [None; 6],
    }
}

/// Returns the query that the clients in a topic match.
fn read_topic(raw: &str) -> Result<TagQuery, Box<V1Error>> {
    let wrong = |why: Cow<'static, str>| {
        V1Error::new(V1ErrorCode::InvalidRequest, why).at(V1Place::Pointer("/topic".into()))
    };
    let topic = text_of(Some(raw)).ok_or_else(|| wrong("`topic` must be a string".into()))?;
    let query = Tag::of_topic(&topic).and_then(|tag| TagQuery::new([tag]));
    query.map_err(|error| wrong(error.to_string().into()))
}

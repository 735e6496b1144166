//! Frames of clients. A text is read in one pass, without a tree.

use std::borrow::Cow;

use super::error::{V1Error, V1ErrorCode};
use super::publish::{self, PublishMembers, V1Publish};
use super::question::{self, V1Ask};
use super::retag::{self, RetagMembers};
use super::watch::{self, V1Watch};
use crate::json::{JsonShape, JsonToken, NotJson, Scalar, Tokens, pick};
use crate::types::TagEdit;
use crate::types::limits::V1_DATA_NESTING_MAX;

/// Number of a request. Its client has not used it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V1RequestId(pub u64);

/// A frame of a client, after `hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Frame<'a> {
    /// Number of the request. `None`: it is not acknowledged, or is not a request.
    pub id: Option<V1RequestId>,
    /// What the client wants.
    pub op: V1Op<'a>,
}

/// What a frame is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V1Op<'a> {
    /// Opens the connection. Only the first frame may.
    Hello,
    /// Publishes data.
    Publish(Box<V1Publish<'a>>),
    /// Asks a client.
    Ask(Box<V1Ask<'a>>),
    /// Answers a question that is not open any more, or never was.
    Answer,
    /// Changes tags of the client itself.
    Tag(TagEdit),
    /// Replaces the token of the connection.
    Token(Cow<'a, str>),
    /// Watches a query.
    Watch(Box<V1Watch>),
    /// Ends the watch with this number.
    Unwatch(V1RequestId),
    /// Passes data to the resource of the path, as they are written.
    Send(&'a str),
    /// Asks for a `pong`.
    Ping,
    /// Answers a `ping` of the server.
    Pong,
    /// Ends the connection.
    Bye,
}

/// Why a text is not a valid frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V1Fault {
    /// It is not a frame at all, so there is no id for an error. The connection is closed.
    NoFrame(Cow<'static, str>),
    /// The request is answered by an error.
    Refused {
        /// Number of the request, if it has a valid one.
        id: Option<V1RequestId>,
        /// The error.
        error: Box<V1Error>,
    },
}

impl V1RequestId {
    /// Largest number: 2^53 - 1, which every JSON reader represents exactly.
    const MAX: u64 = (1 << 53) - 1;

    /// Reads a number without sign, fraction and exponent.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let is_digits = raw.bytes().all(|byte| byte.is_ascii_digit());
        raw.parse().ok().filter(|number| is_digits && *number <= Self::MAX).map(Self)
    }
}

const MEMBERS: [&str; 13] = [
    "op", "id", "to", "data", "event", "except", "from", "report", "set", "remove", "join",
    "leave", "token",
];

const BAD_ID: &str = "`id` must be an integer from 0 to 9007199254740991";
const NO_ID: &str = "this request needs an `id`";

/// Parses a frame of a client. Unknown members are ignored; of members with one name the last counts.
///
/// # Errors
///
/// What is wrong.
pub fn parse(text: &str) -> Result<V1Frame<'_>, V1Fault> {
    let named = match pick(text, MEMBERS) {
        Ok(JsonShape::Object(members)) => members.named,
        Ok(_) => return Err(V1Fault::NoFrame("the text is not a JSON object".into())),
        Err(NotJson) => return Err(V1Fault::NoFrame("the text is not JSON".into())),
    };
    let [op, id, to, data, event, except, from, report, set, remove, join, leave, token] = named;
    let op = text_of(op).ok_or_else(|| V1Fault::NoFrame("`op` is not a string".into()))?;
    let numbered = match op.as_ref() {
        "hello" => return Ok(V1Frame { id: None, op: V1Op::Hello }),
        "pong" => return Ok(V1Frame { id: None, op: V1Op::Pong }),
        "bye" => return Ok(V1Frame { id: None, op: V1Op::Bye }),
        _ => id.map(V1RequestId::read),
    };
    let id = numbered.flatten();
    let refuse = |error: Box<V1Error>| V1Fault::Refused { id, error };
    let op = match op.as_ref() {
        "pub" | "send" | "ping" | "tag" | "token" | "ask" | "watch" | "unwatch" if numbered == Some(None) => {
            Err(V1Error::invalid("/id", BAD_ID))
        }
        "tag" | "token" | "ask" | "watch" | "unwatch" if id.is_none() => Err(V1Error::invalid("/id", NO_ID)),
        "pub" => publish::read(&PublishMembers { to, data, event, except, from, report })
            .map(|publish| V1Op::Publish(Box::new(publish))),
        "send" => read_data(data).map(V1Op::Send),
        "tag" => retag::read(&RetagMembers { set, remove, join, leave }).map(V1Op::Tag),
        "token" => text_of(token)
            .map(V1Op::Token)
            .ok_or_else(|| V1Error::invalid("/token", "`token` must be a string")),
        "ping" => Ok(V1Op::Ping),
        "watch" => watch::read_watch(text).map(|watch| V1Op::Watch(Box::new(watch))),
        "unwatch" => watch::read_unwatch(text).map(V1Op::Unwatch),
        "ask" => question::read_ask(text).map(|ask| V1Op::Ask(Box::new(ask))),
        // An open question was answered before: what is left is dropped.
        "answer" => question::read_answer(text).map(|_| V1Op::Answer),
        _ => Err(V1Error::new(V1ErrorCode::UnknownOp, "the server does not know this `op`")),
    };
    op.map(|op| V1Frame { id, op }).map_err(refuse)
}

/// Returns the text of a member that is a string.
pub(super) fn text_of(raw: Option<&str>) -> Option<Cow<'_, str>> {
    raw.map(Scalar::of).and_then(Scalar::text)
}

/// Reads the member `data`, as it is written. Any JSON is valid.
pub(super) fn read_data(data: Option<&str>) -> Result<&str, Box<V1Error>> {
    let data = data.ok_or_else(|| V1Error::invalid("/data", "`data` is missing"))?;
    if is_too_deep(data) {
        let why = format!("`data` may be nested {V1_DATA_NESTING_MAX} levels deep");
        return Err(V1Error::new(V1ErrorCode::PayloadTooLarge, why).over(V1_DATA_NESTING_MAX));
    }
    Ok(data)
}

/// Returns whether a value, as it is written, has more lists and objects in each other than data may have.
fn is_too_deep(raw: &str) -> bool {
    // A short text, or one with few brackets, needs no second look at its structure.
    if raw.len() < 2 * V1_DATA_NESTING_MAX {
        return false;
    }
    let brackets = raw.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if brackets <= V1_DATA_NESTING_MAX {
        return false;
    }
    let mut depth = 0_usize;
    Tokens::of(raw).any(|token| {
        match token {
            JsonToken::Open(_) => depth += 1,
            JsonToken::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > V1_DATA_NESTING_MAX
    })
}

/// Why a list is not one of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadList {
    /// It is not a list.
    NotAList,
    /// This item is not a string.
    Item(usize),
    /// It is too long.
    TooLong,
}

/// Reads a list of strings, at most `most`.
pub(super) fn texts_in(raw: &str, most: usize) -> Result<Vec<Cow<'_, str>>, BadList> {
    let mut tokens = Tokens::of(raw);
    if tokens.next() != Some(JsonToken::Open(b'[')) {
        return Err(BadList::NotAList);
    }
    let mut texts = Vec::new();
    for token in tokens {
        match token {
            JsonToken::Text(_) if texts.len() == most => return Err(BadList::TooLong),
            JsonToken::Text(text) => texts.push(crate::json::text(text)),
            JsonToken::Comma => {}
            JsonToken::Close(b']') => return Ok(texts),
            _ => return Err(BadList::Item(texts.len())),
        }
    }
    Err(BadList::NotAList)
}

//! `tagcast.v1`, the protocol of modern clients: a frame is a JSON object with an `op`. Requests have an `id` and
//! are answered. `docs/protocol-v1.md` describes it for
//! authors of clients.

mod error;
mod frame;
mod headers;
mod hello;
mod presence;
mod publish;
mod question;
mod replies;
mod retag;
mod watch;

use std::borrow::Cow;
use std::ops::Range;

pub use self::error::{V1Error, V1ErrorCode, V1Place};
pub use self::frame::{V1Fault, V1Frame, V1Op, V1RequestId, parse};
pub use self::headers::{V1Headers, is_event_name, with_topic};
pub use self::hello::{V1Hello, parse_hello};
pub use self::presence::{MemberNames, PresenceReport, presence, presence_rest, watch_ended};
pub use self::publish::{V1Publish, V1Target};
pub use self::question::{V1Ask, answered};
pub use self::replies::{
    V1Bye, V1Counts, V1Ids, V1Recovery, V1Resumed, V1Welcome, ack, ack_repeated, expires, ping, pong,
    tags_changed,
};
pub use self::watch::V1Watch;
use super::{Cast, ProtocolSpec, QuestionSpec, gomoob};
use crate::http::SupportedVersions;
use crate::json;
use crate::types::{CloseCode, CloseReason, Content, ReplayPosition};

/// Properties of this protocol family.
pub const SPEC: ProtocolSpec = ProtocolSpec {
    versions: SupportedVersions::Rfc6455,
    render: Some(render),
    render_at: Some(render_at),
    questions: Some(QuestionSpec { ask: question::ask, answer: question::answer }),
    has_requests: true,
    has_event_names: true,
    ..ProtocolSpec::BARE
};

/// What a client answers that has no handler for a question.
pub const UNHANDLED: &str = "unhandled";
/// Outcome of a question with an answer, in the metrics.
pub const ANSWERED: &str = "answered";

/// The subprotocol that a client offers.
pub const SUBPROTOCOL: &str = "tagcast.v1";

/// Returns the reason for a client that sends what is not a frame. Its program has a bug.
#[must_use]
pub fn invalid_frame(why: &str) -> CloseReason {
    let text = Cow::Owned(format!("invalid frame: {why}"));
    CloseReason { code: CloseCode::INVALID_FRAME, text }
}

/// Returns the byte range of `part`, which must be a slice of `text`.
#[must_use]
pub fn place(text: &str, part: &str) -> Range<usize> {
    gomoob::place(text, part)
}

/// Returns what a resource receives for data of `send`: the text of a string, and the JSON of anything else.
#[must_use]
pub fn sent_text(data: &str) -> Cow<'_, str> {
    if data.starts_with('"') { json::text(data) } else { Cow::Borrowed(data) }
}

/// Renders a publication as `msg`. It is the same for all its recipients.
#[must_use]
pub fn render(content: Content<&[u8]>, cast: Cast) -> Cow<'_, [u8]> {
    Cow::Owned(message(content, cast, ""))
}

/// Renders a publication as [`render`] does, with its position.
#[must_use]
pub fn render_at(content: Content<&[u8]>, cast: Cast, at: ReplayPosition) -> Vec<u8> {
    message(content, cast, &format!(r#""at":"{at}","#))
}

fn message(content: Content<&[u8]>, cast: Cast, at: &str) -> Vec<u8> {
    let (headers, content) = content.split_headers();
    let data = gomoob::render(content, cast);
    let direct: &[u8] = match cast {
        Cast::One => br#""direct":true,"#,
        Cast::Many => b"",
    };
    [br#"{"op":"msg","#, at.as_bytes(), headers, direct, br#""data":"#, &data, b"}"].concat()
}

#[cfg(test)]
mod tests;

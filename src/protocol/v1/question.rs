//! Questions between clients: the request `ask`, the frame of a question, and the frame `answer`.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use super::error::{V1Error, V1ErrorCode};
use super::frame::{V1RequestId, read_data, text_of};
use super::place;
use super::publish::{V1Target, read_event, read_target};
use crate::json::{JsonShape, pick};
use crate::protocol::{Cast, QuestionAnswer, QuestionReply, gomoob};
use crate::types::limits::{ASK_TIMEOUT, ASK_TIMEOUT_MAX, TRACKING_TIMEOUT_MIN};
use crate::types::{AskToken, Content};

/// A question to one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Ask<'a> {
    /// The client: a UUID or an ident.
    pub to: V1Target<'a>,
    /// The data, as they are written.
    pub data: &'a str,
    /// Name of an event; empty if there is none.
    pub event: Cow<'a, str>,
    /// Time for the answer.
    pub within: Duration,
}

impl V1Ask<'_> {
    /// Returns where the data are in the text that was parsed.
    #[must_use]
    pub fn place_in(&self, text: &str) -> Range<usize> {
        place(text, self.data)
    }
}

/// Reads the request `ask` in a frame.
pub(super) fn read_ask(frame: &str) -> Result<V1Ask<'_>, Box<V1Error>> {
    let [to, data, event, timeout] = members(frame, ["to", "data", "event", "timeout_ms"]);
    let to = match read_target(to)? {
        one @ (V1Target::Uuid(_) | V1Target::Ident(_)) => one,
        V1Target::Tags(_) | V1Target::Expression(_) => {
            let why = "`to` must be an object with one of `uuid` and `ident`";
            return Err(V1Error::new(V1ErrorCode::InvalidTarget, why));
        }
    };
    let (data, event) = (read_data(data)?, read_event(event)?);
    let within = match timeout.map(V1RequestId::read) {
        None => Some(ASK_TIMEOUT),
        Some(millis) => millis.map(|V1RequestId(millis)| Duration::from_millis(millis)),
    };
    let is_right = |within: &Duration| (TRACKING_TIMEOUT_MIN..=ASK_TIMEOUT_MAX).contains(within);
    let within = within.filter(is_right).ok_or_else(|| {
        let (min, max) = (TRACKING_TIMEOUT_MIN.as_millis(), ASK_TIMEOUT_MAX.as_millis());
        V1Error::invalid("/timeout_ms", format!("`timeout_ms` must be an integer from {min} to {max}"))
    })?;
    Ok(V1Ask { to, data, event, within })
}

/// Returns the answer in a frame `answer`, if it is a valid one.
pub(super) fn answer(frame: &str) -> Option<QuestionAnswer<'_>> {
    let [op] = members(frame, ["op"]);
    if text_of(op)? != "answer" {
        return None;
    }
    read_answer(frame).ok().flatten()
}

/// Reads a frame `answer`. `None`: no question has this number.
pub(super) fn read_answer(frame: &str) -> Result<Option<QuestionAnswer<'_>>, Box<V1Error>> {
    let [ask, data, error] = members(frame, ["ask", "data", "error"]);
    let ask = text_of(ask).ok_or_else(|| V1Error::invalid("/ask", "`ask` must be a string"))?;
    let reply = match (data, error) {
        (Some(_), None) => QuestionReply::Answer(read_data(data)?),
        (None, Some(_)) => QuestionReply::Refusal(
            text_of(error).ok_or_else(|| V1Error::invalid("/error", "`error` must be a string"))?,
        ),
        _ => return Err(V1Error::invalid("/data", "an answer has either `data` or `error`")),
    };
    Ok(AskToken::parse(&ask).map(|token| QuestionAnswer { token, reply }))
}

/// Returns members of a frame, which was read before.
fn members<'a, const N: usize>(frame: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    match pick(frame, names) {
        Ok(JsonShape::Object(members)) => members.named,
        _ => [None; N],
    }
}

/// Renders a publication as a question with this number.
pub(super) fn ask(content: Content<&[u8]>, token: AskToken, within: Duration) -> Vec<u8> {
    let (headers, content) = content.split_headers();
    let data = gomoob::render(content, Cast::One);
    let begin = format!(r#"{{"op":"ask","ask":"{}","#, token.text());
    let timeout = format!(r#""timeout_ms":{},"data":"#, within.as_millis());
    [begin.as_bytes(), headers, timeout.as_bytes(), &data, b"}"].concat()
}

/// Returns the answer to a request `ask`.
#[must_use]
pub fn answered(id: V1RequestId, json: &[u8]) -> Vec<u8> {
    [format!(r#"{{"op":"answer","id":{},"data":"#, id.0).as_bytes(), json, b"}"].concat()
}

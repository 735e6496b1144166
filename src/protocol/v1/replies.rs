//! Frames of the server other than `msg` and `error`. Members have the order of the documentation, and there are
//! no blanks.

use std::borrow::Cow;

use super::frame::V1RequestId;
use crate::json::push_text;
use crate::types::limits::{TAGS_MAX, V1_EVENT_BYTES_MAX};
use crate::types::{CloseReason, RecoveryReason, ReplayPosition, Tags};

/// Returns the server's ping, with the position up to which the client was sent everything. Any frame answers it.
#[must_use]
pub fn ping(at: Option<ReplayPosition>) -> Cow<'static, str> {
    match at {
        None => Cow::Borrowed(r#"{"op":"ping"}"#),
        Some(at) => Cow::Owned(format!(r#"{{"op":"ping","at":"{at}"}}"#)),
    }
}

/// Returns the frame for a client whose token expires soon.
#[must_use]
pub fn expires(seconds: u64) -> String {
    format!(r#"{{"op":"expires","in":{seconds}}}"#)
}

/// How many clients a publication has matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V1Counts {
    /// Clients that are here.
    pub matched: u64,
    /// For a single client: whether it is kept for one that is away.
    pub away: Option<bool>,
    /// Workers that hold them.
    pub workers: u32,
}

/// Returns the acknowledgement of a request, with the counts if it asked for them.
#[must_use]
pub fn ack(id: V1RequestId, counts: Option<V1Counts>) -> String {
    match counts {
        None => format!(r#"{{"op":"ack","id":{}}}"#, id.0),
        Some(V1Counts { matched, away, workers }) => {
            let away = away.map_or_else(String::new, |it| format!(",\"away\":{}", u8::from(it)));
            format!(r#"{{"op":"ack","id":{},"matched":{matched}{away},"workers":{workers}}}"#, id.0)
        }
    }
}

/// Returns the acknowledgement of a request that was accepted before.
#[must_use]
pub fn ack_repeated(id: V1RequestId) -> String {
    format!(r#"{{"op":"ack","id":{},"repeated":true}}"#, id.0)
}

/// Returns the answer to a client's ping. `time` is the Unix time in milliseconds.
#[must_use]
pub fn pong(id: Option<V1RequestId>, time: u128) -> String {
    match id {
        None => format!(r#"{{"op":"pong","time":{time}}}"#),
        Some(id) => format!(r#"{{"op":"pong","id":{},"time":{time}}}"#, id.0),
    }
}

/// Returns the frame for a client whose tags or topics something else has changed.
#[must_use]
pub fn tags_changed(tags: &Tags) -> String {
    let mut frame = r#"{"op":"tags","tags":"#.to_owned();
    push_tags(tags, &mut frame);
    frame.push_str(r#","topics":"#);
    push_words(tags.topics().iter(), &mut frame);
    frame.push('}');
    frame
}

/// Appends tags as JSON. Those of the server's own are left out.
fn push_tags(tags: &Tags, out: &mut String) {
    out.push('{');
    for (place, tag) in tags.iter().filter(|tag| !tag.is_servers_own()).enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_text(tag.name(), out);
        out.push(':');
        push_text(tag.value(), out);
    }
    out.push('}');
}

/// Contents of `bye`, the frame before a Close of the server.
#[derive(Clone, Copy, Debug)]
pub struct V1Bye<'a> {
    /// Code and text of the Close.
    pub reason: &'a CloseReason,
    /// Time that the client is asked to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl V1Bye<'_> {
    /// Returns the frame.
    #[must_use]
    pub fn frame(&self) -> String {
        let mut frame = format!(r#"{{"op":"bye","code":{},"reason":"#, self.reason.code.0);
        push_text(&self.reason.text, &mut frame);
        if let Some(milliseconds) = self.retry_after_ms {
            frame.push_str(&format!(",\"retry_after_ms\":{milliseconds}"));
        }
        frame.push('}');
        frame
    }
}

/// Whether a client is the one that it wanted to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V1Resumed {
    /// It has not asked for that.
    NotAsked,
    /// It is not, for this reason.
    No(&'static str),
    /// It is.
    Yes(V1Ids),
}

/// Whether the server recognises requests that a client repeats after it has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V1Ids {
    /// It does.
    Kept,
    /// Which of them were accepted is not known.
    Lost,
}

/// Contents of `recovery`.
#[derive(Clone, Copy, Debug)]
pub struct V1Recovery {
    /// How many publications were replayed.
    pub replayed: u32,
    /// Why the client may have missed others. `None`: it has missed none.
    pub reason: Option<RecoveryReason>,
    /// How many publications of another host will never arrive, with the reason `gap`, if it is known.
    pub missed: Option<u64>,
    /// Its position.
    pub at: Option<ReplayPosition>,
}

impl V1Recovery {
    /// Returns the frame.
    #[must_use]
    pub fn frame(&self) -> String {
        format!("{{\"op\":\"recovery\",{}}}", self.members())
    }

    /// Returns the members of the frame that say what was recovered.
    pub(in crate::protocol) fn members(&self) -> String {
        let Self { replayed, reason, missed, at } = self;
        let at = at.map_or_else(String::new, |at| format!(",\"at\":\"{at}\""));
        let missed = missed.map_or_else(String::new, |items| format!(",\"missed\":{items}"));
        let recovered = reason.is_none();
        let reason = reason.map_or_else(String::new, |it| format!(",\"reason\":\"{}\"", it.word()));
        format!(r#""recovered":{recovered},"replayed":{replayed}{reason}{missed}{at}"#)
    }
}

/// Contents of `welcome`.
#[derive(Clone, Copy, Debug)]
pub struct V1Welcome<'a> {
    /// The client's UUID.
    pub uuid: &'a str,
    /// Whether it is the client that it wanted to be.
    pub resumed: V1Resumed,
    /// The token with which it may resume, and how many seconds it may be away.
    pub resume: Option<(&'a str, u64)>,
    /// The present position of its space, if publications are stored and no `recovery` follows.
    pub at: Option<ReplayPosition>,
    /// `recovery` follows.
    pub is_recovering: bool,
    /// Its tags and topics.
    pub tags: &'a Tags,
    /// Seconds between pings; 0 if there are none.
    pub ping: u64,
    /// What it may do.
    pub permissions: &'a [&'static str],
    /// What this server offers it.
    pub features: &'a [&'static str],
    /// Maximum bytes of its messages.
    pub message_bytes_max: usize,
    /// Maximum topics that it may be in.
    pub topics_max: usize,
    /// Seconds until its token expires.
    pub expires: Option<u64>,
    /// Unix time in milliseconds.
    pub time: u128,
}

impl V1Welcome<'_> {
    /// Returns the frame.
    #[must_use]
    pub fn frame(&self) -> String {
        let mut frame = format!(r#"{{"op":"welcome","uuid":"{}","resumed":"#, self.uuid);
        match self.resumed {
            V1Resumed::NotAsked => frame.push_str("false"),
            V1Resumed::No(reason) => frame.push_str(&format!(r#"false,"reason":"{reason}""#)),
            V1Resumed::Yes(V1Ids::Kept) => frame.push_str(r#"true,"ids":"kept""#),
            V1Resumed::Yes(V1Ids::Lost) => frame.push_str(r#"true,"ids":"lost""#),
        }
        if let Some((token, grace)) = self.resume {
            frame.push_str(&format!(r#","resume":"{token}","grace":{grace}"#));
        }
        frame.push_str(r#","tags":"#);
        push_tags(self.tags, &mut frame);
        frame.push_str(r#","topics":"#);
        push_words(self.tags.topics().iter(), &mut frame);
        if let Some(at) = self.at {
            frame.push_str(&format!(",\"at\":\"{at}\""));
        }
        if self.is_recovering {
            frame.push_str(r#","recovering":true"#);
        }
        frame.push_str(&format!(r#","ping":{},"permissions":"#, self.ping));
        push_words(self.permissions.iter().copied(), &mut frame);
        frame.push_str(r#","features":"#);
        push_words(self.features.iter().copied(), &mut frame);
        frame.push_str(&format!(
            r#","limits":{{"message":{},"tags":{TAGS_MAX},"topics":{},"event":{V1_EVENT_BYTES_MAX}}}"#,
            self.message_bytes_max, self.topics_max
        ));
        if let Some(seconds) = self.expires {
            frame.push_str(&format!(",\"expires\":{seconds}"));
        }
        let version = env!("CARGO_PKG_VERSION");
        frame.push_str(&format!(r#","time":{},"server":"tagcast/{version}"}}"#, self.time));
        frame
    }
}

fn push_words<'a>(words: impl Iterator<Item = &'a str>, out: &mut String) {
    out.push('[');
    for (place, word) in words.enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_text(word, out);
    }
    out.push(']');
}

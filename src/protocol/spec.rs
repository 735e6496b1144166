//! The properties of a protocol family: one table per family, in the file or folder of its name.

use core::net::IpAddr;
use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::Cast;
use super::bloatless::BloatlessCloseOptions;
use super::gomoob::{GomoobOptions, RefusalClose};
use super::phpws::PhpwsOptions;
use crate::http::SupportedVersions;
use crate::types::limits::ASK_REFUSAL_BYTES_MAX;
use crate::types::{AskToken, CloseReason, Content, ReplayPosition, TrackedOutcome};

/// The properties of a protocol family. Sessions, resources and workers use this table and need no knowledge
/// of single families.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a table of answers, many of them yes or no")]
pub struct ProtocolSpec {
    /// The versions of WebSocket that clients may use.
    pub versions: SupportedVersions,
    /// Whether clients may also connect without HTTP and without frames.
    pub is_spoken_raw: bool,
    /// Whether a handshake must have a valid `Sec-WebSocket-Key`. Otherwise its value is not checked.
    pub checks_key: bool,
    /// Whether the header `Client-Type` marks scripts. Scripts are paced and addressed differently from
    /// pages.
    pub has_php_clients: bool,
    /// Whether the flags of `[phpws]` apply.
    pub has_compat_flags: bool,
    /// Whether `[echo] handshake` applies.
    pub has_echo_handshake: bool,
    /// Whether rendered publications follow each other without frames, in an HTTP response that does not end
    /// (WHATWG HTML, section 9.2).
    pub is_event_stream: bool,
    /// Renders a publication as text for a client; `None` if clients receive no publications.
    pub render: Option<Render>,
    /// Renders a stored publication with its position; `None` if clients have no positions.
    pub render_at: Option<RenderAt>,
    /// Returns the first frame for a client with this UUID.
    pub greeting: Option<fn(&str) -> String>,
    /// The texts that begin and end a message in chunks.
    pub chunk_marks: Option<ChunkMarks>,
    /// Whether a binary message is processed as text.
    pub reads_binary_as_text: bool,
    /// Returns the acknowledgement of a message, given its text, which is `None` if it cannot be decoded. A family
    /// without acknowledgements has no such function.
    pub acknowledge: Option<Acknowledge>,
    /// Returns the frame that reports a forbidden action to a page. Without such a frame the page is closed.
    pub error: Option<fn(&str) -> String>,
    /// Returns how a client is closed after a forbidden action.
    pub refusal_close: fn(&ProtocolOptions) -> RefusalClose,
    /// Returns the frame that refuses a client after its 101 response. Without such a frame the refusal is an
    /// HTTP response.
    pub refusal: Option<fn(&str) -> String>,
    /// Changes the text of a Close frame for a protocol error.
    pub close_wording: fn(CloseReason) -> CloseReason,
    /// Returns whether acknowledgements are sent after the effects of their messages, not before.
    pub acknowledges_after: fn(&ProtocolOptions) -> bool,
    /// Returns whether connections are closed without a Close frame.
    pub closes_abruptly: fn(&ProtocolOptions) -> bool,
    /// Returns whether a client is dropped as soon as its socket is full.
    pub drops_slow: fn(&ProtocolOptions) -> bool,
    /// Returns the answer to every Close frame of a client; `None` if the answer repeats its code and text.
    pub close_answer: fn(&ProtocolOptions) -> Option<CloseReason>,
    /// Returns the Close frame that replaces the HTTP response to a client beyond a limit of connections.
    pub limit_close: fn(&ProtocolOptions) -> Option<CloseReason>,
    /// Returns the original wording for a client beyond the limit of connections per address, or in total if
    /// there is no address; `None` for the usual wording.
    pub limit_wording: fn(&ProtocolOptions, Option<IpAddr>) -> Option<String>,
    /// Whether clients accept texts that are not publications, such as delivery reports.
    pub has_reports: bool,
    /// How a client is asked, and how it answers; `None` if it cannot.
    pub questions: Option<QuestionSpec>,
    /// Whether clients open with a first frame after the 101 response, and send requests with ids that the
    /// server itself carries out (`tagcast.v1`).
    pub has_requests: bool,
    /// Whether clients receive the name of an event.
    pub has_event_names: bool,
}

/// Questions to a client.
#[derive(Clone, Copy, Debug)]
pub struct QuestionSpec {
    /// Renders a publication as a question with this number, which is to be answered within this time.
    pub ask: for<'a> fn(Content<&'a [u8]>, AskToken, Duration) -> Vec<u8>,
    /// Returns the answer in a message of a client, if it is one.
    pub answer: for<'a> fn(&'a str) -> Option<QuestionAnswer<'a>>,
}

/// The answer of a client to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionAnswer<'a> {
    /// Number of the question.
    pub token: AskToken,
    /// What the client says.
    pub reply: QuestionReply<'a>,
}

/// What a client says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionReply<'a> {
    /// The answer, as JSON.
    Answer(&'a str),
    /// It refuses to answer, for this reason.
    Refusal(Cow<'a, str>),
}

impl QuestionReply<'_> {
    /// Returns what becomes of the question.
    #[must_use]
    pub fn outcome(&self) -> TrackedOutcome {
        match self {
            Self::Answer(json) => TrackedOutcome::Answer(Bytes::copy_from_slice(json.as_bytes())),
            Self::Refusal(reason) => {
                let bytes = reason.floor_char_boundary(ASK_REFUSAL_BYTES_MAX);
                let reason = reason.get(..bytes).unwrap_or_default();
                TrackedOutcome::Refused(Bytes::copy_from_slice(reason.as_bytes()))
            }
        }
    }
}

/// Renders a publication as text.
pub type Render = for<'a> fn(Content<&'a [u8]>, Cast) -> Cow<'a, [u8]>;

/// Renders a stored publication as text, with its position.
pub type RenderAt = fn(Content<&[u8]>, Cast, ReplayPosition) -> Vec<u8>;

/// Returns the acknowledgement of a message, given its text and the client's extras.
pub type Acknowledge = fn(Option<&str>, &AckExtras) -> Cow<'static, str>;

/// The texts around a message in chunks.
#[derive(Clone, Copy, Debug)]
pub struct ChunkMarks {
    /// Text that begins the message.
    pub begin: &'static str,
    /// Text that ends the message.
    pub end: &'static str,
}

/// Additional members of one client's acknowledgements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckExtras {
    /// Text that a resource has set.
    pub fyi: String,
    /// The alias that the client last registered with the opcode `uuid`, whether or not it was granted. A
    /// page of 2019 continues only if each acknowledgement repeats it.
    pub uuid: Option<String>,
    /// Token of the delivery reports that the client requested at its handshake.
    pub report: Option<Box<str>>,
}

/// The options of each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolOptions {
    /// Options of `[phpws]`.
    pub phpws: PhpwsOptions,
    /// Options of `[gomoob]`.
    pub gomoob: GomoobOptions,
    /// Options of `[bloatless]`.
    pub bloatless: BloatlessCloseOptions,
}

impl ProtocolSpec {
    /// A family without any extras, as the base of other tables.
    pub const BARE: Self = Self {
        versions: SupportedVersions::DraftsToo,
        is_spoken_raw: false,
        checks_key: true,
        has_php_clients: false,
        has_compat_flags: false,
        has_echo_handshake: false,
        is_event_stream: false,
        render: None,
        render_at: None,
        greeting: None,
        chunk_marks: None,
        reads_binary_as_text: false,
        acknowledge: None,
        error: None,
        refusal_close: |_| RefusalClose::Policy,
        refusal: None,
        close_wording: |reason| reason,
        acknowledges_after: |_| false,
        closes_abruptly: |_| false,
        drops_slow: |_| false,
        close_answer: |_| None,
        limit_close: |_| None,
        limit_wording: |_, _| None,
        has_reports: false,
        questions: None,
        has_requests: false,
        has_event_names: false,
    };
}

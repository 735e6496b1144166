//! What a protocol family answers: one table for each family, in the file or folder of its name.

use std::borrow::Cow;

use super::Cast;
use super::gomoob::{GomoobOptions, RefusalClose};
use super::phpws::PhpwsOptions;
use crate::http::Spoken;
use crate::types::{CloseReason, Content};

/// The answers of a protocol family. A new family is one such table: session, resources and worker ask
/// it and know no family.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a table of answers, many of them yes or no")]
pub struct ProtocolSpec {
    /// The versions of WebSocket that it is spoken in.
    pub versions: Spoken,
    /// Whether it is also spoken without HTTP and without frames.
    pub is_spoken_raw: bool,
    /// Whether its handshakes have to show a valid `Sec-WebSocket-Key`; otherwise its clients send what
    /// they like.
    pub checks_key: bool,
    /// Whether the header `Client-Type` tells scripts from pages, which are paced and addressed in
    /// another way.
    pub has_php_clients: bool,
    /// Whether the switches of `[phpws]` apply to it.
    pub has_compat_flags: bool,
    /// Whether `[echo] handshake` applies to it.
    pub has_echo_handshake: bool,
    /// The text that a client gets for a publication; none reaches it otherwise.
    pub render: Option<Render>,
    /// The first frame, for the text of the client's UUID.
    pub greeting: Option<fn(&str) -> String>,
    /// The texts that begin and end a message in chunks.
    pub chunk_marks: Option<ChunkMarks>,
    /// Whether a binary message is read as text.
    pub reads_binary_as_text: bool,
    /// The acknowledgement of a message, for its text (`None` where it has none that can be read).
    pub acknowledge: Option<Acknowledge>,
    /// The frame that tells a page what it may not do; without one it is closed.
    pub error: Option<fn(&str) -> String>,
    /// How a client is closed for what it may not do.
    pub refusal_close: fn(&ProtocolOptions) -> RefusalClose,
    /// The frame that tells a client after its 101 why it is not let in; without one it is refused by
    /// HTTP.
    pub refusal: Option<fn(&str) -> String>,
    /// How a Close for a broken protocol is worded.
    pub close_wording: fn(CloseReason) -> CloseReason,
    /// Whether a text that is not a publication may come in between, such as the report of a delivery.
    pub has_reports: bool,
}

/// Renders a publication as text.
pub type Render = for<'a> fn(&'a Content, Cast) -> Cow<'a, [u8]>;

/// Acknowledges a message, for its text and what the client's acknowledgements say.
pub type Acknowledge = fn(Option<&str>, &AckExtras) -> Cow<'static, str>;

/// The texts around a message in chunks.
#[derive(Clone, Copy, Debug)]
pub struct ChunkMarks {
    /// Begins it.
    pub begin: &'static str,
    /// Ends it.
    pub end: &'static str,
}

/// What the acknowledgements of one client say beyond the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckExtras {
    /// What a resource has set.
    pub fyi: String,
    /// What the client registered last with the opcode `uuid`, whether or not it was granted: a
    /// page of 2019 goes on only when each acknowledgement repeats it.
    pub uuid: Option<String>,
    /// The token of the reports that it asked for when it opened.
    pub report: Option<Box<str>>,
}

/// What the users of each family can choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolOptions {
    /// `[phpws]`.
    pub phpws: PhpwsOptions,
    /// `[gomoob]`.
    pub gomoob: GomoobOptions,
}

impl ProtocolSpec {
    /// A family with nothing around its messages, to begin from.
    pub const BARE: Self = Self {
        versions: Spoken::DraftsToo,
        is_spoken_raw: false,
        checks_key: true,
        has_php_clients: false,
        has_compat_flags: false,
        has_echo_handshake: false,
        render: None,
        greeting: None,
        chunk_marks: None,
        reads_binary_as_text: false,
        acknowledge: None,
        error: None,
        refusal_close: |_| RefusalClose::Policy,
        refusal: None,
        close_wording: |reason| reason,
        has_reports: false,
    };
}

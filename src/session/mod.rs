//! One client's life on its connection: frames of its dialect become messages for its resource.
//!
//! No socket and no clock; the worker carries out what is decided here.

mod chunks;
mod heartbeat;
mod rate_limit;
mod rules;

use std::borrow::Cow;

use crate::auth::{AuthBasis, Grant, Right};
use crate::http::Spoken;
use crate::protocol::phpws;
use crate::protocol::phpws::{BUFFER_OFF, BUFFER_ON};
use crate::protocol::{Dialect, bloatless};
use crate::types::{ClientClass, ClientUuid, CloseCode, CloseReason, Tenant};

use self::chunks::Overflow;

pub use self::chunks::Chunks;
pub use self::heartbeat::{Beat, Heartbeat};
pub use self::rate_limit::RateLimiter;
pub use self::rules::SessionRules;

/// How a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// phpWebSocketServer's way: a greeting, an acknowledgement for each message, chunks.
    Phpws,
    /// Gomoob's way: messages, and nothing around them.
    Gomoob,
    /// Texts as they are, and nothing around them.
    Plain,
    /// As [`Speech::Plain`], and no publication ever reaches it.
    Echo,
    /// bloatless/php-websocket's way: an action and its data.
    Bloatless,
}

impl Speech {
    /// The dialect that publications are rendered in; none for who takes none.
    #[must_use]
    pub fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Phpws => Some(Dialect::Phpws),
            Self::Gomoob => Some(Dialect::Gomoob),
            Self::Plain => Some(Dialect::Plain),
            Self::Echo => None,
            Self::Bloatless => Some(Dialect::Bloatless),
        }
    }

    /// The versions of WebSocket that it is spoken in.
    #[must_use]
    pub fn spoken(self) -> Spoken {
        match self {
            Self::Phpws => Spoken::Rfc6455,
            Self::Gomoob | Self::Plain | Self::Echo => Spoken::DraftsToo,
            Self::Bloatless => Spoken::DraftsOrUpgrade,
        }
    }
}

/// One client's life on its connection.
#[derive(Debug)]
pub struct Session {
    /// The client's identity.
    pub uuid: ClientUuid,
    /// The space that it lives in.
    pub tenant: Tenant,
    /// Whether it may publish by itself.
    pub right: Right,
    /// What it was let in for.
    pub ground: AuthBasis,
    /// Web or php.
    pub class: ClientClass,
    /// How it speaks.
    pub speech: Speech,
    /// Whether the log says already that the tags of its packets select nobody.
    pub has_noted_tags: bool,
    /// A message in chunks that has begun.
    pub chunks: Option<Box<Chunks>>,
    /// What its acknowledgements say beyond the usual: for most connections nothing, so it takes
    /// the room of one pointer.
    pub words: Option<Box<AckExtras>>,
}

/// What one client is told beyond the usual.
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

// Every idle connection owns one.
const _: () = assert!(size_of::<Session>() <= 56, "one more word costs each connection 32 bytes");

/// A whole message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Its text, when it is one, or is one in a binary frame.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(bytes) => str::from_utf8(bytes).ok(),
        }
    }
}

/// What a message comes to in the dialect of its connection.
#[derive(Debug, PartialEq)]
pub struct Incoming<'a> {
    /// Whether it is acknowledged, before anything else that it causes.
    pub acknowledge: Acknowledge,
    /// What follows.
    pub then: NextStep<'a>,
}

/// Whether a message is acknowledged by a `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// It is.
    Yes,
    /// The dialect has no such thing.
    No,
}

/// What follows a message.
#[derive(Debug, PartialEq)]
pub enum NextStep<'a> {
    /// Nothing: it was a part of one.
    Nothing,
    /// Its resource gets this text.
    Text(Cow<'a, str>),
    /// Its resource gets these bytes.
    Binary(&'a [u8]),
    /// The connection ends.
    Close(CloseReason),
}

impl Session {
    /// The life of a client that was let in.
    #[must_use]
    pub fn new(uuid: ClientUuid, grant: Grant, (class, speech): (ClientClass, Speech)) -> Self {
        let Grant { tenant, right, ground } = grant;
        let (has_noted_tags, chunks, words) = (false, None, None);
        Self { uuid, tenant, right, ground, class, speech, has_noted_tags, chunks, words }
    }

    /// How many bytes a message could publish at the most: asked before it is taken, because a
    /// worker takes no publication that its window has no room for (rule L4).
    #[must_use]
    pub fn weight(&self, message: Message<'_>) -> usize {
        match (&self.chunks, message) {
            (Some(chunks), Message::Text(BUFFER_OFF)) => chunks.bytes(),
            _ => message.bytes().len(),
        }
    }

    /// Bytes of memory that it holds for its client: a message in chunks, and what acknowledgements
    /// say.
    #[must_use]
    pub fn held(&self) -> usize {
        let words =
            |words: &AckExtras| words.fyi.len() + words.uuid.as_ref().map_or(0, String::len);
        self.chunks.as_ref().map_or(0, |chunks| chunks.bytes())
            + self.words.as_deref().map_or(0, words)
    }

    /// Decides what a message comes to.
    pub fn on_message<'a>(&mut self, message: Message<'a>, rules: &SessionRules) -> Incoming<'a> {
        let then = match (self.speech, message) {
            (Speech::Phpws, message) => {
                // Binary frames are treated like text by this family.
                let then = match message.text() {
                    Some(text) => in_chunks(&mut self.chunks, text, rules),
                    None => NextStep::Close(NOT_UTF8),
                };
                return Incoming { acknowledge: Acknowledge::Yes, then };
            }
            (_, Message::Text(text)) => NextStep::Text(Cow::Borrowed(text)),
            (_, Message::Binary(bytes)) => NextStep::Binary(bytes),
        };
        Incoming { acknowledge: Acknowledge::No, then }
    }

    /// The acknowledgement of a message.
    #[must_use]
    pub fn next(&self) -> Cow<'static, str> {
        match &self.words {
            None => Cow::Borrowed(phpws::NEXT),
            Some(words) => Cow::Owned(phpws::next_with(&words.fyi, words.uuid.as_deref())),
        }
    }

    /// Why a connection ends whose client broke the protocol, in the words of its dialect.
    #[must_use]
    pub fn worded(&self, reason: CloseReason) -> CloseReason {
        if self.speech == Speech::Bloatless { bloatless::worded(reason) } else { reason }
    }

    /// The acknowledgement of a registration: it says what was registered before.
    #[must_use]
    pub fn next_to_registration(&self) -> Cow<'static, str> {
        let (fyi, uuid) = match &self.words {
            None => ("", None),
            Some(words) => (words.fyi.as_str(), words.uuid.as_deref()),
        };
        Cow::Owned(phpws::next_with(fyi, Some(uuid.unwrap_or_default())))
    }

    /// Whether a text that is not UTF-8 is acknowledged before the connection ends for it.
    #[must_use]
    pub fn acknowledges_bad_text(&self) -> Acknowledge {
        if self.speech == Speech::Phpws { Acknowledge::Yes } else { Acknowledge::No }
    }
}

fn in_chunks<'a>(
    chunks: &mut Option<Box<Chunks>>,
    text: &'a str,
    rules: &SessionRules,
) -> NextStep<'a> {
    match (chunks.as_mut(), text) {
        (_, BUFFER_ON) => {
            *chunks = Some(Box::default());
            NextStep::Nothing
        }
        (Some(_), BUFFER_OFF) => {
            let whole = chunks.take().map(|chunks| chunks.whole());
            NextStep::Text(Cow::Owned(whole.unwrap_or_default()))
        }
        (None, BUFFER_OFF) => NextStep::Nothing,
        (Some(chunks), text) => match chunks.push(text, rules) {
            Ok(()) => NextStep::Nothing,
            Err(Overflow) => NextStep::Close(TOO_BIG_IN_CHUNKS),
        },
        (None, text) => NextStep::Text(Cow::Borrowed(text)),
    }
}

const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");
const TOO_BIG_IN_CHUNKS: CloseReason =
    CloseReason::new(CloseCode::TOO_BIG, "too many chunks or bytes before bufferOFF");

#[cfg(test)]
mod tests;

//! One client's life on its connection: frames of its protocol become messages for its resource.
//!
//! No socket and no clock; the worker carries out what is decided here.

mod chunks;
mod heartbeat;
mod rate_limit;
mod rules;

use std::borrow::Cow;

use crate::auth::{AuthBasis, Grant, GrantRef, Right};
use crate::protocol::{AckExtras, ChunkMarks, Protocol};
use crate::types::{ClientClass, ClientUuid, CloseCode, CloseReason, Tenant};

use self::chunks::Overflow;

pub use self::chunks::Chunks;
pub use self::heartbeat::{Beat, Heartbeat};
pub use self::rate_limit::RateLimiter;
pub use self::rules::SessionRules;

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
    pub protocol: Protocol,
    /// Whether the log says already that the tags of its packets select nobody.
    pub has_noted_tags: bool,
    /// A message in chunks that has begun.
    pub chunks: Option<Box<Chunks>>,
    /// What its acknowledgements say beyond the usual: for most connections nothing, so it takes
    /// the room of one pointer.
    pub words: Option<Box<AckExtras>>,
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

/// What a message comes to in the protocol of its connection.
#[derive(Debug, PartialEq)]
pub struct Incoming<'a> {
    /// What acknowledges it, where its protocol has such a thing, before anything else that it causes.
    pub acknowledgement: Option<Cow<'static, str>>,
    /// What follows.
    pub then: NextStep<'a>,
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
    pub fn new(uuid: ClientUuid, grant: Grant, class: ClientClass, protocol: Protocol) -> Self {
        let Grant { tenant, right, ground } = grant;
        let (has_noted_tags, chunks, words) = (false, None, None);
        Self { uuid, tenant, right, ground, class, protocol, has_noted_tags, chunks, words }
    }

    /// What the client was let in with.
    #[must_use]
    pub fn grant(&self) -> GrantRef<'_> {
        GrantRef { tenant: &self.tenant, right: self.right, ground: self.ground }
    }

    /// How many bytes a message could publish at the most: asked before it is taken, because a
    /// worker takes no publication that its window has no room for (rule L4).
    #[must_use]
    pub fn weight(&self, message: Message<'_>) -> usize {
        let end = self.protocol.spec().chunk_marks.map(|marks| marks.end);
        match (&self.chunks, message) {
            (Some(chunks), Message::Text(text)) if Some(text) == end => chunks.bytes(),
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
        let spec = self.protocol.spec();
        let acknowledgement = self.acknowledge(Some(message));
        let text = match message {
            Message::Text(text) => Ok(text),
            Message::Binary(bytes) if spec.reads_binary_as_text => {
                str::from_utf8(bytes).map_err(|_| NextStep::Close(NOT_UTF8))
            }
            Message::Binary(bytes) => Err(NextStep::Binary(bytes)),
        };
        let then = match (text, &spec.chunk_marks) {
            (Ok(text), Some(marks)) => in_chunks(&mut self.chunks, marks, text, rules),
            (Ok(text), None) => NextStep::Text(Cow::Borrowed(text)),
            (Err(then), _) => then,
        };
        Incoming { acknowledgement, then }
    }

    /// What acknowledges a message, where its protocol has such a thing; `None` for one that cannot be
    /// read.
    #[must_use]
    pub fn acknowledge(&self, message: Option<Message<'_>>) -> Option<Cow<'static, str>> {
        let acknowledge = self.protocol.spec().acknowledge?;
        let text = message.and_then(|message| message.text());
        Some(match &self.words {
            None => acknowledge(text, &AckExtras::default()),
            Some(words) => acknowledge(text, words),
        })
    }

    /// Why a connection ends whose client broke the protocol, in the words of its family.
    #[must_use]
    pub fn worded(&self, reason: CloseReason) -> CloseReason {
        (self.protocol.spec().close_wording)(reason)
    }

    /// The acknowledgement of a registration: it says what was registered before.
    #[must_use]
    pub fn acknowledge_registration(&self) -> Option<Cow<'static, str>> {
        let acknowledge = self.protocol.spec().acknowledge?;
        let mut extras = self.words.as_deref().cloned().unwrap_or_default();
        extras.uuid.get_or_insert_default();
        Some(acknowledge(None, &extras))
    }
}

fn in_chunks<'a>(
    chunks: &mut Option<Box<Chunks>>,
    marks: &ChunkMarks,
    text: &'a str,
    rules: &SessionRules,
) -> NextStep<'a> {
    if text == marks.begin {
        *chunks = Some(Box::default());
        return NextStep::Nothing;
    }
    if text == marks.end {
        return match chunks.take() {
            Some(chunks) => NextStep::Text(Cow::Owned(chunks.whole())),
            None => NextStep::Nothing,
        };
    }
    match chunks {
        None => NextStep::Text(Cow::Borrowed(text)),
        Some(chunks) => match chunks.push(text, rules) {
            Ok(()) => NextStep::Nothing,
            Err(Overflow) => NextStep::Close(TOO_BIG_IN_CHUNKS),
        },
    }
}

const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");
const TOO_BIG_IN_CHUNKS: CloseReason =
    CloseReason::new(CloseCode::TOO_BIG, "too many chunks or bytes before bufferOFF");

#[cfg(test)]
mod tests;

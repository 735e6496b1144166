//! One client's life on its connection: messages go in, what they cause comes out.
//!
//! No socket and no clock; the worker carries out what is decided here.

mod chunks;
mod heartbeat;
mod quota;

use std::borrow::Cow;

use crate::auth::uuid::Signer;
use crate::dialect::Dialect;
use crate::dialect::phpws::{self, BUFFER_OFF, BUFFER_ON, Command};
use crate::types::{Address, ClientClass, ClientUuid, CloseCode, CloseReason, Form, Ident, Tenant};

use self::chunks::Overflow;

pub use self::chunks::Chunks;
pub use self::heartbeat::{Beat, Heartbeat};
pub use self::quota::Quota;

/// What is the same for all sessions of a worker.
#[derive(Debug)]
pub struct Rules {
    /// Reads the UUIDs that publishers name.
    pub signer: Signer,
    /// The largest message in bytes, also when it came in chunks.
    pub message_bytes_max: usize,
    /// Chunks between `bufferON` and `bufferOFF`; 0 means as many as fit.
    pub chunks_max: usize,
}

/// How a connection is served.
#[derive(Debug)]
pub enum Service {
    /// phpWebSocketServer's packets.
    Phpws(Option<Box<Chunks>>),
    /// Every message back to its sender, as it came.
    Echo,
}

impl Service {
    /// phpWebSocketServer's packets, with no message in chunks begun.
    #[must_use]
    pub fn phpws() -> Self {
        Self::Phpws(None)
    }

    /// The dialect that publications are rendered in; none for a service that takes none.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Phpws(_) => Some(Dialect::Phpws),
            Self::Echo => None,
        }
    }
}

/// One client's life on its connection.
#[derive(Debug)]
pub struct Session {
    /// The client's identity.
    pub uuid: ClientUuid,
    /// The space it publishes in.
    pub tenant: Tenant,
    /// Web or php.
    pub class: ClientClass,
    /// How it is served.
    pub service: Service,
}

/// A whole message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl Message<'_> {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// What a message causes.
#[derive(Debug, PartialEq)]
pub struct Outcome<'a> {
    /// Whether it is acknowledged, before anything else that it causes.
    pub acknowledge: Acknowledge,
    /// What is done then.
    pub action: Action<'a>,
}

/// Whether a message is acknowledged by a `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// It is.
    Yes,
    /// The dialect has no such thing.
    No,
}

/// What a message causes beside its acknowledgement.
#[derive(Debug, PartialEq)]
pub enum Action<'a> {
    /// Nothing.
    Nothing,
    /// A publication in the session's tenant.
    Publish {
        /// To whom.
        address: Address,
        /// How the payload is meant.
        form: Form,
        /// What.
        payload: Cow<'a, str>,
    },
    /// A text frame back to the client.
    ReplyText(Cow<'a, str>),
    /// A binary frame back to the client.
    ReplyBinary(&'a [u8]),
    /// The end of the connection.
    Close(CloseReason),
}

impl<'a> Outcome<'a> {
    fn acknowledged(action: Action<'a>) -> Self {
        Self { acknowledge: Acknowledge::Yes, action }
    }
}

impl Session {
    /// How many bytes a message could publish at the most: asked before it is taken, because a
    /// worker takes no publication that its window has no room for (rule L4).
    #[must_use]
    pub fn weight(&self, message: Message<'_>) -> usize {
        match (&self.service, message) {
            (Service::Phpws(Some(chunks)), Message::Text(BUFFER_OFF)) => chunks.bytes(),
            _ => message.bytes(),
        }
    }

    /// Decides what a message causes.
    pub fn on_message<'a>(&mut self, message: Message<'a>, rules: &Rules) -> Outcome<'a> {
        match (&self.service, message) {
            (Service::Echo, Message::Text(text)) => Outcome {
                acknowledge: Acknowledge::No,
                action: Action::ReplyText(Cow::Borrowed(text)),
            },
            (Service::Echo, Message::Binary(bytes)) => {
                Outcome { acknowledge: Acknowledge::No, action: Action::ReplyBinary(bytes) }
            }
            // Binary frames are treated like text on these paths.
            (Service::Phpws(_), Message::Binary(bytes)) => match str::from_utf8(bytes) {
                Ok(text) => Outcome::acknowledged(self.on_text(text, rules)),
                Err(_) => Outcome::acknowledged(Action::Close(NOT_UTF8)),
            },
            (Service::Phpws(_), Message::Text(text)) => {
                Outcome::acknowledged(self.on_text(text, rules))
            }
        }
    }

    /// Whether a text that is not UTF-8 is acknowledged before the connection ends for it.
    #[must_use]
    pub fn acknowledges_bad_text(&self) -> Acknowledge {
        match self.service {
            Service::Phpws(_) => Acknowledge::Yes,
            Service::Echo => Acknowledge::No,
        }
    }

    fn on_text<'a>(&mut self, text: &'a str, rules: &Rules) -> Action<'a> {
        let Service::Phpws(chunks) = &mut self.service else { return Action::Nothing };
        match (chunks.as_mut(), text) {
            (_, BUFFER_ON) => {
                *chunks = Some(Box::default());
                Action::Nothing
            }
            (Some(_), BUFFER_OFF) => {
                let whole = chunks.take().map(|chunks| chunks.whole()).unwrap_or_default();
                self.on_packet(Cow::Owned(whole), rules)
            }
            (None, BUFFER_OFF) => Action::Nothing,
            (Some(chunks), text) => match chunks.push(text, rules) {
                Ok(()) => Action::Nothing,
                Err(Overflow) => Action::Close(TOO_BIG_IN_CHUNKS),
            },
            (None, text) => self.on_packet(Cow::Borrowed(text), rules),
        }
    }

    fn on_packet<'a>(&self, packet: Cow<'a, str>, rules: &Rules) -> Action<'a> {
        if packet.is_empty() {
            return Action::Close(EMPTY);
        }
        let address = match phpws::parse(&packet) {
            Err(_) => return Action::Close(NOT_JSON),
            Ok(Command::Nothing) => return Action::Nothing,
            Ok(Command::Quit) => return Action::Close(QUIT),
            Ok(Command::Echo) => return Action::ReplyText(packet),
            Ok(Command::Broadcast) => Address::everyone_but(self.uuid),
            Ok(Command::Feedback { uuid, ident }) => {
                let uuid = uuid.and_then(|text| rules.signer.verify(&text));
                let ident = ident.and_then(|text| Ident::new(&text).ok());
                if uuid.is_none() && ident.is_none() {
                    return Action::Nothing;
                }
                Address::first(uuid, ident)
            }
        };
        Action::Publish { address, form: Form::PhpwsPacket, payload: packet }
    }
}

const QUIT: CloseReason = CloseReason::new(CloseCode::NORMAL, "quit");
const EMPTY: CloseReason = CloseReason::new(CloseCode::DATA, "an empty message is no JSON");
const NOT_JSON: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no JSON");
const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");
const TOO_BIG_IN_CHUNKS: CloseReason =
    CloseReason::new(CloseCode::TOO_BIG, "too many chunks or bytes before bufferOFF");

#[cfg(test)]
mod tests;

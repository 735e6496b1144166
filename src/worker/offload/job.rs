//! Reading of one message apart from the event loop.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::error;

use crate::resource::{ClientHandle, Effect, Effects, Payload, ResourceHooks};
use crate::session::{Incoming, Message, NextStep, Session, SessionRules};
use crate::types::limits::LARGE_MESSAGE_BYTES;
use crate::types::{AskToken, Client, CloseCode, CloseReason, FramedPayload, Slot, TrackedOutcome};
use crate::websocket::write;
use crate::worker::connection::FAULT;

/// Complete message that was not read yet.
#[derive(Debug)]
pub(in crate::worker) struct UnreadMessage {
    pub(super) kind: MessageKind,
    pub(super) bytes: Vec<u8>,
}

/// Kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum MessageKind {
    /// A text message. Its bytes were checked to be UTF-8 when they arrived.
    Text,
    /// A binary message.
    Binary,
}

/// A message to read, with a copy of everything that the result depends on except the rules.
pub(in crate::worker) struct ReadJob {
    pub(super) slot: Slot,
    /// Identifies the connection, because its slot may be reused.
    pub(super) serial: u64,
    /// Number of the rules.
    pub(super) edition: u32,
    pub(super) resource: Box<dyn ResourceHooks + Send>,
    pub(super) session: Session,
    pub(super) client: Client,
    /// Microseconds since the worker started.
    pub(super) uptime: u64,
    /// A question to this client is open.
    pub(super) is_asked: bool,
    pub(super) message: UnreadMessage,
}

/// A message that was read, for its connection.
#[derive(Debug)]
pub(in crate::worker) struct ReadReply {
    pub(super) slot: Slot,
    pub(super) serial: u64,
    /// Number of the rules under which it was read.
    pub(super) edition: u32,
    pub(super) read: ReadMessage,
}

/// A message that was read. What it does to the worker and its connection is still to be done.
#[derive(Debug)]
pub(in crate::worker) struct ReadMessage {
    pub(in crate::worker) message: UnreadMessage,
    pub(in crate::worker) acknowledgement: Option<Cow<'static, str>>,
    /// The message as an answer to a question.
    pub(in crate::worker) answer: Option<(AskToken, TrackedOutcome)>,
    pub(in crate::worker) then: ReadOutcome,
}

/// Requests of a message.
#[derive(Debug)]
pub(in crate::worker) enum ReadOutcome {
    /// Actions that the resource requested.
    Effects(Effects),
    /// Close of the connection.
    Close(CloseReason),
}

impl UnreadMessage {
    pub(in crate::worker) fn new(kind: MessageKind, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }

    /// Creates a text message.
    pub(in crate::worker) fn text(text: String) -> Self {
        Self::new(MessageKind::Text, text.into_bytes())
    }

    /// Returns the bytes of the message.
    pub(in crate::worker) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the message.
    ///
    /// # Errors
    ///
    /// Never fails for a text that was checked when it arrived.
    fn as_message(&self) -> Result<Message<'_>, CloseReason> {
        match self.kind {
            MessageKind::Text => {
                str::from_utf8(&self.bytes).map(Message::Text).map_err(|_| NOT_UTF8)
            }
            MessageKind::Binary => Ok(Message::Binary(&self.bytes)),
        }
    }
}

impl From<Message<'_>> for MessageKind {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(_) => Self::Text,
            Message::Binary(_) => Self::Binary,
        }
    }
}

impl ReadMessage {
    fn closing(message: UnreadMessage, reason: CloseReason) -> Self {
        let then = ReadOutcome::Close(reason);
        Self { message, acknowledgement: None, answer: None, then }
    }

    /// Returns the number of bytes held.
    pub(super) fn held(&self) -> usize {
        let made = match &self.then {
            ReadOutcome::Effects(effects) => effects.iter().map(Effect::held).sum(),
            ReadOutcome::Close(_) => 0,
        };
        let answer = self.answer.as_ref().map_or(0, |(_, outcome)| outcome.held());
        self.message.bytes.len() + made + answer
    }
}

impl ReadJob {
    /// Reads the message. A panic closes only its connection.
    pub(super) fn run(self, rules: &SessionRules) -> ReadReply {
        let Self { slot, serial, edition, .. } = self;
        let client = self.session.uuid;
        let read = catch_unwind(AssertUnwindSafe(|| self.read(rules))).unwrap_or_else(|_| {
            error!(event = "resource_panicked", ?client, "resource panicked, closing connection");
            ReadMessage::closing(UnreadMessage::text(String::new()), FAULT)
        });
        ReadReply { slot, serial, edition, read }
    }

    /// Reads the message as the event loop reads a small one: a pure function of the job and the rules.
    fn read(mut self, rules: &SessionRules) -> ReadMessage {
        let message = match self.message.as_message() {
            Ok(message) => message,
            Err(reason) => return ReadMessage::closing(self.message, reason),
        };
        let Incoming { acknowledgement, then } = self.session.on_message(message, rules);
        let mut handle = ClientHandle::new(&self.session, &self.client, rules).at(self.uptime);
        let mut answer = None;
        let then = match then {
            NextStep::Close(reason) => ReadOutcome::Close(reason),
            NextStep::Nothing => ReadOutcome::Effects(handle.into_effects()),
            NextStep::Binary(bytes) => {
                self.resource.on_message(&mut handle, Message::Binary(bytes));
                ReadOutcome::Effects(handle.into_effects())
            }
            NextStep::Text(text) => {
                answer = if self.is_asked { answer_in(&self.session, &text) } else { None };
                self.resource.on_message(&mut handle, Message::Text(&text));
                ReadOutcome::Effects(handle.into_effects())
            }
        };
        let then = framed(then, &self.message.bytes);
        ReadMessage { message: self.message, acknowledgement, answer, then }
    }
}

/// Copies large payloads into frames here, so that the event loop copies none.
fn framed(mut outcome: ReadOutcome, received: &[u8]) -> ReadOutcome {
    if let ReadOutcome::Effects(effects) = &mut outcome {
        for effect in effects {
            let (payload, frame): (_, fn(&[u8]) -> FramedPayload) = match effect {
                Effect::ReplyText(payload) | Effect::Publish { payload, .. } => {
                    (payload, write::framed_text)
                }
                Effect::ReplyBinary(payload) => (payload, write::framed_binary),
                _ => continue,
            };
            let bytes = payload.bytes(received);
            if bytes.len() >= LARGE_MESSAGE_BYTES {
                *payload = Payload::Framed(frame(bytes));
            }
        }
    }
    outcome
}

fn answer_in(session: &Session, text: &str) -> Option<(AskToken, TrackedOutcome)> {
    let questions = session.protocol.spec().questions.as_ref()?;
    let answer = (questions.answer)(text)?;
    Some((answer.token, answer.reply.outcome()))
}

impl fmt::Debug for ReadJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadJob").field("serial", &self.serial).finish_non_exhaustive()
    }
}

const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");

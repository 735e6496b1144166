//! State of one client on its connection. It turns the frames of a protocol into messages for a
//! resource.
//!
//! This room uses no socket and no clock. The worker carries out its decisions.

mod chunks;
mod extras;
mod facts;
mod heartbeat;
mod rate_limit;
mod rules;

use std::borrow::Cow;

use crate::auth::{AuthBasis, Grant, GrantRef, Permissions, PresenceSettings, Right};
use crate::protocol::{AckExtras, ChunkMarks, Protocol};
use crate::types::{
    AllowedNames, ClientClass, ClientFilter, ClientUuid, CloseCode, CloseReason, Tenant, WatchScope,
};

use self::chunks::Overflow;

pub use self::chunks::Chunks;
pub use self::extras::{SessionExtras, SessionToken};
pub use self::facts::{SessionFact, SessionFacts};
pub use self::heartbeat::{Heartbeat, HeartbeatAction};
pub use self::rate_limit::RateLimiter;
pub use self::rules::SessionRules;

/// State of one client on its connection.
#[derive(Debug)]
pub struct Session {
    /// Identity of the client.
    pub uuid: ClientUuid,
    /// Tenant of the client.
    pub tenant: Tenant,
    /// Right to publish without showing credentials.
    pub right: Right,
    /// Credentials that the client was admitted with.
    pub basis: AuthBasis,
    /// Web-type or php-type client.
    pub class: ClientClass,
    /// Protocol of the connection.
    pub protocol: Protocol,
    /// What is true of the client.
    pub facts: SessionFacts,
    /// What only some connections have, so the field is one pointer.
    pub extras: Option<Box<SessionExtras>>,
}

// Each idle connection holds one session.
const _: () = assert!(size_of::<Session>() <= 40, "one more word costs each connection 32 bytes");

/// Complete message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text of a text message, or of a binary message that is valid UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(bytes) => str::from_utf8(bytes).ok(),
        }
    }
}

/// Result of a message in the protocol of its connection.
#[derive(Debug, PartialEq)]
pub struct Incoming<'a> {
    /// Acknowledgement, if the protocol has one. It is sent before any other effect of the message.
    pub acknowledgement: Option<Cow<'static, str>>,
    /// Next step.
    pub then: NextStep<'a>,
}

/// Next step after a message.
#[derive(Debug, PartialEq)]
pub enum NextStep<'a> {
    /// Nothing: the message was a chunk or a chunk mark.
    Nothing,
    /// Pass this text to the resource.
    Text(Cow<'a, str>),
    /// Pass these bytes to the resource.
    Binary(&'a [u8]),
    /// Close the connection.
    Close(CloseReason),
}

impl Session {
    /// Creates the session of an admitted client.
    #[must_use]
    pub fn new(uuid: ClientUuid, grant: Grant, class: ClientClass, protocol: Protocol) -> Self {
        let Grant { tenant, right, basis } = grant;
        let (facts, extras) = (SessionFacts::default(), None);
        Self { uuid, tenant, right, basis, class, protocol, facts, extras }
    }

    /// Returns a copy that handles one complete message on another thread. It has no incomplete message
    /// in chunks.
    #[must_use]
    pub fn for_one_message(&self) -> Self {
        let Self { uuid, right, basis, class, protocol, facts, .. } = *self;
        let extras = self.extras.as_ref().map(|extras| Box::new(extras.for_one_message()));
        let tenant = self.tenant.clone();
        Self { uuid, tenant, right, basis, class, protocol, facts, extras }
    }

    /// Returns the token that the client was admitted with.
    #[must_use]
    pub fn token(&self) -> Option<&SessionToken> {
        self.extras.as_ref()?.token.as_deref()
    }

    /// Returns whether the client may change any of its own tags. Its token decides, if that says so.
    #[must_use]
    pub fn may_choose_tags(&self, access: &Permissions) -> bool {
        match self.retag_names() {
            Some(AllowedNames::All) => true,
            Some(AllowedNames::Listed(names)) => !names.is_empty(),
            None => self.chooses_freely(access),
        }
    }

    fn chooses_freely(&self, access: &Permissions) -> bool {
        self.facts.has(SessionFact::MayChooseTags)
            && !access.has_tags_by_token(&self.tenant, self.basis)
    }

    /// Returns the topics that the client may join. Its token decides, if that says so. `None`: it may join none.
    #[must_use]
    pub fn topic_names(&self, access: &Permissions) -> Option<&AllowedNames> {
        const ALL: &AllowedNames = &AllowedNames::All;
        let token = self.token().and_then(|it| it.verified.claims.capabilities.topics.as_ref());
        token.or_else(|| self.chooses_freely(access).then_some(ALL))
    }

    /// Returns the names of tags that the client's token allows it to change. `None`: it says nothing about them.
    #[must_use]
    pub fn retag_names(&self) -> Option<&AllowedNames> {
        self.token()?.verified.claims.capabilities.retag.as_ref()
    }

    /// Returns which clients the client may watch with a query.
    #[must_use]
    pub fn watch_scope(&self, access: &Permissions, query: &ClientFilter) -> WatchScope {
        let by_token = self.watch_names();
        match access.presence_settings(self.basis) {
            Some(settings) => settings.scope_of(by_token, query),
            None => PresenceSettings::default().scope_of(by_token, query),
        }
    }

    /// Returns whether the client may watch anything.
    #[must_use]
    pub fn may_watch(&self, access: &Permissions) -> bool {
        let by_token = self.watch_names();
        match access.presence_settings(self.basis) {
            Some(settings) => settings.allows(by_token),
            None => PresenceSettings::default().allows(by_token),
        }
    }

    fn watch_names(&self) -> Option<&AllowedNames> {
        self.token()?.verified.claims.capabilities.watch.as_ref()
    }

    /// Returns the rights that the client was admitted with.
    #[must_use]
    pub fn grant(&self) -> GrantRef<'_> {
        GrantRef { tenant: &self.tenant, right: self.right, basis: self.basis }
    }

    /// Returns the most bytes that a message could publish. The worker asks before it reads a
    /// message, because it accepts no publication that does not fit in its send window (rule L4).
    #[must_use]
    pub fn weight(&self, message: Message<'_>) -> usize {
        match self.chunks() {
            Some(chunks) if self.ends_chunks(message) => chunks.bytes(),
            _ => message.bytes().len(),
        }
    }

    /// Returns the bytes on the heap: an incomplete message in chunks, the members of acknowledgements,
    /// and the token.
    #[must_use]
    pub fn held(&self) -> usize {
        self.extras.as_deref().map_or(0, SessionExtras::held)
    }

    fn chunks(&self) -> Option<&Chunks> {
        self.extras.as_ref()?.chunks.as_ref()
    }

    /// Returns the bytes of an incomplete message in chunks, if there is one.
    #[must_use]
    pub fn bytes_in_chunks(&self) -> Option<usize> {
        self.chunks().map(Chunks::bytes)
    }

    /// Returns true if a message is a part of a message in chunks, or ends it.
    #[must_use]
    pub fn is_chunk(&self, message: Message<'_>) -> bool {
        self.chunks().is_some() && matches!(message, Message::Text(_))
    }

    /// Returns true if a message ends a message in chunks.
    #[must_use]
    pub fn ends_chunks(&self, message: Message<'_>) -> bool {
        let marks = self.protocol.spec().chunk_marks.as_ref();
        self.chunks().is_some() && marks.is_some_and(|marks| message == Message::Text(marks.end))
    }

    /// Takes the message in chunks that this message ends.
    pub fn take_chunks(&mut self, message: Message<'_>) -> Option<String> {
        if !self.ends_chunks(message) {
            return None;
        }
        self.extras.as_mut()?.chunks.take().map(Chunks::whole)
    }

    /// Decides what to do with a message.
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
            (Ok(text), Some(marks)) => in_chunks(&mut self.extras, marks, text, rules, self.basis),
            (Ok(text), None) => NextStep::Text(Cow::Borrowed(text)),
            (Err(then), _) => then,
        };
        Incoming { acknowledgement, then }
    }

    /// Returns the acknowledgement of a message, or `None` if the protocol has none. Pass `None`
    /// for a message that cannot be read.
    #[must_use]
    pub fn acknowledge(&self, message: Option<Message<'_>>) -> Option<Cow<'static, str>> {
        let acknowledge = self.protocol.spec().acknowledge?;
        let text = message.and_then(|message| message.text());
        Some(match &self.extras {
            None => acknowledge(text, &AckExtras::default()),
            Some(extras) => acknowledge(text, &extras.words),
        })
    }

    /// Returns the close reason of a protocol violation in the wording of the client's protocol.
    #[must_use]
    pub fn worded(&self, reason: CloseReason) -> CloseReason {
        (self.protocol.spec().close_wording)(reason)
    }

    /// Returns the acknowledgement of a registration. It repeats the previously registered name.
    #[must_use]
    pub fn acknowledge_registration(&self) -> Option<Cow<'static, str>> {
        let acknowledge = self.protocol.spec().acknowledge?;
        let mut words = self.extras.as_deref().map(|it| it.words.clone()).unwrap_or_default();
        words.uuid.get_or_insert_default();
        Some(acknowledge(None, &words))
    }
}

fn in_chunks<'a>(
    extras: &mut Option<Box<SessionExtras>>,
    marks: &ChunkMarks,
    text: &'a str,
    rules: &SessionRules,
    basis: AuthBasis,
) -> NextStep<'a> {
    if text == marks.begin {
        extras.get_or_insert_default().chunks = Some(Chunks::default());
        return NextStep::Nothing;
    }
    let chunks = extras.as_ref().and_then(|extras| extras.chunks.as_ref());
    let bytes_max = chunks.map(|_| rules.message_bytes_max_of(basis, extras.as_deref()));
    let (Some(extras), Some(bytes_max)) = (extras, bytes_max) else {
        return match text == marks.end {
            true => NextStep::Nothing,
            false => NextStep::Text(Cow::Borrowed(text)),
        };
    };
    if text == marks.end {
        let whole = extras.chunks.take().map(Chunks::whole).unwrap_or_default();
        return NextStep::Text(Cow::Owned(whole));
    }
    match extras.chunks.as_mut().map(|chunks| chunks.push(text, rules, bytes_max)) {
        None | Some(Ok(())) => NextStep::Nothing,
        Some(Err(Overflow)) => NextStep::Close(TOO_BIG_IN_CHUNKS),
    }
}

const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");
const TOO_BIG_IN_CHUNKS: CloseReason =
    CloseReason::new(CloseCode::TOO_BIG, "too many chunks or bytes before bufferOFF");

#[cfg(test)]
mod tests;

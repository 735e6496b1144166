//! One live socket, from its first byte to its last.

pub(crate) mod backlog;
pub(crate) mod close;
pub(crate) mod deadlines;
pub(crate) mod deferred_replies;
pub(crate) mod deliver;
pub(crate) mod fair_queue;
pub(crate) mod heartbeat;
pub(crate) mod incomplete_input;
pub mod outbox;
pub(crate) mod pacing;
pub(crate) mod paused;
pub(crate) mod read;
pub(crate) mod readiness;
pub(crate) mod serve;
pub(crate) mod table;
pub(crate) mod timers;
pub(crate) mod tls;
pub(crate) mod tls_failure;
pub(crate) mod tls_io;
pub(crate) mod tls_session_tickets;
pub(crate) mod write;

use bytes::Bytes;

use self::fair_queue::{Usage, Weight, WorkClock};
use self::incomplete_input::IncompleteInput;
use self::outbox::Outbox;
use self::pacing::Pacer;
use self::tls::TlsSession;
use super::accept::tls_handshakes::Watcher;
use super::clock::Moment;
use super::handshake::refusals::Caller;
use crate::http::HeadScanner;
use crate::reactor::poller::Interest;
use crate::resource::ResourceId;
use crate::session::{Heartbeat, RateLimiter, Session};
use crate::types::{Client, ClientUuid, CloseCode, CloseReason, Slot};
use crate::webhook::{WebhookCommand, WebhookRequest};
use crate::websocket::MessageReader;

/// Everything about a connection but its descriptor, which is in the dense array of the
/// fan-out.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, one byte each")]
pub(super) struct Connection {
    /// Its place in the tables of this worker and of the broker.
    pub(super) slot: Slot,
    /// Counts the connections of this worker; the name of this one in the log.
    pub(super) serial: u64,
    pub(super) phase: Phase,
    /// The resource that serves it, once that is known.
    pub(super) resource: ResourceId,
    pub(super) reader: MessageReader,
    /// Present while the socket is full, and always for a client that is paced.
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) pacer: Option<Box<Pacer>>,
    /// Present where it speaks TLS.
    pub(super) tls: Option<Box<TlsSession>>,
    /// The socket took less than it was given.
    pub(super) is_full: bool,
    pub(super) watched: Watched,
    /// What came in and could not be served yet.
    pub(super) pending_input: Option<Box<PendingInput>>,
    /// What it takes of the worker's time, which decides about its turns.
    pub(super) usage: Usage,
    /// It waits to be served, once, however often the kernel reports it.
    pub(super) is_waiting: bool,
    /// When it is looked at next; a timer is set for this moment.
    pub(super) wake_at: Moment,
    pub(super) next_beat: Moment,
    pub(super) keepalive: KeepaliveMode,
    pub(super) heartbeat: Heartbeat,
    pub(super) control_frames: RateLimiter,
    /// What it holds, and what is incomplete: a frame, a message in pieces or chunks, a
    /// record of TLS.
    pub(super) incomplete: IncompleteInput,
}

// Every connection owns one.
const _: () = assert!(size_of::<Connection>() <= 128, "a connection has grown");

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its request head is incomplete.
    Head(Box<PartialHead>),
    /// The backend of its resource has not let it in yet.
    Authorizing(Box<PendingAuthorization>),
    /// The broker has not let it in yet (rule L8).
    Joining(Box<PendingJoin>),
    /// A WebSocket.
    Open(Box<Session>),
    /// Our Close waits in the outbox; nothing else is written.
    Closing { until: Moment },
    /// An HTTP answer waits in the outbox; nothing else is written.
    Answering { until: Moment },
    /// All is written and the write side shut; the peer's end is awaited.
    Ending { until: Moment },
    /// Its socket is to be closed.
    Gone,
}

/// What the kernel was asked to report about a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) interest: Interest,
    pub(super) by: Watcher,
}

impl Watched {
    /// Whether the socket is read.
    pub(super) fn reads(self) -> bool {
        matches!(self.interest, Interest::Read | Interest::ReadWrite)
    }
}

/// The head so far.
#[derive(Debug)]
pub(super) struct PartialHead {
    pub(super) scanner: HeadScanner,
    pub(super) bytes: Vec<u8>,
    pub(super) until: Moment,
    pub(super) peer: std::net::SocketAddr,
    /// The first bytes of a TLS handshake have come.
    pub(super) speaks_tls: bool,
    /// The host that it asked for by TLS.
    pub(super) server_name: Option<Box<str>>,
}

/// A handshake that waits for a backend.
#[derive(Debug)]
pub(super) struct PendingAuthorization {
    pub(super) joining: Box<PendingJoin>,
    /// The client that the broker is to take in then.
    pub(super) client: Client,
    /// What it is to be asked, until it is.
    pub(super) open: Option<WebhookRequest>,
    /// The event for the backend if it lets the client in and the client goes before it is open.
    pub(super) never_opened: Option<WebhookRequest>,
}

/// A handshake that waits for the broker.
#[derive(Debug)]
pub(super) struct PendingJoin {
    pub(super) session: Box<Session>,
    /// The client and its request, for the log if it is refused.
    pub(super) caller: Box<Caller>,
    /// The 101.
    pub(super) answer: Bytes,
    /// What its resource wants to know.
    pub(super) request: Option<Box<JoinRequest>>,
    /// What came after the head.
    pub(super) early: Vec<u8>,
    pub(super) until: Moment,
}

/// What a client asked for when it opened, kept until the broker has let it in.
#[derive(Debug)]
pub(super) struct JoinRequest {
    /// Its request head, which was parsed without a fault.
    pub(super) head: Vec<u8>,
    /// Its address, after trusted proxies.
    pub(super) peer: std::net::SocketAddr,
    /// The subprotocol that was agreed.
    pub(super) protocol: Option<String>,
    /// The user that the backend of its resource has named, as JSON.
    pub(super) user: Option<Box<str>>,
    /// What that backend wants done once it is open.
    pub(super) commands: Vec<WebhookCommand>,
    /// The event for that backend if it goes before it is open.
    pub(super) never_opened: Option<WebhookRequest>,
}

/// How the worker finds out that a silent client lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepaliveMode {
    /// It is pinged, and closed when it does not answer.
    Ping,
    /// It would take a ping for an answer: its kernel has to acknowledge what it is sent.
    Kernel,
    /// As [`KeepaliveMode::Kernel`], and a pause in what it sends ends a message.
    Pause,
    /// It is pinged when nothing was sent for `phpKeepalive`, so that it does not give up itself.
    KeepAlive,
}

/// What a publisher sent while the window was full (rule L4), or beyond its share of a turn; it is read
/// no further.
#[derive(Debug)]
pub(super) struct PendingInput {
    /// The message that did not fit into the window; none when only the share was used up.
    pub(super) message: Option<PendingMessage>,
    /// Bytes after it.
    pub(super) rest: Vec<u8>,
}

/// A whole message that waits.
#[derive(Debug)]
pub(super) enum PendingMessage {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl JoinRequest {
    pub(super) fn new(head: &[u8], peer: std::net::SocketAddr, protocol: Option<&str>) -> Self {
        Self {
            head: head.to_owned(),
            peer,
            protocol: protocol.map(str::to_owned),
            user: None,
            commands: Vec::new(),
            never_opened: None,
        }
    }
}

impl PendingJoin {
    /// Bytes that it keeps of what the client sent.
    pub(super) fn held(&self) -> usize {
        self.early.len() + self.request.as_ref().map_or(0, |asked| asked.head.len())
    }
}

impl PendingInput {
    /// Bytes that it keeps.
    pub(super) fn held(&self) -> usize {
        self.rest.len() + self.message.as_ref().map_or(0, |it| it.as_message().bytes().len())
    }
}

impl Connection {
    pub(super) fn new(slot: Slot, serial: u64, partial: PartialHead) -> Self {
        Self {
            slot,
            serial,
            wake_at: Moment::NEVER,
            phase: Phase::Head(Box::new(partial)),
            resource: ResourceId::default(),
            reader: MessageReader::default(),
            outbox: None,
            pacer: None,
            tls: None,
            is_full: false,
            watched: Watched { interest: Interest::Read, by: Watcher::Loop },
            pending_input: None,
            usage: Usage::default(),
            is_waiting: false,
            next_beat: Moment::NEVER,
            keepalive: KeepaliveMode::Ping,
            heartbeat: Heartbeat::default(),
            control_frames: RateLimiter::default(),
            incomplete: IncompleteInput::NOTHING,
        }
    }

    /// Whether it is served after others: it takes much of the worker's time, or is about to, because
    /// a message of it has come in part. What is read of a message that is larger than one read costs
    /// less than the message itself, once it is whole.
    pub(super) fn weight(&self, clock: WorkClock) -> Weight {
        let is_in_chunks = matches!(&self.phase, Phase::Open(it) if it.chunks.is_some());
        match self.reader.is_unfinished() || is_in_chunks {
            true => Weight::Heavy,
            false => self.usage.weight(clock),
        }
    }

    /// The client's identity, once it has one and as long as it is open.
    pub(super) fn uuid(&self) -> Option<ClientUuid> {
        match &self.phase {
            Phase::Authorizing(pending) => Some(pending.joining.session.uuid),
            Phase::Joining(joining) => Some(joining.session.uuid),
            Phase::Open(session) => Some(session.uuid),
            _ => None,
        }
    }

    /// Whether frames reach it as they are made: nothing paces, encrypts or rewrites them.
    pub(super) fn is_plain(&self) -> bool {
        self.pacer.is_none() && self.tls.is_none() && self.reader.foreign().is_none()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Whether its handshake is not answered yet, and that not for a backend.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Head(_) | Phase::Joining(_))
    }

    /// Whether its TLS handshake is still to be done.
    pub(super) fn is_shaking_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Bytes of memory that it holds of what its peer sent, and of what its peer does not take: all
    /// that can grow. `docs/architecture.md` lists it. Cheap, since it is asked after each piece of
    /// work.
    pub(super) fn held(&self) -> usize {
        let phase = match &self.phase {
            Phase::Open(session) => session.held(),
            Phase::Head(partial) => partial.bytes.len(),
            Phase::Authorizing(pending) => pending.joining.held(),
            Phase::Joining(joining) => joining.held(),
            _ => 0,
        };
        phase
            + self.reader.held()
            + self.outbox.as_ref().map_or(0, |outbox| outbox.held_bytes())
            + self.tls.as_ref().map_or(0, |tls| tls.held())
            + self.pending_input.as_ref().map_or(0, |stash| stash.held())
    }

    /// Deliveries in its outbox.
    pub(super) fn waiting(&self) -> u64 {
        self.outbox.as_ref().map_or(0, |outbox| outbox.waiting())
    }

    pub(super) fn outbox(&mut self, now: Moment) -> &mut Outbox {
        self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)))
    }
}

/// Reasons of the worker's own.
pub(super) const AWAY: CloseReason = CloseReason::new(CloseCode::AWAY, "the server goes away");
pub(super) const SILENT: CloseReason =
    CloseReason::new(CloseCode::AWAY, "nothing came for two pings");
pub(super) const SLOW: CloseReason = CloseReason::new(CloseCode::LATER, "slow client");
pub(super) const NO_BROKER: CloseReason = CloseReason::new(CloseCode::LATER, "try again later");
pub(super) const FAULT: CloseReason =
    CloseReason::new(CloseCode::INTERNAL, "a fault of the server");
pub(super) const REVOKED: CloseReason =
    CloseReason::new(CloseCode::POLICY, "the application was removed or changed");
pub(super) const FULL: CloseReason = CloseReason::new(CloseCode::LATER, "too many connections");
pub(super) const UNKNOWN_PATH: CloseReason = CloseReason::new(CloseCode::POLICY, "unknown path");
pub(super) const CONTROL_FLOOD: CloseReason =
    CloseReason::new(CloseCode::POLICY, "too many control frames");
pub(super) const HALF_A_FRAME: CloseReason =
    CloseReason::new(CloseCode::POLICY, "half a frame for too long");
pub(super) const HALF_A_MESSAGE: CloseReason =
    CloseReason::new(CloseCode::POLICY, "half a message for too long");
pub(super) const SCARCE: CloseReason =
    CloseReason::new(CloseCode::LATER, "the server is short of memory");

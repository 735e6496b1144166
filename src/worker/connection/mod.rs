//! Live connection, from its first byte to its last.

pub(crate) mod api_pipe;
pub(crate) mod backlog;
pub(crate) mod bye;
pub(crate) mod close;
pub(crate) mod deadlines;
pub(crate) mod deferred_replies;
pub(crate) mod deliver;
pub(crate) mod fair_queue;
pub(crate) mod heartbeat;
pub(crate) mod incomplete_input;
pub(crate) mod message;
pub mod outbox;
pub(crate) mod pacing;
pub(crate) mod paused;
pub(crate) mod paused_queue;
pub(crate) mod read;
pub(crate) mod readiness;
pub(crate) mod scheduled_closes;
pub(crate) mod serve;
pub(crate) mod slow_client;
pub(crate) mod table;
pub(crate) mod throttled;
pub(crate) mod timers;
pub(crate) mod tls;
pub(crate) mod tls_failure;
pub(crate) mod tls_io;
pub(crate) mod tls_session_tickets;
pub(crate) mod tracked;
pub(crate) mod write;

use bytes::Bytes;

use self::api_pipe::ApiPipe;
use self::fair_queue::{Usage, Weight, WorkClock};
use self::incomplete_input::IncompleteInput;
use self::outbox::Outbox;
use self::pacing::Pacer;
use self::tls::TlsSession;
use super::accept::tls_handshakes::Watcher;
use super::clock::Moment;
use super::handshake::event_stream::EventStreamOpening;
use super::handshake::hello::PendingHello;
use super::handshake::refusals::Caller;
use super::handshake::resuming::PendingResume;
use super::offload::LargeMessage;
use crate::auth::{REVOKED_TOKEN, TOKEN_EXPIRED};
use crate::http::HeadScanner;
use crate::reactor::poller::Interest;
use crate::resource::ResourceId;
use crate::session::{Heartbeat, RateLimiter, Session};
use crate::types::{Client, ClientUuid, CloseCode, CloseReason, Slot};
use crate::webhook::{WebhookCommand, WebhookRequest};
use crate::websocket::MessageReader;

/// State of a connection. Its socket is in the dense array of the fan-out.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, one byte each")]
pub(super) struct Connection {
    /// Index in the tables of this worker and of the broker.
    pub(super) slot: Slot,
    /// Number of the connection within its worker. The log uses it as a name.
    pub(super) serial: u64,
    pub(super) phase: Phase,
    /// Resource that serves the connection, once it is known.
    pub(super) resource: ResourceId,
    pub(super) reader: MessageReader,
    /// Present while the socket is full, and always for a paced client.
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) pacer: Option<Box<Pacer>>,
    /// Present on a TLS connection.
    pub(super) tls: Option<Box<TlsSession>>,
    /// The socket accepted fewer bytes than it was given.
    pub(super) is_full: bool,
    pub(super) watched: Watched,
    /// Received input that could not be processed yet.
    pub(super) pending_input: Option<Box<PendingInput>>,
    /// Work done for the connection. It decides the order of service.
    pub(super) usage: Usage,
    /// The connection is in the serve queue, however often the kernel reports it.
    pub(super) is_waiting: bool,
    /// Time of the earliest timer that is set.
    pub(super) wake_at: Moment,
    pub(super) next_heartbeat: Moment,
    pub(super) keepalive: KeepaliveMode,
    pub(super) heartbeat: Heartbeat,
    pub(super) control_frames: RateLimiter,
    /// Bytes held, and the progress of incomplete input, such as a frame or a TLS record.
    pub(super) incomplete: IncompleteInput,
}

// Each client has one.
const _: () = assert!(size_of::<Connection>() <= 128, "a connection has grown");

/// Phase of a connection.
#[derive(Debug)]
pub(super) enum Phase {
    /// The request head is incomplete.
    Head(Box<PartialHead>),
    /// The 101 response is sent, and the first frame of the client has not arrived (`tagcast.v1`).
    Greeting(Box<PendingHello>),
    /// The backend of its resource has not accepted the client yet.
    Authorizing(Box<PendingAuthorization>),
    /// The broker has not confirmed the join yet (rule L8).
    Joining(Box<PendingJoin>),
    /// The WebSocket is open.
    Open(Box<Session>),
    /// A Close frame is in the outbox. Nothing else is written.
    Closing { until: Moment },
    /// An HTTP response is in the outbox. Nothing else is written.
    Answering { until: Moment },
    /// Everything is written and the write side is shut down. The peer must close its side.
    Ending { until: Moment },
    /// The API process has the socket, and the connection must be forgotten here.
    HandedOver,
    /// The API process serves it; plain bytes are piped in both directions.
    Piping(Box<ApiPipe>),
    /// The socket must be closed.
    Gone,
}

/// Readiness that a socket is watched for, and by which poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) interest: Interest,
    pub(super) by: Watcher,
}

impl Watched {
    /// Returns true if the socket is watched for data to read.
    pub(super) fn reads(self) -> bool {
        matches!(self.interest, Interest::Read | Interest::ReadWrite)
    }
}

/// Incomplete request head.
#[derive(Debug)]
pub(super) struct PartialHead {
    pub(super) scanner: HeadScanner,
    pub(super) bytes: Vec<u8>,
    pub(super) until: Moment,
    pub(super) peer: std::net::SocketAddr,
    /// Trusted proxy that has sent a header of the PROXY protocol. `peer` is its client then.
    pub(super) proxy: Option<std::net::SocketAddr>,
    /// The first bytes of a TLS handshake have arrived.
    pub(super) has_tls_input: bool,
    /// Server name in the TLS handshake (SNI).
    pub(super) server_name: Option<Box<str>>,
}

/// Handshake that waits for a backend.
#[derive(Debug)]
pub(super) struct PendingAuthorization {
    pub(super) joining: Box<PendingJoin>,
    /// Client to add to the index after the backend has accepted it.
    pub(super) client: Client,
    /// Event that asks the backend. `None` once it is sent.
    pub(super) open: Option<WebhookRequest>,
    /// Event for the backend if it accepts the client and the client disconnects before the
    /// connection is open.
    pub(super) never_opened: Option<WebhookRequest>,
}

/// Handshake that waits for the broker.
#[derive(Debug)]
pub(super) struct PendingJoin {
    pub(super) session: Box<Session>,
    /// Client and request, for the log line of a refusal.
    pub(super) caller: Box<Caller>,
    /// The 101 response.
    pub(super) answer: Bytes,
    /// Request data for the resource.
    pub(super) request: Option<Box<JoinRequest>>,
    /// Bytes that arrived after the request head.
    pub(super) early: Vec<u8>,
    pub(super) until: Moment,
    /// What the client says about an earlier connection (`tagcast.v1`).
    pub(super) resume: Option<Box<PendingResume>>,
    /// Present if the client opens a stream of events.
    pub(super) event_stream: Option<Box<EventStreamOpening>>,
}

/// Request data of a client, kept until the broker has confirmed the join.
#[derive(Debug)]
pub(super) struct JoinRequest {
    /// Valid request head.
    pub(super) head: Vec<u8>,
    /// Client address, as reported by trusted proxies.
    pub(super) peer: std::net::SocketAddr,
    /// Agreed subprotocol.
    pub(super) protocol: Option<String>,
    /// User from the backend of the resource, as JSON.
    pub(super) user: Option<Box<str>>,
    /// Commands of that backend for the time after the connection is open.
    pub(super) commands: Vec<WebhookCommand>,
    /// Event for that backend if the client disconnects earlier.
    pub(super) never_opened: Option<WebhookRequest>,
}

/// Way to detect that a silent client is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepaliveMode {
    /// The worker pings the client and closes it if it does not answer.
    Ping,
    /// As [`KeepaliveMode::Ping`], with a text frame: pages cannot see pings of RFC 6455.
    Frame,
    /// The kernel detects unacknowledged data. The client would take a ping for a reply.
    Kernel,
    /// As [`KeepaliveMode::Kernel`], and a pause in the client's input ends a message.
    Pause,
    /// As [`KeepaliveMode::Kernel`], with comments for the proxies on the way.
    Comment,
    /// The worker pings after `phpKeepalive` without other data, so the client does not time out.
    KeepAlive,
}

/// Input that arrived while the send window was full (rule L4), or that exceeded its share of a
/// turn. The socket is not read meanwhile.
#[derive(Debug)]
pub(super) struct PendingInput {
    /// Message that did not fit in the window. `None` if only the share was used up.
    pub(super) message: Option<PendingMessage>,
    /// Bytes after the message.
    pub(super) rest: Vec<u8>,
}

/// Complete message that waits.
#[derive(Debug)]
pub(super) enum PendingMessage {
    /// It was not read, because the client's backend or the send window was busy.
    Unread(OwnedMessage),
    /// A large message, which another thread reads.
    Offloaded(LargeMessage),
}

/// Complete message.
#[derive(Debug)]
pub(super) enum OwnedMessage {
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
    /// Returns the number of client bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.early.len() + self.request.as_ref().map_or(0, |asked| asked.head.len())
    }
}

impl PendingInput {
    /// Returns the number of bytes held.
    pub(super) fn held(&self) -> usize {
        self.rest.len() + self.message.as_ref().map_or(0, PendingMessage::held)
    }

    /// Returns true unless another thread must read the message first.
    pub(super) fn is_ready(&self) -> bool {
        self.message.as_ref().is_none_or(PendingMessage::is_ready)
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
            next_heartbeat: Moment::NEVER,
            keepalive: KeepaliveMode::Ping,
            heartbeat: Heartbeat::default(),
            control_frames: RateLimiter::default(),
            incomplete: IncompleteInput::NOTHING,
        }
    }

    /// Returns the connection's weight in the serve queue. A connection with an incomplete message
    /// is heavy, because processing a complete large message costs more than reading its parts; the
    /// work done so far does not show that.
    pub(super) fn weight(&self, clock: WorkClock) -> Weight {
        let is_in_chunks = matches!(&self.phase, Phase::Open(it) if it.bytes_in_chunks().is_some());
        match self.reader.is_unfinished() || is_in_chunks {
            true => Weight::Heavy,
            false => self.usage.weight(clock),
        }
    }

    /// Returns the client's identity during the handshake and while the connection is open.
    pub(super) fn uuid(&self) -> Option<ClientUuid> {
        match &self.phase {
            Phase::Authorizing(pending) => Some(pending.joining.session.uuid),
            Phase::Joining(joining) => Some(joining.session.uuid),
            Phase::Open(session) => Some(session.uuid),
            _ => None,
        }
    }

    /// Returns true if frames are sent unchanged: they are not paced, encrypted or converted.
    pub(super) fn is_plain(&self) -> bool {
        self.pacer.is_none() && self.tls.is_none() && self.reader.foreign().is_none()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Returns true if the client has not joined yet, unless it waits for a backend.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Head(_) | Phase::Greeting(_) | Phase::Joining(_))
    }

    /// Returns true until its request for a WebSocket is answered, and the first frame of a client that has
    /// to show itself with it.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Head(_) | Phase::Greeting(_))
    }

    /// Returns true during the TLS handshake.
    pub(super) fn is_in_tls_handshake(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Returns the bytes of memory for received input and for output that the peer does not read.
    /// This is everything that can grow; `docs/architecture.md` lists it. It is called after each
    /// unit of work and must be cheap.
    pub(super) fn held(&self) -> usize {
        let phase = match &self.phase {
            Phase::Open(session) => session.held(),
            Phase::Head(partial) => partial.bytes.len(),
            Phase::Greeting(pending) => pending.held(),
            Phase::Authorizing(pending) => pending.joining.held(),
            Phase::Joining(joining) => joining.held(),
            Phase::Piping(pipe) => pipe.held(),
            _ => 0,
        };
        phase
            + self.reader.held()
            + self.outbox.as_ref().map_or(0, |outbox| outbox.held_bytes())
            + self.tls.as_ref().map_or(0, |tls| tls.held())
            + self.pending_input.as_ref().map_or(0, |stash| stash.held())
    }

    /// Returns the number of deliveries in the outbox.
    pub(super) fn waiting(&self) -> u64 {
        self.outbox.as_ref().map_or(0, |outbox| outbox.waiting())
    }

    pub(super) fn outbox(&mut self, now: Moment) -> &mut Outbox {
        self.outbox.get_or_insert_with(|| Box::new(Outbox::new(now)))
    }
}

/// Close reasons of the worker.
pub(super) const AWAY: CloseReason = CloseReason::new(CloseCode::AWAY, "the server goes away");
pub(super) const SILENT: CloseReason =
    CloseReason::new(CloseCode::AWAY, "nothing came for two pings");
pub(super) const SLOW: CloseReason = CloseReason::new(CloseCode::LATER, "slow client");
pub(super) const NO_BROKER: CloseReason = CloseReason::new(CloseCode::LATER, "try again later");
pub(super) const FAULT: CloseReason =
    CloseReason::new(CloseCode::INTERNAL, "a fault of the server");
pub(super) const REVOKED: CloseReason =
    CloseReason::new(CloseCode::POLICY, "the application was removed or changed");
pub(super) const EXPIRED: CloseReason = CloseReason::new(CloseCode::POLICY, TOKEN_EXPIRED);
pub(super) const TOKEN_REVOKED: CloseReason = CloseReason::new(CloseCode::POLICY, REVOKED_TOKEN);
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

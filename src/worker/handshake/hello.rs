//! Opening of `tagcast.v1`: the 101 response comes first, and the first frame of the client has what the request of
//! other protocols has. Until it arrives the connection is a handshake in progress.

use std::borrow::Cow;
use std::net::SocketAddr;

use bytes::BytesMut;
use tracing::debug;

use super::admission::{AdmittedClient, AdmittedRequests};
use super::joining::ReceivedHead;
use super::refusals::Caller;
use super::resuming::{self, PendingResume, ResumeOutcome};
use super::session_cookie::RequiredCheck;
use super::shown_token::{self, AdmittedCredentials, FoundToken, OfferedProtocols};
use super::{NO_ROOM_FOR_HEADS, admission, joining, opening_tags, refusals};
use crate::http::{
    self, Refusal, RefusalStatus, RequestKind, SupportedVersions, Upgrade, WireFormat,
    effective_address,
};
use crate::protocol::Protocol;
use crate::protocol::v1::{SUBPROTOCOL, V1Hello, V1Welcome, invalid_frame, parse_hello};
use crate::resource::{BuiltinKind, ConnectRequest, ResourceHooks, ResourceId, Route};
use crate::session::SessionFact;
use crate::types::limits::{CONTROL_FRAMES_PER_SECOND, V1_HELLO_BYTES_MAX};
use crate::types::{
    AllowedNames, ClientClass, CloseCode, CloseReason, Credentials, Ident, IdentError, Tags,
};
use crate::websocket::{FrameEvent, Leniency, LoneContinuation, MessageLimits, write as frames};
use crate::worker::clock::{Moment, unix_time};
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::{
    CONTROL_FLOOD, Connection, FULL, KeepaliveMode, Phase, SCARCE, bye, close, write,
};
use crate::worker::context::Context;

/// Connection whose first frame has not arrived.
#[derive(Debug)]
pub(in crate::worker) struct PendingHello {
    /// Valid request head.
    head: Vec<u8>,
    peer: SocketAddr,
    pub(in crate::worker) until: Moment,
    /// Client and request, for the log line of a refusal.
    pub(in crate::worker) caller: Box<Caller>,
    resource: ResourceId,
}

impl PendingHello {
    /// Returns the number of client bytes that are held.
    pub(in crate::worker) fn held(&self) -> usize {
        self.head.len()
    }
}

const OF_THE_API: Refusal =
    Refusal::new(RefusalStatus::BadRequest, "this path belongs to the HTTP API");
const OTHER_PROTOCOL: Refusal = Refusal::new(
    RefusalStatus::BadRequest,
    "this path is bound to another protocol than tagcast.v1",
);
const BAD_ORIGIN: Refusal = Refusal::new(RefusalStatus::Forbidden, "this origin may not connect");
const UNAUTHORIZED: CloseReason = CloseReason::new(CloseCode::UNAUTHORIZED, "unauthorized");
const HELLO_TIMEOUT: CloseReason = CloseReason::new(CloseCode::HELLO_TIMEOUT, "hello timeout");
const NO_BACKEND: CloseReason = CloseReason::new(CloseCode::NOT_AVAILABLE, "backend unavailable");
const NO_BINARY: CloseReason =
    CloseReason::new(CloseCode::UNSUPPORTED, "binary messages have no meaning here");

const HELLO_LIMITS: MessageLimits = MessageLimits {
    message_bytes_max: V1_HELLO_BYTES_MAX,
    lone_continuation: LoneContinuation::Refused,
    leniency: Leniency::STRICT,
};

/// Returns whether a client offers the subprotocol. This comes before all other rules of routing.
pub(super) fn is_offered(upgrade: &Upgrade<'_>) -> bool {
    upgrade.wire == WireFormat::Rfc6455 && upgrade.protocols().any(|name| name == SUBPROTOCOL)
}

/// Completes the handshake and waits for the first frame.
///
/// # Errors
///
/// What a page can see as the failure of a request only. Everything else is reported after the 101 response.
pub(super) fn begin(
    context: &mut Context,
    connection: &mut Connection,
    upgrade: &Upgrade<'_>,
    received: ReceivedHead<'_>,
) -> Result<(), Refusal> {
    upgrade.check_version(SupportedVersions::Rfc6455)?;
    upgrade.check_key()?;
    upgrade.check_body()?;
    let resource = choose_resource(context, upgrade.path)?;
    if !context.settings.origins.admit(upgrade.origin.as_deref(), &upgrade.host) {
        return Err(BAD_ORIGIN);
    }
    let ReceivedHead { head, mut early, peer, until } = received;
    if head.len() > context.handshakes.bytes_for_each() {
        return Err(NO_ROOM_FOR_HEADS);
    }
    let caller = Box::new(Caller::of(peer, upgrade.head, &context.settings.trusted_proxies));
    let pending = PendingHello { head: head.to_owned(), peer, until, caller, resource };
    context.handshakes.advance(connection, Phase::Greeting(Box::new(pending)));
    let answer = upgrade.answer(Some(SUBPROTOCOL)).into();
    write::write(context, connection, answer, PartKind::Frames);
    if !early.is_empty() {
        on_bytes(context, connection, &mut early);
    }
    Ok(())
}

fn choose_resource(context: &Context, path: &str) -> Result<ResourceId, Refusal> {
    if ["/v1/", "/apps/"].iter().any(|start| path.starts_with(start))
        && !context.settings.paths.is_spoken_for(path)
    {
        return Err(OF_THE_API);
    }
    let resource = context.settings.paths.choose_for_requests(path).ok_or(OTHER_PROTOCOL)?;
    let takes = context.resources.get(resource).is_some_and(ResourceHooks::takes_requests);
    if takes { Ok(resource) } else { Err(OTHER_PROTOCOL) }
}

/// Processes bytes before the client has joined. Bytes after its first frame are kept.
pub(in crate::worker) fn on_bytes(
    context: &mut Context,
    connection: &mut Connection,
    mut input: &mut [u8],
) {
    while matches!(connection.phase, Phase::Greeting(_)) {
        let Connection { reader, control_frames, .. } = &mut *connection;
        let event = match reader.next(&mut input, &HELLO_LIMITS) {
            Ok(Some(event)) => event,
            Ok(None) => {
                reader.give_back();
                return limit_memory(context, connection);
            }
            Err(violation) => return refuse(context, connection, &violation.close_reason()),
        };
        let is_control = matches!(event, FrameEvent::Ping(_) | FrameEvent::Pong(_));
        let second = context.clock.now().second();
        if is_control && !control_frames.admits(second, CONTROL_FRAMES_PER_SECOND) {
            return refuse(context, connection, &CONTROL_FLOOD);
        }
        match event {
            FrameEvent::Pong(_) => {}
            FrameEvent::Ping(payload) => {
                let mut frame = BytesMut::new();
                frames::pong(&mut frame, payload);
                write::write(context, connection, frame.freeze(), PartKind::Frames);
            }
            FrameEvent::Close(code, reason) => {
                let reason = reason.to_owned();
                return close::answer_close(context, connection, code, &reason);
            }
            FrameEvent::Binary(_) => return refuse(context, connection, &NO_BINARY),
            FrameEvent::Text(text) => {
                let text = text.to_owned();
                reader.give_back();
                let early = input.to_vec();
                return on_hello(context, connection, &text, early);
            }
        }
    }
}

/// Closes a connection that holds more than its share of the memory of heads with its head and the beginning of its
/// first frame.
fn limit_memory(context: &mut Context, connection: &mut Connection) {
    let Phase::Greeting(pending) = &connection.phase else { return };
    if pending.held() + connection.reader.held() > context.handshakes.bytes_for_each() {
        refuse(context, connection, &SCARCE);
    }
}

fn on_hello(context: &mut Context, connection: &mut Connection, text: &str, early: Vec<u8>) {
    let hello = match parse_hello(text) {
        Ok(hello) => hello,
        Err(why) => return refuse(context, connection, &invalid_frame(&why)),
    };
    let Phase::Greeting(pending) = &mut connection.phase else { return };
    let head_bytes = std::mem::take(&mut pending.head);
    let (peer, until, resource) = (pending.peer, pending.until, pending.resource);
    debug!(connection = connection.serial, program = hello.client.as_deref(), "hello");
    let admitted = http::parse(&head_bytes).and_then(|head| {
        // It was a valid handshake before.
        let RequestKind::Upgrade(upgrade) = http::decide(&head)? else {
            return Err(Refusal::NOT_FOUND);
        };
        let target = HelloTarget { resource, peer };
        match admit(context, &upgrade, &hello, &target) {
            Ok(admitted) => {
                let received = ReceivedHead { head: &head_bytes, early, peer, until };
                joining::join(context, connection, &upgrade, admitted, received);
            }
            Err(reason) => refuse(context, connection, &reason),
        }
        Ok(())
    });
    if admitted.is_err() {
        refuse(context, connection, &UNAUTHORIZED);
    }
}

/// Connection that a first frame is for.
struct HelloTarget {
    resource: ResourceId,
    /// Address of its socket.
    peer: SocketAddr,
}

/// Decides whether a client may join.
fn admit<'a>(
    context: &Context,
    upgrade: &Upgrade<'a>,
    hello: &V1Hello<'_>,
    target: &HelloTarget,
) -> Result<AdmittedClient<'a>, CloseReason> {
    let settings = &context.settings;
    let HelloTarget { resource: id, peer } = *target;
    let credentials = credentials(context, upgrade, hello).ok_or(UNAUTHORIZED)?;
    let grant = &credentials.grant;
    if let Some(check) = &settings.session_check {
        check.admit(upgrade, RequiredCheck::Session, grant.basis).map_err(|_| UNAUTHORIZED)?;
    }
    let resource = context.resources.get(id);
    let route = Route { resource: id, protocol: Some(Protocol::V1), subprotocol: None };
    let own = opening_tags::of_hello(upgrade, hello).map_err(|why| invalid_frame(&why))?;
    let tags = opening_tags::of_client(context, upgrade, &route, &credentials, own)
        .map_err(|why| invalid_frame(&why))?;
    let ip = effective_address(peer.ip(), upgrade, &settings.trusted_proxies)
        .map_err(|refusal| invalid_frame(&refusal.why))?;
    let opening =
        ConnectRequest::new(upgrade.head, SocketAddr::new(ip, peer.port()), Some(SUBPROTOCOL));
    admission::admitted_by(resource, &opening, grant).map_err(|refusal| reason_of(&refusal))?;
    let may_choose_tags = opening_tags::may_choose_tags(settings, upgrade, &route, grant);
    let counted = admission::counted(grant, ClientClass::Web, id);
    let ident =
        ident(upgrade, hello, &credentials).map_err(|_| invalid_frame("`ident` is not valid"))?;
    let topics = opening_tags::topics(context, &credentials, hello, || {
        may_choose_tags.then_some(&AllowedNames::All)
    })?;
    let resume = Box::new(resuming::read(context, hello, &credentials, resource));
    Ok(AdmittedClient {
        counted,
        ident,
        credentials,
        resource: id,
        protocol_family: Protocol::V1,
        protocol: Some(SUBPROTOCOL),
        class: ClientClass::Web,
        reach: ClientClass::Web,
        tags: tags.with_topics(topics),
        ip,
        keepalive: KeepaliveMode::Frame,
        requests: Some(AdmittedRequests { may_choose_tags, resume }),
        event_stream: None,
    })
}

/// Checks key and secret, or the token. What is wrong is only in the log.
fn credentials(
    context: &Context,
    upgrade: &Upgrade<'_>,
    hello: &V1Hello<'_>,
) -> Option<AdmittedCredentials> {
    let access = &context.settings.rules.access;
    let query = upgrade.query.unwrap_or_default();
    let mut named = admission::credentials(query);
    if let Some(key) = &hello.key {
        let secret = named.take().and_then(|named| named.secret);
        named = Some(Credentials { key: Cow::Borrowed(key), secret });
    }
    if let Some(secret) = &hello.secret {
        let key = named.take().map_or(Cow::Borrowed(""), |named| named.key);
        named = Some(Credentials { key, secret: Some(Cow::Borrowed(secret)) });
    }
    let token = match &hello.token {
        Some(token) => Ok(Some(FoundToken::new(Cow::Borrowed(&**token)))),
        None => shown_token::in_handshake(access, upgrade, &OfferedProtocols::of(upgrade, access)),
    };
    let opened = token.and_then(|token| shown_token::open_with(access, named.as_ref(), token));
    opened.inspect_err(|refusal| debug!(reason = refusal.detail(), "hello refused")).ok()
}

/// Returns the name of a client: that of its token, of its first frame, or of its header.
fn ident(
    upgrade: &Upgrade<'_>,
    hello: &V1Hello<'_>,
    credentials: &AdmittedCredentials,
) -> Result<Option<Ident>, IdentError> {
    match &hello.ident {
        Some(own) if credentials.claims().is_none_or(|claims| claims.ident.is_none()) => {
            Ident::new(own).map(Some)
        }
        _ => Ok(admission::ident(upgrade, credentials.claims())),
    }
}

/// Returns the reason of the Close in place of an HTTP response.
fn reason_of(refusal: &Refusal) -> CloseReason {
    match refusal.status {
        RefusalStatus::Unauthorized => UNAUTHORIZED,
        RefusalStatus::Timeout => HELLO_TIMEOUT,
        RefusalStatus::TooManyRequests => FULL,
        RefusalStatus::Unavailable => NO_BACKEND,
        _ => CloseReason { code: CloseCode::UNAUTHORIZED, text: refusal.why.clone() },
    }
}

/// Closes a connection that has not joined, for a reason that other protocols give in an HTTP response.
pub(super) fn refuse_with(context: &mut Context, connection: &mut Connection, refusal: &Refusal) {
    let reason = reason_of(refusal);
    refuse(context, connection, &reason);
}

/// Closes a connection that has not joined.
pub(in crate::worker) fn refuse(
    context: &mut Context,
    connection: &mut Connection,
    reason: &CloseReason,
) {
    let reason = bye::worded(connection, reason).into_owned();
    refusals::log_closed(context, connection, b"", &reason, None);
    close::close(context, connection, &reason);
}

/// Closes a connection whose first frame has not arrived within the time.
pub(in crate::worker) fn time_out(context: &mut Context, connection: &mut Connection) {
    refuse(context, connection, &HELLO_TIMEOUT);
}

/// Sends the server's first frames to a client that has joined.
pub(super) fn send_welcome(
    context: &mut Context,
    connection: &mut Connection,
    pending: Option<&PendingResume>,
) {
    let Phase::Open(session) = &connection.phase else { return };
    let outcome = resuming::outcome(context, session, connection.slot, pending);
    let welcome = welcome(context, connection, &outcome);
    let mut sent = BytesMut::new();
    frames::text(&mut sent, welcome.as_bytes());
    if let Some(recovery) = &outcome.recovery {
        frames::text(&mut sent, recovery.frame().as_bytes());
    }
    write::write(context, connection, sent.freeze(), PartKind::Frames);
    if outcome.awaits_recovery
        && let Phase::Open(session) = &mut connection.phase
    {
        session.facts.add(SessionFact::AwaitsRecovery);
    }
}

fn welcome(context: &Context, connection: &Connection, outcome: &ResumeOutcome) -> String {
    let Phase::Open(session) = &connection.phase else { return String::new() };
    let rules = &context.settings.rules;
    let has = |what: bool, word: &'static str| what.then_some(word);
    let may_publish = rules.access.send(session.grant(), None).is_ok();
    let may_tag = session.may_choose_tags(&rules.access)
        || session.topic_names(&rules.access).is_some_and(|it| *it != AllowedNames::default());
    let may_watch = session.may_watch(&rules.access);
    let permissions = [has(may_publish, "publish"), has(may_tag, "tag"), has(may_watch, "watch")];
    let permissions: Vec<&'static str> = permissions.into_iter().flatten().collect();
    let may_see_counts = rules.access.may_see_counts(session.basis);
    let has_resource = connection.resource != BuiltinKind::V1.id();
    let takes_token = rules.access.takes_token_of(session.basis);
    let features = [
        has(context.broker.stores(connection.slot), "history"),
        has(may_watch, "presence"),
        Some("ask"),
        has(may_see_counts, "report"),
        Some("expr"),
        has(takes_token, "token"),
        has(has_resource, "send"),
    ];
    let features: Vec<&'static str> = features.into_iter().flatten().collect();
    let none = Tags::default();
    let client = context.broker.uplink.client(connection.slot);
    let now = unix_time();
    let expires = session.token().map(|token| token.verified.claims.expires);
    V1Welcome {
        uuid: &rules.signer.text(session.uuid),
        resumed: outcome.resumed,
        resume: outcome.token.as_ref().map(|(token, grace)| (token.as_str(), *grace)),
        at: outcome.at,
        is_recovering: outcome.awaits_recovery || outcome.recovery.is_some(),
        topics_max: rules.topics_max,
        tags: client.map_or(&none, |client| &client.tags),
        ping: context.settings.ping_every.as_secs(),
        permissions: &permissions,
        features: &features,
        message_bytes_max: rules.message_bytes_max_of(session.basis, session.extras.as_deref()),
        expires: expires.map(|at| at.saturating_sub(now.as_secs())),
        time: now.as_millis(),
    }
    .frame()
}

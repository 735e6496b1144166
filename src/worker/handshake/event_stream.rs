//! Openings of streams of server-sent events, for clients that only receive. A stream is a connection like any other:
//! it has a slot, an outbox with the same bound, and a client in the index.

use std::net::SocketAddr;

use super::admission::{self, AdmittedClient};
use super::joining::ReceivedHead;
use super::resuming::fixed_tags;
use super::session_cookie::RequiredCheck;
use super::shown_token::{self, AdmittedCredentials, OfferedProtocols};
use super::{joining, opening_tags, refusals};
use crate::broker_client::resumable::ResumeRequest;
use crate::http::{
    PlainAnswer, Refusal, RefusalStatus, RequestHead, Upgrade, cors_headers, effective_address,
    event_stream_head, event_stream_refusal, event_stream_request, has_parameter, last_event_id,
    preflight_response, streams_refusals,
};
use crate::link::resume::RecordTerms;
use crate::protocol::v1::V1Recovery;
use crate::protocol::{Protocol, sse};
use crate::resource::{BuiltinKind, ConnectRequest, Route};
use crate::session::SessionFact;
use crate::types::{
    ClientClass, CloseCode, CloseReason, MissedRequest, RecoveryReason, ReplayPosition,
};
use crate::websocket::{MessageReader, UnexpectedInput};
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::{Connection, KeepaliveMode, Phase, bye, close, write};
use crate::worker::context::Context;

/// Opening of a stream that waits for the broker.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what the client accepts, and what it has named")]
pub(in crate::worker) struct EventStreamOpening {
    /// Head of the response.
    head: String,
    /// Header lines for a page of another origin.
    cors: String,
    /// A refusal that may end soon is an event of the stream, not a status.
    streams_refusals: bool,
    /// What the client wants to get again, until the broker is asked.
    pub(super) missed: Option<ResumeRequest>,
    /// The client has named a position.
    is_recovering: bool,
}

const BAD_ORIGIN: Refusal = Refusal::new(RefusalStatus::Forbidden, "this origin may not connect");
const NO_QUERY_TOKEN: Refusal = Refusal::new(
    RefusalStatus::Unauthorized,
    "a token in the query is not accepted here (sseQueryToken)",
);

/// Answers a request for a stream, or asks the broker to add its client.
pub(super) fn begin(
    context: &mut Context,
    connection: &mut Connection,
    head: &RequestHead<'_>,
    wanted: PlainAnswer,
    received: ReceivedHead<'_>,
) -> Result<(), Refusal> {
    let request = event_stream_request(head)?;
    if !context.settings.origins.admit(request.origin.as_deref(), &request.host) {
        refuse_request(context, connection, &BAD_ORIGIN, "", received.head);
        return Ok(());
    }
    let cors = cors_headers(&request);
    if wanted == PlainAnswer::Methods {
        close::answer_and_end(context, connection, preflight_response(&cors).into());
        return Ok(());
    }
    let admitted = streams_refusals(&request)
        .and_then(|streams| Ok((streams, admit(context, &request, received.peer)?)));
    match admitted {
        Err(refusal) => refuse_request(context, connection, &refusal, &cors, received.head),
        Ok(_) if wanted == PlainAnswer::Head => {
            close::answer_and_end(context, connection, event_stream_head(&cors).into());
        }
        Ok((streams_refusals, admitted)) => {
            let missed = missed(context, head, &admitted);
            let is_recovering = missed.is_some();
            let head = event_stream_head(&cors);
            let opening =
                EventStreamOpening { head, cors, streams_refusals, missed, is_recovering };
            connection.reader = MessageReader::Unexpected(UnexpectedInput::default());
            let admitted = AdmittedClient { event_stream: Some(Box::new(opening)), ..admitted };
            joining::join(context, connection, &request, admitted, received);
        }
    }
    Ok(())
}

/// Returns what a client has missed since the position that it names. Its tags are those of this request.
fn missed(
    context: &Context,
    head: &RequestHead<'_>,
    admitted: &AdmittedClient<'_>,
) -> Option<ResumeRequest> {
    let since = last_event_id(head)?;
    let missed = MissedRequest::Since(ReplayPosition::read(&since));
    let resource = context.resources.get(admitted.resource);
    let fixed = fixed_tags(resource, admitted.credentials.claims());
    let terms = RecordTerms { grace_ms: 0, mailbox: 0, instance: None, fixed };
    Some(ResumeRequest { terms, claim: None, missed: Some(Box::new(missed)) })
}

/// Decides whether a client may receive.
fn admit<'a>(
    context: &Context,
    request: &Upgrade<'a>,
    peer: SocketAddr,
) -> Result<AdmittedClient<'a>, Refusal> {
    let settings = &context.settings;
    let id = BuiltinKind::Silent.id();
    let credentials = credentials(context, request)?;
    let grant = &credentials.grant;
    if let Some(check) = &settings.session_check {
        check
            .admit(request, RequiredCheck::Session, grant.basis)
            .map_err(|why| Refusal::new(RefusalStatus::Unauthorized, why))?;
    }
    let route = Route { resource: id, protocol: Some(Protocol::Sse), subprotocol: None };
    let tags = opening_tags::in_query(request.query.unwrap_or_default())
        .and_then(|own| opening_tags::of_client(context, request, &route, &credentials, own))
        .map_err(|why| Refusal { why, ..Refusal::new(RefusalStatus::BadRequest, "") })?;
    let ip = effective_address(peer.ip(), request, &settings.trusted_proxies)?;
    let opening = ConnectRequest::new(request.head, SocketAddr::new(ip, peer.port()), None);
    admission::admitted_by(context.resources.get(id), &opening, grant)?;
    Ok(AdmittedClient {
        counted: admission::counted(grant, ClientClass::Web, id),
        ident: admission::ident(request, credentials.claims()),
        credentials,
        resource: id,
        protocol_family: Protocol::Sse,
        protocol: None,
        class: ClientClass::Web,
        reach: ClientClass::Web,
        tags,
        ip,
        keepalive: KeepaliveMode::Comment,
        requests: None,
        event_stream: None,
    })
}

/// Checks key and secret, or the token.
fn credentials(context: &Context, request: &Upgrade<'_>) -> Result<AdmittedCredentials, Refusal> {
    let access = &context.settings.rules.access;
    let has_query_token = has_parameter(request.query.unwrap_or_default(), "token");
    if has_query_token && !context.settings.sse.takes_query_token {
        return Err(NO_QUERY_TOKEN);
    }
    shown_token::open(access, request, &OfferedProtocols::of(request, access))
}

/// Refuses a request for a stream.
fn refuse_request(
    context: &mut Context,
    connection: &mut Connection,
    refusal: &Refusal,
    cors: &str,
    head: &[u8],
) {
    refusals::note_unauthorized(context, refusal);
    refusals::log_refused(context, connection, head, refusal.status.line(), refusal.detail());
    close::answer_and_end(context, connection, event_stream_refusal(refusal, cors).into());
}

/// Refuses a client that waits for the broker, if it has asked for a stream. Returns true if it has.
///
/// `EventSource` gives up for good at any status but 200. So a stream says that it must come back later.
pub(super) fn refuse_opening(
    context: &mut Context,
    connection: &mut Connection,
    refusal: &Refusal,
) -> bool {
    let Phase::Joining(joining) = &mut connection.phase else { return false };
    let Some(opening) = joining.event_stream.take() else { return false };
    refusals::log_refused(context, connection, b"", refusal.status.line(), refusal.detail());
    let answer = match refusal.status {
        RefusalStatus::Unavailable | RefusalStatus::TooManyRequests if opening.streams_refusals => {
            let text = refusal.why.clone();
            let reason = CloseReason { code: CloseCode::OVER_CAPACITY, text };
            let after = bye::retry_after_ms(context, reason.code);
            [opening.head.as_str(), &sse::bye(&reason, after)].concat().into()
        }
        _ => event_stream_refusal(refusal, &opening.cors).into(),
    };
    close::answer_and_end(context, connection, answer);
    true
}

/// Sends the response and the first events to a client that has joined.
pub(super) fn send_opening(
    context: &mut Context,
    connection: &mut Connection,
    opening: &EventStreamOpening,
) {
    let Phase::Open(session) = &mut connection.phase else { return };
    let uuid = context.settings.rules.signer.text(session.uuid);
    let at = context.broker.position(connection.slot);
    let awaits_recovery = context.broker.uplink.is_recovering(connection.slot);
    if awaits_recovery {
        session.facts.add(SessionFact::AwaitsRecovery);
    }
    let mut begin = format!("{}{}", opening.head, sse::retry(context.retry_times.next_of_stream()));
    if opening.is_recovering {
        begin.push_str(&sse::welcome_recovering(&uuid));
    } else {
        begin.push_str(&sse::welcome(&uuid, at));
    }
    if opening.is_recovering && !awaits_recovery {
        // A broker that has died had decided about it, and its successor does not know that it asked.
        let reason = Some(RecoveryReason::Lost);
        begin.push_str(&sse::recovery(&V1Recovery { replayed: 0, reason, missed: None, at }));
    }
    write::write(context, connection, begin.into(), PartKind::Frames);
}

/// Returns true if a connection is an open stream of events.
pub(in crate::worker) fn is_open_stream(connection: &Connection) -> bool {
    let Phase::Open(session) = &connection.phase else { return false };
    session.protocol.spec().is_event_stream
}

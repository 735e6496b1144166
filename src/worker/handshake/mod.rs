//! From a request head to its response: a WebSocket, a page, or a refusal.

pub(crate) mod admission;
pub(crate) mod authorize;
pub(crate) mod count;
pub(crate) mod event_stream;
pub(crate) mod handover;
pub(crate) mod health;
pub(crate) mod hello;
pub(crate) mod joining;
pub(crate) mod legacy;
pub(crate) mod opening_tags;
pub(crate) mod pages;
pub(crate) mod proxy_header;
pub(crate) mod refusals;
pub(crate) mod resuming;
pub(crate) mod server_name;
pub(crate) mod session_cookie;
pub(crate) mod shown_token;

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use tracing::info;

use self::joining::ReceivedHead;
use self::legacy::FirstBytes;
use self::pages::{PageRequest, program_for};
use super::clock::unix_time;
use super::connection::outbox::PartKind;
use super::connection::{Connection, FULL, JoinRequest, NO_BROKER, PendingJoin, Phase};
use super::dispatch::{ConnectionEffect, ConnectionEffects};
use crate::http::{self, Refusal, RefusalStatus, RequestKind};
use crate::link::message::Full;
use crate::resource::{ConnectRequest, Limit};
use crate::types::{Client, CloseReason, Slot};
use crate::websocket::write as frames;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{
    close, deferred_replies, heartbeat, read, readiness, throttled, write,
};
use crate::worker::context::Context;
use crate::worker::dispatch::{resumption, without_client};
use crate::worker::{dispatch, webhook};

/// Text for a client that cannot join because there is no broker.
const TRY_AGAIN: &str = "Try again later";

const NO_BROKER_REFUSAL: Refusal =
    Refusal::new(RefusalStatus::Unavailable, "the server is busy: try again later");

const NO_ROOM_FOR_HEADS: Refusal = Refusal::new(
    RefusalStatus::Unavailable,
    "too many long requests come at once: try again later",
);

/// Processes bytes of a request head.
pub(in crate::worker) fn on_head(context: &mut Context, connection: &mut Connection, input: &[u8]) {
    let Phase::Head(partial) = &mut connection.phase else { return };
    partial.bytes.extend_from_slice(input);
    if !proxy_header::take_before_http(context, connection)
        || handover::hand_over(context, connection)
    {
        return;
    }
    if legacy::on_first_bytes(context, connection) == FirstBytes::Done {
        return;
    }
    let Phase::Head(partial) = &mut connection.phase else { return };
    let scanner = partial.scanner;
    let length = match partial.scanner.scan(&partial.bytes) {
        Ok(Some(length))
            if legacy::waits_for_body(context.settings.legacy.drafts, partial, length) =>
        {
            partial.scanner = scanner;
            return;
        }
        Ok(Some(length)) => length,
        Ok(None) if partial.bytes.len() > context.handshakes.bytes_for_each() => {
            return refusals::refuse(context, connection, &NO_ROOM_FOR_HEADS);
        }
        Ok(None) => return,
        Err(refusal) => return refusals::refuse(context, connection, &refusal),
    };
    let mut bytes = std::mem::take(&mut partial.bytes);
    let (peer, until) = (partial.peer, partial.until);
    let mut early = bytes.split_off(length);
    let answered = http::parse(&bytes).and_then(|head| {
        let request = match context.settings.answers_in_legacy_bytes(head.path()) {
            true => http::decide_leniently(&head)?,
            false => legacy::decide(context, connection, &head, &mut early)?,
        };
        match request {
            RequestKind::Page { path, wanted } if context.settings.is_event_stream(path) => {
                let arrived = ReceivedHead { head: &bytes, early, peer, until };
                event_stream::begin(context, connection, &head, wanted, arrived)?;
            }
            RequestKind::Page { path, wanted } => {
                let request = PageRequest { path, wanted, program: program_for(peer, &head) };
                pages::serve_page(context, connection, request)?;
            }
            RequestKind::Upgrade(upgrade) => {
                let arrived = ReceivedHead { head: &bytes, early, peer, until };
                joining::begin(context, connection, &upgrade, arrived)?;
            }
        }
        Ok(())
    });
    if let Err(refusal) = answered {
        refusals::refuse_head(context, connection, &refusal, &bytes);
    }
}

/// Completes the handshake after the broker has confirmed the join. The client can now be
/// addressed.
pub(in crate::worker) fn on_joined(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
) {
    let Some(mut connection) = connections.take(slot) else { return };
    if matches!(connection.phase, Phase::Joining(_)) {
        open(context, &mut connection);
    }
    readiness::rearm(context, connections, connection);
}

fn open(context: &mut Context, connection: &mut Connection) {
    let Phase::Joining(joining) = context.handshakes.advance(connection, Phase::Gone) else {
        return;
    };
    let PendingJoin { mut session, answer, request, mut early, resume, event_stream, .. } =
        *joining;
    if let Some(client) = context.broker.uplink.client(connection.slot) {
        // It may be that of an earlier connection.
        session.uuid = client.uuid;
    }
    let greeting = session.protocol.spec().greeting;
    let greeting = greeting.map(|text| text(&context.settings.rules.signer.text(session.uuid)));
    let has_requests = session.protocol.spec().has_requests;
    if has_requests {
        context.broker.uplink.watch_tags(connection.slot);
    }
    // One line per opened connection. With two lines, logging took 40 % of the time of a handshake.
    let peer = context.broker.uplink.client(connection.slot).map(|client| client.ip);
    info!(
        event = "connection_opened",
        connection = connection.serial,
        client = ?session.uuid,
        peer = peer.map(tracing::field::display),
        class = ?session.class,
        user = session.token().and_then(|token| token.verified.claims.subject.as_deref()),
        token = session.token().and_then(|token| token.verified.claims.id.as_deref()),
        "connection opened"
    );
    context.stats.opened += 1;
    context.labelled.note_opened(session.protocol);
    let application = context.settings.rules.access.application_index(session.basis);
    let application = context.applications.number(application);
    context.sockets.set_application(connection.slot, application);
    context.applications.note(application, |it| it.clients += 1);
    context.open_times.note(connection.slot, unix_time());
    if let Some(token) = session.token() {
        throttled::apply_token_limits(context, connection.slot, &token.verified.claims);
    }
    connection.phase = Phase::Open(session);
    connection.next_heartbeat = heartbeat::first_heartbeat(context, connection.keepalive);
    let mut rest = request
        .map_or_else(ConnectionEffects::new, |request| call_on_open(context, connection, *request));
    if matches!(rest.first(), Some(ConnectionEffect::AwaitBroker)) {
        rest.remove(0);
        // When the client sees the connection open, effects of its resource are already visible
        // (rule L8).
        deferred_replies::defer_until_done(context, connection, &mut BytesMut::new());
    }
    if has_requests {
        // The tags are those that the resource has set.
        hello::send_welcome(context, connection, resume.as_deref());
    } else if let Some(opening) = event_stream {
        event_stream::send_opening(context, connection, &opening);
    } else {
        send_greeting(context, connection, answer, greeting.as_deref());
    }
    dispatch::apply_rest(context, connection, rest);
    if !early.is_empty() && connection.is_open() {
        read::on_bytes(context, connection, &mut early);
    }
    if has_requests {
        resumption::await_frame(connection);
    }
}

/// Calls the resource for an opened connection, then applies the commands of its backend. Returns
/// the effects on the connection itself.
fn call_on_open(
    context: &mut Context,
    connection: &Connection,
    request: JoinRequest,
) -> ConnectionEffects {
    let Ok(head) = http::parse(&request.head) else { return ConnectionEffects::new() };
    let opening = ConnectRequest::new(&head, request.peer, request.protocol.as_deref());
    let opening = opening.with_user(request.user.as_deref());
    let mut rest = dispatch::call_for_rest(context, connection, |resource, handle| {
        resource.on_open(handle, &opening);
    });
    if !rest.iter().any(|own| matches!(own, ConnectionEffect::Close(_))) {
        let (commanded, _) =
            webhook::apply_commands_for_rest(context, connection, "open", request.commands);
        rest.extend(commanded);
    }
    let is_settle = |own: &ConnectionEffect| matches!(own, ConnectionEffect::AwaitBroker);
    if rest.iter().any(is_settle) {
        rest.retain(|own| !is_settle(own));
        rest.insert(0, ConnectionEffect::AwaitBroker);
    }
    rest
}

/// Sends the 101 response and the first frame, in one write unless the client is paced.
fn send_greeting(
    context: &mut Context,
    connection: &mut Connection,
    answer: Bytes,
    greeting: Option<&str>,
) {
    let frame = greeting.map(|text| frames::text_frame(text.as_bytes()));
    if connection.pacer.is_some() || connection.reader.foreign().is_some() {
        write::write(context, connection, answer, PartKind::Head);
        if let Some(frame) = frame {
            write::write(context, connection, frame, PartKind::Step);
        }
        return;
    }
    let mut both = BytesMut::from(answer);
    both.extend_from_slice(&frame.unwrap_or_default());
    write::write(context, connection, both.freeze(), PartKind::Frames);
}

/// Completes the handshake and closes the WebSocket with a reason. Browsers hide HTTP errors from
/// the page, and PHP clients print them.
pub(in crate::worker) fn reject(
    context: &mut Context,
    connection: &mut Connection,
    answer: Bytes,
    word: Option<&str>,
    reason: &CloseReason,
) {
    send_greeting(context, connection, answer, word);
    match word {
        Some(_) if context.settings.refuses_abruptly() => {
            close::close_abruptly(context, connection, reason);
        }
        _ => close::close(context, connection, reason),
    }
}

/// Refuses a client whose join was not confirmed before its deadline.
pub(in crate::worker) fn give_up_joining(context: &mut Context, connection: &mut Connection) {
    let refusal = NO_BROKER_REFUSAL;
    reject_join(context, connection, TRY_AGAIN, &NO_BROKER, &refusal);
}

/// Refuses a client because the limit of connections in total, per application or per address is reached.
pub(in crate::worker) fn on_limit_reached(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    full: Full,
    client: &Client,
) {
    let Some(mut connection) = connections.take(slot) else { return };
    let (why, status, limit) = match full {
        Full::Clients | Full::Application => {
            ("Too many connections".to_owned(), RefusalStatus::Unavailable, Limit::Clients)
        }
        Full::Address => {
            let why = format!("Too many connections from: {}", client.ip);
            (why, RefusalStatus::TooManyRequests, Limit::Address)
        }
    };
    without_client::call_without_client(context, connection.resource, |resource, call| {
        resource.on_full(call, client, limit);
    });
    if !close_at_limit(context, &mut connection) {
        let address = (full == Full::Address).then_some(client.ip);
        let text = limit_wording(context, &connection, address).unwrap_or_else(|| why.clone());
        let refusal = Refusal::composed(status, why);
        reject_join(context, &mut connection, &text, &FULL, &refusal);
    }
    readiness::rearm(context, connections, connection);
}

/// Refuses a client with a bare Close frame, if its protocol has that in place of an HTTP response.
/// Returns true if it did.
fn close_at_limit(context: &mut Context, connection: &mut Connection) -> bool {
    let Phase::Joining(joining) = &connection.phase else { return false };
    let spec = joining.session.protocol.spec();
    let Some(reason) = (spec.limit_close)(&context.settings.rules.protocols) else { return false };
    let status = RefusalStatus::Unavailable.line();
    refusals::log_refused(context, connection, b"", status, "too many connections");
    let mut frame = BytesMut::new();
    frames::close(&mut frame, Some(reason.code), &reason.text);
    close::answer_and_end(context, connection, frame.freeze());
    true
}

/// Returns the original wording of the client's protocol for a limit, of its address or in total.
fn limit_wording(
    context: &Context,
    connection: &Connection,
    address: Option<IpAddr>,
) -> Option<String> {
    let Phase::Joining(joining) = &connection.phase else { return None };
    (joining.session.protocol.spec().limit_wording)(&context.settings.rules.protocols, address)
}

fn reject_join(
    context: &mut Context,
    connection: &mut Connection,
    text: &str,
    reason: &CloseReason,
    refusal: &Refusal,
) {
    let joining = match &connection.phase {
        Phase::Joining(joining) => joining,
        Phase::Authorizing(pending) => &pending.joining,
        _ => return,
    };
    if joining.session.protocol.spec().has_requests {
        return hello::refuse(context, connection, reason);
    }
    if let Some(frame) = joining.session.protocol.spec().refusal {
        let word = frame(text);
        let answer = joining.answer.clone();
        refusals::log_refused(context, connection, b"", refusal.status.line(), &refusal.why);
        reject(context, connection, answer, Some(&word), reason);
    } else {
        refusals::refuse(context, connection, refusal);
    }
}

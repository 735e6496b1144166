//! Openings that are refused: the answer, and the one line of the log with the client and its request.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use tracing::info;

use crate::http;
use crate::http::{
    Refusal, RequestHead, Year, effective_address_of, has_members, has_parameter, parameter,
};
use crate::protocol::phpws::CompatFlag;
use crate::types::{CloseReason, IpRange};
use crate::worker::connection::close;
use crate::worker::connection::tls_failure;
use crate::worker::connection::{Connection, Phase};
use crate::worker::context::Context;
use crate::worker::handshake::legacy;
use crate::worker::log_throttle::LogThrottle;

/// Characters of a path or an origin that a line shows: both come from outside.
const TEXT_CHARACTERS_MAX: usize = 128;
/// Characters of a reason, which a backend may have given.
const REASON_CHARACTERS_MAX: usize = 256;

/// The client of a request, and the request, as far as a log may show it: no query, no secret, no cookie.
#[derive(Debug)]
pub(in crate::worker) struct Caller {
    /// The address of the socket.
    peer: SocketAddr,
    /// The client's address, after trusted proxies; none when that cannot be read.
    address: Option<IpAddr>,
    path: Option<Box<str>>,
    origin: Option<Box<str>>,
    key: Option<Box<str>>,
}

impl Caller {
    /// A client that has sent no request yet.
    pub(in crate::worker) fn silent(peer: SocketAddr) -> Self {
        let address = Some(peer.ip().to_canonical());
        Self { peer, address, path: None, origin: None, key: None }
    }

    /// The client of a request.
    pub(in crate::worker) fn of(
        peer: SocketAddr,
        head: &RequestHead<'_>,
        trusted: &[IpRange],
    ) -> Self {
        let query = head.query().unwrap_or_default();
        let is_named = has_parameter(query, "key") || has_members(query, "key");
        let key = || parameter(query, "key").map_or_else(|| "?".into(), |key| shown(&key));
        Self {
            peer,
            address: effective_address_of(peer.ip(), head, trusted).ok(),
            path: Some(shown(head.path())),
            origin: head.text("Origin").map(|origin| shown(&origin)),
            key: is_named.then(key),
        }
    }
}

/// What keeps the log short although strangers write it: so many lines a second of each kind.
#[derive(Debug, Default)]
pub(in crate::worker) struct RefusalLog {
    refusals: LogThrottle,
    tls_failures: LogThrottle,
    /// Connections that offered subprotocols of which none was agreed, by their numbers.
    unmet_offers: HashSet<u64>,
}

impl RefusalLog {
    /// None of the subprotocols that a client offered was agreed.
    pub(in crate::worker) fn note_unmet_offer(&mut self, connection: &Connection) {
        self.unmet_offers.insert(connection.serial);
    }
}

fn shown(text: &str) -> Box<str> {
    cut(text, TEXT_CHARACTERS_MAX).into()
}

fn cut(text: &str, characters_max: usize) -> &str {
    let end = text.char_indices().nth(characters_max).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

/// Answers a request that becomes no WebSocket, and ends.
pub(in crate::worker) fn refuse(
    context: &mut Context,
    connection: &mut Connection,
    refusal: &Refusal,
) {
    refuse_head(context, connection, refusal, b"");
}

/// The same, with the head of the request for the log.
pub(in crate::worker) fn refuse_head(
    context: &mut Context,
    connection: &mut Connection,
    refusal: &Refusal,
    head: &[u8],
) {
    if connection.is_shaking_hands() {
        log_tls_failure(context, connection, "it was not done in time");
    } else {
        log_refused(context, connection, head, refusal.status.line(), &refusal.why);
    }
    if connection.reader.is_raw() {
        return legacy::refuse_raw(context, connection, refusal);
    }
    let bare = context.settings.has(CompatFlag::BareErrors).then(|| {
        let of_2021 = context.settings.has(CompatFlag::ErrorsOf2021);
        http::bare(refusal, head, if of_2021 { Year::Of2021 } else { Year::Of2026 })
    });
    let answer = bare.flatten().unwrap_or_else(|| refusal.response());
    close::answer_and_end(context, connection, answer.into());
}

/// One line about an opening that is refused by a Close.
pub(in crate::worker) fn log_closed(
    context: &mut Context,
    connection: &Connection,
    head: &[u8],
    reason: &CloseReason,
) {
    let status = format!("Close {}", reason.code.0);
    log_refused(context, connection, head, &status, &reason.text);
}

/// One line about an opening that is refused. `head` is its head, while it is under way.
pub(in crate::worker) fn log_refused(
    context: &mut Context,
    connection: &Connection,
    head: &[u8],
    status: &str,
    why: &str,
) {
    if !context.refusal_log.refusals.admits(context.clock.now()) {
        return;
    }
    let trusted = &context.settings.trusted_proxies;
    let made = match (&connection.phase, http::parse(head)) {
        (Phase::Head(partial), Ok(head)) => Some(Caller::of(partial.peer, &head, trusted)),
        (Phase::Head(partial), Err(_)) => Some(Caller::silent(partial.peer)),
        _ => None,
    };
    let kept = match &connection.phase {
        Phase::Joining(joining) => Some(&*joining.caller),
        Phase::Authorizing(pending) => Some(&*pending.joining.caller),
        _ => None,
    };
    let caller = made.as_ref().or(kept);
    info!(
        event = "handshake_refused",
        connection = connection.serial,
        status,
        reason = cut(why, REASON_CHARACTERS_MAX),
        peer = caller.map(|it| tracing::field::display(it.peer)),
        address = caller.map(|it| it.address.map_or_else(|| "?".to_owned(), |ip| ip.to_string())),
        path = caller.and_then(|it| it.path.as_deref()),
        origin = caller.and_then(|it| it.origin.as_deref()),
        key = caller.and_then(|it| it.key.as_deref()),
        "handshake refused"
    );
}

/// One line about a TLS handshake that has failed.
pub(in crate::worker) fn log_tls_failure(
    context: &mut Context,
    connection: &Connection,
    why: &str,
) {
    if !context.refusal_log.tls_failures.admits(context.clock.now()) {
        return;
    }
    let Phase::Head(partial) = &connection.phase else { return };
    let (connection, peer) = (connection.serial, partial.peer);
    let reason = cut(why, REASON_CHARACTERS_MAX);
    let server_name = partial.server_name.as_deref();
    info!(
        event = "tls_handshake_failed",
        connection,
        %peer,
        server_name,
        reason,
        "TLS handshake failed"
    );
}

/// The same, for an error of the library or of the socket.
pub(in crate::worker) fn log_tls_error(
    context: &mut Context,
    connection: &Connection,
    error: &std::io::Error,
) {
    log_tls_failure(context, connection, &tls_failure::reason(error));
}

/// The client has gone. One that had sent no byte of TLS only looked whether a server is there.
pub(in crate::worker) fn log_lost_handshake(context: &mut Context, connection: &Connection) {
    let has_begun = matches!(&connection.phase, Phase::Head(partial) if partial.speaks_tls);
    if has_begun && connection.is_shaking_hands() {
        log_tls_failure(context, connection, "the client went in the middle of it");
    }
}

/// What the line about the end of a connection adds, where none of the subprotocols that its client
/// offered was agreed; given once.
pub(in crate::worker) fn take_unmet_offer(
    context: &mut Context,
    connection: &Connection,
) -> Option<&'static str> {
    let why = "it offered subprotocols, and none is served on this path: browsers end it then";
    context.refusal_log.unmet_offers.remove(&connection.serial).then_some(why)
}

/// Logs how many lines were left out; called a few times a second.
pub(in crate::worker) fn log_unshown(context: &mut Context) {
    if let Some(unshown) = context.refusal_log.refusals.unshown(context.clock.now()) {
        info!(event = "more_handshakes_refused", unshown, "more handshakes were refused");
    }
    if let Some(unshown) = context.refusal_log.tls_failures.unshown(context.clock.now()) {
        info!(event = "more_tls_handshakes_failed", unshown, "more TLS handshakes failed");
    }
}

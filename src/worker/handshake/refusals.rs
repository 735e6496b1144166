//! Refused handshakes: the response, and one log line with the client and its request.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tracing::info;

use crate::http;
use crate::http::{
    Refusal, RefusalStatus, RequestHead, effective_address_of, has_members, has_parameter,
    parameter,
};
use crate::telemetry::LogThrottle;
use crate::types::limits::REJECTION_LINES_PER_SECOND;
use crate::types::{CloseReason, IpRange};
use crate::worker::connection::bye;
use crate::worker::connection::close;
use crate::worker::connection::tls_failure;
use crate::worker::connection::{Connection, Phase};
use crate::worker::context::Context;
use crate::worker::handshake::{event_stream, hello, legacy};

/// Most characters of a path or an origin in a log line. Clients choose them.
const TEXT_CHARACTERS_MAX: usize = 128;
/// Most characters of a reason in a log line. A backend may choose it.
const REASON_CHARACTERS_MAX: usize = 256;

/// Client and request for the log, without query, secrets and cookies.
#[derive(Debug)]
pub(in crate::worker) struct Caller {
    /// Address of the socket.
    peer: SocketAddr,
    /// Client address as reported by trusted proxies. `None` if it cannot be parsed.
    address: Option<IpAddr>,
    path: Option<Box<str>>,
    origin: Option<Box<str>>,
    key: Option<Box<str>>,
}

impl Caller {
    /// Creates the entry of a client that has not sent a request.
    pub(in crate::worker) fn silent(peer: SocketAddr) -> Self {
        let address = Some(peer.ip().to_canonical());
        Self { peer, address, path: None, origin: None, key: None }
    }

    /// Creates the entry of a client with a request.
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

/// Rate limit of log lines that clients can cause, per second and kind.
#[derive(Debug)]
pub(in crate::worker) struct RefusalLog {
    refusals: LogThrottle,
    tls_failures: LogThrottle,
    /// Serial numbers of connections whose offered subprotocols were all unknown.
    unmet_offers: HashSet<u64>,
}

impl Default for RefusalLog {
    fn default() -> Self {
        let throttle = LogThrottle::new(REJECTION_LINES_PER_SECOND, Duration::from_secs(1));
        Self { refusals: throttle, tls_failures: throttle, unmet_offers: HashSet::new() }
    }
}

impl RefusalLog {
    /// Records that none of the client's offered subprotocols was agreed.
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

/// Sends the refusal of a request and closes the connection.
pub(in crate::worker) fn refuse(
    context: &mut Context,
    connection: &mut Connection,
    refusal: &Refusal,
) {
    refuse_head(context, connection, refusal, b"");
}

/// Sends the refusal of a request and closes the connection. `head` is for the log.
pub(in crate::worker) fn refuse_head(
    context: &mut Context,
    connection: &mut Connection,
    refusal: &Refusal,
    head: &[u8],
) {
    if event_stream::refuse_opening(context, connection, refusal) {
        return;
    }
    if bye::is_greeted(connection) {
        return hello::refuse_with(context, connection, refusal);
    }
    if connection.is_in_tls_handshake() {
        log_tls_failure(context, connection, "it timed out");
    } else {
        note_unauthorized(context, refusal);
        log_refused(context, connection, head, refusal.status.line(), refusal.detail());
    }
    if connection.reader.is_raw() {
        return legacy::refuse_raw(context, connection, refusal);
    }
    let bare = context.settings.bare_errors().and_then(|year| http::bare(refusal, head, year));
    let answer = bare.unwrap_or_else(|| refusal.response());
    close::answer_and_end(context, connection, answer.into());
}

/// Counts credentials that were refused.
pub(in crate::worker) fn note_unauthorized(context: &mut Context, refusal: &Refusal) {
    match &refusal.token {
        Some(token) => context.labelled.note_auth_failure("token", token.code),
        None if refusal.status == RefusalStatus::Unauthorized => {
            context.labelled.note_auth_failure("open", "invalid_credentials");
        }
        None => {}
    }
}

/// Logs a handshake that is refused with a Close frame. `detail` is a reason that only the log has.
pub(in crate::worker) fn log_closed(
    context: &mut Context,
    connection: &Connection,
    head: &[u8],
    reason: &CloseReason,
    detail: Option<&str>,
) {
    let status = format!("Close {}", reason.code.0);
    log_refused(context, connection, head, &status, detail.unwrap_or(&reason.text));
}

/// Logs a refused handshake. `head` is its request head if the connection does not hold the
/// client's data yet.
pub(in crate::worker) fn log_refused(
    context: &mut Context,
    connection: &Connection,
    head: &[u8],
    status: &str,
    why: &str,
) {
    context.labelled.note_refused(status);
    if !context.refusal_log.refusals.admits(context.clock.now().time()) {
        return;
    }
    let trusted = &context.settings.trusted_proxies;
    let made = match (&connection.phase, http::parse(head)) {
        (Phase::Head(partial), Ok(head)) => Some(Caller::of(partial.peer, &head, trusted)),
        (Phase::Head(partial), Err(_)) => Some(Caller::silent(partial.peer)),
        _ => None,
    };
    let kept = match &connection.phase {
        Phase::Greeting(pending) => Some(&*pending.caller),
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

/// Logs a failed TLS handshake.
pub(in crate::worker) fn log_tls_failure(
    context: &mut Context,
    connection: &Connection,
    why: &str,
) {
    context.labelled.note_tls_failed();
    if !context.refusal_log.tls_failures.admits(context.clock.now().time()) {
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

/// Logs a TLS handshake that failed with an error of rustls or of the socket.
pub(in crate::worker) fn log_tls_error(
    context: &mut Context,
    connection: &Connection,
    error: &std::io::Error,
) {
    log_tls_failure(context, connection, &tls_failure::reason(error));
}

/// Logs a TLS handshake that the client aborted. A connection without any TLS byte is a health
/// check and is not logged.
pub(in crate::worker) fn log_lost_handshake(context: &mut Context, connection: &Connection) {
    let has_begun = matches!(&connection.phase, Phase::Head(partial) if partial.has_tls_input);
    if has_begun && connection.is_in_tls_handshake() {
        log_tls_failure(context, connection, "the client disconnected during it");
    }
}

/// Returns an addition to the last log line of a connection if none of its offered subprotocols was
/// agreed. Returns it only once.
pub(in crate::worker) fn take_unmet_offer(
    context: &mut Context,
    connection: &Connection,
) -> Option<&'static str> {
    let why = "it offered subprotocols, but none is served on this path, so browsers close it";
    context.refusal_log.unmet_offers.remove(&connection.serial).then_some(why)
}

/// Logs how many lines the rate limit suppressed. Called several times per second.
pub(in crate::worker) fn log_unshown(context: &mut Context) {
    if let Some(unshown) = context.refusal_log.refusals.unshown(context.clock.now().time()) {
        info!(event = "more_handshakes_refused", unshown, "more handshakes were refused");
    }
    if let Some(unshown) = context.refusal_log.tls_failures.unshown(context.clock.now().time()) {
        info!(event = "more_tls_handshakes_failed", unshown, "more TLS handshakes failed");
    }
}

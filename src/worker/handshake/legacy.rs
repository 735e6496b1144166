//! Handshakes of clients older than RFC 6455: detection by their first bytes, and their responses.

use bytes::Bytes;

use crate::http;
use crate::http::{
    OtherProtocol, RAW_GREETING, RawGreeting, Refusal, RefusalStatus, RepairedHead, RequestHead,
    RequestKind,
};
use crate::protocol::phpws;
use crate::types::{CloseCode, CloseReason, Encryption, HixieForm};
use crate::websocket::{HixieReader, LegacyFraming, MessageReader, RawReader};
use crate::worker::connection::close;
use crate::worker::connection::{Connection, PartialHead, Phase};
use crate::worker::context::Context;
use crate::worker::handshake;
use crate::worker::handshake::{admission, refusals};

/// Request of the Flash plug-in, which it sends on a separate connection before it opens a
/// WebSocket.
const POLICY_REQUEST: &[u8] = b"<policy-file-request/>";
/// Response of php-websocket's first version, with the NUL that Flash expects: pages of all sites
/// may connect to all ports. The handshake checks origins.
const POLICY: &[u8] = b"<?xml version=\"1.0\"?>\n\
    <!DOCTYPE cross-domain-policy SYSTEM \
    \"http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd\">\n\
    <cross-domain-policy>\n\
    <allow-access-from domain=\"*\" to-ports=\"*\"/>\n\
    </cross-domain-policy>\n\0";

/// Returns true if the handshake needs more bytes after its head.
pub(in crate::worker) fn waits_for_body(
    drafts: Option<HixieForm>,
    partial: &PartialHead,
    length: usize,
) -> bool {
    let Some(HixieForm::Draft) = drafts else { return false };
    let Some((head, behind)) = partial.bytes.split_at_checked(length) else { return false };
    behind.len() < http::KEY3_BYTES
        && http::parse(head).is_ok_and(|head| http::bytes_behind(&head) > behind.len())
}

/// Result of checking the first bytes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum FirstBytes {
    /// The bytes are a request head, possibly incomplete.
    Http,
    /// More bytes are needed, or the connection was answered.
    Done,
}

/// Checks the first bytes. A greeting that is equivalent to a request head is replaced by that
/// head.
pub(in crate::worker) fn on_first_bytes(
    context: &mut Context,
    connection: &mut Connection,
) -> FirstBytes {
    let Phase::Head(partial) = &connection.phase else { return FirstBytes::Done };
    let bytes = partial.bytes.as_slice();
    if let Some(other) = OtherProtocol::of(bytes) {
        let refusal = match (other, &connection.tls) {
            (OtherProtocol::Tls, Some(_)) => TLS_TWICE,
            _ => other.refusal(),
        };
        refusals::refuse(context, connection, &refusal);
        return FirstBytes::Done;
    }
    let read = match bytes {
        [b'p', ..] if context.settings.legacy.raw.is_some() => on_raw_greeting(context, connection),
        [b'<', ..] if context.settings.legacy.drafts.is_some() => {
            return on_policy_request(context, connection);
        }
        [b'G', b'E', b'T', ..] => on_malformed_head(context, connection),
        _ => return FirstBytes::Http,
    };
    read.unwrap_or_else(|refusal| {
        refusals::refuse(context, connection, &refusal);
        FirstBytes::Done
    })
}

fn on_raw_greeting(context: &Context, connection: &mut Connection) -> Result<FirstBytes, Refusal> {
    let (Some(end), Phase::Head(partial)) = (context.settings.legacy.raw, &mut connection.phase)
    else {
        return Ok(FirstBytes::Http);
    };
    if partial.bytes.starts_with(RAW_GREETING) && !connection.reader.is_raw() {
        // From now on the connection is answered without HTTP.
        connection.reader = MessageReader::from(LegacyFraming::Raw(RawReader::new(end)));
    }
    match http::raw_greeting(&partial.bytes)? {
        RawGreeting::Other => Ok(FirstBytes::Http),
        RawGreeting::Incomplete => Ok(FirstBytes::Done),
        RawGreeting::Whole { head, length } => {
            partial.restate(head, length);
            Ok(FirstBytes::Http)
        }
    }
}

fn on_policy_request(context: &mut Context, connection: &mut Connection) -> FirstBytes {
    let Phase::Head(partial) = &connection.phase else { return FirstBytes::Done };
    if partial.bytes.starts_with(POLICY_REQUEST) {
        close::answer_and_end(context, connection, Bytes::from_static(POLICY));
        return FirstBytes::Done;
    }
    let may_be = POLICY_REQUEST.starts_with(&partial.bytes);
    if may_be { FirstBytes::Done } else { FirstBytes::Http }
}

/// Checks for the malformed head of 2021. Only clients that may be such a script are parsed this
/// way. For all others the head ends as RFC 9112 defines.
fn on_malformed_head(
    context: &Context,
    connection: &mut Connection,
) -> Result<FirstBytes, Refusal> {
    let Phase::Head(partial) = &mut connection.phase else { return Ok(FirstBytes::Done) };
    let repaired = http::repair(&partial.bytes);
    if repaired == Ok(RepairedHead::Other) {
        return Ok(FirstBytes::Http);
    }
    let ip = partial.peer.ip();
    let is_proxy = context.settings.trusted_proxies.iter().any(|range| range.contains(ip));
    if is_proxy
        || !admission::php_may_come_from(&context.settings, ip, || {
            admission::local_ip(context, connection.slot)
        })
    {
        return Ok(FirstBytes::Http);
    }
    match repaired? {
        RepairedHead::Other => Ok(FirstBytes::Http),
        RepairedHead::Incomplete => Ok(FirstBytes::Done),
        RepairedHead::Whole { head, length } => {
            partial.restate(head, length);
            Ok(FirstBytes::Http)
        }
    }
}

/// Decides what a request is for, also in the older handshakes. Bytes that belong to the handshake
/// are removed from `early`.
pub(in crate::worker) fn decide<'a>(
    context: &Context,
    connection: &mut Connection,
    head: &'a RequestHead<'a>,
    early: &mut Vec<u8>,
) -> Result<RequestKind<'a>, Refusal> {
    if connection.reader.is_raw() {
        return http::raw_upgrade(head).map(RequestKind::Upgrade);
    }
    let Some(form) = context.settings.legacy.drafts else { return http::decide(head) };
    let encryption = match connection.tls {
        None => Encryption::Plain,
        Some(_) => Encryption::Tls,
    };
    let Some(upgrade) = http::hixie(head, early, encryption, form)? else {
        return http::decide(head);
    };
    drop(early.drain(..http::bytes_behind(head).min(early.len())));
    connection.reader = MessageReader::from(LegacyFraming::Hixie(HixieReader::new(form)));
    Ok(RequestKind::Upgrade(upgrade))
}

/// Refuses a client that does not speak HTTP.
pub(in crate::worker) fn refuse_raw(
    context: &mut Context,
    connection: &mut Connection,
    refusal: &Refusal,
) {
    let word = phpws::close_because(&refusal.why);
    handshake::reject(context, connection, Bytes::new(), Some(&word), &REFUSED);
}

const TLS_TWICE: Refusal = Refusal::new(
    RefusalStatus::BadRequest,
    "this is TLS inside TLS: let the proxy pass TLS through, or send plain text inside it",
);

const REFUSED: CloseReason = CloseReason::new(CloseCode::POLICY, "refused");

impl PartialHead {
    /// Replaces the first `length` bytes with an equivalent head.
    fn restate(&mut self, mut head: Vec<u8>, length: usize) {
        head.extend_from_slice(self.bytes.get(length..).unwrap_or_default());
        self.bytes = head;
        // The head comes from fewer bytes than the limit, so a default scanner accepts it.
        self.scanner = http::HeadScanner::default();
    }
}

//! Input and output of TLS connections.

use bytes::Bytes;
use tracing::debug;

use super::close::BROKEN;
use super::outbox::Sent;
use super::tls::{DetectedProtocol, TOO_OLD};
use super::{Connection, PartialHead, Phase};
use crate::http::{OtherProtocol, Refusal, RefusalStatus};
use crate::worker::connection::{close, incomplete_input, read};
use crate::worker::context::Context;
use crate::worker::handshake::server_name::server_name;
use crate::worker::handshake::{proxy_header, refusals};

const PLAIN_TEXT: Refusal =
    Refusal::new(RefusalStatus::BadRequest, "this port speaks TLS: use wss:// or https://");

/// Decrypts received bytes of a TLS connection and processes the plaintext like that of any other
/// connection.
pub(in crate::worker) fn read_tls(
    context: &mut Context,
    connection: &mut Connection,
    arrived: &mut [u8],
) {
    let was_in_tls_handshake = connection.is_in_tls_handshake();
    let is_first = |partial: &PartialHead| was_in_tls_handshake && !partial.has_tls_input;
    let arrived = match &connection.phase {
        Phase::Head(partial) if is_first(partial) => {
            match proxy_header::take_before_tls(context, connection, arrived) {
                Some(arrived) => arrived,
                None => return,
            }
        }
        _ => arrived,
    };
    if let Phase::Head(partial) = &mut connection.phase
        && was_in_tls_handshake
        && !std::mem::replace(&mut partial.has_tls_input, true)
    {
        partial.server_name = server_name(arrived).map(Into::into);
        let detected = DetectedProtocol::of(arrived);
        if detected != DetectedProtocol::Tls {
            let proxy = OtherProtocol::of(arrived).filter(|it| *it == OtherProtocol::Proxy);
            return refuse_in_the_clear(context, connection, detected, proxy);
        }
    }
    let Some(tls) = &mut connection.tls else { return };
    let mut plain = std::mem::take(&mut context.buffers.plain);
    plain.clear();
    let opened = tls.open(arrived, &mut plain);
    send_handshake(context, connection);
    match opened {
        Ok(()) => {
            if was_in_tls_handshake && !connection.is_in_tls_handshake() {
                context.labelled.note_tls_completed();
                begin_head(context, connection);
            }
            if plain.is_empty() {
                incomplete_input::note_incomplete(context, connection);
            } else {
                read::on_input(context, connection, &mut plain);
            }
            end_requests(connection);
        }
        Err(error) => {
            match was_in_tls_handshake {
                true => refusals::log_tls_error(context, connection, &error),
                false => debug!(connection = connection.serial, %error, "TLS ended"),
            }
            close::discard(context, connection, "a TLS protocol error");
        }
    }
    context.buffers.plain = plain;
}

/// Tells the API process that a client which has ended its side of the session sends no more requests.
fn end_requests(connection: &mut Connection) {
    let has_ended = connection.tls.as_ref().is_some_and(|tls| tls.has_peer_ended());
    if let Phase::Piping(pipe) = &mut connection.phase
        && has_ended
    {
        pipe.end_input();
    }
}

/// Refuses a peer that does not use TLS, or an old version of it, in the protocol of the peer.
fn refuse_in_the_clear(
    context: &mut Context,
    connection: &mut Connection,
    detected: DetectedProtocol,
    proxy: Option<OtherProtocol>,
) {
    connection.tls = None;
    if detected == DetectedProtocol::PlainText {
        let refusal = proxy.map_or(PLAIN_TEXT, OtherProtocol::refusal);
        return refusals::refuse(context, connection, &refusal);
    }
    let reason = "TLS 1.2 or 1.3 is needed";
    refusals::log_refused(context, connection, b"", "protocol_version", reason);
    close::answer_and_end(context, connection, Bytes::from_static(TOO_OLD));
}

/// Sends handshake records and other records of TLS itself.
fn send_handshake(context: &mut Context, connection: &mut Connection) {
    let Some(tls) = connection.tls.as_mut().filter(|tls| tls.has_sealed()) else { return };
    let Some(socket) = context.sockets.get(connection.slot) else { return };
    match tls.send(socket) {
        Sent::All => {}
        Sent::Some(_) => {
            // The rest is sent when the socket accepts bytes again.
            connection.is_full = true;
            connection.outbox(context.clock.now());
        }
        Sent::Broken => close::discard(context, connection, BROKEN),
    }
}

/// Starts the deadline of the request head after the TLS handshake.
fn begin_head(context: &Context, connection: &mut Connection) {
    let until = context.clock.now().after(context.settings.handshake_timeout);
    if let Phase::Head(partial) = &mut connection.phase {
        partial.until = until;
    }
}

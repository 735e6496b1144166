//! Pings and other signs of life of silent clients.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::outbox::PartKind;
use super::{Connection, KeepaliveMode, Phase, SILENT};
use crate::protocol::{sse, v1};
use crate::session::{HeartbeatAction, SessionFact};
use crate::types::ReplayPosition;
use crate::types::limits::RAW_PAUSE;
use crate::websocket::write as frames;
use crate::worker::clock::Moment;
use crate::worker::connection::{close, read, write};
use crate::worker::context::Context;

/// Payload of the server's pings. Clients do not look at it.
const PING_PAYLOAD: &[u8] = br#"{"opcode":"PING"}"#;

pub(in crate::worker) fn first_heartbeat(context: &Context, sign: KeepaliveMode) -> Moment {
    match sign {
        KeepaliveMode::Ping | KeepaliveMode::Frame if !context.settings.ping_every.is_zero() => {
            context.clock.now().after(context.settings.ping_every)
        }
        KeepaliveMode::KeepAlive if !context.settings.php_keepalive.is_zero() => {
            context.clock.now().after(context.settings.php_keepalive)
        }
        KeepaliveMode::Comment if !context.settings.sse.heartbeat.is_zero() => {
            context.clock.now().after(context.settings.sse.heartbeat)
        }
        // The connection may have sent the beginning of a message.
        KeepaliveMode::Pause => context.clock.now().after(RAW_PAUSE),
        KeepaliveMode::Ping
        | KeepaliveMode::Frame
        | KeepaliveMode::KeepAlive
        | KeepaliveMode::Comment
        | KeepaliveMode::Kernel => Moment::NEVER,
    }
}

pub(in crate::worker) fn tick(context: &mut Context, connection: &mut Connection) {
    match connection.keepalive {
        KeepaliveMode::KeepAlive => return keep_alive(context, connection),
        KeepaliveMode::Pause => return read::on_pause(context, connection),
        KeepaliveMode::Comment => return comment(context, connection),
        KeepaliveMode::Ping | KeepaliveMode::Frame | KeepaliveMode::Kernel => {}
    }
    connection.next_heartbeat = context.clock.now().after(context.settings.ping_every);
    if connection.pending_input.is_some() || !connection.watched.reads() {
        // The client may have answered, but the worker did not read the socket.
        connection.heartbeat.reset();
    }
    match connection.heartbeat.tick() {
        HeartbeatAction::Silent => {
            context.stats.silent += 1;
            close::fail(context, connection, &SILENT);
        }
        HeartbeatAction::Ping => ping(context, connection),
    }
}

/// Shows a client and the proxies on its way that its stream is alive. Whether something else was sent in the
/// meantime is not recorded, because that would cost each delivery.
fn comment(context: &mut Context, connection: &mut Connection) {
    let bytes = match sse::heartbeat(position(context, connection)) {
        Cow::Borrowed(comment) => Bytes::from_static(comment.as_bytes()),
        Cow::Owned(position) => position.into(),
    };
    write::write(context, connection, bytes, PartKind::Frames);
    connection.next_heartbeat = first_heartbeat(context, KeepaliveMode::Comment);
}

/// Pings a client in the form of its protocol.
pub(in crate::worker) fn ping(context: &mut Context, connection: &mut Connection) {
    let mut frame = BytesMut::new();
    match connection.keepalive {
        KeepaliveMode::Frame => {
            frames::text(&mut frame, v1::ping(position(context, connection)).as_bytes());
        }
        _ => frames::ping(&mut frame, PING_PAYLOAD),
    }
    write::write(context, connection, frame.freeze(), PartKind::Frames);
}

/// Returns the position up to which a client was sent everything.
pub(in crate::worker) fn position(
    context: &Context,
    connection: &Connection,
) -> Option<ReplayPosition> {
    let Phase::Open(session) = &connection.phase else { return None };
    let awaits_recovery = session.facts.has(SessionFact::AwaitsRecovery);
    let position = context.broker.position(connection.slot);
    position.filter(|_| !awaits_recovery)
}

/// Pings a script that waits with its own timeout, if nothing else was sent.
fn keep_alive(context: &mut Context, connection: &mut Connection) {
    let quiet = context.settings.php_keepalive;
    let active_at =
        connection.pacer.as_ref().map_or_else(|| context.clock.now(), |pace| pace.active_at());
    if active_at.after(quiet) <= context.clock.now() {
        ping(context, connection);
        connection.next_heartbeat = context.clock.now().after(quiet);
    } else {
        connection.next_heartbeat = active_at.after(quiet);
    }
}

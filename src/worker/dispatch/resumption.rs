//! What happens to clients of `tagcast.v1` that may resume, after they have joined.

use super::{Connection, Phase};
use crate::link::resume::{Recovery, ReplayedPublication, ToResumable};
use crate::protocol::v1::V1Recovery;
use crate::protocol::{Cast, sse};
use crate::session::{Session, SessionFact};
use crate::types::{CloseCode, CloseReason, Slot, Tags};
use crate::websocket::write as frames;
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{close, heartbeat, readiness, write};
use crate::worker::context::Context;
use crate::worker::handshake::resuming::fixed_tags;
use crate::worker::hosts;

const CONTINUED: CloseReason =
    CloseReason::new(CloseCode::CONTINUED, "taken over by another connection");

/// Whether a client may come back after the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum ClientEnd {
    /// It is away, and may resume.
    Away,
    /// It has ended.
    Ended,
}

impl ClientEnd {
    /// Decides about a connection that the server closes.
    pub(in crate::worker) fn of_server(code: CloseCode) -> Self {
        match code.0 {
            1000 | 1002 | 1003 | 1007 | 4000..=4099 => Self::Ended,
            _ => Self::Away,
        }
    }

    /// Decides about a connection that the client closes. `None`: it gave no code.
    pub(in crate::worker) fn of_client(code: Option<CloseCode>) -> Self {
        if code == Some(CloseCode::NORMAL) { Self::Ended } else { Self::Away }
    }
}

/// Tells the broker that a connection has ended.
pub(super) fn leave(context: &mut Context, slot: Slot, end: ClientEnd) {
    match end {
        ClientEnd::Away => context.broker.uplink.go_away(slot),
        ClientEnd::Ended => context.broker.uplink.leave(slot),
    }
}

/// The next frame of a client proves that it has its `welcome`, and what was kept for it.
pub(in crate::worker) fn await_frame(connection: &mut Connection) {
    if let Phase::Open(session) = &mut connection.phase {
        session.facts.add(SessionFact::AwaitsFrame);
    }
}

/// Notes a frame of a client.
pub(in crate::worker) fn note_frame(context: &mut Context, slot: Slot, session: &mut Session) {
    if session.facts.take(SessionFact::AwaitsFrame) {
        context.broker.uplink.settle(slot);
    }
}

/// Notes any bytes of a client.
pub(in crate::worker) fn note_input(context: &mut Context, connection: &mut Connection) {
    let Phase::Open(session) = &mut connection.phase else { return };
    if session.facts.take(SessionFact::Probed) {
        context.broker.uplink.is_alive(connection.slot);
    }
}

/// A client has another token, which fixes other tags.
pub(super) fn on_new_token(context: &mut Context, connection: &Connection) {
    let Phase::Open(session) = &connection.phase else { return };
    let resource = context.resources.get(connection.resource);
    let claims = session.token().map(|token| &token.verified.claims);
    let fixed: Tags = fixed_tags(resource, claims);
    context.broker.uplink.fix_tags(connection.slot, &fixed);
}

/// Carries out what the broker says about a client.
pub(in crate::worker) fn on_event(
    context: &mut Context,
    connections: &mut ConnectionTable,
    event: &ToResumable,
) {
    let slot = match event {
        // These are taken before `Joined`.
        ToResumable::Record(_) | ToResumable::Passed { .. } => return,
        ToResumable::Replay(replayed) => replayed.slot,
        ToResumable::Recovered(recovery) => recovery.slot,
        ToResumable::Probe(slot) | ToResumable::Continued(slot) => *slot,
    };
    let Some(mut connection) = connections.take(slot) else { return };
    // The client may be gone, and the slot is its own until the broker has confirmed that.
    if connection.is_open() {
        match event {
            ToResumable::Record(_) | ToResumable::Passed { .. } => {}
            ToResumable::Replay(replayed) => replay(context, &mut connection, replayed),
            ToResumable::Recovered(recovery) => recover(context, &mut connection, *recovery),
            ToResumable::Probe(_) => probe(context, &mut connection),
            ToResumable::Continued(_) => close::close(context, &mut connection, &CONTINUED),
        }
    }
    readiness::rearm(context, connections, connection);
}

fn replay(context: &mut Context, connection: &mut Connection, replayed: &ReplayedPublication) {
    let Phase::Open(session) = &connection.phase else { return };
    let cast = if replayed.is_direct { Cast::One } else { Cast::Many };
    let (content, at) = (replayed.content.borrowed(), Some(replayed.position));
    let rendered = session.protocol.render_at(content, cast, at);
    let bytes = match session.protocol.spec().is_event_stream {
        true => rendered.into_owned().into(),
        false => frames::text_frame(&rendered),
    };
    write::write(context, connection, bytes, PartKind::Frames);
}

fn recover(context: &mut Context, connection: &mut Connection, recovery: Recovery) {
    let Recovery { replayed, reason, position: at, .. } = recovery;
    let Phase::Open(session) = &mut connection.phase else { return };
    session.facts.take(SessionFact::AwaitsRecovery);
    let gap = session.extras.as_mut().and_then(|extras| extras.gap.take());
    let recovery = V1Recovery { replayed, reason, missed: None, at };
    let bytes = match session.protocol.spec().is_event_stream {
        true => sse::recovery(&recovery).into(),
        false => frames::text_frame(recovery.frame().as_bytes()),
    };
    write::write(context, connection, bytes, PartKind::Frames);
    if let Some(missed) = gap {
        hosts::write_gap(context, connection, missed);
    }
}

fn probe(context: &mut Context, connection: &mut Connection) {
    if connection.pending_input.is_some() || !connection.watched.reads() {
        // The client may have sent something, but the worker does not read the socket.
        return context.broker.uplink.is_alive(connection.slot);
    }
    if let Phase::Open(session) = &mut connection.phase {
        session.facts.add(SessionFact::Probed);
    }
    heartbeat::ping(context, connection);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_ends_with_a_close_that_means_so() {
        for (code, end) in [
            (1000, ClientEnd::Ended),
            (1001, ClientEnd::Away),
            (1002, ClientEnd::Ended),
            (1003, ClientEnd::Ended),
            (1006, ClientEnd::Away),
            (1007, ClientEnd::Ended),
            (1009, ClientEnd::Away),
            (1011, ClientEnd::Away),
            (3000, ClientEnd::Away),
            (4000, ClientEnd::Ended),
            (4012, ClientEnd::Ended),
            (4099, ClientEnd::Ended),
            (4100, ClientEnd::Away),
            (4110, ClientEnd::Away),
            (4200, ClientEnd::Away),
            (4999, ClientEnd::Away),
        ] {
            assert_eq!(ClientEnd::of_server(CloseCode(code)), end, "{code}");
        }
        assert_eq!(ClientEnd::of_client(Some(CloseCode::NORMAL)), ClientEnd::Ended);
        for code in [None, Some(CloseCode::AWAY), Some(CloseCode::INVALID_FRAME)] {
            assert_eq!(ClientEnd::of_client(code), ClientEnd::Away);
        }
    }
}

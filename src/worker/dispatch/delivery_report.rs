//! Reports of how many clients a publication has reached, for publishers that asked when they opened.
//!
//! The header [`HEADER`] asks, with a token of the publisher's own choice; the same header in the 101
//! grants. Every report repeats the token, which no other client knows: so nothing that others publish
//! can pass for one. Connections that do not ask see nothing new.

use bytes::BytesMut;
use serde_json::json;

use super::ConnectionEffect;
use crate::auth::{Grant, Permissions};
use crate::broker_client::report_requests::{RecipientForm, ReportRequester};
use crate::http::{Upgrade, WireFormat};
use crate::protocol::{AckExtras, Protocol};
use crate::resource::Effect;
use crate::session::Session;
use crate::types::limits::REPORT_TOKEN_BYTES_MAX;
use crate::types::{Address, Slot};
use crate::websocket::write as frames;
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{Connection, Phase};
use crate::worker::connection::{readiness, write};
use crate::worker::context::Context;

/// Asks for reports in a handshake, and grants them in its answer.
const HEADER: &str = "Tagcast-Report";

/// The token of a publisher that may have reports: it asked, it proved a secret (or there is none to
/// prove), and its protocol has room for a text that is not a publication.
pub(in crate::worker) fn granted<'a>(
    upgrade: &Upgrade<'a>,
    protocol: Protocol,
    access: &Permissions,
    grant: &Grant,
) -> Option<&'a str> {
    let token = str::from_utf8(upgrade.head.header(HEADER)?).ok()?;
    let is_token = (1..=REPORT_TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_spoken = protocol.spec().has_reports;
    let is_framed = upgrade.wire == WireFormat::Rfc6455;
    (is_token && is_spoken && is_framed && access.tells_counts(grant.ground)).then_some(token)
}

/// The 101 with the header that grants.
pub(in crate::worker) fn in_answer(mut answer: Vec<u8>, token: &str) -> Vec<u8> {
    // What ends the head comes after the last header.
    answer.truncate(answer.len().saturating_sub(2));
    answer.extend_from_slice(format!("{HEADER}: {token}\r\n\r\n").as_bytes());
    answer
}

/// What is known of a session that has reports.
pub(in crate::worker) fn ack_extras(token: &str) -> Option<Box<AckExtras>> {
    Some(Box::new(AckExtras { report: Some(token.into()), ..AckExtras::default() }))
}

/// The client that gets the count of a publication of this session, if it may have it.
pub(in crate::worker) fn requester(
    slot: Slot,
    session: &Session,
    address: &Address,
) -> Option<ReportRequester> {
    token_of(session).map(|_| ReportRequester { slot, naming: RecipientForm::of(address) })
}

/// The report of a message that publishes nothing: it names no client at all.
pub(in crate::worker) fn report_nothing(
    session: &Session,
    effects: &[Effect],
) -> Option<ConnectionEffect> {
    let token = token_of(session)?;
    if effects.iter().any(|effect| matches!(effect, Effect::Publish { .. })) {
        return None;
    }
    let report = json!({"opcode": "report", "token": token, "published": false});
    let mut frame = BytesMut::new();
    frames::text(&mut frame, report.to_string().as_bytes());
    Some(ConnectionEffect::Frame(frame))
}

fn token_of(session: &Session) -> Option<&str> {
    session.words.as_ref()?.report.as_deref()
}

/// Reports to a publisher how many clients its publication has reached.
pub(in crate::worker) fn report_reached(
    context: &mut Context,
    connections: &mut ConnectionTable,
    asker: ReportRequester,
    clients: u64,
) {
    let Some(mut connection) = connections.take(asker.slot) else { return };
    if let Some(report) = report_for(&connection, asker.naming, clients) {
        let frame = frames::text_frame(report.as_bytes());
        write::write(context, &mut connection, frame, PartKind::Frames);
    }
    readiness::rearm(context, connections, connection);
}

fn report_for(connection: &Connection, naming: RecipientForm, clients: u64) -> Option<String> {
    let Phase::Open(session) = &connection.phase else { return None };
    let token = token_of(session)?;
    let report = match naming {
        RecipientForm::Usual => {
            json!({"opcode": "report", "token": token, "published": true, "clients": clients})
        }
        RecipientForm::AliasOnly => json!({"opcode": "report", "token": token, "published": true,
            "clients": clients, "uuid": "unknown"}),
    };
    Some(report.to_string())
}

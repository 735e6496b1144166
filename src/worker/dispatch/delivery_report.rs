//! Delivery reports: tell a publisher how many clients its publication has reached.
//!
//! A publisher requests reports with the header [`HEADER`] and a token that it chooses. The server
//! grants them with the same header in the 101 response. Each report repeats the token, which no
//! other client knows, so a publication cannot imitate a report. Other connections are not
//! affected.

use bytes::BytesMut;
use serde_json::json;

use super::ConnectionEffect;
use crate::auth::{Grant, Permissions};
use crate::broker_client::report_requests::{RecipientForm, ReportRequester};
use crate::http::{Upgrade, WireFormat};
use crate::link::message::CountedPublication;
use crate::protocol::{AckExtras, Protocol};
use crate::resource::Effect;
use crate::session::Session;
use crate::types::limits::REPORT_TOKEN_BYTES_MAX;
use crate::types::{Address, Slot};
use crate::websocket::write as frames;
use crate::worker::asks;
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{Connection, Phase};
use crate::worker::connection::{readiness, write};
use crate::worker::context::Context;

/// Header that requests reports in a handshake and grants them in the response.
const HEADER: &str = "Tagcast-Report";

/// Returns the publisher's token if it may get reports. It must have requested them and shown a
/// secret, unless there are no applications. Its protocol must support texts that are not
/// publications.
pub(in crate::worker) fn granted<'a>(
    upgrade: &Upgrade<'a>,
    protocol: Protocol,
    access: &Permissions,
    grant: &Grant,
) -> Option<&'a str> {
    let token = str::from_utf8(upgrade.head.header(HEADER)?).ok()?;
    let is_token = (1..=REPORT_TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let has_reports = protocol.spec().has_reports;
    let is_framed = upgrade.wire == WireFormat::Rfc6455;
    (is_token && has_reports && is_framed && access.may_see_counts(grant.basis)).then_some(token)
}

/// Adds the granting header to a 101 response.
pub(in crate::worker) fn in_answer(mut answer: Vec<u8>, token: &str) -> Vec<u8> {
    // The empty line that ends the head moves behind the new header.
    answer.truncate(answer.len().saturating_sub(2));
    answer.extend_from_slice(format!("{HEADER}: {token}\r\n\r\n").as_bytes());
    answer
}

/// Returns the session data that enables reports.
pub(in crate::worker) fn ack_extras(token: &str) -> AckExtras {
    AckExtras { report: Some(token.into()), ..AckExtras::default() }
}

/// Returns the client that gets the report of a publication, if the session has reports.
pub(in crate::worker) fn requester(
    slot: Slot,
    session: &Session,
    address: &Address,
) -> Option<ReportRequester> {
    token_of(session).map(|_| ReportRequester { slot, naming: RecipientForm::of(address) })
}

/// Returns the report of a message that publishes nothing, because it names no recipient.
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
    session.extras.as_ref()?.words.report.as_deref()
}

/// Sends a publisher the number of clients that its publication has reached.
pub(in crate::worker) fn report_reached(
    context: &mut Context,
    connections: &mut ConnectionTable,
    asker: ReportRequester,
    counted: &CountedPublication,
) {
    asks::on_counted(context, connections, counted);
    if context.requests.on_counted(asker.slot, counted) {
        return;
    }
    let Some(mut connection) = connections.take(asker.slot) else { return };
    if let Some(report) = report_for(&connection, asker.naming, counted.clients) {
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

//! Joining: an admitted client gets its session and its response, and the broker is asked to add it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tracing::{debug, warn};

use super::admission::{AdmittedClient, AdmittedRequests, Rejection};
use super::refusals::Caller;
use super::shown_token::AdmittedCredentials;
use super::{admission, authorize, hello, refusals, reject, shown_token};
use crate::auth::{TokenClaims, VerifiedToken};
use crate::config::EchoHandshake;
use crate::http::{Refusal, Upgrade, WireFormat};
use crate::protocol::Protocol;
use crate::session::{Session, SessionExtras, SessionFact};
use crate::telemetry::LogThrottle;
use crate::types::limits::QUERY_TOKEN_LOG_EVERY;
use crate::types::{Client, ClientClass};
use crate::worker::clock::Moment;
use crate::worker::connection::pacing::Pacer;
use crate::worker::connection::{Connection, JoinRequest, PendingJoin, close};
use crate::worker::context::Context;
use crate::worker::dispatch::delivery_report;

/// Complete request head and the bytes after it.
pub(super) struct ReceivedHead<'a> {
    pub(super) head: &'a [u8],
    /// Bytes after the head.
    pub(super) early: Vec<u8>,
    pub(super) peer: SocketAddr,
    pub(super) until: Moment,
}

/// Selects the resource of the connection, and asks the broker to join the client (rule L8).
pub(super) fn begin(
    context: &mut Context,
    connection: &mut Connection,
    upgrade: &Upgrade<'_>,
    received: ReceivedHead<'_>,
) -> Result<(), Refusal> {
    if hello::is_offered(upgrade) {
        return hello::begin(context, connection, upgrade, received);
    }
    let ReceivedHead { head, peer, .. } = received;
    match admission::admit_upgrade(context, upgrade, peer, connection.slot) {
        Ok(admitted) => join(context, connection, upgrade, admitted, received),
        Err(Rejection::Refused(refusal)) => {
            let Some(bytes) = context.settings.bare_refusal(upgrade.path, &refusal) else {
                return Err(refusal);
            };
            let status = refusal.status.line();
            refusals::note_unauthorized(context, &refusal);
            refusals::log_refused(context, connection, head, status, refusal.detail());
            close::answer_and_end(context, connection, bytes);
        }
        Err(Rejection::Closed { class, word, reason, token }) => {
            match &token {
                Some(token) => context.labelled.note_auth_failure("token", token.code),
                None => context.labelled.note_auth_failure("open", "invalid_credentials"),
            }
            let detail = token.as_ref().map(|token| &*token.detail);
            refusals::log_closed(context, connection, head, &reason, detail);
            set_pacing(context, connection, class);
            reject(context, connection, upgrade.answer(None).into(), word, &reason);
        }
    }
    Ok(())
}

/// Asks the broker, or first the backend of the resource, to admit the client.
pub(super) fn join(
    context: &mut Context,
    connection: &mut Connection,
    upgrade: &Upgrade<'_>,
    admitted: AdmittedClient<'_>,
    received: ReceivedHead<'_>,
) {
    let AdmittedClient {
        credentials: AdmittedCredentials { grant, token, is_in_query },
        resource,
        protocol_family: family,
        protocol,
        class,
        reach,
        counted,
        tags,
        ip,
        keepalive,
        ident,
        requests,
        event_stream,
    } = admitted;
    if is_in_query {
        context.query_tokens.note(context.clock.now());
    }
    let uuid = context.rng.client_uuid(context.settings.host);
    debug!(connection = connection.serial, client = ?uuid,
        path = %shown(upgrade.path), ?class, "joining");
    let claims = token.as_ref().map(|token| &token.claims);
    let client = Client {
        tenant: grant.tenant.clone(),
        uuid,
        ident,
        tags,
        class: reach,
        takes_publications: family.takes_publications() && claims.is_none_or(TokenClaims::receives),
        counted,
        application: context.settings.rules.access.limited_application(grant.basis),
        ip,
    };
    set_pacing(context, connection, class);
    (connection.resource, connection.keepalive) = (resource, keepalive);
    if protocol.is_none() && upgrade.protocols().next().is_some() {
        context.refusal_log.note_unmet_offer(connection);
    }
    let ReceivedHead { head, early, peer, until } = received;
    let request = (!resource.is_built_in()).then(|| {
        let user = claims.and_then(|claims| claims.user.clone());
        let request = JoinRequest::new(head, SocketAddr::new(ip, peer.port()), protocol);
        Box::new(JoinRequest { user, ..request })
    });
    let report = delivery_report::granted(upgrade, family, &context.settings.rules.access, &grant);
    let answer = answer(context, upgrade, family, protocol, report);
    let mut session = Box::new(Session::new(uuid, grant, class, family));
    session.extras = extras(report, token, context.clock.now());
    let resume = requests.map(|AdmittedRequests { may_choose_tags, resume }| {
        if may_choose_tags {
            session.facts.add(SessionFact::MayChooseTags);
        }
        resume
    });
    let caller = Box::new(Caller::of(peer, upgrade.head, &context.settings.trusted_proxies));
    let joining =
        PendingJoin { session, caller, answer, request, early, until, resume, event_stream };
    authorize::authorize_or_join(context, connection, Box::new(joining), client);
}

/// Returns the 101 response.
fn answer(
    context: &Context,
    upgrade: &Upgrade<'_>,
    family: Protocol,
    protocol: Option<&str>,
    report: Option<&str>,
) -> Bytes {
    let is_of_2011 = context.settings.echo_handshake == EchoHandshake::Legacy
        && family.spec().has_echo_handshake
        && upgrade.wire == WireFormat::Rfc6455;
    match report {
        // It is sent already.
        _ if family.spec().has_requests => Bytes::new(),
        _ if is_of_2011 => upgrade.switching_protocols_of_2011(protocol).into(),
        None => upgrade.answer(protocol).into(),
        Some(report) => delivery_report::in_answer(upgrade.answer(protocol), report).into(),
    }
}

/// Returns what only some sessions have.
fn extras(
    report: Option<&str>,
    token: Option<Box<VerifiedToken>>,
    now: Moment,
) -> Option<Box<SessionExtras>> {
    if report.is_none() && token.is_none() {
        return None;
    }
    let words = report.map(delivery_report::ack_extras).unwrap_or_default();
    let token = token.map(|token| Arc::new(shown_token::session_token(*token, now)));
    Some(Box::new(SessionExtras::new(words, token)))
}

fn set_pacing(context: &Context, connection: &mut Connection, class: ClientClass) {
    if class == ClientClass::Php {
        let pace = Pacer::new(context.settings.ready_gap, context.settings.frame_gap);
        connection.pacer = Some(Box::new(pace));
    }
}

/// Shortens a path for the log and removes control characters, because a client sent it.
fn shown(path: &str) -> String {
    path.chars().take(64).filter(|c| !c.is_control()).collect()
}

/// Warns about tokens in queries, once a day.
#[derive(Debug)]
pub(in crate::worker) struct QueryTokenLog(LogThrottle);

impl Default for QueryTokenLog {
    fn default() -> Self {
        Self(LogThrottle::new(1, QUERY_TOKEN_LOG_EVERY))
    }
}

impl QueryTokenLog {
    fn note(&mut self, now: Moment) {
        if self.0.admits(now.time()) {
            warn!(
                event = "token_in_query",
                "a client has shown its token in the query, which proxies and browsers may log"
            );
        }
    }
}

//! Openings of `tagcast.v1` that resume an earlier connection, or may be resumed.

use std::time::Duration;

use crate::auth::{ResumeClaims, ResumeFault, ResumeKey, ResumeSettings, TokenClaims};
use crate::broker_client::resumable::{KnownRecord, ResumeRequest};
use crate::link::resume::{RecordTerms, ResumeClaim};
use crate::protocol::v1::{V1Hello, V1Ids, V1Recovery, V1Resumed};
use crate::resource::ResourceHooks;
use crate::session::Session;
use crate::types::{
    AllowedNames, AsTag, MissedRequest, RecoveryReason, ReplayPosition, ResumeStanding, Slot, Tag,
    Tags,
};
use crate::worker::clock::unix_time;
use crate::worker::context::Context;
use crate::worker::handshake::shown_token::AdmittedCredentials;

/// What an opening says about the record of its client.
#[derive(Debug)]
pub(in crate::worker) struct PendingResume {
    /// For the broker. `None`: the client cannot resume.
    pub(in crate::worker) request: Option<ResumeRequest>,
    /// Why its token is not accepted, if it shows one.
    refused: Option<&'static str>,
    /// The broker sends `recovery`, unless it refuses the token.
    is_recovering: bool,
}

/// Reads what a first frame says about an earlier connection.
pub(super) fn read(
    context: &Context,
    hello: &V1Hello<'_>,
    credentials: &AdmittedCredentials,
    resource: Option<&dyn ResourceHooks>,
) -> PendingResume {
    let key = &context.settings.resume_key;
    let access = &context.settings.rules.access;
    let grant = &credentials.grant;
    let ResumeSettings { grace_ms, mailbox, rewind } = access.resume_settings(grant.basis);
    let is_asked = resource.is_some_and(ResourceHooks::is_asked_to_open);
    let grace_ms = if is_asked { 0 } else { grace_ms };
    let scope = key.scope(&grant.tenant, access.application_of(grant.basis));
    let shown = hello.resume.as_deref().map(|token| match grace_ms {
        0 => Err("disabled"),
        _ => key.read(token, scope, unix_time()).map_err(ResumeFault::word),
    });
    let (claims, refused) = match shown {
        None => (None, None),
        Some(Ok(claims)) => (Some(claims), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let missed = missed(hello, rewind).filter(|_| refused.is_none()).map(Box::new);
    let instance = hello.instance.as_deref().map(|name| key.instance(name));
    let fixed = fixed_tags(resource, credentials.claims());
    let terms = RecordTerms { grace_ms, mailbox, instance, fixed };
    let topics = credentials.claims().and_then(|claims| claims.capabilities.topics.as_ref());
    let guarded = || topics.cloned().unwrap_or_default();
    let claim = claims.map(|claims| Box::new(claim(&claims, guarded())));
    let is_recovering = claim.is_some() || missed.is_some();
    let is_asked = grace_ms > 0 || missed.is_some();
    let request = is_asked.then_some(ResumeRequest { terms, claim, missed });
    PendingResume { request, refused, is_recovering }
}

fn claim(claims: &ResumeClaims, guarded: AllowedNames) -> ResumeClaim {
    let ResumeClaims { uuid, generation, issued, .. } = *claims;
    ResumeClaim { uuid, generation, issued, guarded }
}

/// Returns what a client wants to get again. `rewind` is how many of the latest publications it may get.
fn missed(hello: &V1Hello<'_>, rewind: u32) -> Option<MissedRequest> {
    if let Some(since) = hello.since.as_deref() {
        return Some(MissedRequest::Since(ReplayPosition::read(since)));
    }
    let most = u32::try_from(hello.rewind).unwrap_or(u32::MAX).min(rewind);
    (hello.rewind > 0).then_some(MissedRequest::Latest(most))
}

/// Returns the tags that a client has because of its token and its resource.
pub(in crate::worker) fn fixed_tags(
    resource: Option<&dyn ResourceHooks>,
    token: Option<&TokenClaims>,
) -> Tags {
    let user = token.and_then(|token| token.user_tag().ok().flatten());
    let common: Option<&Tag> = resource.and_then(ResourceHooks::common_tag);
    let own = user.iter().chain(common).map(AsTag::as_tag);
    let fixed = token.into_iter().flat_map(|token| &token.tags).chain(own);
    Tags::new(fixed).unwrap_or_default()
}

/// What a client learns about its record.
pub(super) struct ResumeOutcome {
    pub(super) resumed: V1Resumed,
    /// Its next token, and how many seconds it may be away.
    pub(super) token: Option<(String, u64)>,
    /// Its position, if no `recovery` follows.
    pub(super) at: Option<ReplayPosition>,
    /// The broker sends what it gets of the past, and `recovery`.
    pub(super) awaits_recovery: bool,
    /// `recovery`, if the broker sends none.
    pub(super) recovery: Option<V1Recovery>,
}

/// Returns what a client that has joined learns about its record.
pub(super) fn outcome(
    context: &mut Context,
    session: &Session,
    slot: Slot,
    pending: Option<&PendingResume>,
) -> ResumeOutcome {
    let known = context.broker.uplink.record(slot);
    let refused = pending.and_then(|pending| pending.refused);
    let standing = known.map_or(ResumeStanding::New, |known| known.standing);
    let resumed = match (standing, refused) {
        (ResumeStanding::Resumed, _) => match known.is_some_and(|known| known.keeps_ids) {
            true => V1Resumed::Yes(V1Ids::Kept),
            false => V1Resumed::Yes(V1Ids::Lost),
        },
        (ResumeStanding::Taken, _) => V1Resumed::No("taken"),
        (ResumeStanding::Outdated, _) => V1Resumed::No("expired_token"),
        (ResumeStanding::New, Some(why)) => V1Resumed::No(why),
        (ResumeStanding::New, None) => V1Resumed::NotAsked,
    };
    if let Some(why) = refused {
        context.labelled.note_resume_refused(why);
    }
    let at = context.broker.position(slot);
    let awaits_recovery = context.broker.uplink.is_recovering(slot);
    let reason = match resumed {
        V1Resumed::No(_) => Some(RecoveryReason::New),
        // A broker that has died had decided about it, and its successor does not know that it asked.
        _ if pending.is_some_and(|it| it.is_recovering) && !awaits_recovery => {
            Some(RecoveryReason::Lost)
        }
        _ => None,
    };
    let recovery = reason.map(|reason| {
        context.labelled.note_recovery(reason);
        V1Recovery { replayed: 0, reason: Some(reason), missed: None, at }
    });
    let at = at.filter(|_| recovery.is_none() && !awaits_recovery);
    let token = known.map(|known| token(context, session, known));
    ResumeOutcome { resumed, token, at, awaits_recovery, recovery }
}

fn token(context: &Context, session: &Session, known: KnownRecord) -> (String, u64) {
    let access = &context.settings.rules.access;
    let key: &ResumeKey = &context.settings.resume_key;
    let scope = key.scope(&session.tenant, access.application_of(session.basis));
    let (uuid, generation, issued) = (session.uuid, known.generation, unix_time());
    let token = key.issue(&ResumeClaims { uuid, scope, generation, issued });
    let grace = access.resume_settings(session.basis).grace_ms;
    (token, Duration::from_millis(grace.into()).as_secs())
}

//! Clients that may resume: which client a joining one is, and what it gets from its record.
//!
//! A client has one place. A takeover is a leave of the old place and a join of the new one, in this order, in one
//! turn. A client that is away is not in the index.

use std::time::Duration;

pub(super) use super::entering::enter;
use super::recoveries::{self, Missed};
use super::{ProtocolError, Router, handing_over, moves, names, presence, whereabouts};
use crate::broker::client_moves::AskedMove;
use crate::broker::records::{AwayClient, RecordKey};
use crate::broker::takeovers::Takeover;
use crate::index::identity::{client_at, ident_at};
use crate::index::tag_changes::versioned_tags;
use crate::link::message::ToWorker;
use crate::link::resume::{FromResumable, RecordTerms, ResumableJoin, ResumeClaim, ToResumable};
use crate::types::limits::PROBE_WAIT;
use crate::types::{ConnectionRef, RecoveryReason, ResumeStanding, WorkerIncarnation};

/// Which client a joining one is, and what it gets of the past.
pub(super) enum JoinDecision {
    /// A new one.
    New(ResumeStanding, Missed),
    /// One whose record is gone. It gets its UUID back.
    Back(RecordKey, RecoveryReason),
    /// One that is away.
    Resumed(RecordKey, Missed),
}

impl JoinDecision {
    /// A new client, because another connection has the client of its token. Its worker tells it what that means.
    pub(super) const TAKEN: Self = Self::New(ResumeStanding::Taken, Missed::NotAsked);
}

/// Applies a message about a client that may resume. Workers announce in another state of their link.
pub(super) fn apply(
    router: &mut Router,
    source: WorkerIncarnation,
    message: FromResumable,
) -> Result<(), ProtocolError> {
    let place = |slot| ConnectionRef { worker: source.worker, slot };
    match message {
        FromResumable::Join(join) => return self::join(router, source, *join),
        FromResumable::Announce(_) => return Err(ProtocolError::OutOfPlace("an announcement")),
        FromResumable::Away(slot) => {
            router.takeovers.withdraw(place(slot));
            router.recoveries.withdraw(place(slot));
            moves::withdraw(router, place(slot));
            router.connection_limits.leave(place(slot));
            go_away(router, place(slot));
            router.send(source.worker, &ToWorker::Left { slot });
        }
        FromResumable::Settled(slot) => {
            if let Some(key) = key_at(router, place(slot)) {
                router.records.settle(&key, place(slot));
            }
        }
        FromResumable::Alive(slot) => {
            let key = key_at(router, place(slot));
            let is_probing = |key: &RecordKey| {
                router.takeovers.get(key).is_some_and(|takeover| !takeover.is_continuing)
            };
            let waiting = key.filter(is_probing).and_then(|key| router.takeovers.take(&key));
            if let Some(Takeover { source, join, .. }) = waiting {
                return enter(router, source, join, JoinDecision::TAKEN);
            }
        }
        FromResumable::Request(request) => {
            if let Some(member) = router.workers.get_mut(&source.worker) {
                member.request_next(request);
            }
        }
        FromResumable::Repeated(slot) => {
            if let Some(key) = key_at(router, place(slot)) {
                router.records.complete_ids(&key, place(slot));
            }
        }
        FromResumable::Fixed { slot, fixed } => {
            let key = key_at(router, place(slot));
            if let Some(record) = key.and_then(|key| router.records.get_mut(&key)) {
                record.terms.fixed = fixed;
            }
        }
    }
    Ok(())
}

/// Returns the client at a place.
fn key_at(router: &Router, place: ConnectionRef) -> Option<RecordKey> {
    let (tenant, uuid) = client_at(&router.index, place)?;
    Some(RecordKey { tenant, uuid })
}

/// Decides which client a joining one is. While the client of its token may be here, it waits. It also waits while
/// publications are sent again that it may have received on an earlier connection.
pub(super) fn join(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
) -> Result<(), ProtocolError> {
    if !router.repeating.is_empty() && (join.claim.is_some() || join.missed.is_some()) {
        router.recoveries.put_early(source, join);
        return Ok(());
    }
    let Some(&ResumeClaim { uuid, generation, issued, .. }) = join.claim.as_ref() else {
        return recoveries::begin(router, source, join);
    };
    let key = RecordKey { tenant: join.client.tenant.clone(), uuid };
    if let Some(earlier) = router.recoveries.of(&key) {
        if !is_same_instance(&earlier.join.terms, &join.terms) {
            return enter(router, source, join, JoinDecision::TAKEN);
        }
        if let Some(earlier) = router.recoveries.take(&key) {
            enter(router, earlier.source, earlier.join, JoinDecision::TAKEN)?;
        }
    }
    let Some(join) = moves::join_again(router, source, join, &key)? else { return Ok(()) };
    prepare(router, &key);
    let known = router.records.get(&key).filter(|_| router.hosts.is_some());
    if known.is_some_and(|known| known.stage().is_another(generation)) {
        // Another host has begun its record again.
        whereabouts::end_record(router, &key);
    }
    let Some(record) = router.records.get(&key) else {
        return join_unknown(router, source, join, key, issued);
    };
    if generation < record.confirmed {
        let decision = JoinDecision::New(ResumeStanding::Outdated, Missed::NotAsked);
        return enter(router, source, join, decision);
    }
    let Some(present) = record.place else {
        if record.has_unwritten_requests(router.progress().written) {
            router.recoveries.put_early(source, join);
            return Ok(());
        }
        return recoveries::resume(router, source, join, key);
    };
    let is_continuing = is_same_instance(&join.terms, &record.terms);
    let takeover =
        Takeover { source, join, present, until: router.now + PROBE_WAIT, is_continuing };
    match is_continuing {
        true => wait_for_end(router, key, takeover),
        false => wait(router, key, takeover),
    }
}

/// Joins a client that this host does not know. Another one may have its record.
fn join_unknown(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
    key: RecordKey,
    issued: Duration,
) -> Result<(), ProtocolError> {
    if router.index.place_of(&key.tenant, key.uuid).is_some() {
        return enter(router, source, join, JoinDecision::TAKEN);
    }
    if source.worker.is_bridge() {
        if let Some(host) = whereabouts::holder(router, &key) {
            handing_over::refer(router, join.slot, host);
            return Ok(());
        }
    } else if let Some(host) = moves::former_host(router, &key) {
        let (hosts, until, handed) = (1, Duration::ZERO, None);
        moves::ask(router, AskedMove { source, join, key, host, hosts, until, handed });
        return Ok(());
    }
    let reason = moves::reason_without_record(router, key.uuid, issued);
    enter(router, source, join, JoinDecision::Back(key, reason))
}

/// Closes the present connection of an instance that has come back, and lets the join wait until the worker of that
/// connection has confirmed its end. Before it the worker has sent all requests that it has read, so each is known
/// to be accepted before the client repeats any.
fn wait_for_end(
    router: &mut Router,
    key: RecordKey,
    takeover: Takeover,
) -> Result<(), ProtocolError> {
    let ConnectionRef { worker, slot } = takeover.present;
    router.send(worker, &ToWorker::Resumable(ToResumable::Continued(slot)));
    let earlier = router.takeovers.put(key, takeover);
    earlier.map_or(Ok(()), |earlier| deny(router, earlier))
}

/// Returns true if both are connections of the same run of a program.
pub(super) fn is_same_instance(one: &RecordTerms, other: &RecordTerms) -> bool {
    one.instance.is_some() && one.instance == other.instance
}

/// Lets a join wait until the present connection of its client has answered a ping. Of several joins one waits: the
/// later one if it is of the same instance.
fn wait(router: &mut Router, key: RecordKey, takeover: Takeover) -> Result<(), ProtocolError> {
    let Some(earlier) = router.takeovers.get(&key) else {
        let ConnectionRef { worker, slot } = takeover.present;
        router.takeovers.put(key, takeover);
        router.send(worker, &ToWorker::Resumable(ToResumable::Probe(slot)));
        return Ok(());
    };
    if earlier.is_continuing || !is_same_instance(&earlier.join.terms, &takeover.join.terms) {
        return deny(router, takeover);
    }
    let until = earlier.until;
    let earlier = router.takeovers.put(key, Takeover { until, ..takeover });
    earlier.map_or(Ok(()), |earlier| deny(router, earlier))
}

/// Makes a client whose join has waited a new one.
fn deny(router: &mut Router, takeover: Takeover) -> Result<(), ProtocolError> {
    enter(router, takeover.source, takeover.join, JoinDecision::TAKEN)
}

/// Brings the record of a client up to date: that of a dead worker goes away, and one that is over ends.
pub(super) fn prepare(router: &mut Router, key: &RecordKey) {
    let place = router.records.get(key).and_then(|record| record.place);
    if let Some(place) = place.filter(|place| router.departed.contains(&place.worker)) {
        go_away(router, place);
    }
    router.records.end_if_due(key, router.now);
}

/// Closes the present connection of a client, which goes away.
pub(super) fn take_over(router: &mut Router, present: ConnectionRef) {
    router.connection_limits.leave(present);
    leave_index(router, present);
    router.send(present.worker, &ToWorker::Resumable(ToResumable::Continued(present.slot)));
}

/// Removes the client at a place from the index. If it may resume, it is away from now on, and another connection
/// that has waited for it gets it.
pub(super) fn go_away(router: &mut Router, place: ConnectionRef) {
    if let Some(key) = leave_index(router, place) {
        resume_waiting(router, &key);
    }
}

fn leave_index(router: &mut Router, place: ConnectionRef) -> Option<RecordKey> {
    let key = match router.records.is_empty() {
        true => None,
        false => key_at(router, place).filter(|key| router.records.get(key).is_some()),
    };
    let (now, mut ends_at) = (router.now, None);
    if let Some(key) = &key
        && let Some(record) = router.records.get(key)
    {
        let grace = Duration::from_millis(record.terms.grace_ms.into());
        let (ident, tags) = (ident_at(&router.index, place), versioned_tags(&router.index, place));
        ends_at = Some(now + grace);
        let away = AwayClient { ident, tags, ends_at: now + grace };
        router.records.leave(key, place, away);
    }
    presence::on_gone(router, place, ends_at);
    names::leave(router, place);
    key
}

/// The client at a place has ended. Another connection that has waited for it gets its UUID.
pub(super) fn on_leave(router: &mut Router, place: ConnectionRef) {
    let has_records = !router.records.is_empty();
    let key = if has_records { key_at(router, place) } else { None };
    router.takeovers.withdraw(place);
    if key.as_ref().and_then(|key| router.takeovers.get(key)).is_some_and(|it| it.is_continuing) {
        return go_away(router, place);
    }
    presence::on_gone(router, place, None);
    names::leave(router, place);
    let is_its =
        |key: &RecordKey| router.records.get(key).is_some_and(|record| record.place == Some(place));
    if let Some(key) = key.filter(is_its) {
        router.records.end(&key);
        resume_waiting(router, &key);
    }
}

/// Joins the client that has waited for this one.
pub(super) fn resume_waiting(router: &mut Router, key: &RecordKey) {
    if router.takeovers.is_empty() {
        return;
    }
    if let Some(Takeover { source, join, .. }) = router.takeovers.take(key) {
        let joined = self::join(router, source, join);
        debug_assert!(joined.is_ok(), "its slot was free when it began to wait");
    }
}

/// Returns whether joins may wait no longer because more turns are written.
pub(super) fn has_early(router: &Router) -> bool {
    router.repeating.is_empty() && router.recoveries.has_early(router.progress().written)
}

/// Decides again about joins that have waited for what was sent before.
pub(super) fn join_early(router: &mut Router) {
    let written = router.progress().written;
    for (source, join) in router.recoveries.take_early(written) {
        // One that fails must not end the link of another worker, or the waiting of the rest.
        let joined = self::join(router, source, join);
        debug_assert!(joined.is_ok(), "its slot and its UUID are free");
    }
}

/// Joins the clients that have waited for an answer of a connection for long enough.
pub(super) fn take_over_due(router: &mut Router) {
    while let Some((key, takeover)) = router.takeovers.take_due(router.now) {
        let Takeover { source, join, present, .. } = takeover;
        let is_present = router.records.get(&key).is_some_and(|it| it.place == Some(present));
        let joined = if is_present {
            // Requests of the connection may still arrive.
            router.records.doubt_ids(&key);
            take_over(router, present);
            recoveries::resume(router, source, join, key)
        } else {
            self::join(router, source, join)
        };
        debug_assert!(joined.is_ok(), "its slot was free when it began to wait");
    }
}

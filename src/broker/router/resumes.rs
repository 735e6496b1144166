//! Clients that may resume: which client a joining one is, and what it gets from its record.
//!
//! A client has one place. A takeover is a leave of the old place and a join of the new one, in this order, in one
//! turn. A client that is away is not in the index.

use std::time::Duration;

use super::{ProtocolError, Router, joins};
use crate::broker::records::{AwayClient, Mailbox, NewRecord, Record, RecordKey};
use crate::broker::takeovers::Takeover;
use crate::index::identity::{client_at, ident_at};
use crate::index::tag_changes::versioned_tags;
use crate::link::message::ToWorker;
use crate::link::resume::{
    AnnouncedRecord, DecidedRecord, FromResumable, RecordTerms, Recovery, ReplayedPublication,
    ResumableJoin, ResumeClaim, ToResumable,
};
use crate::types::limits::PROBE_WAIT;
use crate::types::{
    Client, ConnectionRef, Content, RecoveryReason, ReplayPosition, ResumeGeneration,
    ResumeStanding, Slot, TagEdit, TagNames, Tags, WorkerIncarnation,
};

/// Which client a joining one is.
enum JoinDecision {
    /// A new one.
    New(ResumeStanding),
    /// One whose record is gone. It gets its UUID back.
    Back(RecordKey, RecoveryReason),
    /// One that is away.
    Resumed(RecordKey),
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
            let waiting = key_at(router, place(slot)).and_then(|key| router.takeovers.take(&key));
            if let Some(Takeover { source, join, .. }) = waiting {
                return enter(router, source, join, JoinDecision::New(ResumeStanding::Taken));
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

/// Decides which client a joining one is. While the client of its token may be here, it waits.
fn join(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
) -> Result<(), ProtocolError> {
    let Some(claim) = join.claim else {
        return enter(router, source, join, JoinDecision::New(ResumeStanding::New));
    };
    let key = RecordKey { tenant: join.client.tenant.clone(), uuid: claim.uuid };
    prepare(router, &key);
    let Some(record) = router.records.get(&key) else {
        let is_anothers = router.index.place_of(&key.tenant, key.uuid).is_some();
        let entry = match is_anothers {
            true => JoinDecision::New(ResumeStanding::Taken),
            false if claim.issued < router.started => JoinDecision::Back(key, RecoveryReason::Lost),
            false => JoinDecision::Back(key, RecoveryReason::Expired),
        };
        return enter(router, source, join, entry);
    };
    if claim.generation < record.confirmed {
        return enter(router, source, join, JoinDecision::New(ResumeStanding::Outdated));
    }
    let Some(present) = record.place else {
        return enter(router, source, join, JoinDecision::Resumed(key));
    };
    if is_same_instance(&join.terms, &record.terms) {
        take_over(router, present);
        let waiting = router.takeovers.take(&key);
        enter(router, source, join, JoinDecision::Resumed(key))?;
        return waiting.map_or(Ok(()), |it| deny(router, it));
    }
    wait(router, key, Takeover { source, join, present, until: router.now + PROBE_WAIT })
}

/// Returns true if both are connections of the same run of a program.
fn is_same_instance(one: &RecordTerms, other: &RecordTerms) -> bool {
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
    if !is_same_instance(&earlier.join.terms, &takeover.join.terms) {
        return deny(router, takeover);
    }
    let until = earlier.until;
    let earlier = router.takeovers.put(key, Takeover { until, ..takeover });
    earlier.map_or(Ok(()), |earlier| deny(router, earlier))
}

/// Makes a client whose join has waited a new one.
fn deny(router: &mut Router, takeover: Takeover) -> Result<(), ProtocolError> {
    enter(router, takeover.source, takeover.join, JoinDecision::New(ResumeStanding::Taken))
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
fn take_over(router: &mut Router, present: ConnectionRef) {
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
    let now = router.now;
    if let Some(key) = &key
        && let Some(record) = router.records.get(key)
    {
        let grace = Duration::from_millis(record.terms.grace_ms.into());
        let (ident, tags) = (ident_at(&router.index, place), versioned_tags(&router.index, place));
        let away = AwayClient { ident, tags, ends_at: now + grace };
        router.records.leave(key, place, away);
    }
    if router.index.leave(place).is_some() {
        router.resolve_cache.forget();
    }
    key
}

/// The client at a place has ended. Another connection that has waited for it gets its UUID.
pub(super) fn on_leave(router: &mut Router, place: ConnectionRef) {
    let has_records = !router.records.is_empty();
    let key = if has_records { key_at(router, place) } else { None };
    router.takeovers.withdraw(place);
    if router.index.leave(place).is_some() {
        router.resolve_cache.forget();
    }
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

/// Joins the clients that have waited for an answer of a connection for long enough.
pub(super) fn take_over_due(router: &mut Router) {
    while let Some((key, takeover)) = router.takeovers.take_due(router.now) {
        let Takeover { source, join, present, .. } = takeover;
        let is_present = router.records.get(&key).is_some_and(|it| it.place == Some(present));
        let joined = if is_present {
            take_over(router, present);
            enter(router, source, join, JoinDecision::Resumed(key))
        } else {
            self::join(router, source, join)
        };
        debug_assert!(joined.is_ok(), "its slot was free when it began to wait");
    }
}

/// Adds a client to the index and answers its worker, unless a limit is reached.
fn enter(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
    entry: JoinDecision,
) -> Result<(), ProtocolError> {
    let ResumableJoin { slot, mut client, terms, claim } = join;
    if joins::is_full(router, source, slot, &client) {
        return Ok(());
    }
    let place = ConnectionRef { worker: source.worker, slot };
    let (key, standing, reason) = match entry {
        JoinDecision::New(standing) => {
            let key = RecordKey { tenant: client.tenant.clone(), uuid: client.uuid };
            (key, standing, None)
        }
        JoinDecision::Back(key, reason) => (key, ResumeStanding::Resumed, Some(reason)),
        JoinDecision::Resumed(key) => {
            continue_record(router, &key, place, terms.clone(), &mut client);
            let has_dropped = |record: &Record| record.mailbox().is_some_and(|it| it.has_dropped);
            let has_dropped = router.records.get(&key).is_some_and(has_dropped);
            let reason = if has_dropped { RecoveryReason::Mailbox } else { RecoveryReason::Off };
            (key, ResumeStanding::Resumed, Some(reason))
        }
    };
    router.resumes.note(standing, reason);
    let shown = claim.filter(|_| standing == ResumeStanding::Resumed);
    if router.records.get(&key).is_none() {
        let generation = shown.map(|it| it.generation).unwrap_or_default().next();
        let epoch = epoch_of(&client);
        let confirmed = ResumeGeneration::default();
        router.records.add(key.clone(), NewRecord { place, terms, generation, confirmed, epoch });
    }
    client.uuid = key.uuid;
    let Some(record) = router.records.get_mut(&key) else { return Ok(()) };
    if let Some(claim) = shown {
        record.confirmed = record.confirmed.max(claim.generation);
        record.generation = record.generation.max(claim.generation.next());
    }
    let told = DecidedRecord {
        slot,
        uuid: key.uuid,
        ident: client.ident.clone(),
        tags: client.tags.clone(),
        generation: record.generation,
        standing,
    };
    router.send(source.worker, &ToWorker::Resumable(ToResumable::Record(Box::new(told))));
    joins::enter(router, source, slot, &client)?;
    if let Some(reason) = reason {
        let since = claim.and_then(|claim: ResumeClaim| claim.since);
        if let Some(since) = since {
            router.records.forget_up_to(&key, since);
        }
        replay(router, place, &key, reason);
    }
    Ok(())
}

/// The first bytes of the UUID that a client has if it does not resume are random, and no other record has them.
fn epoch_of(client: &Client) -> u32 {
    client.uuid.0.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Gives a client what its record has.
fn continue_record(
    router: &mut Router,
    key: &RecordKey,
    place: ConnectionRef,
    terms: RecordTerms,
    client: &mut Client,
) {
    let fixed_before = router.records.get(key).map(|record| record.terms.fixed.clone());
    let fixed = terms.fixed.clone();
    let Some(away) = router.records.come_back(key, place, terms) else { return };
    client.ident = client.ident.take().or(away.ident);
    if let Some(own) = away.tags {
        client.tags = tags_of(&own.tags, &fixed_before.unwrap_or_default(), fixed)
            .unwrap_or_else(|| std::mem::take(&mut client.tags));
    }
}

/// Returns the tags of a record, without those that its last token has fixed, and with those of the present one. `None`
/// if there would be too many.
fn tags_of(own: &Tags, fixed_before: &Tags, fixed: Tags) -> Option<Tags> {
    let former = fixed_before.iter().filter(|tag| own.value_of(tag.name()) == Some(tag.value()));
    let remove = TagNames::new(former.map(|tag| tag.name().into())).ok()?;
    TagEdit::Update { set: fixed, remove }.apply(own).ok()
}

/// Sends a client its mailbox.
fn replay(router: &mut Router, place: ConnectionRef, key: &RecordKey, reason: RecoveryReason) {
    let ConnectionRef { worker, slot } = place;
    let Router { records, workers, .. } = router;
    let (Some(record), Some(member)) = (records.get(key), workers.get_mut(&worker)) else { return };
    let position = record.position();
    let mut replayed = 0;
    for kept in record.mailbox().into_iter().flat_map(Mailbox::iter) {
        let Content { form, payload } = &kept.content;
        let content = Content { form: *form, payload: payload.to_vec().into() };
        let position = ReplayPosition { number: kept.place, ..position };
        let (source, number) = (kept.source, kept.number);
        let one = ReplayedPublication { slot, source, number, position, content };
        member.out.send(&ToWorker::Resumable(ToResumable::Replay(Box::new(one))));
        replayed += 1;
    }
    let recovery = Recovery { slot, replayed, reason, position };
    member.out.send(&ToWorker::Resumable(ToResumable::Recovered(recovery)));
}

/// Takes the record of a client that a worker announces. If two workers announce the same client, the earlier broker
/// has died in a takeover: the later connection stays.
pub(super) fn announce(
    router: &mut Router,
    source: WorkerIncarnation,
    announced: AnnouncedRecord,
) -> Result<(), ProtocolError> {
    let AnnouncedRecord { slot, number, client, terms, generation, confirmed } = announced;
    let key = RecordKey { tenant: client.tenant.clone(), uuid: client.uuid };
    let continued = |slot: Slot| ToWorker::Resumable(ToResumable::Continued(slot));
    let known = router.records.get(&key).map(|it| (it.place, it.generation));
    if let Some((_, later)) = known.filter(|(_, later)| *later >= generation) {
        debug_assert!(later != generation, "each connection has a number of its own");
        router.last_version = router.last_version.max(number.0);
        router.send(source.worker, &continued(slot));
        return Ok(());
    }
    if known.is_some() {
        router.records.end(&key);
    }
    if let Some((Some(former), _)) = known {
        router.connection_limits.leave(former);
        router.index.leave(former);
        router.send(former.worker, &continued(former.slot));
    }
    joins::announce(router, source, slot, number, &client)?;
    let place = ConnectionRef { worker: source.worker, slot };
    let epoch = epoch_of(&client) ^ generation.0;
    router.records.add(key, NewRecord { place, terms, generation, confirmed, epoch });
    Ok(())
}

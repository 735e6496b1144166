//! The join of a client that may resume: its record, its place in the index, and what it gets of the past.

use bytes::Bytes;

use super::recoveries::Missed;
use super::resumes::JoinDecision;
use super::{
    ProtocolError, Router, announced_records, handing_over, joins, moves, recording, whereabouts,
};
use crate::broker::journal::Journal;
use crate::broker::records::{
    ELSEWHERE, Mailbox, NewPlace, NewRecord, Record, RecordKey, ReturnedClient,
};
use crate::link::message::ToWorker;
use crate::link::moves::HandedPublication;
use crate::link::resume::{
    DecidedRecord, KnownIds, Recovery, ReplayedPublication, ResumableJoin, ToResumable,
};
use crate::types::{
    AcceptedIds, AllowedNames, Client, ConnectionRef, Content, JoinNumber, MissedRequest,
    RecoveryReason, ResumeGeneration, ResumeStanding, Slot, TagEdit, TagNames, Tags,
    WorkerIncarnation, is_guarded_topic,
};

/// Adds a client to the index and answers its worker, unless a limit is reached.
pub(super) fn enter(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
    entry: JoinDecision,
) -> Result<(), ProtocolError> {
    if source.worker.is_bridge() {
        return handing_over::decided(router, source, &join, entry);
    }
    let ResumableJoin { slot, mut client, terms, claim, missed: asked } = join;
    if joins::is_full(router, source, slot, &client) {
        return Ok(());
    }
    let place = ConnectionRef { worker: source.worker, slot };
    let mut accepted = None;
    // Why an earlier position of the client may not be known, if its record begins now.
    let began = match &entry {
        JoinDecision::Back(_, reason) => *reason,
        JoinDecision::New(..) | JoinDecision::Resumed(..) => RecoveryReason::New,
    };
    let (key, standing, missed) = match entry {
        JoinDecision::New(standing, missed) => {
            let key = RecordKey { tenant: client.tenant.clone(), uuid: client.uuid };
            (key, standing, missed)
        }
        JoinDecision::Back(key, reason) => (key, ResumeStanding::Resumed, Missed::Mailbox(reason)),
        JoinDecision::Resumed(key, missed) => {
            let shown = claim.as_ref().map(|it| it.generation).unwrap_or_default();
            let guarded = claim.as_ref().map(|it| it.guarded.clone()).unwrap_or_default();
            let next = NewPlace { place, terms: terms.clone(), shown, guarded };
            accepted = continue_record(router, &key, next, &mut client);
            (key, ResumeStanding::Resumed, missed)
        }
    };
    router.resumes.note(standing);
    let shown = claim.filter(|_| standing == ResumeStanding::Resumed);
    // The UUID that it has if it does not resume is new.
    let epoch = announced_records::epoch_of(&client);
    client.uuid = key.uuid;
    if terms.grace_ms == 0 {
        joins::enter(router, source, slot, &client)?;
        replay(router, place, &key, standing, missed);
        return Ok(());
    }
    if router.records.get(&key).is_none() {
        let token = shown.as_ref().map(|claim| claim.generation);
        let generation = begin_anew(router, &key, token, epoch);
        let confirmed = ResumeGeneration::default();
        let ids = KnownIds::none_since(generation);
        let new = NewRecord { place, terms, generation, confirmed, epoch, ids };
        router.records.add(key.clone(), new);
        recording::begin_record(router, &key, began);
    }
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
        ids: KnownIds { from: record.ids_from, accepted, is_complete: true },
    };
    router.send(source.worker, &ToWorker::Resumable(ToResumable::Record(Box::new(told))));
    note_past(router, &key, &missed);
    joins::enter(router, source, slot, &client)?;
    announced_records::note_join(router, &key, JoinNumber(router.last_version));
    if let Some(MissedRequest::Since(Some(since))) = asked {
        let epoch = recording::position(router, &key.tenant).map(|present| present.epoch);
        router.records.forget_up_to(&key, since, epoch);
    }
    replay(router, place, &key, standing, missed);
    Ok(())
}

/// Returns the number of the connection with which a record begins. The client has shown the token of an earlier one if
/// its record is gone.
fn begin_anew(
    router: &mut Router,
    key: &RecordKey,
    shown: Option<ResumeGeneration>,
    random: u32,
) -> ResumeGeneration {
    let Some(shown) = shown else { return ResumeGeneration::default().next() };
    let generation = after_lost(whereabouts::last_known(router, key, shown), random);
    whereabouts::entered_without_record(router, key, shown, generation);
    generation
}

/// Notes which positions of a client that enters are of no use.
fn note_past(router: &mut Router, key: &RecordKey, missed: &Missed) {
    match missed {
        // Its mailbox has positions of the journal. With one of them it has not recovered what came before.
        Missed::Mailbox(reason) => recording::begin_record(router, key, *reason),
        // What it has received on another host is not known by positions of this one.
        Missed::Handed(..) => recording::begin_record(router, key, RecoveryReason::Lost),
        Missed::NotAsked | Missed::Entries(..) => {}
    }
}

/// Returns the number of the next connection of a client whose record is gone. A part of it is random: after the
/// connection of the token there may have been others, and none has the same number.
fn after_lost(shown: ResumeGeneration, random: u32) -> ResumeGeneration {
    ResumeGeneration(shown.0.saturating_add(1 + (random & 0xffff)))
}

/// Gives a client what its record has. Returns the requests of its instance that were accepted, if they are known.
fn continue_record(
    router: &mut Router,
    key: &RecordKey,
    next: NewPlace,
    client: &mut Client,
) -> Option<AcceptedIds> {
    let fixed_before = router.records.get(key).map(|record| record.terms.fixed.clone());
    let (fixed, guarded) = (next.terms.fixed.clone(), next.guarded.clone());
    let ReturnedClient { away, ids } = router.records.come_back(key, next)?;
    client.ident = client.ident.take().or(away.ident);
    if let Some(own) = &away.tags {
        client.tags = tags_of(&own.tags, &fixed_before.unwrap_or_default(), fixed, &guarded)
            .unwrap_or_else(|| std::mem::take(&mut client.tags));
    }
    let before = away.tags.map(|own| own.tags);
    if before.as_ref() != Some(&client.tags).filter(|_| client.takes_publications) {
        recording::note_tags(router, key, before);
    }
    ids
}

/// Returns the tags and topics of a record, without the tags that its last token has fixed, and with those of the present
/// one, which also has to allow guarded topics. `None` if there would be too many.
fn tags_of(own: &Tags, fixed_before: &Tags, fixed: Tags, guarded: &AllowedNames) -> Option<Tags> {
    let former = fixed_before.iter().filter(|tag| own.value_of(tag.name()) == Some(tag.value()));
    let remove = TagNames::new(former.map(|tag| tag.name().into())).ok()?;
    let leave = own.topics().filtered(|topic| is_guarded_topic(topic) && !guarded.lists(topic));
    TagEdit::Update { set: fixed, remove, leave }.apply(own).ok()
}

/// Sends a client what it gets of the past, and `recovery`.
fn replay(
    router: &mut Router,
    place: ConnectionRef,
    key: &RecordKey,
    standing: ResumeStanding,
    missed: Missed,
) {
    let ConnectionRef { worker, slot } = place;
    if matches!(missed, Missed::NotAsked) {
        return;
    }
    moves::note_passed(router, worker);
    let present = recording::position(router, &key.tenant);
    let Router { journals, records, workers, resumes, .. } = router;
    let Some(member) = workers.get_mut(&worker) else { return };
    let record = records.get(key).filter(|_| standing == ResumeStanding::Resumed);
    let mut replayed = 0;
    let mut send = |one: ReplayedPublication| {
        member.out.send(&ToWorker::Resumable(ToResumable::Replay(Box::new(one))));
        replayed += 1;
    };
    let reason = match missed {
        Missed::NotAsked => None,
        Missed::Entries(numbers, reason) => {
            send_stored(journals.get(&key.tenant), slot, numbers, &mut send);
            reason
        }
        Missed::Handed(handed, numbers) => {
            let (source, number) = ELSEWHERE;
            for HandedPublication { position, is_direct, content } in handed.publications {
                send(ReplayedPublication { slot, source, number, position, is_direct, content });
            }
            send_stored(journals.get(&key.tenant), slot, numbers, &mut send);
            None
        }
        Missed::Mailbox(reason) => {
            let mailbox = record.and_then(Record::mailbox);
            // The client may lose the connection before `recovery`. With a position of the journal it would seem to have
            // recovered what came before.
            for kept in mailbox.into_iter().flat_map(Mailbox::iter) {
                let (source, number, position) = (kept.source, kept.number, kept.own);
                let (is_direct, content) = (true, owned(&kept.content));
                send(ReplayedPublication { slot, source, number, position, is_direct, content });
            }
            let has_dropped = mailbox.is_some_and(|mailbox| mailbox.has_dropped);
            Some(match reason {
                RecoveryReason::Off if has_dropped => RecoveryReason::Mailbox,
                reason => reason,
            })
        }
    };
    let position = present.or_else(|| record.map(Record::position));
    let recovery = Recovery { slot, replayed, reason, position };
    member.out.send(&ToWorker::Resumable(ToResumable::Recovered(recovery)));
    resumes.note_recovery(reason);
}

/// Sends a client stored publications with these numbers.
fn send_stored(
    journal: Option<&Journal>,
    slot: Slot,
    numbers: Vec<u64>,
    send: &mut dyn FnMut(ReplayedPublication),
) {
    let Some(journal) = journal else { return };
    for number in numbers {
        let Some(entry) = journal.get(number) else { continue };
        let position = journal.position_of(number);
        let is_direct = entry.recipients.is_one();
        let content = owned(&entry.content);
        let (source, number) = (entry.source, entry.number);
        send(ReplayedPublication { slot, source, number, position, is_direct, content });
    }
}

fn owned(content: &Content<Box<[u8]>>) -> Content<Bytes> {
    Content { form: content.form, payload: Bytes::copy_from_slice(&content.payload) }
}

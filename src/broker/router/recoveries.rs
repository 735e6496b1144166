//! What clients that come back have missed: whether it is known, and the search for it.
//!
//! A client gets it in one step, in which it also enters the index, so there is no moment in which a publication is in
//! neither or in both. Until then it waits ([`crate::broker::recoveries`]).

use super::resumes::{self, JoinDecision};
use super::{ProtocolError, Router};
use crate::broker::client_moves::{AskedMove, HandedMove};
use crate::broker::journal::matching::{MissedSearch, PastListener};
use crate::broker::journal::{Journal, JournalEntry, StoredRecipients};
use crate::broker::records::{Record, RecordKey, TagsThen};
use crate::broker::recoveries::{PendingRecovery, WantedPast};
use crate::index::identity::client_at;
use crate::link::resume::ResumableJoin;
use crate::types::limits::{REPLAY_ENTRIES, REPLAY_LINK_BYTES};
use crate::types::{
    ConnectionRef, MissedRequest, RecoveryReason, ReplayPosition, ResumeStanding, WorkerId,
    WorkerIncarnation,
};

/// The work of a join in addition to the search, in examined publications.
const JOIN_ENTRIES: usize = 16;

/// What a client gets of the past.
pub(super) enum Missed {
    /// Nothing: it has not asked, or its worker answers.
    NotAsked,
    /// Publications with these numbers, which are all that it has missed unless there is a reason.
    Entries(Vec<u64>, Option<RecoveryReason>),
    /// What it has missed on another host, and publications with these numbers, which are all since then.
    Handed(Box<HandedMove>, Vec<u64>),
    /// Its mailbox, if it has one. What else it has missed is not known, for this reason.
    Mailbox(RecoveryReason),
}

/// Joins a new client. If it wants publications of the past, it waits for its turn.
pub(super) fn begin(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
) -> Result<(), ProtocolError> {
    let decision = |missed| JoinDecision::New(ResumeStanding::New, missed);
    if join.missed.is_none() {
        return resumes::enter(router, source, join, decision(Missed::NotAsked));
    }
    match wanted(router, &join, None) {
        Ok(wanted) => wait(router, source, join, None, wanted),
        Err(reason) => resumes::enter(router, source, join, decision(Missed::Mailbox(reason))),
    }
}

/// Joins a client that is away. If it can get what it has missed, it waits for its turn.
pub(super) fn resume(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
    key: RecordKey,
) -> Result<(), ProtocolError> {
    match wanted(router, &join, Some(&key)) {
        Ok(wanted) => wait(router, source, join, Some(key), wanted),
        Err(reason) => {
            let decision = JoinDecision::Resumed(key, Missed::Mailbox(reason));
            resumes::enter(router, source, join, decision)
        }
    }
}

fn wait(
    router: &mut Router,
    source: WorkerIncarnation,
    join: ResumableJoin,
    key: Option<RecordKey>,
    wanted: WantedPast,
) -> Result<(), ProtocolError> {
    let place = ConnectionRef { worker: source.worker, slot: join.slot };
    if client_at(&router.index, place).is_some() {
        return Err(ProtocolError::Taken(join.slot));
    }
    let journal = router.journals.get(&join.client.tenant);
    let search = MissedSearch::after(match wanted {
        WantedPast::Since { number, .. } => number,
        WantedPast::Latest { .. } | WantedPast::Handed { .. } => journal.map_or(0, Journal::floor),
    });
    let handed = None;
    router.recoveries.put(PendingRecovery { source, join, key, wanted, search, handed });
    Ok(())
}

/// Joins a client that has moved here, once this host has taken what it has received on the other one. It waits for its
/// turn.
pub(super) fn wait_handed(router: &mut Router, asked: AskedMove) -> Result<(), ProtocolError> {
    let AskedMove { source, join, key, handed, .. } = asked;
    let place = ConnectionRef { worker: source.worker, slot: join.slot };
    if client_at(&router.index, place).is_some() {
        return Err(ProtocolError::Taken(join.slot));
    }
    let journal = router.journals.get(&key.tenant);
    let search = MissedSearch::after(journal.map_or(0, Journal::floor));
    let epoch = handed.as_ref().map_or(0, |handed| handed.former.epoch);
    let (key, wanted) = (Some(key), WantedPast::Handed { epoch });
    router.recoveries.put(PendingRecovery { source, join, key, wanted, search, handed });
    Ok(())
}

/// Decides which publications a client gets.
///
/// # Errors
///
/// Why it gets none.
fn wanted(
    router: &mut Router,
    join: &ResumableJoin,
    key: Option<&RecordKey>,
) -> Result<WantedPast, RecoveryReason> {
    let request = join.missed.unwrap_or(MissedRequest::Since(None));
    let record = key.and_then(|key| router.records.get(key));
    let guarded = join.claim.as_ref().map(|claim| &claim.guarded);
    // It may not see publications of guarded topics that it was in.
    let is_retagged = record.zip(guarded).is_some_and(|(it, guarded)| it.exceeds(guarded));
    router.journals.drop_old(&join.client.tenant, router.now);
    let journal = router.journals.get(&join.client.tenant);
    let since = match (request, journal) {
        (MissedRequest::Latest(0), _) | (MissedRequest::Latest(_), None) => {
            return Err(RecoveryReason::Disabled);
        }
        (MissedRequest::Latest(_), Some(_)) if is_retagged => {
            return Err(RecoveryReason::Retagged);
        }
        (MissedRequest::Latest(most), Some(journal)) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            return Ok(WantedPast::Latest { epoch: journal.position().epoch, most });
        }
        (MissedRequest::Since(_), None) => return Err(RecoveryReason::Off),
        (MissedRequest::Since(since), Some(_)) => since,
    };
    let known = journal.zip(since).filter(|(journal, since)| journal.has_been_at(*since));
    let Some((journal, since)) = known else { return Err(RecoveryReason::Lost) };
    if since.number < journal.floor() {
        return Err(RecoveryReason::Evicted);
    }
    if journal.has_gap_after(since) {
        return Err(RecoveryReason::Gap);
    }
    if is_retagged {
        return Err(RecoveryReason::Retagged);
    }
    let record = key.and_then(|key| router.records.get(key));
    match record.and_then(|record| record.unknown_since(since)) {
        None => Ok(WantedPast::Since { epoch: since.epoch, number: since.number }),
        Some(reason) => Err(reason),
    }
}

/// Lets clients have what they have missed whose turn it is. Some publications are examined in one turn; more than were
/// added in it, so that each search ends.
pub(super) fn recover_some(router: &mut Router) {
    if router.recoveries.is_empty() {
        return;
    }
    let mut budget = REPLAY_ENTRIES.max(2 * router.appended);
    for worker in router.recoveries.workers() {
        while budget > 0
            && has_room(router, worker)
            && let Some((serial, mut pending)) = router.recoveries.take_first(worker)
        {
            let examined = search(router, &mut pending, budget);
            budget = budget.saturating_sub(examined + JOIN_ENTRIES);
            if !is_complete(router, &pending) || waits_for_departed(router, &pending) {
                router.recoveries.keep_first(serial, pending);
                break;
            }
            let joined = complete(router, pending);
            debug_assert!(joined.is_ok(), "its slot was free when it began to wait");
        }
    }
}

/// Returns whether a client can be served in the next turn.
pub(super) fn has_runnable(router: &Router) -> bool {
    !router.recoveries.is_empty()
        && router.recoveries.workers().into_iter().any(|worker| has_room(router, worker))
}

fn has_room(router: &Router, worker: WorkerId) -> bool {
    let member = router.workers.get(&worker);
    // Another host gets how far the lanes were taken, which must be true for the journals.
    let is_true = |member: &super::WorkerState| !worker.is_bridge() || member.held.is_empty();
    member.is_some_and(|it| it.out.pending().len() <= REPLAY_LINK_BYTES && is_true(it))
}

/// Returns whether the join might be refused because of clients of a dead worker, which are being removed.
fn waits_for_departed(router: &Router, pending: &PendingRecovery) -> bool {
    let PendingRecovery { source, join, .. } = pending;
    let place = ConnectionRef { worker: source.worker, slot: join.slot };
    !source.worker.is_bridge()
        && router.has_departed()
        && router.connection_limits.admit(router.clients(), place, &join.client).is_err()
}

/// Examines some publications. Returns how many.
fn search(router: &Router, pending: &mut PendingRecovery, most: usize) -> usize {
    let PendingRecovery { join, key, wanted, search, handed, .. } = pending;
    let Some(journal) = router.journals.get(&join.client.tenant) else { return 0 };
    let record = key.as_ref().and_then(|key| router.records.get(key));
    let away = record.and_then(Record::away);
    let present = match key {
        Some(_) => away.and_then(|away| away.tags.as_ref()).map(|own| &own.tags),
        None => Some(&join.client.tags),
    };
    let uuid = key.as_ref().map(|key| key.uuid);
    // With its present token it may receive nothing.
    let receives = join.client.takes_publications;
    let is_past = matches!(wanted, WantedPast::Since { .. } | WantedPast::Handed { .. });
    let listener = |number: u64| {
        let then = record.filter(|_| is_past).map(|it| it.tags_at(journal.position_of(number)));
        let tags = match then {
            Some(TagsThen::Earlier(tags)) => tags,
            Some(TagsThen::Present) | None => present,
        };
        PastListener { uuid: uuid.filter(|_| receives), tags: tags.filter(|_| receives) }
    };
    let hosts = router.hosts.as_deref();
    let Some((handed, hosts)) = handed.as_deref().zip(hosts) else {
        return search.run(journal, most, &|number, entry| listener(number).hears(entry));
    };
    let ident = away.and_then(|away| away.ident.as_ref());
    hosts.with_places(|places| {
        let is_new = |number: u64, entry: &JournalEntry| match &entry.origin {
            Some(origin) => !handed.former.has(places, number, origin),
            // It was for clients of this host alone.
            None => number > handed.former.head,
        };
        let hears = |number: u64, entry: &JournalEntry| match &entry.recipients {
            StoredRecipients::Absent(address) => listener(number).is_sought(address, ident),
            _ => listener(number).hears(entry),
        };
        search.run(journal, most, &|number, entry| is_new(number, entry) && hears(number, entry))
    })
}

fn is_complete(router: &Router, pending: &PendingRecovery) -> bool {
    let journal = router.journals.get(&pending.join.client.tenant);
    journal.is_none_or(|journal| pending.search.is_complete(journal))
}

/// Joins a client whose search is complete, and sends it what was found.
fn complete(router: &mut Router, pending: PendingRecovery) -> Result<(), ProtocolError> {
    let PendingRecovery { source, join, key, wanted, search, handed } = pending;
    let Some(key) = key else {
        let missed = missed(router, &join, None, wanted, search);
        let decision = JoinDecision::New(ResumeStanding::New, missed);
        return resumes::enter(router, source, join, decision);
    };
    if router.records.get(&key).and_then(Record::away).is_none() {
        // It was away for too long while it waited.
        return resumes::join(router, source, join);
    }
    let missed = match handed {
        Some(handed) => missed_elsewhere(router, &key, handed, search),
        None => missed(router, &join, Some(&key), wanted, search),
    };
    resumes::enter(router, source, join, JoinDecision::Resumed(key, missed))
}

/// Returns what a client has missed that has moved here.
fn missed_elsewhere(
    router: &mut Router,
    key: &RecordKey,
    handed: Box<HandedMove>,
    search: MissedSearch,
) -> Missed {
    let journal = router.journals.get(&key.tenant);
    let Some((journal, hosts)) = journal.zip(router.hosts.as_deref()) else {
        return Missed::Mailbox(RecoveryReason::Off);
    };
    match hosts.with_places(|places| handed.former.check(places, journal)) {
        Ok(()) => Missed::Handed(handed, search.into_found()),
        Err(reason) => Missed::Mailbox(reason),
    }
}

fn missed(
    router: &Router,
    join: &ResumableJoin,
    key: Option<&RecordKey>,
    wanted: WantedPast,
    search: MissedSearch,
) -> Missed {
    let (WantedPast::Since { epoch, .. }
    | WantedPast::Latest { epoch, .. }
    | WantedPast::Handed { epoch }) = wanted;
    let Some(journal) = router.journals.get(&join.client.tenant) else {
        return Missed::Mailbox(RecoveryReason::Off);
    };
    if journal.position().epoch != epoch {
        return Missed::Mailbox(RecoveryReason::Lost);
    }
    let mut found = search.into_found();
    match wanted {
        WantedPast::Since { number, .. } if number < journal.floor() => {
            Missed::Mailbox(RecoveryReason::Overrun)
        }
        WantedPast::Since { number, .. } => {
            let since = ReplayPosition { epoch, number };
            if journal.has_gap_after(since) {
                return Missed::Mailbox(RecoveryReason::Gap);
            }
            let record = key.and_then(|key| router.records.get(key));
            match record.and_then(|record| record.unknown_since(since)) {
                None => Missed::Entries(found, None),
                Some(reason) => Missed::Mailbox(reason),
            }
        }
        // It is decided elsewhere.
        WantedPast::Handed { .. } => Missed::Mailbox(RecoveryReason::Lost),
        WantedPast::Latest { most, .. } => {
            found.retain(|number| *number > journal.floor());
            found.drain(..found.len().saturating_sub(most));
            let is_less = found.len() < most && journal.floor() > 0;
            Missed::Entries(found, is_less.then_some(RecoveryReason::Evicted))
        }
    }
}

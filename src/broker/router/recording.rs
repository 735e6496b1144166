//! What the router stores in the journals, and tells workers about them.

use std::sync::Arc;

use super::{Router, moves};
use crate::broker::journal::{Journal, JournalEntry, Journals, StoredRecipients};
use crate::broker::lane_places::EntryOrigin;
use crate::broker::other_hosts::SoleRecipient;
use crate::broker::records::{self, MailboxPublication, RecordKey, Records};
use crate::broker::resolve_cache::KnownRoute;
use crate::broker::tracking::BegunTracking;
use crate::cluster::ForwardReach;
use crate::index::Index;
use crate::index::identity::client_at;
use crate::index::tag_changes::versioned_tags;
use crate::link::message::ToWorker;
use crate::link::resume::JournalHead;
use crate::types::{
    ConnectionRef, Content, HistoryTerms, Number, PayloadForm, RecoveryReason, ReplayPosition,
    Tags, Tenant, TrackedSubject, WorkerId, WorkerIncarnation,
};

/// A publication that is to be stored.
pub(super) struct PublishedEntry<'a> {
    pub(super) source: WorkerIncarnation,
    pub(super) number: Number,
    pub(super) content: Content<&'a [u8]>,
    /// The client that is away and gets it.
    pub(super) away: Option<RecordKey>,
    /// What an arrival is in the common lane of its host, if it is there.
    pub(super) origin: Option<EntryOrigin>,
    /// It is a question, which is not stored.
    pub(super) is_question: bool,
}

/// Keeps a publication whose recipients are resolved for clients that come back. Returns its position, if its space
/// stores publications.
#[inline]
pub(super) fn keep(
    router: &mut Router,
    route: &mut KnownRoute,
    published: &PublishedEntry<'_>,
) -> Option<ReplayPosition> {
    // The whole cost where no space stores publications.
    let is_stored = !router.journals.is_empty() && !published.is_question;
    let at = if is_stored { record(router, route, published) } else { None };
    // A question that comes too late is not asked.
    if let Some(key) = published.away.as_ref().filter(|_| !published.is_question) {
        let PublishedEntry { source, number, content, .. } = *published;
        router.records.keep(key, MailboxPublication { source, number, at, content });
    }
    at
}

/// Stores a publication whose recipients are resolved. Returns its position; `None` if its space stores none. While
/// workers send publications again that an earlier broker may have delivered, nothing is stored.
fn record(
    router: &mut Router,
    route: &mut KnownRoute,
    published: &PublishedEntry<'_>,
) -> Option<ReplayPosition> {
    if !router.repeating.is_empty() || router.journals.get(&route.tenant).is_none() {
        return None;
    }
    let recipients = if route.address.recipients.is_single() {
        let place = router.index.resolve_one(&route.tenant, &route.address);
        let here = place.and_then(|place| client_at(&router.index, place)).map(|(_, uuid)| uuid);
        let one = here.or_else(|| published.away.as_ref().map(|key| key.uuid));
        match one {
            Some(one) => StoredRecipients::One(one),
            None if is_sought_by_all(router, route, published) => {
                StoredRecipients::Absent(Arc::clone(route.shared_address()))
            }
            None => StoredRecipients::NoClient,
        }
    } else if route.is_refused() {
        StoredRecipients::NoClient
    } else {
        StoredRecipients::of_many(route.shared_address())
    };
    let PublishedEntry { source, number, content, .. } = *published;
    let content = Content { form: content.form, payload: content.payload.into() };
    let origin = origin_of(router, published, &recipients).map(Box::new);
    let entry = JournalEntry { recipients, source, number, content, stored: router.now, origin };
    router.appended += 1;
    router.journals.append(&route.tenant, entry)
}

/// Returns whether other hosts look for the single client of a publication, too, which is not here.
fn is_sought_by_all(router: &Router, route: &KnownRoute, published: &PublishedEntry<'_>) -> bool {
    let Some(hosts) = router.hosts.as_deref() else { return false };
    if published.source.worker.is_bridge() {
        return published.origin.is_some();
    }
    let reach = |sole| hosts.reach(&router.index, &route.tenant, &route.address, sole);
    route.holder().is_none() && reach(SoleRecipient::Elsewhere) == Some(ForwardReach::All)
}

/// Returns what a publication is in the common lane of its host, if it is there.
fn origin_of(
    router: &Router,
    published: &PublishedEntry<'_>,
    recipients: &StoredRecipients,
) -> Option<EntryOrigin> {
    let PublishedEntry { source, number, origin, .. } = *published;
    if source.worker.is_bridge() {
        return origin;
    }
    let is_shared = matches!(recipients, StoredRecipients::Many(_) | StoredRecipients::Absent(_));
    let hosts = router.hosts.as_deref().filter(|hosts| is_shared && hosts.are_known())?;
    Some(hosts.places.own(hosts.own(), source, number))
}

/// Returns whether a publication is a question, which only one client answers once. It is not stored.
pub(super) fn is_question(tracking: Option<&BegunTracking>) -> bool {
    tracking.is_some_and(|begun| matches!(begun.tracking.subject, TrackedSubject::Answer(_)))
}

/// Publications of another host will never arrive. Positions before that are not recoverable in any space.
pub(super) fn note_gap(router: &mut Router, source: WorkerIncarnation, number: Number) {
    let stored = router.now;
    router.journals.note_gap(&|| {
        let content = Content { form: PayloadForm::Message, payload: Box::default() };
        let (recipients, origin) = (StoredRecipients::NoClient, None);
        JournalEntry { recipients, source, number, content, stored, origin }
    });
}

/// Sets how many publications each space stores, and the memory for all of them in bytes.
pub fn limit_history(router: &mut Router, bytes_max: usize, terms: &[(Tenant, HistoryTerms)]) {
    let is_new = terms.iter().any(|(tenant, _)| router.journals.get(tenant).is_none());
    for tenant in router.journals.limit(bytes_max, terms, router.now) {
        tell_all(router, &JournalHead { tenant, position: None });
    }
    if is_new {
        moves::journals_begin(router);
    }
}

/// Sets the number from which epochs of journals are made.
pub fn seed_epochs(router: &mut Router, seed: u64) {
    router.journals.seed(seed);
}

/// Drops old publications, and tells the workers the positions that have moved.
pub fn tick(router: &mut Router) {
    if router.journals.is_empty() || !router.repeating.is_empty() {
        return;
    }
    let mut moved = Vec::new();
    let mut tell = |tenant: &Tenant, position| {
        moved.push(JournalHead { tenant: tenant.clone(), position: Some(position) });
    };
    router.journals.tick(router.now, &mut tell);
    moved.iter().for_each(|head| tell_all(router, head));
}

fn tell_all(router: &mut Router, head: &JournalHead) {
    let workers: Vec<WorkerId> =
        router.workers.keys().copied().filter(|worker| worker.has_clients()).collect();
    workers.into_iter().for_each(|worker| router.send(worker, &ToWorker::Head(head.clone())));
}

/// Tells a worker the present position of a space, before a client of the space joins.
pub(super) fn tell_head(router: &mut Router, worker: WorkerId, tenant: &Tenant) {
    if let Some(position) = position(router, tenant) {
        let head = JournalHead { tenant: tenant.clone(), position: Some(position) };
        router.send(worker, &ToWorker::Head(head));
    }
}

/// Returns the present position of a space; `None` if it has no journal, or publications are still sent again that
/// will not be in it.
pub(super) fn position(router: &Router, tenant: &Tenant) -> Option<ReplayPosition> {
    let journal = router.journals.get(tenant).filter(|_| router.repeating.is_empty());
    journal.map(Journal::position)
}

/// Returns the client at a place and its tags, if its tags are needed for stored publications once they have changed.
pub(super) fn tags_before(router: &Router, place: ConnectionRef) -> Option<(RecordKey, Tags)> {
    if router.journals.is_empty() || router.records.is_empty() {
        return None;
    }
    let (tenant, uuid) = client_at(&router.index, place)?;
    Some((RecordKey { tenant, uuid }, versioned_tags(&router.index, place)?.tags))
}

/// Records that a client had these tags until now.
pub(super) fn note_tags(router: &mut Router, key: &RecordKey, tags: Option<Tags>) {
    let Router { journals, records, .. } = router;
    if let Some(journal) = journals.get(&key.tenant) {
        records::note_tags(records, key, journal.position(), tags, journal.floor());
    }
}

/// What a client may have missed until now is not known, for this reason: its record begins, or `recovery` says so. It may
/// not have received that, and have received a later position.
pub(super) fn begin_record(router: &mut Router, key: &RecordKey, reason: RecoveryReason) {
    let Router { journals, records, .. } = router;
    if let Some(journal) = journals.get(&key.tenant) {
        records::forget_past(records, key, journal.position(), reason);
    }
}

/// Records that the tags of a client have changed with those of many others.
pub(super) fn forget_tags(
    journals: &Journals,
    records: &mut Records,
    index: &Index,
    place: ConnectionRef,
) {
    if journals.is_empty() || records.is_empty() {
        return;
    }
    if let Some((tenant, uuid)) = client_at(index, place)
        && let Some(journal) = journals.get(&tenant)
    {
        let key = RecordKey { tenant, uuid };
        records::forget_past(records, &key, journal.position(), RecoveryReason::Retagged);
    }
}

//! Watched queries: which messages of workers concern them, and when their watchers get news.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::{ProtocolError, Router, WorkerState, presence_of_hosts, recording};
use crate::broker::bulk_change::{BulkResult, RunningBulkChange};
use crate::broker::presence::{AudienceLinks, EndedWatch, NewWatch, PresentClient};
use crate::index::Index;
use crate::index::identity::client_at;
use crate::link::message::ToWorker;
use crate::link::presence::{AudienceNews, FromWatcher, ToWatcher};
use crate::types::limits::PRESENCE_LINK_BYTES;
use crate::types::{ClientUuid, ConnectionRef, Tags, Tenant, WatchTerms, WorkerId};

/// Applies a message about a watched query, or about what watchers see of a client.
pub(super) fn apply(
    router: &mut Router,
    worker: WorkerId,
    message: FromWatcher,
) -> Result<(), ProtocolError> {
    let place = |slot| ConnectionRef { worker, slot };
    match message {
        FromWatcher::Member { slot, terms } => {
            // The client may be about to join.
            router.presence.set_terms(place(slot), *terms);
            on_present(router, place(slot));
        }
        FromWatcher::Watch { slot, id, terms } => watch(router, place(slot), id, &terms),
        FromWatcher::Unwatch { slot, id } => router.presence.unwatch(place(slot), id),
    }
    Ok(())
}

fn watch(router: &mut Router, place: ConnectionRef, id: u64, terms: &WatchTerms) {
    let Some((tenant, uuid)) = client_at(&router.index, place) else { return };
    let Router { presence, index, now, .. } = &mut *router;
    let client = PresentClient { tenant: &tenant, uuid, place };
    let slot = place.slot;
    let answer = match presence.watch(index, client, NewWatch { id, terms, now: *now }) {
        Ok(audience) => ToWatcher::Began { slot, id, audience },
        Err(refusal) => ToWatcher::Refused { slot, id, refusal },
    };
    router.send(place.worker, &ToWorker::Presence(answer));
}

/// The client at a place has joined, or its tags have changed.
pub(super) fn on_present(router: &mut Router, place: ConnectionRef) {
    if router.presence.is_idle() {
        return;
    }
    let Some((tenant, uuid)) = client_at(&router.index, place) else { return };
    let Router { presence, index, now, .. } = &mut *router;
    let client = PresentClient { tenant: &tenant, uuid, place };
    let ended = presence.on_present(index, client, *now);
    tell_ended(router, ended);
}

/// Continues a change of the tags of many clients.
pub(super) fn run_bulk(
    router: &mut Router,
    bulk: &mut RunningBulkChange,
    is_spent: &mut dyn FnMut(usize) -> bool,
) -> ControlFlow<(), BulkResult> {
    let Router { index, journals, records, presence, now, .. } = router;
    let (work, mut ended) = (Cell::new(0), Vec::new());
    let mut on_changed = |index: &Index, place| {
        recording::forget_tags(journals, records, index, place);
        let client = if presence.is_idle() { None } else { client_at(index, place) };
        if let Some((tenant, uuid)) = client {
            let client = PresentClient { tenant: &tenant, uuid, place };
            ended.extend(presence.on_present(index, client, *now));
            work.set(work.get() + presence.take_work());
        }
    };
    let outcome = bulk.run(index, &mut on_changed, &mut |more| is_spent(more + work.take()));
    tell_ended(router, ended);
    outcome
}

fn tell_ended(router: &mut Router, ended: Vec<EndedWatch>) {
    for (ConnectionRef { worker, slot }, id) in ended {
        router.send(worker, &ToWorker::Presence(ToWatcher::Ended { slot, id }));
    }
}

/// The client at a place leaves the index. `ends_at` is the time until which it may come back.
pub(super) fn on_gone(router: &mut Router, place: ConnectionRef, ends_at: Option<Duration>) {
    if router.presence.is_idle() {
        return;
    }
    let Some((tenant, uuid)) = client_at(&router.index, place) else {
        return router.presence.forget(place);
    };
    let client = PresentClient { tenant: &tenant, uuid, place };
    router.presence.on_gone(&router.index, client, ends_at, router.now);
}

/// The clients of a worker that have not joined will not.
pub(super) fn forget_joining(router: &mut Router, worker: WorkerId) {
    let Router { presence, index, .. } = router;
    presence.retain_terms(|place| place.worker != worker || client_at(index, place).is_some());
}

/// The tags of a client that is away have changed.
pub(super) fn on_away_retag(router: &mut Router, tenant: &Tenant, uuid: ClientUuid, tags: &Tags) {
    if !router.presence.is_idle() {
        router.presence.on_away_retag(tenant, uuid, tags, router.now);
    }
}

/// A client that is away has ended.
pub(super) fn on_ended_away(router: &mut Router, tenant: &Tenant, uuid: ClientUuid) {
    if !router.presence.is_idle() {
        router.presence.on_ended_away(tenant, uuid, router.now);
    }
}

/// Sends the news that are due, until `is_spent` returns true, which is called after each piece of work.
pub fn serve(router: &mut Router, is_spent: &mut dyn FnMut() -> bool) -> ControlFlow<()> {
    let has_next = router.presence.next_due().is_some();
    if !has_next || !router.is_resolving() || router.is_changing_many() {
        return ControlFlow::Continue(());
    }
    let is_bridge_ready = presence_of_hosts::is_bridge_ready(router);
    let Router { presence, index, workers, now, .. } = router;
    presence.serve(index, *now, &mut WorkerLinks { workers, is_bridge_ready }, is_spent)
}

/// Returns the time at which [`serve`] must be called.
#[must_use]
pub fn next_due(router: &Router) -> Option<Duration> {
    // Until all workers have announced their clients, nothing is sent.
    let due = router.presence.next_due().into_iter().chain(presence_of_hosts::next_due(router));
    due.min().filter(|_| router.is_resolving())
}

/// Returns the work for watched queries since the last call, in bytes of a usual message.
pub fn take_work(router: &mut Router) -> usize {
    router.presence.take_work()
}

struct WorkerLinks<'a> {
    workers: &'a mut BTreeMap<WorkerId, WorkerState>,
    /// The bridge takes news for other hosts.
    is_bridge_ready: bool,
}

impl AudienceLinks for WorkerLinks<'_> {
    fn has_room(&self, worker: WorkerId) -> bool {
        let link = self.workers.get(&worker);
        let has_room = link.is_none_or(|link| link.out.pending().len() < PRESENCE_LINK_BYTES);
        has_room && (self.is_bridge_ready || !worker.is_bridge())
    }

    fn send(&mut self, worker: WorkerId, news: AudienceNews) {
        if let Some(link) = self.workers.get_mut(&worker) {
            link.out.send(&ToWorker::Presence(ToWatcher::News(Box::new(news))));
        }
    }
}

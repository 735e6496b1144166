//! What happens to clients that may resume as time passes.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::{Router, bridge, moves, names, presence, recording, recoveries, resumes};
use crate::index::identity::last_places_of;
use crate::types::{WorkerId, WorkerIncarnation};

/// Sets the time of this turn, since any fixed moment.
pub fn begin_turn(router: &mut Router, now: Duration) {
    router.now = now;
    router.appended = 0;
}

/// A worker has sent everything again that an earlier broker may have delivered, or is dead. After the last one,
/// publications are stored, and clients that wait for that join.
pub(super) fn on_window_repeated(router: &mut Router, source: WorkerIncarnation) {
    if router.repeating.remove(&source) && router.repeating.is_empty() {
        moves::journals_begin(router);
        resumes::join_early(router);
    }
}

/// Lets joins wait no longer whose time is over, or whose turn it is. Tells workers the positions that have moved.
pub fn serve_waiting(router: &mut Router) {
    if router.is_resolving() && !router.is_changing_many() {
        resumes::take_over_due(router);
        if resumes::has_early(router) {
            resumes::join_early(router);
        }
        moves::serve(router);
        recoveries::recover_some(router);
    }
    recording::tick(router);
}

/// Removes clients that have been away for too long, and sends watchers their news, until `is_spent` returns true,
/// which is called after each.
pub fn end_due(router: &mut Router, is_spent: &mut dyn FnMut() -> bool) {
    router.records.end_due(router.now, is_spent);
    _ = presence::serve(router, is_spent);
    names::serve(router, is_spent);
}

/// Returns whether clients are left that have been away for too long, or that wait and can be served.
#[must_use]
pub fn has_due(router: &Router) -> bool {
    router.records.has_due(router.now)
        || recoveries::has_runnable(router)
        || resumes::has_early(router) && router.is_resolving() && !router.is_changing_many()
        || names::has_work(router)
        || presence::next_due(router).is_some_and(|due| due <= router.now)
}

/// Returns the time at which [`serve_waiting`] must be called, or a publication waits no longer for the bridge.
#[must_use]
pub fn next_due(router: &Router) -> Option<Duration> {
    let tick = router.journals.next_tick().filter(|_| router.repeating.is_empty());
    let waiting = router.takeovers.next_due().into_iter();
    let others = bridge::next_due(router).into_iter().chain(presence::next_due(router));
    let others = others.chain(names::next_due(router)).chain(moves::next_due(router));
    waiting.chain(others).chain(tick).min()
}

/// Sets the memory for clients that are away, in bytes.
pub fn limit_away(router: &mut Router, bytes: usize) {
    router.records.limit(bytes);
}

/// Sets the time since 1970 at which this broker was started. Clients of earlier tokens may have been known to an
/// earlier one.
pub fn started_at(router: &mut Router, started: Duration) {
    router.started = started;
}

/// Removes clients of a dead worker until `is_spent` returns true. Those that may resume are away.
pub(super) fn put_away_some_of(
    router: &mut Router,
    worker: WorkerId,
    is_spent: &mut dyn FnMut() -> bool,
) -> ControlFlow<()> {
    while let Some(places) = last_places_of(&router.index, worker) {
        for place in places {
            resumes::go_away(router, place);
            if is_spent() {
                return Break(());
            }
        }
    }
    Continue(())
}

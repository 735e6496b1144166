//! What happens to clients that may resume as time passes.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::{Router, bridge, resumes};
use crate::index::identity::last_places_of;
use crate::types::WorkerId;

/// Sets the time of this turn, since any fixed moment.
pub fn begin_turn(router: &mut Router, now: Duration) {
    router.now = now;
}

/// Lets joins wait no longer whose time is over.
pub fn take_over_due(router: &mut Router) {
    if router.is_resolving() && !router.is_changing_many() {
        resumes::take_over_due(router);
    }
}

/// Removes clients that have been away for too long, until `is_spent` returns true, which is called after each.
pub fn end_due(router: &mut Router, is_spent: &mut dyn FnMut() -> bool) {
    router.records.end_due(router.now, is_spent);
}

/// Returns whether clients are left that have been away for too long.
#[must_use]
pub fn has_due(router: &Router) -> bool {
    router.records.has_due(router.now)
}

/// Returns the time at which a join waits no longer, or a publication no longer for the bridge.
#[must_use]
pub fn next_due(router: &Router) -> Option<Duration> {
    router.takeovers.next_due().into_iter().chain(bridge::next_due(router)).min()
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

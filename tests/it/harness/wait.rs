//! Waiting: for facts, always with a deadline.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// How long any single fact may take; far more than a right server needs on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// How often a fact is looked for that nobody announces (a process in `/proc`, say).
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How often something is tried that a busy machine may spoil.
const TRIES: usize = 3;

/// Looks until the fact is there; panics with `what` when it does not come.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// One of a few tries succeeds. For what a busy machine spoils now and then, because it keeps the test from
/// its processor for too long, and what a wrong server fails each time.
#[track_caller]
pub fn in_one_of_a_few(attempt: impl Fn() -> Result<(), String>) {
    let mut faults = Vec::new();
    while let Err(fault) = attempt() {
        faults.push(fault);
        assert!(faults.len() < TRIES, "{faults:?}");
    }
}

/// Lets time pass; only for promises that are about time itself (a slow sender, a deadline).
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

static QUIET: RwLock<()> = RwLock::new(());

/// Until the guard is dropped, no other test of this binary runs that asks for quiet.
///
/// Tests that measure begin with it: they compare times, processor shares or memory.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().unwrap_or_else(PoisonError::into_inner)
}

/// As [`alone`], but others that begin with the same may run at the same time: tests that mostly let time
/// pass, and burden nothing meanwhile.
pub fn among_idle() -> RwLockReadGuard<'static, ()> {
    QUIET.read().unwrap_or_else(PoisonError::into_inner)
}

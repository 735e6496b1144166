//! Waits for facts, always with a deadline.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// Maximum wait for any single fact, far longer than a correct server needs on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Polling interval for facts without a notification, such as a process in `/proc`.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Attempts of a measurement that a busy machine may spoil.
const TRIES: usize = 3;

/// Polls until `look` returns a value. Panics with `what` after the deadline.
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

/// Expects success in one of a few attempts. Use it for measurements that a busy machine spoils now
/// and then by delaying the test, and that a faulty server fails each time.
#[track_caller]
pub fn in_one_of_a_few(attempt: impl Fn() -> Result<(), String>) {
    let mut faults = Vec::new();
    while let Err(fault) = attempt() {
        faults.push(fault);
        assert!(faults.len() < TRIES, "{faults:?}");
    }
}

/// Sleeps. Use it only for promises about time itself, such as deadlines or slow senders.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

static QUIET: RwLock<()> = RwLock::new(());

/// Waits until no other test of this binary that needs quiet is running, and keeps them out until
/// the guard is dropped.
///
/// Tests that measure time, processor share or memory call it first.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`alone`], but can run at the same time as other tests that call this function. It is for
/// tests that mostly sleep and use little processor time.
pub fn among_idle() -> RwLockReadGuard<'static, ()> {
    QUIET.read().unwrap_or_else(PoisonError::into_inner)
}

//! The thread that handles signals, and ends this process even if its role hangs or is stopped.

use std::io;
use std::thread;

use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as SignalEvents, SignalKind, signal};
use tokio::time::sleep;

use crate::link::control::Terminator;
use crate::telemetry::survive_file_limit;
use crate::types::limits::ORPHAN_WAIT;

/// Begins to watch. SIGTERM comes from an operator, or from the kernel when the supervisor died.
///
/// # Errors
///
/// When the thread or its signal handlers cannot be created.
pub(super) fn start(terminator: Terminator) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let (asked, ignored) = {
        let _inside = runtime.enter();
        survive_file_limit()?;
        // The kernel sends SIGHUP to stopped processes whose parent died, and an operator may send it,
        // or SIGINT, to all that are called tagcast: both are meant for the supervisor, which ends its
        // children in order.
        let ignored = (signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?);
        (signal(SignalKind::terminate())?, ignored)
    };
    let watch = move || {
        // Each thread may ask for a signal of its own. A process that is stopped when its parent
        // dies cannot handle the other one, SIGTERM: this one lets it go on. Without it, it stays
        // until it is continued.
        let _as_before = set_parent_process_death_signal(Some(Signal::CONT));
        runtime.block_on(watch(asked, terminator));
        drop(ignored);
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
    Ok(())
}

async fn watch(mut asked: SignalEvents, terminator: Terminator) {
    asked.recv().await;
    terminator.terminate();
    sleep(ORPHAN_WAIT).await;
    tracing::error!(event = "shutdown_timed_out", "shutdown timed out, exiting");
    // The one way to exit that waits for nothing, whatever hangs.
    let _last_act = kill_process(getpid(), Signal::KILL);
}

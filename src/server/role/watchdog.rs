//! A thread that handles signals and terminates this process even if its role hangs or is stopped.

use std::io;
use std::thread;

use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as SignalEvents, SignalKind, signal};
use tokio::time::sleep;

use crate::link::control::Terminator;
use crate::telemetry::survive_file_limit;
use crate::types::limits::ORPHAN_WAIT;

/// Starts the thread. SIGTERM comes from an operator, or from the kernel when the supervisor has
/// died.
///
/// # Errors
///
/// If the thread or its signal handlers cannot be created.
pub(super) fn start(terminator: Terminator) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let (asked, ignored) = {
        let _inside = runtime.enter();
        survive_file_limit()?;
        // The kernel sends SIGHUP to stopped processes whose parent has died, and an operator may
        // send SIGHUP or SIGINT to all processes named tagcast. Both signals are meant for the
        // supervisor, which stops its children in order.
        let ignored = (signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?);
        (signal(SignalKind::terminate())?, ignored)
    };
    let watch = move || {
        // Each thread can request its own signal for the death of the parent. A process that is
        // stopped at that time cannot handle SIGTERM, so this thread requests SIGCONT, which
        // continues the process.
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
    // SIGKILL is the only exit that does not wait for anything that hangs.
    let _last_act = kill_process(getpid(), Signal::KILL);
}

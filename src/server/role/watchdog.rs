//! The thread that hears SIGTERM, and ends this process even when its role hangs.

use std::io;
use std::thread;

use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as SignalEvents, SignalKind, signal};
use tokio::time::sleep;

use crate::link::control::Terminator;
use crate::types::limits::ORPHAN_WAIT;

/// Begins to watch. SIGTERM comes from an operator, or from the kernel when the supervisor died.
///
/// # Errors
///
/// When there can be no thread, or none that hears signals.
pub(super) fn start(terminator: Terminator) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let asked = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate())?
    };
    let watch = move || runtime.block_on(watch(asked, terminator));
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
    Ok(())
}

async fn watch(mut asked: SignalEvents, terminator: Terminator) {
    asked.recv().await;
    terminator.terminate();
    sleep(ORPHAN_WAIT).await;
    tracing::error!("role did not end in time, the process does");
    // The one way to end that waits for nobody, no matter what hangs.
    let _last_act = kill_process(getpid(), Signal::KILL);
}

//! A limit on the size of files (RLIMIT_FSIZE, `ulimit -f`): the kernel ends whoever writes beyond it by
//! a signal, unless that is handled. Then the write fails as on a full disk: lines are lost and counted.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Handles that signal for as long as this process lives. To be called inside a runtime.
///
/// # Errors
///
/// When no signal can be handled.
pub fn survive_file_limit() -> io::Result<()> {
    // No task waits for it, and the handler stays when this is dropped.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

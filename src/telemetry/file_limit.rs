//! The file size limit (RLIMIT_FSIZE, `ulimit -f`). A write beyond the limit raises SIGXFSZ, which
//! kills the process by default. With a handler the write fails as on a full disk instead, and the
//! lost lines are counted.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Handles SIGXFSZ for the rest of the life of this process. Must be called inside a Tokio runtime.
///
/// # Errors
///
/// If the signal handler cannot be installed.
pub fn survive_file_limit() -> io::Result<()> {
    // The signal is never awaited. The handler stays installed after this value is dropped.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

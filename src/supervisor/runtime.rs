//! The Tokio runtime of the supervisor.

use tokio::runtime::{Builder, Runtime};

use super::StartError;
use crate::telemetry::survive_file_limit;

/// Creates the runtime and handles SIGXFSZ, before the first line is written to a file. Without
/// that, a file that reaches the file size limit would kill the server.
pub(super) fn runtime() -> Result<Runtime, StartError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::System { what: "the runtime", error })?;
    let inside = runtime.enter();
    survive_file_limit().map_err(|error| StartError::System { what: "the signals", error })?;
    drop(inside);
    Ok(runtime)
}

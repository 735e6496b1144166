//! What the supervisor's loop runs on.

use tokio::runtime::{Builder, Runtime};

use super::StartError;
use crate::telemetry::survive_file_limit;

/// Makes it, and sees to it that a file which may grow no further does not end the server: before the
/// first line is written to one.
pub(super) fn runtime() -> Result<Runtime, StartError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::System { what: "the runtime", error })?;
    let inside = runtime.enter();
    survive_file_limit().map_err(|error| StartError::System { what: "the signals", error })?;
    drop(inside);
    Ok(runtime)
}

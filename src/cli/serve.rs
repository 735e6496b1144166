//! `tagcast serve`: becomes the supervisor.

use std::process::ExitCode;

use super::settings::Settings;
use super::tell;
use crate::supervisor;

pub(super) fn run(settings: &Settings) -> ExitCode {
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    tell(
        "tagcast: THE SERVER IS OPEN: whoever reaches it may connect and publish. auth.yml is not \
         evaluated in this version, so it listens on loopback only.",
    );
    match supervisor::serve(loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("tagcast: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

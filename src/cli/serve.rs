//! `tagcast serve`: runs the supervisor in this process.

use std::process::ExitCode;

use super::config_args::ConfigArguments;
use super::print_error;
use crate::config::Config;
use crate::supervisor;

pub(super) fn run(settings: &ConfigArguments) -> ExitCode {
    let (loaded, source) = match settings.load_with_source() {
        Ok(both) => both,
        Err(code) => return code,
    };
    if let Some(warning) = warning(&loaded.config) {
        print_error(&format!("tagcast: {warning}"));
    }
    match supervisor::serve(loaded, source) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("tagcast: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Returns a warning if any client could use the server.
pub(super) fn warning(config: &Config) -> Option<String> {
    let Some(applications) = &config.applications else {
        return Some(
            "THE SERVER IS OPEN: there is no auth.yml, so any client may connect, publish to all \
             clients and receive everything. It listens on loopback only. `tagcast app add NAME` \
             creates the first application."
                .to_owned(),
        );
    };
    let example = applications.with_public_secret()?;
    Some(format!(
        "for testing only: the application `{}` has the secret of the example, which is public. The \
         server listens on loopback only. `tagcast app add NAME` creates an application of your own.",
        example.key
    ))
}

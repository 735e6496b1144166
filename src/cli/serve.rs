//! `tagcast serve`: becomes the supervisor.

use std::process::ExitCode;

use super::config_args::ConfigArguments;
use super::tell;
use crate::config::Config;
use crate::supervisor;

pub(super) fn run(settings: &ConfigArguments) -> ExitCode {
    let (loaded, source) = match settings.load_with_source() {
        Ok(both) => both,
        Err(code) => return code,
    };
    if let Some(warning) = warning(&loaded.config) {
        tell(&format!("tagcast: {warning}"));
    }
    match supervisor::serve(loaded, source) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("tagcast: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// What whoever starts the server must know about who can do what.
pub(super) fn warning(config: &Config) -> Option<String> {
    let Some(applications) = &config.applications else {
        return Some(
            "THE SERVER IS OPEN: there is no auth.yml, so whoever reaches it may connect, publish \
             to everyone, and hear everything. It listens on loopback only. `tagcast app add NAME` \
             makes a first application."
                .to_owned(),
        );
    };
    let example = applications.with_public_secret()?;
    Some(format!(
        "for trying out only: the secret of the application `{}` is the one of the example, which \
         everybody knows. The server listens on loopback only. `tagcast app add NAME` makes an \
         application of your own.",
        example.key
    ))
}

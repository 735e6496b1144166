//! `tagcast check`: reports all errors of the configuration, or summarizes it.

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::config_args::ConfigArguments;
use super::{EXIT_CONFIG, say, serve, tell};
use crate::auth::{Applications, AuthorizeOpen};
use crate::config::Config;
use crate::supervisor::{Probed, probe};

pub(super) fn run(settings: &ConfigArguments) -> ExitCode {
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let Probed { errors, is_running } = probe(&loaded.config);
    if !errors.is_empty() {
        errors.iter().for_each(|error| tell(&format!("tagcast: {error}")));
        let count = errors.len();
        let ending = if count == 1 { "" } else { "s" };
        tell(&format!("tagcast: {count} error{ending}: `tagcast serve` would not start here"));
        return ExitCode::from(EXIT_CONFIG);
    }
    let file = match &loaded.ini {
        Some(path) => path.display().to_string(),
        None => "no file, defaults".to_owned(),
    };
    say(&format!("the configuration is valid: {file}"));
    let config = &loaded.config;
    let listen: Vec<&str> = config.listen.iter().map(|address| address.text.as_str()).collect();
    say(&format!("listens on: {}", listen.join(", ")));
    say(&format!("workers: {}", config.workers));
    say(&format!("applications: {}", applications(config)));
    if is_running {
        say("a server is running with this state folder; its addresses were not tested");
    }
    if let Some(warning) = serve::warning(config) {
        tell(&format!("tagcast: {warning}"));
    }
    ExitCode::SUCCESS
}

fn applications(config: &Config) -> String {
    let Some(applications) = &config.applications else { return "none, open to all".to_owned() };
    let Applications { list, anonymous } = applications;
    let tenants: BTreeSet<&str> = list.iter().filter_map(|it| it.tenant.as_deref()).collect();
    let without_key = match (anonymous.and_then(|at| list.get(at)), config.authorize_open) {
        (Some(application), _) => format!("counts as `{}`", application.key),
        (None, AuthorizeOpen::All) => "may listen".to_owned(),
        (None, AuthorizeOpen::Application) => "is refused".to_owned(),
    };
    format!("{}; tenants: {}; a client without a key {without_key}", list.len(), tenants.len())
}

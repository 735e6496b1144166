//! `tagcast check`: says everything that is wrong with the configuration, or what it comes to.

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::settings::Settings;
use super::{say, serve, tell};
use crate::config::{Applications, AuthorizeOpen, Config};

pub(super) fn run(settings: &Settings) -> ExitCode {
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let file = match &loaded.ini {
        Some(path) => path.display().to_string(),
        None => "no file, defaults".to_owned(),
    };
    say(&format!("the configuration is good: {file}"));
    let config = &loaded.config;
    let listen: Vec<&str> = config.listen.iter().map(|address| address.text.as_str()).collect();
    say(&format!("listens on: {}", listen.join(", ")));
    say(&format!("workers: {}", config.workers));
    say(&format!("applications: {}", applications(config)));
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
    format!("{}; tenants: {}; who shows no key {without_key}", list.len(), tenants.len())
}

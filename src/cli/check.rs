//! `tagcast check`: reports all errors of the configuration, or summarizes it.

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::config_args::ConfigArguments;
use super::{EXIT_CONFIG, print_error, print_line, serve};
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
        errors.iter().for_each(|error| print_error(&format!("tagcast: {error}")));
        let count = errors.len();
        let ending = if count == 1 { "" } else { "s" };
        print_error(&format!(
            "tagcast: {count} error{ending}: `tagcast serve` would not start here"
        ));
        return ExitCode::from(EXIT_CONFIG);
    }
    let file = match &loaded.ini {
        Some(path) => path.display().to_string(),
        None => "no file, defaults".to_owned(),
    };
    print_line(&format!("the configuration is valid: {file}"));
    let config = &loaded.config;
    let tcp = config.listen.iter().map(|address| address.text.clone());
    let paths = config.unix.paths.iter().map(|path| format!("unix:{}", path.display()));
    let listen: Vec<String> = tcp.chain(paths).collect();
    print_line(&format!("listens on: {}", listen.join(", ")));
    print_line(&format!("workers: {}", config.workers));
    print_line(&format!("applications: {}", applications(config)));
    if is_running {
        print_line("a server is running with this state folder; its addresses were not tested");
    }
    if let Some(warning) = serve::warning(config) {
        print_error(&format!("tagcast: {warning}"));
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

//! The configuration, and what `serve` would refuse on this machine.

use std::time::SystemTime;

use super::{Finding, FindingLevel};
use crate::cli::serve;
use crate::config::{Config, Diagnostics, Loaded};
use crate::supervisor::{Probed, probe};

/// Days before the end of a certificate from which on it should have been renewed.
const RENEWAL_DAYS: i64 = 14;

pub(super) fn findings(loaded: &Result<Loaded, Diagnostics>) -> Vec<Finding> {
    match loaded {
        Ok(loaded) => valid(loaded),
        Err(diagnostics) => {
            let error = |text: String| {
                let cure = "fix it; `tagcast check` shows all errors";
                Finding::bad(FindingLevel::Error, "configuration", text, cure)
            };
            diagnostics.0.iter().map(|diagnostic| error(diagnostic.to_string())).collect()
        }
    }
}

fn valid(loaded: &Loaded) -> Vec<Finding> {
    let config = &loaded.config;
    let file = loaded.ini.as_ref().map(|path| path.display().to_string());
    let what = format!("{} is valid", file.as_deref().unwrap_or("no file: the default"));
    let mut all = vec![Finding::ok("configuration", what)];
    let warnings = loaded.warnings.iter().map(|warning| {
        let cure = "see docs/configuration.md";
        Finding::bad(FindingLevel::Warning, "configuration", warning.to_string(), cure)
    });
    all.extend(warnings);
    if let Some(warning) = serve::warning(config) {
        let cure = "tagcast app add NAME, and remove the examples from auth.yml";
        all.push(Finding::bad(FindingLevel::Warning, "applications", warning, cure));
    }
    all.extend(start(config));
    all.extend(certificate(config));
    all
}

fn start(config: &Config) -> Vec<Finding> {
    let Probed { errors, is_running } = probe(config);
    let state = config.state_folder.display();
    if errors.is_empty() {
        let what = match is_running {
            true => format!("a server runs with the state folder {state}"),
            false => format!("`serve` would start: {state}, log and addresses can be used"),
        };
        return vec![Finding::ok("start", what)];
    }
    let error = |text: String| {
        let cure = "give the user of the server the right to use it, or change the key; run doctor as that user";
        Finding::bad(FindingLevel::Error, "start", text, cure)
    };
    errors.iter().map(|refused| error(refused.to_string())).collect()
}

fn certificate(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "certificate";
    let Some(tls) = &config.tls else { return Vec::new() };
    let Some(summary) = tls.certificate_summary(SystemTime::now()) else { return Vec::new() };
    let days = summary.days_left;
    let mut all = Vec::new();
    let unit = if days == 1 { "day" } else { "days" };
    let what = format!("{} expires in {days} {unit}", summary.subject);
    all.push(if days > RENEWAL_DAYS {
        Finding::ok(CHECK, what)
    } else {
        let cure = "renew it, then `tagcast reload`: docs/operations.md#tls";
        Finding::bad(FindingLevel::Warning, CHECK, what, cure)
    });
    if summary.lacks_issuer {
        let what = format!("certFile has no certificate of the issuer, {}", summary.issuer);
        let cure = "name the full chain (fullchain.pem): some clients refuse the server without it";
        all.push(Finding::bad(FindingLevel::Warning, CHECK, what, cure));
    }
    all
}

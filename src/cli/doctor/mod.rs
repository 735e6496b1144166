//! `tagcast doctor`: looks for what would trouble a server on this machine, and says how to cure it.

mod machine;
mod public;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::public::PublicUrl;
use super::config_args::source;
use super::{EXIT_CONFIG, after, print_line};
use crate::config;
use crate::types::span_seconds;

pub(super) const EXAMPLES: &str = after!(
    "Examples:
  sudo -u tagcast tagcast doctor -i /etc/tagcast/websock.ini
  tagcast doctor --url wss://example.org/ws/
  tagcast doctor --url wss://example.org/ws/ --idle 70s --json

Run it as the user of the server, because it checks what that user may do. It changes nothing.
The exit code is 78 if it finds an error, and 0 if there are only warnings."
);

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Configuration file of the server [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
    /// Address at which clients reach the server, such as wss://example.org/ws/
    #[arg(long, value_name = "URL")]
    url: Option<PublicUrl>,
    /// Time for which a connection to --url is left alone, to find time-outs of proxies
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "url")]
    idle: Option<u64>,
    /// PEM certificates to trust for --url, in place of the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FindingLevel {
    Ok,
    Skipped,
    Warning,
    Error,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) severity: FindingLevel,
    check: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { severity: FindingLevel::Ok, check, what: what.into(), cure: None }
    }

    pub(super) fn bad(
        severity: FindingLevel,
        check: &'static str,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { severity, check, what: what.into(), cure: Some(cure.into()) }
    }
}

pub(super) fn run(arguments: &DoctorArguments) -> ExitCode {
    let loaded = config::load(&source(arguments.ini.clone(), Vec::new()));
    let mut findings = server::findings(&loaded);
    let config = loaded.as_ref().ok().map(|loaded| &loaded.config);
    findings.extend(machine::findings(config));
    if let Some(url) = &arguments.url {
        let idle = arguments.idle.map(Duration::from_secs);
        let options = public::PublicOptions { ini: arguments.ini.as_deref(), idle };
        findings.extend(public::findings(url, arguments.ca.as_deref(), &options, config));
    } else {
        let cure = "name the address that clients use: --url wss://example.org/";
        let what = "the way through proxies was not tested";
        findings.push(Finding::bad(FindingLevel::Skipped, "public address", what, cure));
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&findings);
        print_line(&text.unwrap_or_default());
    } else {
        print(&findings);
    }
    let has_error = findings.iter().any(|finding| finding.severity == FindingLevel::Error);
    if has_error { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS }
}

pub(super) fn print(findings: &[Finding]) {
    for Finding { severity, check, what, cure } in findings {
        let word = match severity {
            FindingLevel::Ok => "ok",
            FindingLevel::Skipped => "skipped",
            FindingLevel::Warning => "WARNING",
            FindingLevel::Error => "ERROR",
        };
        print_line(&format!("{word:<8} {check:<15} {what}"));
        if let Some(cure) = cure {
            print_line(&format!("{:<8} {:<15} -> {cure}", "", ""));
        }
    }
    let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let plural = |count, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let (errors, warnings) = (count(FindingLevel::Error), count(FindingLevel::Warning));
    print_line("");
    print_line(&format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")));
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = span_seconds(text).filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| "use 1s to 1h, for example 70s or 5m".to_owned())
}

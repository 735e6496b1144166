//! `tagcast status`, `reload`, `drain`, `restart-workers` and `log-level`: requests to a running server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::config_args::source;
use super::{EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE, print_error, print_line};
use crate::admin::{
    AdminCall, AdminError, AdminRequest, AdminResponse, ServerStatus, ask, is_running,
};
use crate::config::state_folder;
use crate::supervisor::started_with;
use crate::telemetry::LogLevel;
use crate::types::span_seconds;

/// The maximum is one day. A longer change belongs in the configuration.
const LEVEL_SECONDS_MAX: u64 = 24 * 60 * 60;

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Configuration file of the server [default: websock.ini]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    which: Which,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn status(arguments: &StatusArguments) -> ExitCode {
    let form = if arguments.json { json } else { ServerStatus::to_string };
    run_request(&arguments.which, &AdminRequest::Status, form)
}

#[derive(Debug, Args)]
pub(super) struct LevelArguments {
    /// New level: error, warn, info, debug or trace
    level: LogLevel,
    /// Time until the configured level returns: 30s, 5m, 2h
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = seconds)]
    span: u64,
    #[command(flatten)]
    which: Which,
}

pub(super) fn log_level(arguments: &LevelArguments) -> ExitCode {
    let request = AdminRequest::LogLevel { level: arguments.level, seconds: arguments.span };
    order(&arguments.which, &request)
}

/// Parses a time of up to a day.
fn seconds(text: &str) -> Result<u64, String> {
    let seconds = span_seconds(text).filter(|seconds| (1..=LEVEL_SECONDS_MAX).contains(seconds));
    seconds.ok_or_else(|| "use 1s to 24h, for example 30s, 5m or 2h".to_owned())
}

pub(super) fn order(which: &Which, request: &AdminRequest) -> ExitCode {
    run_request(which, request, ServerStatus::to_string)
}

fn run_request(
    which: &Which,
    request: &AdminRequest,
    form: fn(&ServerStatus) -> String,
) -> ExitCode {
    let folder = match folder_of(which) {
        Ok(folder) => folder,
        Err(code) => return code,
    };
    match ask(&folder, request).and_then(|asking| print_answers(asking, form)) {
        Ok(code) => code,
        Err(error) => {
            print_error(&format!("tagcast: {error}"));
            ExitCode::from(if error.is_forbidden() { EXIT_NOT_PERMITTED } else { EXIT_UNAVAILABLE })
        }
    }
}

/// Returns the state folder of a server. If another server uses it, prints that, and returns the exit code.
pub(super) fn folder_of(which: &Which) -> Result<PathBuf, ExitCode> {
    let source = source(which.ini.clone(), Vec::new());
    let folder = state_folder(&source);
    match other_configuration(&folder, which, &source.ini_path()) {
        None => Ok(folder),
        Some(other) => {
            print_error(&format!("tagcast: {other}"));
            Err(ExitCode::from(EXIT_UNAVAILABLE))
        }
    }
}

/// Two configurations in one folder share a state folder, unless they set `stateDir`. A command for one of
/// them must not reach the server of the other.
fn other_configuration(folder: &Path, which: &Which, asked: &Path) -> Option<String> {
    let is_meant = which.ini.is_some() || asked.exists();
    let ini = started_with(folder).filter(|_| is_meant && is_running(folder))?;
    let same = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    (same(&ini) != same(asked)).then(|| {
        format!(
            "the server with the state folder {} was started with {}, not with {}; no request was \
             sent. A second server in a folder needs its own stateDir",
            folder.display(),
            ini.display(),
            asked.display()
        )
    })
}

fn print_answers(
    mut asking: AdminCall,
    form: fn(&ServerStatus) -> String,
) -> Result<ExitCode, AdminError> {
    while let Some(answer) = asking.next_answer()? {
        match answer {
            AdminResponse::Status(status) => {
                print_line(form(&status).trim_end());
                return Ok(ExitCode::SUCCESS);
            }
            // It is not asked for here.
            AdminResponse::Figures(_)
            | AdminResponse::Events(_)
            | AdminResponse::Cluster(_)
            | AdminResponse::Pinged(_) => {}
            AdminResponse::Progress(text) => print_line(&text),
            AdminResponse::Done(lines) => {
                lines.iter().for_each(|line| print_line(line));
                return Ok(ExitCode::SUCCESS);
            }
            AdminResponse::Revoked { asked, answered } if asked == answered && asked > 0 => {
                print_line("no worker accepts these tokens, on no host of the cluster");
                return Ok(ExitCode::SUCCESS);
            }
            AdminResponse::Revoked { asked, answered } => {
                print_line("no worker of this host accepts these tokens");
                let hosts = match asked {
                    0 => "the other hosts could not be asked".to_owned(),
                    _ => format!("{answered} of {asked} hosts have confirmed it"),
                };
                print_error(&format!("tagcast: {hosts}; the others get it when they answer again"));
                return Ok(ExitCode::FAILURE);
            }
            AdminResponse::Failed(lines) => {
                lines.iter().for_each(|line| print_error(line));
                print_error("tagcast: nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
            AdminResponse::Unconfirmed(lines) => {
                lines.iter().for_each(|line| print_error(line));
                return Ok(ExitCode::FAILURE);
            }
            AdminResponse::Full { limit } => {
                print_error(&format!("tagcast: there are {limit} entries, and no more fit"));
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Err(AdminError::NoAnswer(std::io::ErrorKind::UnexpectedEof.into()))
}

fn json(status: &ServerStatus) -> String {
    // All map keys are strings, so this cannot fail.
    serde_json::to_string_pretty(status).unwrap_or_default()
}

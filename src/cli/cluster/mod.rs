//! `tagcast cluster`: the hosts of a cluster, and whether this one can be one of them.

mod check;
mod ping;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::admin::{Which, folder_of};
use super::failure::Failure;
use super::{after, print_line};
use crate::admin::{AdminError, AdminRequest, AdminResponse, ClusterTable, ask};
use crate::types::ClusterReport;

/// Examples of the help text.
pub(super) const EXAMPLES: &str = after!(
    "Examples:
  tagcast cluster -i /etc/tagcast/websock.ini
  tagcast cluster ping web-2
  sudo -u tagcast tagcast cluster check -i /etc/tagcast/websock.ini"
);

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ClusterArguments {
    #[command(subcommand)]
    command: Option<ClusterCommand>,
    #[command(flatten)]
    which: Which,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Connect to NATS with the configuration alone, and report all problems.
    #[command(after_help = after!("Example: sudo -u tagcast tagcast cluster check -i /etc/tagcast/websock.ini"))]
    Check(ClusterCheckArguments),
    /// Measure the time through the lanes to other hosts and back.
    #[command(after_help = after!("Examples:\n  tagcast cluster ping\n  tagcast cluster ping web-2 --count 1000 --json"))]
    Ping(ping::ClusterPingArguments),
}

#[derive(Debug, Args)]
pub(super) struct ClusterCheckArguments {
    /// Configuration file of the server [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
}

pub(super) fn run(arguments: &ClusterArguments) -> ExitCode {
    match &arguments.command {
        Some(ClusterCommand::Check(arguments)) => return check::run(arguments),
        Some(ClusterCommand::Ping(arguments)) => return ping::run(arguments),
        None => {}
    }
    let folder = match folder_of(&arguments.which) {
        Ok(folder) => folder,
        Err(code) => return code,
    };
    match show(&folder, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(""),
    }
}

fn show(folder: &Path, arguments: &ClusterArguments) -> Result<(), Failure> {
    let report = report(folder)?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report);
        print_line(&text.map_err(|error| Failure::unavailable(error.to_string()))?);
    } else {
        print_line(ClusterTable(&report).to_string().trim_end());
    }
    Ok(())
}

/// Asks the server for the hosts.
fn report(folder: &Path) -> Result<ClusterReport, Failure> {
    match ask(folder, &AdminRequest::Cluster)?.next_answer()? {
        Some(AdminResponse::Cluster(report)) => Ok(*report),
        Some(AdminResponse::Failed(reasons)) => Err(Failure::unavailable(reasons.join("; "))),
        _ => Err(AdminError::NoAnswer(std::io::ErrorKind::UnexpectedEof.into()).into()),
    }
}

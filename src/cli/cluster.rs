//! `tagcast cluster`: the hosts of a cluster.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::admin::{Which, folder_of};
use super::failure::Failure;
use super::{after, print_line};
use crate::admin::{AdminError, AdminRequest, AdminResponse, ClusterTable, ask};
use crate::types::ClusterReport;

/// Examples of the help text.
pub(super) const EXAMPLES: &str = after!("Example: tagcast cluster -i /etc/tagcast/websock.ini");

#[derive(Debug, Args)]
pub(super) struct ClusterArguments {
    #[command(flatten)]
    which: Which,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ClusterArguments) -> ExitCode {
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

//! `tagcast top`: a running server, drawn once a second.

mod draw;
mod numbers;
mod screen;
mod terminal;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use self::screen::{Screen, SortOrder};
use super::admin::{Which, folder_of};
use super::failure::Failure;
use super::{after, print_line};
use crate::admin::{AdminError, AdminRequest, AdminResponse, ServerReport, ask};

/// Examples of the help text.
pub(super) const EXAMPLES: &str = after!(
    "Keys: s changes the order, q quits.\nWithout a terminal it prints one screen as text.\n\n\
     Example: tagcast top -i /etc/tagcast/websock.ini"
);

/// Time between two reports.
const EVERY: Duration = Duration::from_secs(1);
/// Columns of a screen that is printed as text.
const TEXT_COLUMNS: u16 = 80;

#[derive(Debug, Args)]
pub(super) struct TopArguments {
    #[command(flatten)]
    which: Which,
    /// Print one report as JSON and exit. Counters are sums since the start of the server
    #[arg(long)]
    json: bool,
}

/// Shows the server that the arguments name.
pub(super) fn run(arguments: &TopArguments) -> ExitCode {
    let folder = match folder_of(&arguments.which) {
        Ok(folder) => folder,
        Err(code) => return code,
    };
    let shown = if arguments.json {
        json(&folder)
    } else if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        terminal::run(&folder)
    } else {
        text(&folder)
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(""),
    }
}

/// Asks the server for a report.
fn report(folder: &Path) -> Result<ServerReport, AdminError> {
    match ask(folder, &AdminRequest::Figures)?.next_answer()? {
        Some(AdminResponse::Figures(report)) => Ok(*report),
        _ => Err(AdminError::NoAnswer(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

fn json(folder: &Path) -> Result<(), Failure> {
    let report = report(folder)?;
    let text = serde_json::to_string_pretty(&report);
    print_line(&text.map_err(|error| Failure::unavailable(error.to_string()))?);
    Ok(())
}

/// Prints one screen. Rates need two reports.
#[expect(clippy::disallowed_methods, reason = "nothing else is to be done meanwhile")]
fn text(folder: &Path) -> Result<(), Failure> {
    let before = report(folder)?;
    sleep(EVERY);
    let screen = Screen::new(Some(&before), &report(folder)?, SortOrder::Load);
    for line in draw::lines(&screen, TEXT_COLUMNS) {
        print_line(&line);
    }
    Ok(())
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let text = error.to_string();
        match error.is_forbidden() {
            true => Self::not_permitted(text),
            false => Self::unavailable(text),
        }
    }
}

//! `tagcast status`, `reload`, `drain` and `restart-workers`: asking the server that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::settings::source;
use super::{EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE, say, tell};
use crate::config::state_folder;
use crate::operator::{Answer, Asking, NotAsked, Request, Status, ask};

/// Which server is meant.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Its configuration file: the server with the `state` folder beside it [default: websock.ini]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    which: Which,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn status(arguments: &StatusArguments) -> ExitCode {
    let form = if arguments.json { json } else { Status::to_string };
    carry_on(&arguments.which, Request::Status, form)
}

pub(super) fn order(which: &Which, request: Request) -> ExitCode {
    carry_on(which, request, Status::to_string)
}

fn carry_on(which: &Which, request: Request, form: fn(&Status) -> String) -> ExitCode {
    let folder = state_folder(&source(which.ini.clone(), Vec::new()));
    match ask(&folder, request).and_then(|asking| hear(asking, form)) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("tagcast: {error}"));
            ExitCode::from(if error.is_forbidden() { EXIT_NOT_PERMITTED } else { EXIT_UNAVAILABLE })
        }
    }
}

fn hear(mut asking: Asking, form: fn(&Status) -> String) -> Result<ExitCode, NotAsked> {
    while let Some(answer) = asking.next_answer()? {
        match answer {
            Answer::Status(status) => {
                say(form(&status).trim_end());
                return Ok(ExitCode::SUCCESS);
            }
            Answer::Progress(text) => say(&text),
            Answer::Done(lines) => {
                lines.iter().for_each(|line| say(line));
                return Ok(ExitCode::SUCCESS);
            }
            Answer::Failed(lines) => {
                lines.iter().for_each(|line| tell(line));
                tell("tagcast: nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Err(NotAsked::NoAnswer(std::io::ErrorKind::UnexpectedEof.into()))
}

fn json(status: &Status) -> String {
    // Its maps have text for keys, so there is JSON for it.
    serde_json::to_string_pretty(status).unwrap_or_default()
}

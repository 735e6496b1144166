//! `tagcast man`: one man page for each command, made from the definition of the command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::failure::Failure;
use super::{CommandLine, after, print_line};

pub(super) const EXAMPLES: &str = after!(
    "Examples:
  tagcast man /usr/local/share/man/man1
  tagcast man /tmp/man && man -l /tmp/man/tagcast-serve.1"
);

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Folder for the pages; it is made if it is missing
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &ManArguments) -> ExitCode {
    let folder = &arguments.folder;
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    match fs::create_dir_all(folder).and_then(|()| write_pages(&command, folder)) {
        Ok(()) => {
            print_line(&format!("the man pages are in {}", folder.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let folder = folder.display();
            let why = format!("the man pages cannot be written into {folder}: {error}");
            Failure::configuration(why).end("")
        }
    }
}

/// Writes the page of a command and of all commands below it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, folder)?;
    }
    let source = concat!("Tagcast ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone()).source(source).manual("Tagcast");
    let mut text = Vec::new();
    page.render(&mut text)?;
    // The text after the options is examples, which has that title in the help too.
    let text = String::from_utf8_lossy(&text)
        .replace(".SH EXTRA", ".SH EXAMPLES")
        .replace(".SH EXAMPLES\nExamples:\n", ".SH EXAMPLES\n")
        .replace(".SH EXAMPLES\nExample: ", ".SH EXAMPLES\n  ");
    fs::write(folder.join(page.get_filename()), text)
}

//! `tagcast completions`: the completions of a shell, made from the definition of the command line.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{CommandLine, after};

pub(super) const EXAMPLES: &str = after!(
    "Examples:
  tagcast completions bash > /usr/share/bash-completion/completions/tagcast
  tagcast completions zsh > /usr/share/zsh/vendor-completions/_tagcast
  tagcast completions fish > ~/.config/fish/completions/tagcast.fish"
);

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "tagcast", &mut script);
    match std::io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader like `head` has seen enough.
        Err(_gone) => ExitCode::FAILURE,
    }
}
